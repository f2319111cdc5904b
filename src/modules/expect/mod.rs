//! `expect`: a command at a terminal, and answers to what it asks there.

mod dialogue;

use std::path::PathBuf;
use std::time::Duration;

use jiff::ZonedDateTime;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::args::{Flag, HostPath, Number};
use super::words::{plain, split};
use super::{Context, Failure, Module, Outcome, command, output};
use dialogue::{Answers, Dialogue, End, Prompt};

/// Runs a command at a terminal and answers its prompts. No shell reads the command.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The command as text, split into words at blanks that are not quoted.
    command: String,
    /// Change into this folder first.
    chdir: Option<HostPath>,
    /// A file: if it exists, the command is not run.
    creates: Option<HostPath>,
    /// A file: if it does not exist, the command is not run.
    removes: Option<HostPath>,
    /// Regular expressions, and what is typed when the output matches; a list has one
    /// answer for each time.
    responses: Map<String, Json>,
    /// Seconds that nothing may match for; null: as long as it takes.
    #[serde(default = "half_a_minute")]
    timeout: Option<Number>,
    /// Whether the terminal shows what is typed.
    #[serde(default)]
    echo: Flag,
}

fn half_a_minute() -> Option<Number> {
    Some(Number(30))
}

impl Module for Expect {
    const NAME: &'static str = "expect";
    const NULL_IS_MEANT: bool = true;

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if context.check {
            let msg = "remote module (ansible.legacy.expect) does not support check mode";
            return Ok(Outcome::default().with("skipped", true).with("msg", msg));
        }
        let prompts = self.prompts()?;
        if self.command.trim().is_empty() {
            return Err(Failure::new("no command given").with("rc", 256));
        }
        if let Some(reason) = self.not_needed() {
            return Ok(Outcome::default()
                .with("cmd", self.command)
                .with("stdout_lines", json!([reason]))
                .with("stdout", reason)
                .with("rc", 0));
        }
        let words = split(&self.command).map_err(Failure::new)?;
        let seconds = self.timeout.map(|Number(seconds)| u64::try_from(seconds).unwrap_or(0));
        let dialogue = Dialogue {
            words,
            folder: self.chdir.as_ref().map(|folder| PathBuf::from(&**folder)),
            environment: context.environment.clone(),
            prompts,
            limit: seconds.map(Duration::from_secs),
            echo: self.echo.0,
        };
        let start = ZonedDateTime::now();
        let ended = dialogue.hold()?;
        self.outcome(ended, &start, &ZonedDateTime::now())
    }
}

impl Expect {
    fn prompts(&self) -> Result<Vec<Prompt>, Failure> {
        let prompt = |(pattern, response): (&String, &Json)| {
            let answers = match response {
                Json::Array(list) => Answers::each(list.iter().map(plain)),
                one => Answers::Always(plain(one)),
            };
            Prompt::new(pattern, answers)
        };
        self.responses.iter().map(prompt).collect()
    }

    fn not_needed(&self) -> Option<String> {
        if let Some(file) = self.creates.as_ref().filter(|file| file.exists()) {
            return Some(format!("skipped, since {} exists", file.display()));
        }
        let file = self.removes.as_ref().filter(|file| !file.exists())?;
        Some(format!("skipped, since {} does not exist", file.display()))
    }

    fn outcome(
        self,
        ended: End,
        start: &ZonedDateTime,
        end: &ZonedDateTime,
    ) -> Result<Outcome, Failure> {
        if !ended.is_utf8 {
            return Err(Failure::new(
                "the command returned non UTF-8 data: encode it on the way, by base64 for example",
            ));
        }
        let stdout = ended.output.trim_end_matches(['\r', '\n']).to_owned();
        let mut outcome = Outcome::changed(true)
            .with("cmd", self.command)
            .with("stdout_lines", output::lines(&stdout))
            .with("stdout", stdout)
            .with("rc", ended.rc);
        outcome.result.extend(command::times(start, end));
        let msg = match ended.rc {
            Some(0) => return Ok(outcome),
            Some(_) => "non-zero return code",
            None => "command exceeded timeout",
        };
        Err(Failure { msg: msg.to_owned(), changed: true, result: outcome.result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(arguments: Json) -> Result<Outcome, Failure> {
        let module: Expect = serde_json::from_value(arguments).expect("arguments");
        module.run(&Context::default())
    }

    const ASK: &str = "sh -c 'printf \"name? \"; read a; echo \"hello $a\"; exit ${a#x}'";

    #[test]
    fn a_prompt_is_answered_and_the_terminal_shows_the_answer_only_when_asked_to() {
        let outcome =
            expect(json!({"command": ASK, "responses": {"(?i)NAME": "x0"}})).expect("answered");
        assert_eq!(outcome.result["stdout"], "name? hello x0");
        assert_eq!(outcome.result["rc"], 0);
        let outcome = expect(json!({"command": ASK, "responses": {"name": "x0"}, "echo": true}));
        assert_eq!(
            outcome.expect("answered").result["stdout_lines"],
            json!(["name? x0", "hello x0"])
        );
    }

    #[test]
    fn a_code_other_than_zero_is_a_failure() {
        let failure = expect(json!({"command": ASK, "responses": {"name": "x3"}}));
        let failure = failure.expect_err("failed");
        assert_eq!((failure.msg.as_str(), failure.changed), ("non-zero return code", true));
        assert_eq!(failure.result["rc"], 3);
    }

    #[test]
    fn a_list_has_an_answer_for_each_time_and_then_no_more() {
        let twice = "sh -c 'for i in 1 2; do printf \"q? \"; read a; echo \"got $a\"; done'";
        let outcome = expect(json!({"command": twice, "responses": {"q": ["a", "b"]}}));
        assert_eq!(
            outcome.expect("answered").result["stdout_lines"],
            json!(["q? got a", "q? got b"])
        );
        let failure = expect(json!({"command": twice, "responses": {"q": ["a"]}}));
        let msg = failure.expect_err("no more").msg;
        assert!(msg.starts_with("No remaining responses for 'q', output was '"), "{msg}");
    }

    #[test]
    fn a_command_that_says_nothing_expected_for_too_long_is_ended() {
        let failure = expect(json!({"command": "sleep 60", "responses": {"x": "y"}, "timeout": 1}));
        let failure = failure.expect_err("ended");
        assert_eq!(failure.msg, "command exceeded timeout");
        assert_eq!(failure.result["rc"], Json::Null);
    }

    #[test]
    fn what_cannot_be_run_or_read_is_a_failure() {
        let failure = expect(json!({"command": " ", "responses": {}})).expect_err("nothing");
        assert_eq!(
            (failure.msg.as_str(), &failure.result["rc"]),
            ("no command given", &json!(256))
        );
        let failure = expect(json!({"command": "/no/such", "responses": {}})).expect_err("nothing");
        assert_eq!(failure.msg, "The command was not found or was not executable: /no/such.");
        let failure = expect(json!({"command": "printf '\\351'", "responses": {}}));
        assert!(failure.expect_err("latin 1").msg.contains("returned non UTF-8 data"));
    }
}
