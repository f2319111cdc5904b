//! `fail`: stops a host with a message.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Context, Error, Failure, Outcome};

/// Fails with a message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// Why the host cannot go on.
    #[serde(default = "default_message")]
    msg: serde_json::Value,
}

fn default_message() -> serde_json::Value {
    "Failed as requested from task".into()
}

impl Action for Fail {
    const NAME: &'static str = "fail";

    async fn run(self, _: &Context) -> Result<Outcome, Error> {
        let text = match &self.msg {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Err(Failure::new(text).with("msg", self.msg).into())
    }
}
