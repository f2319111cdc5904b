//! Ansible's default output, line by line; also that of the callbacks yaml and debug,
//! which differ from it only in how a result looks.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::colour::Colour;
use super::dump::{self, Form, is_set};
use super::options::{Callback, Format};
use super::screen::Screen;
use super::{Reporter, Settings, json};
use crate::events::{
    CustomStats, Delegate, EXPLANATION, Event, HostResult, RUN, Stats, Status, TaskInfo,
};

/// Writes what `ansible-playbook` writes: results to stdout, warnings to stderr.
pub struct DefaultReporter {
    settings: Settings,
    screen: Screen,
    /// The task whose header has not been shown yet.
    header: Option<Arc<TaskInfo>>,
}

impl DefaultReporter {
    pub fn new(settings: Settings) -> Self {
        let screen = Screen::new(&settings);
        Self { settings, screen, header: None }
    }

    /// What is put behind the names of plays and tasks.
    fn marker(&self, check: bool) -> &'static str {
        if check && self.settings.look.check_mode_markers { " [CHECK MODE]" } else { "" }
    }

    /// A header waits for the first result when results may be hidden.
    fn task_started(&mut self, task: &Arc<TaskInfo>) {
        self.header = Some(task.clone());
        if self.settings.look.ok_hosts && self.settings.look.skipped_hosts {
            self.show_header();
        }
    }

    fn show_header(&mut self) {
        let Some(task) = self.header.take() else { return };
        let kind = if task.handler { "RUNNING HANDLER" } else { "TASK" };
        let arguments = task.arguments.as_ref().filter(|_| !task.no_log);
        let arguments = arguments.map(|text| format!(" {text}")).unwrap_or_default();
        let marker = self.marker(task.check);
        self.screen.banner(&format!("{kind} [{}{arguments}]{marker}", task.name.trim()));
        if self.settings.verbosity >= 2 {
            self.screen.line(Colour::Debug, &format!("task path: {}", task.path));
        }
    }

    fn host_started(&self, task: &TaskInfo, host: &str) {
        if self.settings.look.per_host_start {
            let kind = if task.handler { "HANDLER" } else { "TASK" };
            let text = format!(" [started {kind}: {} on {host}]", task.name);
            self.screen.line(Colour::Plain, &text);
        }
    }

    fn is_hidden(&self, status: Status) -> bool {
        match status {
            Status::Ok => !self.settings.look.ok_hosts,
            Status::Skipped => !self.settings.look.skipped_hosts,
            _ => false,
        }
    }

    fn result(&mut self, outcome: &HostResult, is_item: bool) {
        let changes = self.screen.diff(outcome);
        if !changes.is_empty() {
            self.show_header();
            self.screen.out(&changes);
        }
        if !is_item {
            self.job(outcome);
        }
        let (text, colour) = self.result_line(outcome, is_item);
        if let Some(text) = text.filter(|_| !self.is_hidden(outcome.status)) {
            self.show_header();
            self.exception(outcome);
            self.show(outcome, colour, &text, is_item);
        }
        if !is_item {
            match outcome.status {
                Status::FailedIgnored | Status::UnreachableIgnored => {
                    self.screen.line(Colour::Skipped, "...ignoring");
                }
                Status::Failed => self.place(outcome),
                _ => {}
            }
        }
        self.screen.warnings(&outcome.result);
    }

    /// The last line of what a module broke off with; all of it with `-vvv`.
    fn exception(&self, outcome: &HostResult) {
        let Some(text) = outcome.result.get("exception").and_then(Json::as_str) else { return };
        let text = match self.settings.verbosity {
            0..3 => format!(
                "An exception occurred during task execution. To see the full traceback, use \
                 -vvv. The error was: {}",
                text.trim().lines().next_back().unwrap_or_default()
            ),
            _ => format!("The full traceback is:\n{text}"),
        };
        self.screen.line(Colour::Error, &text);
    }

    /// Where the failed task stands, and what is wrong there when that is known.
    fn place(&self, outcome: &HostResult) {
        let explained = explanation(&outcome.result);
        if let Some(text) = explained {
            self.screen.err(Colour::Error, text);
        }
        // Of what is rescued, programs that read the output find what Ansible writes alone.
        let told = explained.is_none() && (self.screen.is_live() || !outcome.rescued);
        if told && self.settings.verbosity < 2 && !self.settings.look.task_path_on_failure {
            self.screen.err(Colour::Debug, &format!("task path: {}", outcome.task.path));
        }
    }

    /// What became of a job that the task waited for.
    fn job(&self, outcome: &HostResult) {
        if outcome.task.module == "async_status" {
            return;
        }
        let failed = matches!(outcome.status, Status::Failed | Status::FailedIgnored);
        // One that took too long is told in what was last heard of it.
        let heard = outcome.result.get("async_result").and_then(Json::as_object);
        let heard = heard.filter(|_| failed).unwrap_or(&outcome.result);
        let finished = heard.get("finished").and_then(Json::as_u64) == Some(1);
        if let Some(job) = heard.get("ansible_job_id").and_then(Json::as_str)
            && (finished || failed)
        {
            let end = if failed { "FAILED" } else { "OK" };
            let text = format!("ASYNC {end} on {}: jid={job}", outcome.host);
            self.screen.line(Colour::Debug, &text);
        }
    }

    /// One result, where results of its kind go.
    fn show(&self, outcome: &HostResult, colour: Colour, text: &str, is_item: bool) {
        let failed = matches!(outcome.status, Status::Failed | Status::FailedIgnored);
        let look = &self.settings.look;
        if failed && !is_item && look.task_path_on_failure && self.settings.verbosity < 2 {
            self.screen.line(Colour::Debug, &format!("task path: {}", outcome.task.path));
        }
        let lost = matches!(outcome.status, Status::Unreachable | Status::UnreachableIgnored);
        if (failed || lost) && look.failed_to_stderr {
            self.screen.err(colour, text);
        } else {
            self.screen.line(colour, text);
        }
    }

    fn result_line(&self, outcome: &HostResult, is_item: bool) -> (Option<String>, Colour) {
        let host = labelled(&outcome.host, outcome.delegated_to.as_ref());
        let item = outcome.item.as_deref().unwrap_or_default();
        // A loop's items have been shown one by one.
        let summary = !is_item && outcome.task.looped && outcome.result.contains_key("results");
        // Of debug only the message is shown, so that its loop ends like a single failure.
        let failed_summary = summary && outcome.task.module != "debug";
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
            Status::Failed | Status::FailedIgnored if failed_summary => (None, Colour::Error),
            Status::Failed | Status::FailedIgnored => {
                (Some(format!("fatal: [{host}]: FAILED! => {}", self.dump(outcome))), Colour::Error)
            }
            Status::Unreachable | Status::UnreachableIgnored if is_item => (
                Some(format!("failed: [{host}] (item={item}) => {}", self.dump(outcome))),
                Colour::Error,
            ),
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
        let of_facts = matches!(outcome.task.module.as_str(), "setup" | "gather_facts");
        if asked && (!of_facts || outcome.result.contains_key("censored")) {
            format!(" => {}", self.dump(outcome))
        } else {
            String::new()
        }
    }

    fn dump(&self, outcome: &HostResult) -> String {
        let mut shown = dump::shown(outcome, self.settings.verbosity);
        let lost = matches!(outcome.status, Status::Unreachable | Status::UnreachableIgnored);
        if outcome.task.looped && !lost {
            // They have been shown one by one.
            shown.remove("results");
        }
        dump::dump(shown, self.form(outcome))
    }

    fn form(&self, outcome: &HostResult) -> Form {
        let look = &self.settings.look;
        let pretty = look.pretty.unwrap_or(false)
            || self.settings.verbosity > 2
            || is_set(&outcome.result, "_ansible_verbose_always");
        match (look.callback, look.format) {
            (Callback::Yaml, _) => Form::CommunityYaml,
            (Callback::Debug, _) => Form::Debug,
            (_, Format::Yaml) if look.pretty == Some(false) => Form::WholeYaml,
            (_, Format::Yaml) => Form::Yaml,
            (_, Format::Json) if pretty => Form::Pretty,
            (_, Format::Json) => Form::Compact,
        }
    }

    fn playbook_started(&self, path: &str, plays: usize) {
        if self.settings.verbosity >= 2 {
            self.screen.banner(&format!("PLAYBOOK: {path}"));
            self.screen.out(&format!("{plays} plays in {path}\n"));
        }
        self.dry_run();
    }

    fn dry_run(&self) {
        if self.settings.check && self.settings.look.check_mode_markers {
            self.screen.banner("DRY RUN");
        }
    }

    fn play_started(&self, name: &str, check: bool) {
        let name = if name.is_empty() { String::new() } else { format!(" [{}]", name.trim()) };
        self.screen.banner(&format!("PLAY{name}{}", self.marker(check)));
    }

    fn retrying(&self, host: &str, task: &TaskInfo, left: u64, result: &Map<String, Json>) {
        let always = is_set(result, "_ansible_verbose_always");
        let mut text = format!("FAILED - RETRYING: [{host}]: {} ({left} retries left).", task.name);
        if self.settings.verbosity > 2 || always {
            let shown = dump::public(result, self.settings.verbosity);
            text += &format!("Result was: {}", json::pretty(&Json::Object(shown)));
        }
        self.screen.line(Colour::Debug, &text);
    }

    fn included(&mut self, file: &str, hosts: &[String], item: Option<&str>) {
        self.show_header();
        let item = item.map(|item| format!(" => (item={item})")).unwrap_or_default();
        let text = format!("included: {file} for {}{item}", hosts.join(", "));
        self.screen.line(Colour::Included, &text);
    }

    fn recap(&self, stats: &[(String, Stats)], custom: &CustomStats) {
        self.screen.banner("PLAY RECAP");
        let mut sorted: Vec<_> = stats.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        for (host, counts) in sorted {
            self.screen.out(&self.recap_line(host, counts));
        }
        self.screen.out("\n");
        if self.settings.look.custom_stats && !custom.is_empty() {
            self.custom_stats(custom);
        }
        self.dry_run();
    }

    fn custom_stats(&self, custom: &CustomStats) {
        self.screen.banner("CUSTOM STATS:");
        let text =
            |of: &Map<String, Json>| json::indented(&Json::Object(of.clone()), 1).replace('\n', "");
        let mut hosts: Vec<_> = custom.iter().filter(|(host, _)| *host != RUN).collect();
        hosts.sort_by(|a, b| a.0.cmp(b.0));
        for (host, of) in hosts {
            self.screen.out(&format!("\t{host}: {}\n", text(of)));
        }
        if let Some(of) = custom.get(RUN) {
            self.screen.out(&format!("\n\tRUN: {}\n", text(of)));
        }
        self.screen.out("\n");
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
            if count > 0 { self.screen.palette.paint(colour, &text) } else { text }
        };
        let padding = " ".repeat(26usize.saturating_sub(console::measure_text_width(host)));
        format!(
            "{}{padding} : {} {} {} {} {} {} {}\n",
            self.screen.palette.paint(host_colour, host),
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
        self.screen.event(event);
        if self.screen.notice(event) {
            return;
        }
        match event {
            Event::PlaybookStarted { path, plays } => self.playbook_started(path, *plays),
            Event::PlayStarted { name, check, .. } => self.play_started(name, *check),
            Event::NoHostsMatched => {
                self.screen.line(Colour::Skipped, "skipping: no hosts matched");
            }
            Event::TaskStarted { task, .. } => self.task_started(task),
            Event::HostStarted { task, host } => self.host_started(task, host),
            Event::ItemFinished(outcome) => self.result(outcome, true),
            Event::HostFinished(outcome) => self.result(outcome, false),
            Event::AsyncPoll { host, jid, finished } => {
                let text = format!("ASYNC POLL on {host}: jid={jid} started=1 finished={finished}");
                self.screen.line(Colour::Debug, &text);
            }
            Event::Retrying { host, delegated_to, task, left, result } => {
                self.retrying(&labelled(host, delegated_to.as_ref()), task, *left, result);
            }
            Event::Included { file, hosts, item, .. } => {
                self.included(file, hosts, item.as_deref())
            }
            Event::Message { text } | Event::Question { text } => {
                self.screen.line(Colour::Plain, text)
            }
            Event::Meta { text } if self.settings.verbosity >= 2 => {
                self.screen.line(Colour::Plain, &format!("META: {text}"));
            }
            Event::Answered { text } => self.screen.banner(text),
            Event::NoMoreHosts => self.screen.banner("NO MORE HOSTS LEFT"),
            Event::Recap { stats, custom } => self.recap(stats, custom),
            Event::Progress { host, message, verbosity }
                if !self.screen.is_live() && self.settings.verbosity >= *verbosity =>
            {
                self.screen.line(Colour::Debug, &format!("[{host}] {message}"));
            }
            _ => {}
        }
    }
}

/// A host, and whom its task was delegated to.
fn labelled(host: &str, delegated_to: Option<&Delegate>) -> String {
    match delegated_to {
        Some(to) if to.name != host => format!("{host} -> {to}"),
        _ => host.to_owned(),
    }
}

/// The message that shows the line: one that was made for people, or the result's own.
fn explanation(result: &Map<String, Json>) -> Option<&str> {
    let text = |key: &str| result.get(key).and_then(Json::as_str);
    let with_place = |key| text(key).filter(|text| text.contains("\n  --> "));
    text(EXPLANATION).or_else(|| with_place("msg")).or_else(|| with_place("reason"))
}
