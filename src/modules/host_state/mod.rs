//! `host_state`: what a way back needs of a host, saved before it is upgraded and put back.
//!
//! A state is a folder named after the version: `state.tar.gz` with the files, and
//! `state.json` with what they are. It is taken anew as long as the host is whole, and left
//! alone while the host is in the middle of an upgrade.

mod files;
mod record;
mod restore;
mod save;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::args::HostPath;
use super::files::failed;
use super::kubeadm::running;
use super::{Context, Failure, Module, Outcome};
pub use record::{Now, Record};

const ARCHIVE: &str = "state.tar.gz";
const RECORD: &str = "state.json";
/// Seconds that an upgrade by kubeadm may go on for.
const KUBEADM: i64 = 900;

/// Saves what an upgrade changes on a host, tells of what was saved, or puts it back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostState {
    state: State,
    /// The folder of all saved states, for the states saved and listed.
    #[serde(default = "folder")]
    folder: HostPath,
    /// One saved state's folder, for state restored.
    path: Option<HostPath>,
    /// What of it is put back.
    #[serde(default = "all_parts")]
    parts: Vec<Part>,
    /// Files that stay as they are, for state restored.
    #[serde(default)]
    keep: Vec<HostPath>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Saved,
    /// Changes nothing: what the host is now, its certificates, and the states that it has.
    Listed,
    Restored,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Sources of packages that offer Kubernetes; put back only where the saved versions
    /// are not offered any more.
    Sources,
    /// /etc/kubernetes/pki
    Pki,
    /// The rest of /etc/kubernetes: kubeconfigs and what manifests mount.
    Config,
    /// The kubelet's configuration and flags.
    Kubelet,
    /// Static pods, running or stopped by `static_pods`.
    Manifests,
}

fn folder() -> HostPath {
    HostPath("/var/lib/kup-play/backup".into())
}

fn all_parts() -> Vec<Part> {
    vec![Part::Sources, Part::Pki, Part::Config, Part::Kubelet, Part::Manifests]
}

impl Module for HostState {
    const NAME: &'static str = "host_state";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        // What a run that was killed has begun goes on without it: half of it would be seen,
        // or written over.
        running::wait(KUBEADM)?;
        match self.state {
            State::Saved => save::save(&self.folder, context),
            State::Listed => {
                let now = Now::of(context)?;
                let saved = saved(&self.folder);
                let certificates = files::certificates(Path::new("/"));
                Ok(Outcome::default()
                    .with("now", json!(now))
                    .with("saved", json!(saved))
                    .with("certificates", json!(certificates)))
            }
            State::Restored => {
                let path = self.path.as_ref().ok_or_else(|| {
                    Failure::new("state restored needs path, the folder of a saved state")
                })?;
                restore::restore(path, &self.parts, &self.keep, context)
            }
        }
    }
}

/// All saved states, the newest last.
fn saved(folder: &Path) -> Vec<Record> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut records: Vec<_> = entries.filter_map(|entry| read_record(&entry.path()).ok()).collect();
    records.sort_by(|a, b| a.at.cmp(&b.at));
    records
}

fn read_record(state: &Path) -> Result<Record, Failure> {
    let path = state.join(RECORD);
    let text = fs::read(&path).map_err(|error| failed("cannot be read", &path, &error))?;
    let record: Record = serde_json::from_slice(&text)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(Record { path: state.display().to_string(), ..record })
}

/// The archive of a state.
fn archive(state: &Path) -> PathBuf {
    state.join(ARCHIVE)
}
