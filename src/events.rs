//! The typed events of a run: the contract between the engine and everyone who
//! watches (terminal, journal, reports). No event holds a secret: results of
//! `no_log` tasks are censored before they get here.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// What happens in a run, in the order in which it happens.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A playbook file begins.
    PlaybookStarted {
        path: String,
        plays: usize,
    },
    /// A play begins on a batch of hosts (once per batch with `serial`).
    PlayStarted {
        name: String,
        /// `file:line` of the play.
        path: String,
        hosts: Vec<String>,
        check: bool,
    },
    /// The play's pattern selects no host.
    NoHostsMatched,
    /// A task begins on its hosts.
    TaskStarted {
        task: Arc<TaskInfo>,
        hosts: usize,
    },
    /// A host begins a task (for live progress).
    HostStarted {
        task: Arc<TaskInfo>,
        host: String,
    },
    /// One item of a loop is done on a host.
    ItemFinished(HostResult),
    /// A host is done with a task.
    HostFinished(HostResult),
    /// A host is done with an include, which brings in what [`Event::Included`] tells.
    IncludeFinished(HostResult),
    /// `until` was not met; the task is tried again.
    Retrying {
        host: String,
        delegated_to: Option<Delegate>,
        task: Arc<TaskInfo>,
        left: u64,
        result: Map<String, Json>,
    },
    /// `include_tasks` brought in a file for these hosts.
    Included {
        file: String,
        hosts: Vec<String>,
        item: Option<String>,
    },
    /// What a long task is waiting for, as text for people.
    Progress {
        host: String,
        message: String,
        /// Where no live line shows it: how many -v show it.
        verbosity: u8,
    },
    /// A question on the terminal; the answer stands on the same line.
    Asked {
        text: String,
    },
    /// The question of `--step` has been answered.
    Answered {
        text: String,
    },
    /// A line that Ansible prints between results ("Pausing for 1 seconds").
    Message {
        text: String,
    },
    /// What the operator is asked while a task runs; the answer stands on lines of its own.
    Question {
        text: String,
    },
    /// A task with `async` was asked after and goes on.
    AsyncPoll {
        host: String,
        jid: String,
        finished: u8,
    },
    /// A task with `async` has ended well, or not.
    AsyncOk {
        host: String,
        jid: String,
    },
    AsyncFailed {
        host: String,
        jid: String,
    },
    /// A meta task took effect (shown from -vv on).
    Meta {
        text: String,
    },
    Warning {
        text: String,
    },
    /// Something that stops the run and is not a task's failure.
    Error {
        text: String,
    },
    /// Every host of the batch failed, or too many did.
    NoMoreHosts,
    /// The operator pressed Ctrl-C.
    Interrupted,
    /// The counts at the end.
    Recap {
        stats: Vec<(String, Stats)>,
        custom: CustomStats,
    },
}

/// What `set_stats` counted, by host; what is of the whole run stands under [`RUN`].
pub type CustomStats = IndexMap<String, Map<String, Json>>;

/// No host is called so.
pub const RUN: &str = "_run";

/// The key of a failed result that holds the message with its place and the line, for
/// people; like all keys of this beginning it is not registered.
pub const EXPLANATION: &str = "_ansible_explanation";

/// A task as the watchers need it.
#[derive(Clone, Debug, Serialize)]
pub struct TaskInfo {
    /// Templated as far as possible; the module's name when the task has none.
    pub name: String,
    pub module: String,
    #[serde(skip)]
    pub role: Option<String>,
    /// As the playbook has them (`msg=hello, var=x`), when headers are to show them.
    pub arguments: Option<String>,
    pub handler: bool,
    /// `file:line` of the task.
    pub path: String,
    pub no_log: bool,
    /// Its `results` are those of a loop's items.
    pub looped: bool,
    /// It runs in check mode.
    pub check: bool,
    /// What it changes is shown.
    pub diff: bool,
}

/// The outcome of a task, or of one item of its loop, on a host.
#[derive(Clone, Debug, Serialize)]
pub struct HostResult {
    pub task: Arc<TaskInfo>,
    pub host: String,
    /// The host that the task ran on when it was delegated.
    pub delegated_to: Option<Delegate>,
    pub status: Status,
    /// What the item is called in the output (`loop_control.label`, as Python prints it).
    pub item: Option<String>,
    /// A failure has a block around it that rescues it.
    pub rescued: bool,
    /// The module's result; censored when the task has `no_log`.
    pub result: Map<String, Json>,
    pub duration: Duration,
}

/// The host that a task was delegated to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delegate {
    pub name: String,
    /// Its `ansible_host`, once the task has run there, if that is another name.
    pub address: Option<String>,
}

impl std::fmt::Display for Delegate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.address {
            Some(address) if *address != self.name => write!(f, "{}({address})", self.name),
            _ => f.write_str(&self.name),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ok,
    Changed,
    Skipped,
    Failed,
    /// Failed, and the task has `ignore_errors`.
    FailedIgnored,
    Unreachable,
    UnreachableIgnored,
}

/// One line of the recap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    pub ok: u64,
    pub changed: u64,
    pub unreachable: u64,
    pub failed: u64,
    pub skipped: u64,
    pub rescued: u64,
    pub ignored: u64,
}
