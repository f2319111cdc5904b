//! `validate_argument_spec`: whether the variables of a host are what a role's
//! specification says.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::argument_spec::{self, Spec};
use super::{Action, Context, Error, Failure, Outcome};
use crate::template::{self, Variable};

/// Fails when an argument is missing, of a wrong type, or none of its choices.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateArgumentSpec {
    /// Argument names, and for each its type, choices and the like.
    argument_spec: Map<String, Json>,
    /// Values that win over the variables of these names.
    #[serde(default)]
    provided_arguments: Map<String, Json>,
    /// What the specification belongs to, for the result.
    validate_args_context: Option<Json>,
}

impl Action for ValidateArgumentSpec {
    const NAME: &'static str = "validate_argument_spec";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let data = Json::Object(self.argument_spec);
        let spec: Spec = serde_json::from_value(data.clone())
            .map_err(|error| Error::failed(format!("the argument_spec cannot be read: {error}")))?;
        let mut values = Map::new();
        for name in spec.keys() {
            if let Some(value) = variable(context, name)? {
                values.insert(name.clone(), value);
            }
        }
        values.extend(self.provided_arguments);
        let errors = argument_spec::errors(&spec, &values, &[]);
        let about = self.validate_args_context.unwrap_or_else(|| json!({}));
        if errors.is_empty() {
            return Ok(Outcome::default()
                .with("msg", "The arg spec validation passed")
                .with("validate_args_context", about));
        }
        let msg = format!("Validation of arguments failed:\n{}", errors.join("\n"));
        Err(Failure::new(msg)
            .with("argument_errors", errors)
            .with("argument_spec_data", data)
            .with("validate_args_context", about)
            .into())
    }
}

fn variable(context: &Context, name: &str) -> Result<Option<Json>, Error> {
    let failed = |error: template::TemplateError| Error::failed(error.to_string());
    let value = match context.scope.lookup(name) {
        None => return Ok(None),
        Some(Variable::Data(value)) => value,
        Some(Variable::Source(node)) => {
            context.templar.render(&node, &context.scope).map_err(failed)?
        }
    };
    if template::is_omit(&value) || value.is_undefined() {
        return Ok(None);
    }
    template::to_json(&value).map(Some).map_err(failed)
}
