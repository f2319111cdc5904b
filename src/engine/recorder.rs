//! What the engine writes into the journal, and what it takes out of it when a run is
//! resumed: tasks that were done are not run again, what they brought is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value as Json, json};

use super::invoke::Invocation;
use super::result::{self, Result as TaskResult};
use crate::actions::guard::{self, BreakLock};
use crate::actions::{Effect, Failure};
use crate::events::{Status, TaskInfo};
use crate::journal::{self, DRAINS, Done, History, Journal, Key, Record, Recording};
use crate::playbook::Task;
use crate::source::{Node, Span};
use crate::template::{self, Variable};

/// Tasks that are run again when a run is resumed: they change nothing, or only what the
/// run itself knows.
const ANEW: &[&str] = &[
    "add_host",
    "assert",
    "debug",
    "fail",
    "group_by",
    "include_role",
    "include_tasks",
    "include_vars",
    "meta",
    "set_stats",
    "validate_argument_spec",
];
/// Modules that change the objects of a cluster.
const OF_CLUSTERS: &[&str] = &[
    "etcd_snapshot",
    "k8s",
    "k8s_json_patch",
    "k8s_restore",
    "k8s_rollback",
    "k8s_scale",
    "k8s_taint",
];
/// Modules that do whatever they are told each time that they run.
const COMMANDS: &[&str] = &["command", "shell", "raw", "script"];

/// The journal of the run, if it has one.
#[derive(Default)]
pub struct Recorder {
    journal: Option<Arc<Journal>>,
    history: History,
    turns: Mutex<HashMap<(String, String), u32>>,
}

/// Of whom something is recorded.
pub struct Subject<'a> {
    pub task: &'a Task,
    pub info: &'a TaskInfo,
    pub no_log: bool,
}

impl Recorder {
    pub fn of(recording: Option<Recording>) -> Self {
        let Some(recording) = recording else {
            return Self::default();
        };
        let journal = Some(Arc::new(recording.journal));
        Self { journal, history: recording.history, turns: Mutex::default() }
    }

    /// What actions need of it.
    pub fn guarding(&self, break_lock: BreakLock) -> guard::Run {
        let left = self.history.cordons.keys().cloned().collect();
        let had = self.history.locked.iter().cloned().collect();
        guard::Run { journal: self.journal.clone(), left, break_lock, had }
    }

    /// The key of what a host is about to do; none if nothing is recorded of it.
    pub fn turn(&self, host: &str, task: &Task) -> Option<Key> {
        (!ANEW.contains(&task.module.as_str())).then(|| self.turn_at(host, &task.span))?
    }

    /// The same of a block.
    pub fn turn_at(&self, host: &str, place: &Span) -> Option<Key> {
        self.journal.as_ref()?;
        let (host, task) = (host.to_owned(), place.to_string());
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let next = turns.entry((host.clone(), task.clone())).or_default();
        let turn = *next;
        *next += 1;
        Some(Key { host, task, turn, item: None })
    }

    /// What came of it before this run was resumed.
    pub fn done(&self, key: Option<&Key>) -> Option<&Done> {
        self.history.done(key?)
    }

    /// Whether what a block had done on its host is to be done again.
    pub fn is_undone(&self, block: &Key) -> bool {
        self.history.is_undone(block)
    }

    /// Whether several items of a task may begin before the first has ended: not commands of
    /// which a journal has to tell later which of them were run.
    pub fn lets_go_ahead(&self, task: &Task) -> bool {
        self.journal.is_none() || may_run_again(task, None)
    }

    /// Returns when the beginning of the task is on disk.
    pub async fn begin(
        &self,
        key: Option<&Key>,
        subject: &Subject<'_>,
        invocation: &Invocation,
    ) -> Result<(), Failure> {
        let (Some(journal), Some(key)) = (&self.journal, key) else {
            return Ok(());
        };
        if !changes(subject.task) {
            return Ok(());
        }
        let record = Record::Begun {
            at: journal::now(),
            key: key.clone(),
            name: name_of(subject.info),
            module: subject.task.module.clone(),
            again: may_run_again(subject.task, arguments(invocation)),
        };
        journal.keep(&record).await.map_err(|error| {
            Failure::new(format!("the journal of the run cannot be written: {error}"))
        })
    }

    #[allow(clippy::too_many_arguments)] // Each is another part of what came of it.
    pub fn end(
        &self,
        key: Option<&Key>,
        subject: &Subject<'_>,
        result: &TaskResult,
        effects: &[Effect],
        delegated_to: Option<&String>,
        status: Status,
    ) {
        let (Some(journal), Some(key)) = (&self.journal, key) else {
            return;
        };
        let mut kept = Json::Object(if subject.no_log {
            result::censored(result)
        } else {
            result.iter().filter(|(name, _)| *name != "diff").map(pair).collect()
        });
        let mut variables = set_by(effects).map(Json::Object);
        let mut facts = facts_of(effects).map(Json::Object);
        let mut withheld = subject.no_log;
        for part in [Some(&mut kept), variables.as_mut(), facts.as_mut()].into_iter().flatten() {
            withheld |= journal::scrub(part);
        }
        let task = subject.task;
        let needed =
            task.register.is_some() || !effects.is_empty() || result.contains_key("ansible_facts");
        if subject.no_log {
            (variables, facts) = (None, None);
        }
        journal.put(&Record::Ended {
            at: journal::now(),
            key: key.clone(),
            name: name_of(subject.info),
            module: task.module.clone(),
            // What arguments say counts only while the end is not known.
            again: may_run_again(task, None),
            result: object(kept).unwrap_or_default(),
            variables: variables.and_then(object),
            facts: facts.and_then(object),
            delegated_to: delegated_to.cloned(),
            withheld,
            needed,
            survived: match status {
                Status::FailedIgnored | Status::UnreachableIgnored => true,
                Status::Failed => task.rescued,
                _ => false,
            },
        });
    }

