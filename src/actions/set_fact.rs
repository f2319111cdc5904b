//! `set_fact`: variables of a host, for the rest of the run.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{Action, Context, Effect, Error, Outcome};
use crate::template::{self, Variable};

/// Sets variables on the host; each argument is one.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetFact {
    /// Keep them as facts as well, which a fact cache stores.
    #[serde(default)]
    cacheable: bool,
    #[serde(flatten)]
    variables: Map<String, Json>,
}

impl Action for SetFact {
    const NAME: &'static str = "set_fact";
    const FREE_FORM: Option<&'static str> = Some("_raw_params");

    async fn run(mut self, context: &Context) -> Result<Outcome, Error> {
        if self.variables.keys().all(|name| name == "_raw_params") {
            return Err(Error::failed(
                "No key/value pairs provided, at least one is required for this action to succeed",
            ));
        }
        self.variables = context.with_names(self.variables)?;
        if let Some(name) = self.variables.keys().find(|name| !is_identifier(name)) {
            return Err(Error::failed(format!(
                "The variable name '{name}' is not valid. Variables must start with a letter or \
                 underscore character, and contain only letters, numbers and underscores."
            )));
        }
        if !is_native(context) {
            self.variables.values_mut().for_each(as_boolean);
        }
        let variables = self
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), Variable::Data(template::from_json(value))))
            .collect();
        context.effect(Effect::Variables(variables));
        if self.cacheable {
            context.effect(Effect::Facts(self.variables.clone()));
        }
        Ok(Outcome::default().with("ansible_facts", self.variables))
    }
}

/// Whether the operator has asked for templates that give text alone.
fn is_native(context: &Context) -> bool {
    let config = context.templar.settings().config.as_ref();
    config
        .and_then(|config| config("DEFAULT_JINJA2_NATIVE"))
        .is_none_or(|(value, _)| value != Json::Bool(false))
}

/// Without native types ansible-core 2.18 takes these words for what they say.
fn as_boolean(value: &mut Json) {
    let said = value.as_str().map(str::to_lowercase);
    match said.as_deref() {
        Some("true" | "yes") => *value = Json::Bool(true),
        Some("false" | "no") => *value = Json::Bool(false),
        _ => {}
    }
}

/// Whether Python would take it for a name.
pub fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && characters.all(|c| c.is_alphanumeric() || c == '_')
}
