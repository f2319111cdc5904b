//! Ansible's default output, line by line.

use std::io::{self, Write};

use serde_json::{Map, Value as Json};

use super::colour::{Colour, Palette};
use super::progress::Progress;
use super::{Reporter, diff, json};
use crate::events::{Event, HostResult, Stats, Status, TaskInfo};

/// How much is shown, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The number of `-v` flags.
    pub verbosity: u8,
    pub diff: bool,
    pub colour: bool,
    /// Characters in a line of the terminal, for the stars of the headers.
    pub columns: usize,
    /// Show the live line (stdout is a terminal).
    pub live: bool,
}

/// Writes what `ansible-playbook` writes: results to stdout, warnings to stderr.
pub struct DefaultReporter {
    settings: Settings,
    palette: Palette,
    progress: Option<Progress>,
}

impl DefaultReporter {
    pub fn new(settings: Settings) -> Self {
        let palette = Palette { enabled: settings.colour };
        let progress = settings.live.then(Progress::new);
        Self { settings, palette, progress }
    }

    fn out(&self, text: &str) {
        // A closed pipe (`| head`) is no reason to stop an upgrade half-way.
        self.above(|| {
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        });
    }

    fn err(&self, colour: Colour, text: &str) {
        let text = self.palette.paint(colour, text);
        self.above(|| {
            let _ = writeln!(io::stderr(), "{text}");
        });
    }

    fn above(&self, print: impl FnOnce()) {
        match &self.progress {
            Some(progress) => progress.above(print),
            None => print(),
        }
    }

    fn line(&self, colour: Colour, text: &str) {
        self.out(&(self.palette.paint(colour, text) + "\n"));
    }

    /// `TASK [x] ****` after an empty line, filled up to the width with at least three stars.
    fn banner(&self, text: &str) {
        let width = console::measure_text_width(text);
        let stars = self.settings.columns.saturating_sub(width).max(3);
        self.out(&format!("\n{text} {}\n", "*".repeat(stars)));
    }

    fn task_banner(&self, task: &TaskInfo) {
        let kind = if task.handler { "RUNNING HANDLER" } else { "TASK" };
        self.banner(&format!("{kind} [{}]", task.name));
        if self.settings.verbosity >= 2 {
            self.line(Colour::Debug, &format!("task path: {}", task.path));
        }
    }

    fn result(&self, outcome: &HostResult, is_item: bool) {
        if self.settings.diff
            && let Some(changes) = outcome.result.get("diff")
        {
            self.out(&diff::render(changes, self.palette));
        }
        let (text, colour) = self.result_line(outcome, is_item);
        if let Some(text) = text {
            self.line(colour, &text);
        }
        if !is_item {
            match outcome.status {
                Status::FailedIgnored | Status::UnreachableIgnored => {
                    self.line(Colour::Skipped, "...ignoring");
                }
                Status::Failed if self.settings.verbosity < 2 => {
                    self.err(Colour::Debug, &format!("task path: {}", outcome.task.path));
                }
                _ => {}
            }
        }
        for warning in strings(outcome.result.get("warnings")) {
            self.err(Colour::Warning, &format!("[WARNING]: {warning}"));
        }
    }

    fn result_line(&self, outcome: &HostResult, is_item: bool) -> (Option<String>, Colour) {
        let host = match &outcome.delegated_to {
            Some(to) => format!("{} -> {to}", outcome.host),
            None => outcome.host.clone(),
        };
        let item = outcome.item.as_deref().unwrap_or_default();
        // A loop's items have been shown one by one.
        let summary = !is_item && outcome.result.contains_key("results");
        match outcome.status {
            Status::Ok | Status::Changed => {
                let (word, colour) = match outcome.status {
                    Status::Ok => ("ok", Colour::Ok),
                    _ => ("changed", Colour::Changed),
                };
                if summary {
                    return (None, colour);
                }
                let item = if is_item { format!(" => (item={item})") } else { String::new() };
                (Some(format!("{word}: [{host}]{item}{}", self.verbose(outcome))), colour)
            }
            Status::Skipped => {
                let item = if is_item { format!(" => (item={item}) ") } else { String::new() };
                let text = format!("skipping: [{}]{item}{}", outcome.host, self.verbose(outcome));
                (Some(text), Colour::Skipped)
            }
            Status::Failed | Status::FailedIgnored if is_item => (
                Some(format!("failed: [{host}] (item={item}) => {}", self.dump(outcome))),
                Colour::Error,
            ),
            Status::Failed | Status::FailedIgnored if summary => (None, Colour::Error),
            Status::Failed | Status::FailedIgnored => {
                (Some(format!("fatal: [{host}]: FAILED! => {}", self.dump(outcome))), Colour::Error)
            }
            Status::Unreachable | Status::UnreachableIgnored => (
                Some(format!("fatal: [{host}]: UNREACHABLE! => {}", self.dump(outcome))),
                Colour::Unreachable,
            ),
        }
    }

    /// ` => {result}` where it is asked for: by `-v`, or by the module (debug, assert).
    fn verbose(&self, outcome: &HostResult) -> String {
        let asked =
            self.settings.verbosity > 0 || is_set(&outcome.result, "_ansible_verbose_always");
        // Facts are too many to be shown.
        if asked && outcome.task.module != "setup" {
            format!(" => {}", self.dump(outcome))
        } else {
            String::new()
        }
    }

