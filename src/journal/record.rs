//! The records: one JSON object in a line of its own each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::events::Status;

/// The format's version; a journal of a later one is not read.
pub const VERSION: u32 = 1;

/// One task on one host in the order of the playbook, or one item of its loop. The same
/// playbook run again comes to the same keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    pub host: String,
    /// `file:line:column`
    pub task: String,
    /// How many times the host had come to this task before.
    pub turn: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
}

/// What a run is, as its first record says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    pub version: u32,
    pub id: String,
    pub at: String,
    pub operator: String,
    /// Where relative paths of the options begin.
    pub folder: PathBuf,
    /// The options of the command line; extra variables apart.
    pub options: Json,
    pub playbooks: Vec<PathBuf>,
    pub files: Vec<FileHash>,
    /// `-e`, as they can be given again.
    pub extra_vars: Vec<String>,
    /// Extra variables that are not kept, for their names say that they are secret.
    pub withheld: Vec<String>,
}

/// A file that the run depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    pub path: PathBuf,
    pub sha256: String,
}

/// How tasks name a cluster; the inventory's own is named by neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Access {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    Run(Start),
    Resumed {
        at: String,
        operator: String,
    },
    /// A play begins on a batch.
    Play {
        at: String,
        name: String,
        hosts: Vec<String>,
    },
    /// A task that may change something begins; written before it does.
    Begun {
        at: String,
        #[serde(flatten)]
        key: Key,
        name: String,
        module: String,
        /// It may be run a second time without harm.
        again: bool,
    },
    Ended {
        at: String,
        #[serde(flatten)]
        key: Key,
        name: String,
        module: String,
        again: bool,
        result: Map<String, Json>,
        /// Variables of set_fact.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        variables: Option<Map<String, Json>>,
        /// Facts that set_fact was to keep.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facts: Option<Map<String, Json>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delegated_to: Option<String>,
        /// Something of the result is secret and is not kept here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        withheld: bool,
        /// Later tasks may ask for the result.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        needed: bool,
        /// It failed, and the host goes on: the failure is ignored, or there is a rescue.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        survived: bool,
    },
    /// A host is done with a task, all items of its loop included.
    Task {
        at: String,
        #[serde(flatten)]
        key: Key,
        name: String,
        status: Status,
        rescued: bool,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notified: Vec<String>,
    },
    /// A node is about to be cordoned; `before`: it was already.
    Cordoned {
        at: String,
        node: String,
        cluster: String,
        before: bool,
    },
    /// A node was put back to what it was.
    Uncordoned {
        at: String,
        node: String,
        cluster: String,
        /// Not by the playbook, which was not done with it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        early: bool,
    },
    /// A block failed on a host, where its `always` comes now and may undo what it has done; or
    /// such a block came through when the run was resumed.
    Block {
        at: String,
        #[serde(flatten)]
        key: Key,
        undone: bool,
    },
    /// The run has taken the lock of a cluster.
    Locked {
        at: String,
        #[serde(flatten)]
        access: Access,
    },
    /// Something that somebody will want to know of later.
    Note {
        at: String,
        text: String,
    },
    End {
        at: String,
        code: u8,
    },
}

/// A task whose end is not known.
#[derive(Clone, Debug)]
pub struct Unfinished {
    pub key: Key,
    pub name: String,
    pub module: String,
    pub again: bool,
    /// It ended, but its result was secret and is needed.
    pub ended: bool,
}

pub fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Millisecond).unwrap_or(now).to_string()
}
