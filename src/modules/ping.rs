//! `ping`: whether modules run on the host.

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::Text;
use super::{Context, Failure, Module, Outcome};

/// Answers `pong`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// What to answer; `crash` fails, to see what a failing module looks like.
    #[serde(default = "pong")]
    data: Text,
}

fn pong() -> Text {
    Text("pong".to_owned())
}

impl Module for Ping {
    const NAME: &'static str = "ping";

    fn run(self, _: &Context) -> Result<Outcome, Failure> {
        if self.data.0 == "crash" {
            return Err(Failure::new("MODULE FAILURE\nSee stdout/stderr for the exact error")
                .with("module_stdout", "")
                .with("module_stderr", "Exception: boom\n")
                .with("exception", "Exception: boom\n")
                .with("rc", 1));
        }
        Ok(Outcome::default().with("ping", self.data.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ping(arguments: serde_json::Value) -> Result<Outcome, Failure> {
        serde_json::from_value::<Ping>(arguments).expect("arguments").run(&Context::default())
    }

    #[test]
    fn it_answers_what_it_is_given_and_crashes_when_asked() {
        assert_eq!(ping(json!({})).expect("answered").result["ping"], "pong");
        assert_eq!(ping(json!({"data": "x"})).expect("answered").result["ping"], "x");
        assert!(ping(json!({"data": "crash"})).is_err());
    }
}
