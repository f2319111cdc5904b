//! `gather_facts`: facts in the middle of a play, as at its start.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{Action, Context, Error, Outcome};
use crate::modules::args::Flag;

/// Gathers facts by `setup`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatherFacts {
    gather_subset: Option<Json>,
    gather_timeout: Option<Json>,
    filter: Option<Json>,
    fact_path: Option<Json>,
    /// Taken for compatibility: there is one module of facts.
    #[serde(default, rename = "parallel")]
    _parallel: Flag,
}

impl Action for GatherFacts {
    const NAME: &'static str = "gather_facts";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let given = [
            ("gather_subset", self.gather_subset),
            ("gather_timeout", self.gather_timeout),
            ("filter", self.filter),
            ("fact_path", self.fact_path),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        context.module("setup", Map::from_iter(given), Vec::new()).await
    }
}
