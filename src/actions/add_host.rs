//! `add_host`: a host that later plays can use.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Action, Context, Effect, Error, Outcome};
use crate::modules::args::TextList;
use crate::template::{self, Variable};

/// Adds a host (and groups) to the inventory for the rest of the run; further
/// arguments are variables of the host.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct AddHost {
    /// Name of the host, with `:port` if need be.
    #[serde(alias = "hostname", alias = "host")]
    name: String,
    /// Groups that it belongs to.
    #[serde(default, alias = "group", alias = "groupname")]
    groups: TextList,
    #[serde(flatten)]
    variables: Map<String, Json>,
}

impl Action for AddHost {
    const NAME: &'static str = "add_host";
    const ONCE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let variables = self
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), Variable::Data(template::from_json(value))))
            .collect();
        let groups = self.groups.0;
        context.effect(Effect::AddHost {
            name: self.name.clone(),
            groups: groups.clone(),
            variables,
        });
        let mut shown = self.variables;
        let (name, port) = match crate::inventory::host_and_port(&self.name) {
            Some((name, port)) => (name, Some(port)),
            None => (self.name, None),
        };
        if let Some(port) = port {
            shown.insert("ansible_ssh_port".to_owned(), json!(port));
        }
        let added = json!({"host_name": name, "groups": groups, "host_vars": shown});
        Ok(Outcome::changed(true).with("add_host", added))
    }
}
