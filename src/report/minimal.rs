//! The callback minimal: one result per host, commands with their output.

use serde_json::{Map, Value as Json};

use super::colour::Colour;
use super::dump::{self, Form};
use super::screen::Screen;
use super::{Reporter, Settings};
use crate::events::{Event, HostResult, Status};

/// Modules whose output is shown as it is.
const COMMANDS: &[&str] = &["command", "shell", "raw", "script"];

/// Writes what the callback minimal writes.
pub struct MinimalReporter {
    settings: Settings,
    screen: Screen,
}

impl MinimalReporter {
    pub fn new(settings: Settings) -> Self {
        let screen = Screen::new(&settings);
        Self { settings, screen }
    }

    fn result(&self, outcome: &HostResult) {
        self.screen.out(&self.screen.diff(outcome));
        let host = &outcome.host;
        let (state, colour) = match outcome.status {
            Status::Ok => ("SUCCESS", Colour::Ok),
            Status::Changed => ("CHANGED", Colour::Changed),
            Status::Skipped => {
                return self.screen.line(Colour::Skipped, &format!("{host} | SKIPPED"));
            }
            Status::Failed | Status::FailedIgnored => ("FAILED", Colour::Error),
            Status::Unreachable | Status::UnreachableIgnored => {
                let text = format!("{host} | UNREACHABLE! => {}", self.dump(outcome));
                return self.screen.line(Colour::Unreachable, &text);
            }
        };
        let text = if is_command(outcome) {
            format!("{host} | {state} | {}", command_output(&outcome.result))
        } else {
            let mark = if state == "FAILED" { "!" } else { "" };
            format!("{host} | {state}{mark} => {}", self.dump(outcome))
        };
        self.screen.line(colour, &text);
        self.screen.warnings(&outcome.result);
    }

    fn dump(&self, outcome: &HostResult) -> String {
        dump::dump(dump::shown(outcome, self.settings.verbosity), Form::Pretty)
    }
}

impl Reporter for MinimalReporter {
    fn event(&mut self, event: &Event) {
        self.screen.event(event);
        if self.screen.notice(event) {
            return;
        }
        if let Event::HostFinished(outcome) | Event::IncludeFinished(outcome) = event {
            self.result(outcome);
        }
    }
}

/// Whether the result is a command's, not that of a job that was started.
pub fn is_command(outcome: &HostResult) -> bool {
    COMMANDS.contains(&outcome.task.module.as_str())
        && !outcome.result.contains_key("ansible_job_id")
}

/// The code of a command; -1 where there is none (a loop, a censored result).
pub fn code(result: &Map<String, Json>) -> i64 {
    result.get("rc").and_then(Json::as_i64).unwrap_or(-1)
}

/// Text of a result, empty where there is none.
pub fn text<'a>(result: &'a Map<String, Json>, key: &str) -> &'a str {
    result.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn command_output(result: &Map<String, Json>) -> String {
    let all: String = ["stdout", "stderr", "msg"].map(|key| text(result, key)).concat();
    format!("rc={} >>\n{all}\n", code(result))
}
