//! `static_pods`: the control plane's pods of this host stopped by taking their manifests
//! from the kubelet, and started by giving them back.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Number, TextList};
use super::files::failed;
use super::process::{Process, stop_requested};
use super::{Context, Failure, Module, Outcome, processes};
use crate::deadline;

const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Where the manifests of stopped pods are kept: beside the folder that the kubelet reads,
/// so that one is moved in a single step.
pub const STOPPED: &str = "/etc/kubernetes/manifests.stopped";

/// Stops or starts static pods, and waits until that is so.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticPods {
    /// The components, as their manifests are called: `kube-apiserver`, `etcd`.
    #[serde(alias = "name")]
    names: TextList,
    state: State,
    /// Seconds to wait for each.
    #[serde(default = "three_minutes")]
    timeout: Number,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Stopped,
    Started,
}

fn three_minutes() -> Number {
    Number(180)
}

impl Module for StaticPods {
    const NAME: &'static str = "static_pods";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if let Some(name) = self.names.0.iter().find(|name| name.contains('/') || name.is_empty()) {
            return Err(Failure::new(format!("'{name}' is no name of a static pod")));
        }
        let folders = Folders { manifests: MANIFESTS.into(), stopped: STOPPED.into() };
        let mut moved = Vec::new();
        for name in &self.names.0 {
            if folders.set(name, self.state, context.check)? {
                moved.push(name.clone());
            }
        }
        if !context.check {
            for name in &self.names.0 {
                self.wait(name, context)
                    .map_err(|failure| Failure { changed: !moved.is_empty(), ..failure })?;
            }
        }
        Ok(Outcome::changed(!moved.is_empty()).with("moved", moved))
    }
}

impl StaticPods {
    /// Containers are processes of the host, whatever runs them.
    fn wait(&self, name: &str, context: &Context) -> Result<(), Failure> {
        let seconds = u64::try_from(self.timeout.0).unwrap_or(0);
        let deadline = deadline::after(Duration::from_secs(seconds));
        let wanted = self.state == State::Started;
        while is_there(name) != wanted {
            if Instant::now() >= deadline || stop_requested() {
                return Err(late(name, self.state, seconds, context));
            }
            thread::sleep(Duration::from_millis(250));
        }
        Ok(())
    }
}

/// Static pods of the control plane are in the host's network: a process of that name in another
/// one is of somebody else's (a virtual cluster, an etcd of an application).
fn is_there(name: &str) -> bool {
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let own = network("self");
    processes::of_program(name).iter().any(|process| network(&process.to_string()) == own)
}

fn late(name: &str, state: State, seconds: u64, context: &Context) -> Failure {
    let asked = Process::new("systemctl").args(["is-active", "kubelet"]).in_context(context).run();
    let kubelet = asked.map(|output| output.stdout.trim().to_owned()).unwrap_or_default();
    let what = match state {
        State::Stopped => "still runs",
        State::Started => "does not run",
    };
    Failure::new(format!(
        "{name} {what} {seconds} seconds after its manifest was moved; the kubelet, which does \
         that, is {kubelet}: 'journalctl -u kubelet' and 'crictl ps -a' say more"
    ))
}

/// The manifest of a component, whether its pod is stopped or not.
pub fn manifest(name: &str) -> Option<PathBuf> {
    let folders = Folders { manifests: MANIFESTS.into(), stopped: STOPPED.into() };
    [folders.running(name), folders.stopped(name)].into_iter().find(|path| path.exists())
}

/// The components that are stopped.
pub fn stopped() -> Vec<String> {
    let entries = fs::read_dir(STOPPED).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned));
    let mut names: Vec<_> =
        names.filter(|name| !Path::new(MANIFESTS).join(format!("{name}.yaml")).exists()).collect();
    names.sort();
    names
}

struct Folders {
    manifests: PathBuf,
    stopped: PathBuf,
}

impl Folders {
    fn running(&self, name: &str) -> PathBuf {
        self.manifests.join(format!("{name}.yaml"))
    }

    fn stopped(&self, name: &str) -> PathBuf {
        self.stopped.join(format!("{name}.yaml"))
    }

    /// Moves the manifest to where it belongs; true if it was not there.
    fn set(&self, name: &str, state: State, check: bool) -> Result<bool, Failure> {
        let (running, stopped) = (self.running(name), self.stopped(name));
        let (from, to) = match state {
            // What the kubelet has is the newer one: a copy from before is written over.
            State::Stopped => (running, stopped),
            State::Started if running.exists() => return Ok(false),
            State::Started => (stopped, running),
        };
        if !from.exists() {
            if to.exists() || state == State::Stopped {
                return Ok(false);
            }
            return Err(Failure::new(format!(
                "{} is not there, and {} neither: there is no {name} to start",
                to.display(),
                from.display()
            )));
        }
        if !check {
            move_to(&from, &to)?;
        }
        Ok(true)
    }
}

/// On disk before anything is done that relies on it.
fn move_to(from: &Path, to: &Path) -> Result<(), Failure> {
    let folder = to.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| failed("cannot be made", folder, &error))?;
    fs::rename(from, to).map_err(|error| failed("cannot be moved", from, &error))?;
    for folder in [from.parent(), to.parent()].into_iter().flatten() {
        fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed("cannot be synced", folder, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> (tempfile::TempDir, Folders) {
        let folder = tempfile::tempdir().expect("a folder");
        let (manifests, stopped) = (folder.path().join("manifests"), folder.path().join("stopped"));
        fs::create_dir(&manifests).expect("made");
        fs::write(manifests.join("etcd.yaml"), "the pod").expect("written");
        (folder, Folders { manifests, stopped })
    }

    #[test]
    fn a_manifest_is_taken_away_and_given_back_once() {
        let (_folder, folders) = folders();
        let set = |state, check| folders.set("etcd", state, check).expect("set");
        assert!(set(State::Stopped, true) && folders.running("etcd").exists());
        assert!(set(State::Stopped, false) && !folders.running("etcd").exists());
        assert!(!set(State::Stopped, false));
        assert!(set(State::Started, false) && !set(State::Started, false));
        assert_eq!(fs::read_to_string(folders.running("etcd")).expect("read"), "the pod");
    }

    #[test]
    fn what_never_ran_is_stopped_and_cannot_be_started() {
        let (_folder, folders) = folders();
        assert_eq!(folders.set("kube-apiserver", State::Stopped, false), Ok(false));
        let failure = folders.set("kube-apiserver", State::Started, false).expect_err("nothing");
        assert!(failure.msg.contains("no kube-apiserver to start"), "{}", failure.msg);
    }
}
