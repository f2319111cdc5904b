//! `set_stats`: numbers for the run's statistics.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json, json};

use super::{Action, Context, Error, Outcome};
use crate::modules::args::Flag;

/// Returns statistics of the operator's own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetStats {
    /// The statistics by name.
    #[serde(default)]
    data: Json,
    /// Whether they are the host's own.
    #[serde(default, deserialize_with = "yes_or_else_no")]
    #[schemars(with = "bool")]
    per_host: Flag,
    /// Whether they are added to what is there under the same name.
    #[serde(default = "Flag::yes", deserialize_with = "yes_or_else_no")]
    #[schemars(with = "bool")]
    aggregate: Flag,
}

impl Action for SetStats {
    const NAME: &'static str = "set_stats";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let data = match self.data {
            Json::Object(data) => context.with_names(data)?,
            Json::Null => Map::new(),
            _ => return Err(Error::failed("The 'data' option needs to be a dictionary/hash")),
        };
        if let Some(name) = data.keys().find(|name| !is_name(name)) {
            return Err(Error::failed(format!(
                "The variable name '{name}' is not valid. Variables must start with a letter or \
                 underscore character, and contain only letters, numbers and underscores."
            )));
        }
        let stats =
            json!({"aggregate": self.aggregate.0, "data": data, "per_host": self.per_host.0});
        Ok(Outcome::default().with("ansible_stats", stats))
    }
}

/// What is no boolean means no here, as in Ansible.
fn yes_or_else_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Flag, D::Error> {
    let given = Json::deserialize(deserializer)?;
    Ok(serde_json::from_value(given).unwrap_or_default())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
