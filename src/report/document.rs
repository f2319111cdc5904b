//! The callback json: the whole run as one document, at its end.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::screen::Screen;
use super::{Reporter, Settings, json};
use crate::events::{CustomStats, EXPLANATION, Event, HostResult, RUN, Stats, Status, TaskInfo};

/// Writes what the callback ansible.posix.json writes.
pub struct DocumentReporter {
    screen: Screen,
    plays: Vec<Play>,
    /// Plays and tasks so far, for their identifiers.
    count: u64,
}

struct Play {
    head: Map<String, Json>,
    start: Timestamp,
    end: Option<Timestamp>,
    tasks: Vec<Task>,
}

struct Task {
    info: Arc<TaskInfo>,
    id: String,
    start: Timestamp,
    end: Option<Timestamp>,
    hosts: Map<String, Json>,
}

impl DocumentReporter {
    pub fn new(settings: Settings) -> Self {
        Self { screen: Screen::new(&settings), plays: Vec::new(), count: 0 }
    }

    fn id(&mut self) -> String {
        self.count += 1;
        format!("00000000-0000-0000-0000-{:012x}", self.count)
    }

    fn play_started(&mut self, name: &str, path: &str) {
        let id = self.id();
        let head = [("id", id), ("name", name.to_owned()), ("path", path.to_owned())];
        self.plays.push(Play {
            head: head.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect(),
            start: Timestamp::now(),
            end: None,
            tasks: Vec::new(),
        });
    }

    fn task_started(&mut self, info: &Arc<TaskInfo>) {
        let id = self.id();
        if let Some(play) = self.plays.last_mut() {
            let (info, start, hosts) = (info.clone(), Timestamp::now(), Map::new());
            play.tasks.push(Task { info, id, start, end: None, hosts });
        }
    }

    fn finished(&mut self, outcome: &HostResult) {
        let Some(play) = self.plays.last_mut() else { return };
        // Under the strategy free the tasks of several hosts run at the same time.
        let same = |task: &&mut Task| Arc::ptr_eq(&task.info, &outcome.task);
        let known = play.tasks.iter().any(|task| Arc::ptr_eq(&task.info, &outcome.task));
        let task =
            if known { play.tasks.iter_mut().rev().find(same) } else { play.tasks.last_mut() };
        let Some(task) = task else { return };
        let now = Timestamp::now();
        task.end = Some(now);
        play.end = Some(now);
        task.hosts.insert(outcome.host.clone(), Json::Object(whole(outcome)));
    }

    fn document(&self, stats: &[(String, Stats)], custom: &CustomStats) -> Json {
        let plays: Vec<_> = self.plays.iter().map(Play::as_json).collect();
        let stats: Map<String, Json> = stats
            .iter()
            .map(|(host, counts)| {
                let counts = json!({
                    "ok": counts.ok,
                    "changed": counts.changed,
                    "unreachable": counts.unreachable,
                    "failures": counts.failed,
                    "skipped": counts.skipped,
                    "rescued": counts.rescued,
                    "ignored": counts.ignored,
                });
                (host.clone(), counts)
            })
            .collect();
        let mut own = custom.clone();
        let run = own.shift_remove(RUN).unwrap_or_default();
        json!({ "plays": plays, "stats": stats, "custom_stats": own, "global_custom_stats": run })
    }
}

impl Play {
    fn as_json(&self) -> Json {
        let mut head = self.head.clone();
        head.insert("duration".to_owned(), duration(self.start, self.end));
        json!({ "play": head, "tasks": self.tasks.iter().map(Task::as_json).collect::<Vec<_>>() })
    }
}

impl Task {
    fn as_json(&self) -> Json {
        let task = json!({
            "id": self.id,
            "name": self.info.name,
            "path": self.info.path,
            "duration": duration(self.start, self.end),
        });
        json!({ "task": task, "hosts": self.hosts })
    }
}

fn duration(start: Timestamp, end: Option<Timestamp>) -> Json {
    let text = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    match end {
        Some(end) => json!({ "start": text(start), "end": text(end) }),
        None => json!({ "start": text(start) }),
    }
}

/// All of a result, and what made it.
fn whole(outcome: &HostResult) -> Map<String, Json> {
    let mut result = outcome.result.clone();
    result.remove(EXPLANATION);
    result.insert("action".to_owned(), outcome.task.module.clone().into());
    result.entry("_ansible_no_log").or_insert(false.into());
    let state = match outcome.status {
        Status::Skipped => Some("skipped"),
        Status::Failed | Status::FailedIgnored => Some("failed"),
        Status::Unreachable | Status::UnreachableIgnored => Some("unreachable"),
        Status::Ok | Status::Changed => None,
    };
    if let Some(state) = state {
        result.insert(state.to_owned(), true.into());
    }
    result
}

impl Reporter for DocumentReporter {
    fn event(&mut self, event: &Event) {
        self.screen.event(event);
        if self.screen.notice(event) {
            return;
        }
        match event {
            Event::PlayStarted { name, path, .. } => self.play_started(name, path),
            Event::TaskStarted { task, .. } => self.task_started(task),
            Event::HostFinished(outcome) => self.finished(outcome),
            Event::Recap { stats, custom } => {
                self.screen.out(&(json::pretty(&self.document(stats, custom)) + "\n"));
            }
            _ => {}
        }
    }
}
