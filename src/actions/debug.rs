//! `debug`: shows a message or a variable.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, json};

use super::{Action, Context, Error, Outcome};
use crate::template;

/// Prints a message or the value of an expression; it never changes anything.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Debug {
    /// What to print; any type, null too.
    #[serde(default, deserialize_with = "given")]
    msg: Option<Json>,
    /// An expression whose value is printed, without braces.
    var: Option<Json>,
    /// Set by the engine: a template gave the text of `var`.
    #[serde(default)]
    _rendered: bool,
    /// Print only from this many `-v` on.
    #[serde(default)]
    verbosity: u8,
}

fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(value).map(Some)
}

impl Action for Debug {
    const NAME: &'static str = "debug";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        if self.verbosity > context.verbosity {
            return Ok(Outcome::default()
                .with("skipped", true)
                .with("skipped_reason", "Verbosity threshold not met."));
        }
        let outcome = match (self.msg, self.var) {
            (Some(_), Some(_)) => {
                return Err(Error::failed("parameters are mutually exclusive: msg|var"));
            }
            (Some(msg), None) => Outcome::default().with("msg", msg),
            // What a host may have said is shown and not run.
            (None, Some(Json::String(text))) if self._rendered && !is_path(&text) => {
                Outcome::default().with(&text, text.as_str())
            }
            (None, Some(Json::String(expression))) => {
                let value = show(&expression, context)?;
                Outcome::default().with(&expression, value)
            }
            // The template gave the value itself rather than a name.
            (None, Some(value)) => {
                let kind = match value {
                    Json::Array(_) => "<class 'list'>",
                    Json::Object(_) => "<class 'dict'>",
                    _ => "<class 'object'>",
                };
                Outcome::default().with(kind, value)
            }
            (None, None) => Outcome::default().with("msg", "Hello world!"),
        };
        Ok(outcome.with("_ansible_verbose_always", true))
    }
}

/// Whether a text only names a variable or a part of one.
fn is_path(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || "_.[]'\"- ".contains(c))
}

fn show(expression: &str, context: &Context) -> Result<Json, Error> {
    match context.templar.evaluate(expression, None, &context.scope) {
        Ok(value) if value.is_undefined() => {
            Ok(missing(context, &format!("'{expression}' is undefined")))
        }
        Ok(value) => template::to_json(&value).map_err(|e| Error::failed(e.to_string())),
        Err(error) if error.undefined => Ok(missing(context, &error.to_string())),
        Err(error) => Err(Error::failed(error.to_string())),
    }
}

/// What stands for a value that is not there; with `-v` it says why.
fn missing(context: &Context, why: &str) -> Json {
    match context.verbosity {
        0 => json!("VARIABLE IS NOT DEFINED!"),
        _ => json!(format!("VARIABLE IS NOT DEFINED!: {why}")),
    }
}