    /// A host is through with a task.
    pub fn through(&self, key: Option<&Key>, info: &TaskInfo, status: Status, rescued: bool) {
        if let (Some(journal), Some(key)) = (&self.journal, key) {
            journal.put(&Record::Task {
                at: journal::now(),
                key: key.clone(),
                name: name_of(info),
                status,
                rescued,
                notified: Vec::new(),
            });
        }
    }

    /// Returns when the end of the run is on disk.
    pub fn finish(&self, code: u8) {
        if let Some(journal) = &self.journal {
            journal.put(&Record::End { at: journal::now(), code });
            journal.finish();
        }
    }

    pub fn put(&self, record: impl FnOnce() -> Record) {
        if let Some(journal) = &self.journal {
            journal.put(&record());
        }
    }
}

/// Effects as they were when the task ran.
pub fn effects_of(done: &Done) -> Vec<Effect> {
    let variables = done.variables.as_ref().map(|variables| {
        let entry = |(name, value): (&String, &Json)| {
            (name.clone(), Variable::Data(template::from_json(value)))
        };
        Effect::Variables(variables.iter().map(entry).collect())
    });
    variables.into_iter().chain(done.facts.clone().map(Effect::Facts)).collect()
}

fn set_by(effects: &[Effect]) -> Option<Map<String, Json>> {
    let mut all = Map::new();
    for effect in effects {
        if let Effect::Variables(variables) = effect {
            for (name, variable) in variables {
                let value = match variable {
                    Variable::Data(value) => template::to_json(value).unwrap_or(Json::Null),
                    Variable::Source(node) => node.to_json(),
                };
                all.insert(name.clone(), value);
            }
        }
    }
    (!all.is_empty()).then_some(all)
}

fn facts_of(effects: &[Effect]) -> Option<Map<String, Json>> {
    let mut all = Map::new();
    for effect in effects {
        if let Effect::Facts(facts) = effect {
            all.extend(facts.clone());
        }
    }
    (!all.is_empty()).then_some(all)
}

fn arguments(invocation: &Invocation) -> Option<&Map<String, Json>> {
    match invocation {
        Invocation::Action { arguments, .. }
        | Invocation::Module { arguments, .. }
        | Invocation::External { arguments, .. } => Some(arguments),
        Invocation::Facts(_) | Invocation::Include(_) => None,
    }
}

/// Whether a second run does no harm: all modules but those that run commands bring about
/// a state. A command that names what it creates or removes does too, and one that never
/// changes anything (`changed_when: false`) only looks.
fn may_run_again(task: &Task, arguments: Option<&Map<String, Json>>) -> bool {
    if !COMMANDS.contains(&task.module.as_str()) {
        return true;
    }
    let named = |name: &str| {
        arguments.is_some_and(|arguments| arguments.get(name).is_some_and(|v| !v.is_null()))
    };
    named("creates") || named("removes") || only_looks(task)
}

fn only_looks(task: &Task) -> bool {
    match task.changed_when.as_slice() {
        [one] => one.to_json() == json!(false) || one.as_str() == Some("false"),
        _ => false,
    }
}

/// Whether its beginning is worth a wait for the disk.
fn changes(task: &Task) -> bool {
    const LOOKS: &[&str] = &[
        "async_status",
        "find",
        "gather_facts",
        "k8s_cluster_info",
        "k8s_info",
        "k8s_log",
        "pause",
        "ping",
        "set_fact",
        "setup",
        "slurp",
        "stat",
        "upgrade_guard",
        "wait_for",
        "wait_for_connection",
    ];
    !LOOKS.contains(&task.module.as_str()) && !only_looks(task)
}

fn name_of(info: &TaskInfo) -> String {
    let mut name = Json::String(info.name.clone());
    journal::scrub(&mut name);
    name.as_str().map(str::to_owned).unwrap_or_default()
}

fn object(value: Json) -> Option<Map<String, Json>> {
    match value {
        Json::Object(map) => Some(map),
        _ => None,
    }
}

fn pair((name, value): (&String, &Json)) -> (String, Json) {
    (name.clone(), value.clone())
}

/// Whether a task changes a cluster's machines, nodes or objects.
pub fn is_for_clusters(task: &Task) -> bool {
    changes_clusters(&task.module, task.free_form.as_ref().and_then(Node::as_str))
}

/// The same of a module's short name and what stands behind it.
pub fn changes_clusters(module: &str, free_form: Option<&str>) -> bool {
    OF_CLUSTERS.contains(&module)
        || DRAINS.contains(&module)
        || guard::LOCKS.contains(&module)
        || COMMANDS.contains(&module)
            && free_form.is_some_and(|text| text.trim_start().starts_with("kubeadm "))
}
