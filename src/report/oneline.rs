//! The callback oneline: one line per host and task.

use serde_json::Value as Json;

use super::colour::Colour;
use super::dump::{self, is_set};
use super::minimal::{code, is_command, text};
use super::screen::Screen;
use super::{Reporter, Settings, json};
use crate::events::{Event, HostResult, Status};

/// Writes what the callback oneline writes.
pub struct OnelineReporter {
    settings: Settings,
    screen: Screen,
}

impl OnelineReporter {
    pub fn new(settings: Settings) -> Self {
        let screen = Screen::new(&settings);
        Self { settings, screen }
    }

    fn result(&self, outcome: &HostResult) {
        let host = &outcome.host;
        let (state, colour) = match outcome.status {
            Status::Ok => ("SUCCESS", Colour::Ok),
            Status::Changed => ("CHANGED", Colour::Changed),
            Status::Skipped => {
                return self.screen.line(Colour::Skipped, &format!("{host} | SKIPPED"));
            }
            Status::Failed | Status::FailedIgnored => {
                let text = format!("{host} | FAILED! => {}", self.dump(outcome));
                return self.screen.line(Colour::Error, &text);
            }
            Status::Unreachable | Status::UnreachableIgnored => {
                let text = format!("{host} | UNREACHABLE!: {}", text(&outcome.result, "msg"));
                return self.screen.line(Colour::Unreachable, &text);
            }
        };
        let text = if is_command(outcome) {
            format!("{host} | {state} | {}", command_output(outcome))
        } else {
            format!("{host} | {state} => {}", self.dump(outcome))
        };
        self.screen.line(colour, &text);
    }

    fn dump(&self, outcome: &HostResult) -> String {
        let shown = Json::Object(dump::public(&outcome.result, self.settings.verbosity));
        if is_set(&outcome.result, "_ansible_verbose_always") {
            json::pretty(&shown).replace('\n', "")
        } else {
            json::dense(&shown)
        }
    }
}

impl Reporter for OnelineReporter {
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

fn command_output(outcome: &HostResult) -> String {
    let one_line = |key: &str| text(&outcome.result, key).replace('\n', "\\n").replace('\r', "\\r");
    let (stdout, stderr) = (one_line("stdout"), one_line("stderr"));
    let errors = if stderr.is_empty() { String::new() } else { format!(" (stderr) {stderr}") };
    format!("rc={} | (stdout) {stdout}{errors}", code(&outcome.result))
}
