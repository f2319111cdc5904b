//! `assert`: stops a host when a condition does not hold.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Action, Context, Error, Failure, Outcome};
use crate::source::{Node, SourceFile, Span, Yaml};

/// Fails unless every condition holds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assert {
    /// One condition or a list, as in `when`.
    that: Json,
    /// The message when a condition does not hold.
    #[serde(alias = "msg")]
    fail_msg: Option<Json>,
    /// The message when all hold.
    success_msg: Option<Json>,
    /// Print only that it held.
    #[serde(default)]
    quiet: bool,
}

impl Action for Assert {
    const NAME: &'static str = "assert";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let conditions = match self.that {
            Json::Array(conditions) => conditions,
            one => vec![one],
        };
        for condition in conditions {
            let held = match &condition {
                Json::Bool(value) => *value,
                // An empty item of a list says nothing, and so nothing that is false.
                Json::Null => true,
                Json::String(text) => {
                    let file = SourceFile::new(Path::new("that"), text);
                    let node = Node::new(Yaml::Str(text.clone()), Span::start(&file));
                    context
                        .templar
                        .condition(&node, &context.scope)
                        .map_err(|error| Error::failed(error.message))?
                }
                other => {
                    return Err(Error::failed(format!(
                        "a condition must be an expression or a boolean, not {other}"
                    )));
                }
            };
            if !held {
                let msg = self.fail_msg.unwrap_or_else(|| json!("Assertion failed"));
                return Err(Failure {
                    // Only text fits here; a list of lines is put in its place below.
                    msg: msg.as_str().unwrap_or_default().to_owned(),
                    ..Failure::default()
                }
                .with("msg", msg)
                .with("assertion", condition)
                .with("evaluated_to", false)
                .with("_ansible_verbose_always", !self.quiet)
                .into());
            }
        }
        let msg = self.success_msg.unwrap_or_else(|| json!("All assertions passed"));
        Ok(Outcome::default().with("msg", msg).with("_ansible_verbose_always", !self.quiet))
    }
}