    fn dump(&self, outcome: &HostResult) -> String {
        let pretty =
            self.settings.verbosity > 2 || is_set(&outcome.result, "_ansible_verbose_always");
        let shown = shown_result(outcome, self.settings.verbosity);
        if pretty { json::pretty(&shown) } else { json::compact(&shown) }
    }

    fn recap(&self, stats: &[(String, Stats)]) {
        self.banner("PLAY RECAP");
        let mut sorted: Vec<_> = stats.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        for (host, counts) in sorted {
            self.out(&self.recap_line(host, counts));
        }
        self.out("\n");
    }

    fn recap_line(&self, host: &str, counts: &Stats) -> String {
        let host_colour = if counts.failed > 0 || counts.unreachable > 0 {
            Colour::Error
        } else if counts.changed > 0 {
            Colour::Changed
        } else {
            Colour::Ok
        };
        let field = |name: &str, count: u64, colour: Colour| {
            let text = format!("{name}={count:<4}");
            if count > 0 { self.palette.paint(colour, &text) } else { text }
        };
        let padding = " ".repeat(26usize.saturating_sub(console::measure_text_width(host)));
        format!(
            "{}{padding} : {} {} {} {} {} {} {}\n",
            self.palette.paint(host_colour, host),
            field("ok", counts.ok, Colour::Ok),
            field("changed", counts.changed, Colour::Changed),
            field("unreachable", counts.unreachable, Colour::Unreachable),
            field("failed", counts.failed, Colour::Error),
            field("skipped", counts.skipped, Colour::Skipped),
            field("rescued", counts.rescued, Colour::Ok),
            field("ignored", counts.ignored, Colour::Warning),
        )
    }
}

impl Reporter for DefaultReporter {
    fn event(&mut self, event: &Event) {
        if let Some(progress) = &mut self.progress {
            progress.event(event);
        }
        match event {
            Event::PlaybookStarted { path, plays } if self.settings.verbosity >= 2 => {
                self.banner(&format!("PLAYBOOK: {path}"));
                self.out(&format!("{plays} plays in {path}\n"));
            }
            Event::PlayStarted { name, .. } if name.is_empty() => self.banner("PLAY"),
            Event::PlayStarted { name, .. } => self.banner(&format!("PLAY [{name}]")),
            Event::NoHostsMatched => self.line(Colour::Skipped, "skipping: no hosts matched"),
            Event::TaskStarted { task, .. } => self.task_banner(task),
            Event::ItemFinished(outcome) => self.result(outcome, true),
            Event::HostFinished(outcome) => self.result(outcome, false),
            Event::Retrying { host, task, left, result } => {
                let mut text =
                    format!("FAILED - RETRYING: [{host}]: {} ({left} retries left).", task.name);
                if self.settings.verbosity > 2 {
                    text += &format!("Result was: {}", json::pretty(&Json::Object(result.clone())));
                }
                self.line(Colour::Debug, &text);
            }
            Event::Included { file, hosts, item } => {
                let mut text = format!("included: {file} for {}", hosts.join(", "));
                if let Some(item) = item {
                    text += &format!(" => (item={item})");
                }
                self.line(Colour::Skipped, &text);
            }
            Event::Message { text } => self.line(Colour::Plain, text),
            Event::AsyncPoll { host, jid, finished } => self.line(
                Colour::Plain,
                &format!("ASYNC POLL on {host}: jid={jid} started=1 finished={finished}"),
            ),
            Event::AsyncOk { host, jid } => {
                self.line(Colour::Plain, &format!("ASYNC OK on {host}: jid={jid}"));
            }
            Event::AsyncFailed { host, jid } => {
                self.line(Colour::Plain, &format!("ASYNC FAILED on {host}: jid={jid}"));
            }
            Event::Meta { text } if self.settings.verbosity >= 2 => {
                self.line(Colour::Plain, &format!("META: {text}"));
            }
            Event::Warning { text } => self.err(Colour::Warning, &format!("[WARNING]: {text}")),
            Event::Error { text } => self.err(Colour::Error, &format!("ERROR! {text}")),
            Event::NoMoreHosts => self.banner("NO MORE HOSTS LEFT"),
            Event::Interrupted => self.err(Colour::Error, "[ERROR]: User interrupted execution"),
            Event::Recap { stats } => self.recap(stats),
            Event::Progress { host, message }
                if self.progress.is_none() && self.settings.verbosity >= 1 =>
            {
                self.line(Colour::Debug, &format!("[{host}] {message}"));
            }
            _ => {}
        }
    }
}

fn is_set(result: &Map<String, Json>, key: &str) -> bool {
    result.get(key).and_then(Json::as_bool).unwrap_or(false)
}

fn strings(list: Option<&Json>) -> impl Iterator<Item = &str> {
    list.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

/// The result without what is not for people: internal keys, the diff (shown
/// already), the arguments below -vvv; of debug only what it was asked to show.
fn shown_result(outcome: &HostResult, verbosity: u8) -> Json {
    let debug = outcome.task.module == "debug";
    let message_only = debug && outcome.result.contains_key("msg");
    let shown = outcome
        .result
        .iter()
        .filter(|(key, _)| {
            let key = key.as_str();
            let hidden = key.starts_with("_ansible_")
                || (verbosity < 3 && matches!(key, "invocation" | "diff"))
                || matches!(key, "failed" | "skipped" | "warnings" | "deprecations");
            let not_of_debug = if message_only {
                key != "msg"
            } else {
                debug && matches!(key, "changed" | "failed" | "skipped" | "skip_reason")
            };
            !hidden && !not_of_debug
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Json::Object(shown)
}
