//! `group_by`: puts the host into a group named by its variables.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Context, Effect, Error, Outcome};
use crate::modules::args::TextList;

/// Adds the host to a group for the rest of the run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupBy {
    /// Name of the group; spaces become dashes.
    key: String,
    /// Groups that the new one belongs to.
    #[serde(default = "all")]
    parents: TextList,
}

fn all() -> TextList {
    TextList(vec!["all".to_owned()])
}

impl Action for GroupBy {
    const NAME: &'static str = "group_by";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let group = self.key.replace(' ', "-");
        let parents: Vec<_> = self.parents.0.iter().map(|p| p.replace(' ', "-")).collect();
        context.effect(Effect::GroupBy { group: group.clone(), parents: parents.clone() });
        Ok(Outcome::default().with("add_group", group).with("parent_groups", parents))
    }
}
