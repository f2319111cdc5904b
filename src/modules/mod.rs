//! Host modules: what a task does on a host. One file each, plain synchronous
//! Rust over the host's files and commands; they run inside the agent.

mod alternatives;
mod apt;
mod apt_hold;
mod apt_key;
mod apt_repository;
mod archive;
pub mod args;
pub mod assemble;
pub mod async_status;
mod authorized_key;
mod blockinfile;
mod changes;
mod cluster_lock;
mod coerce;
mod command;
mod copy;
mod cron;
mod deb822_repository;
mod debconf;
mod dnf;
mod dpkg;
mod dpkg_selections;
mod etcd_snapshot;
mod etcd_status;
mod expect;
mod file;
pub mod files;
mod find;
pub mod folder;
mod get_url;
mod getent;
mod git;
pub mod glob;
mod group;
pub mod host_state;
mod hostname;
pub mod http;
mod image_pull;
mod ini_file;
mod iptables;
mod known_hosts;
mod kubeadm;
mod lenient;
mod lineinfile;
mod mode;
mod modprobe;
mod mount;
pub mod output;
mod package;
mod package_facts;
mod pattern;
mod ping;
mod pip;
pub mod precheck_host;
pub mod process;
mod processes;
mod registry;
mod replace;
mod rpm_key;
mod script;
mod security;
mod service_facts;
mod setup;
mod shell;
mod slurp;
mod stat;
mod static_pods;
pub mod synchronize;
mod sysctl;
mod systemd;
mod tempfile;
#[cfg(test)]
mod testing;
mod text_file;
mod times;
mod timezone;
mod tools;
pub mod unarchive;
pub mod uri;
mod user;
pub mod users;
mod validation;
mod wait_for;
pub mod words;
mod yum_repository;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

pub use coerce::coerced;
pub use kubeadm::Version;
pub use registry::{ModuleSpec, argument_names, find, names};

/// A module is its arguments and what is done with them.
///
/// The struct derives `Deserialize` with `deny_unknown_fields` (aliases by
/// `#[serde(alias)]`) and `JsonSchema`; the doc comments on it and its fields
/// are the module's documentation.
pub trait Module: DeserializeOwned + JsonSchema {
    /// Ansible's short name, `_` between words.
    const NAME: &'static str;
    /// The argument that takes a task's free-form text (`command: ls -l`), if any.
    const FREE_FORM: Option<&'static str> = None;
    /// It writes files, and so takes the arguments of [`security`] too.
    const WRITES_FILES: bool = false;
    /// An argument that is null is not as one that is not given.
    const NULL_IS_MEANT: bool = false;
    /// Arguments whose values are not shown.
    const SECRETS: &'static [&'static str] = &[];

    /// Does the work, or in check mode says what it would do.
    fn run(self, context: &Context) -> Result<Outcome, Failure>;
}

/// How a module is to run.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Change nothing; say what would change.
    pub check: bool,
    /// Return what changes as before/after texts.
    pub diff: bool,
    /// Write a file in place where no new one can be renamed over it.
    pub unsafe_writes: bool,
    /// The task's environment, for the commands that the module starts.
    pub environment: BTreeMap<String, String>,
    /// A folder of this user's alone, for files that live as long as the task.
    pub scratch: PathBuf,
}

/// What a module did. The result holds the module's own keys (Ansible's names);
/// `changed` and `diff` stand beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub changed: bool,
    pub result: Map<String, Json>,
    pub diff: Vec<Diff>,
}

/// A module that could not do its work: `msg` and whatever is known (rc, stderr…).
/// `changed` says whether something had already been changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failure {
    pub msg: String,
    pub changed: bool,
    pub result: Map<String, Json>,
}

/// A change as `--diff` shows it.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Diff {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before_header: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after_header: String,
    /// A text, or a mapping of what differs.
    pub before: Json,
    pub after: Json,
    #[serde(flatten)]
    pub skipped: SkippedDiff,
}

/// Which sides of a diff are not shown, under Ansible's names: because they are larger than so
/// many bytes, or no texts (1).
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SkippedDiff {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst_binary: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_binary: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst_larger: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_larger: Option<u64>,
}

impl Outcome {
    pub fn changed(changed: bool) -> Self {
        Self { changed, ..Self::default() }
    }

    pub fn with(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.result.insert(key.to_owned(), value.into());
        self
    }

    pub fn with_diff(mut self, diff: Diff) -> Self {
        self.diff.push(diff);
        self
    }
}

impl Failure {
    pub fn new(msg: impl Into<String>) -> Self {
        Self { msg: msg.into(), ..Self::default() }
    }

    /// It has taken longer than its task's `timeout`.
    pub fn late(module: &str, seconds: u64) -> Self {
        let msg = format!(
            "The {module} action failed to execute in the expected time frame ({seconds}) and was \
             terminated"
        );
        Self::new(msg).with("timedout", serde_json::json!({"period": seconds}))
    }

    pub fn with(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.result.insert(key.to_owned(), value.into());
        self
    }
}
