//! What reads and restores snapshots while etcd does not run: etcdutl, or etcdctl before
//! 3.6, of the host or of etcd's own image.

use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;

use super::client::Status;
use crate::modules::process::{Output, Process};
use crate::modules::{Context, Failure, Version, tools};

/// The container that a program of the image runs in.
const CONTAINER: &str = "kup-play-etcd";
/// For questions; a restore takes as long as the database is large.
const PATIENCE: Duration = Duration::from_secs(120);
/// How far revisions go up where the tool can do it: further than a cluster writes between
/// a snapshot and its restore (etcd's page on disaster recovery).
const BUMP: &str = "1000000000";

/// A program that can restore snapshots.
#[derive(Debug)]
pub struct Tool {
    program: Program,
    /// It can put revisions up, so that whoever watches the API notices the restore.
    pub bumps: bool,
}

#[derive(Debug)]
enum Program {
    Host(&'static str),
    Image { name: &'static str, image: String, snapshotter: Option<String> },
}

/// What etcd is to find when it starts.
pub struct Wanted<'a> {
    pub name: &'a str,
    pub peer_url: &'a str,
    /// `name=url` of all members, with commas.
    pub cluster: &'a str,
    pub token: &'a str,
    pub data_dir: &'a Path,
}

impl Tool {
    /// One that puts revisions up if there is one, or else the first that restores at all;
    /// none that is newer than etcd, which could not read what that has written.
    pub fn find(context: &Context, image: &str) -> Result<Self, Failure> {
        let etcd = image.rsplit_once(':').and_then(|(_, tag)| Version::parse(tag));
        let mut first = None;
        for program in candidates(context, image) {
            let Some((tool, version)) = Self::of(program, context) else { continue };
            if etcd.is_some_and(|etcd| (version.major, version.minor) > (etcd.major, etcd.minor)) {
                continue;
            }
            if tool.bumps {
                return Ok(tool);
            }
            first = first.or(Some(tool));
        }
        first.ok_or_else(|| {
            let image = if image.is_empty() { "its image" } else { image };
            Failure::new(format!(
                "there is no etcdutl on this host that is not newer than etcd, no etcdctl that \
                 restores snapshots, and neither was found in {image} with ctr: install \
                 etcd-client, or copy etcdutl to /usr/local/bin"
            ))
        })
    }

    /// None if it is not there, or cannot restore (etcdctl from 3.6 on).
    fn of(program: Program, context: &Context) -> Option<(Self, Version)> {
        let ask = |words: &[&str]| {
            let output = program.process(context, &[], words).timeout(PATIENCE).run().ok()?;
            Some(output.stdout + &output.stderr)
        };
        let help = ask(&["snapshot", "restore", "--help"])?;
        if !help.contains("--initial-advertise-peer-urls") {
            return None;
        }
        let bumps = help.contains("--bump-revision") && help.contains("--mark-compacted");
        let version = version_in(&ask(&["version"])?)?;
        Some((Self { program, bumps }, version))
    }

    pub fn name(&self) -> String {
        match &self.program {
            Program::Host(name) => (*name).to_owned(),
            Program::Image { name, image, .. } => format!("{name} of {image}"),
        }
    }

    /// What a snapshot holds, or the database of a member that does not run.
    pub fn status(&self, context: &Context, path: &Path) -> Result<Status, Failure> {
        let shown = path.display().to_string();
        let words = ["snapshot", "status", &shown, "-w", "json"];
        let folder = path.parent().unwrap_or(Path::new("/"));
        let asked = self.program.process(context, &[folder], &words).timeout(PATIENCE).run()?;
        let answer = succeeded(asked, &self.name(), "snapshot status")?;
        serde_json::from_str(answer.stdout.trim())
            .map_err(|error| Failure::new(format!("{} snapshot status: {error}", self.name())))
    }

    /// Makes the folder that the member begins with.
    pub fn restore(
        &self,
        context: &Context,
        snapshot: &Path,
        wanted: &Wanted<'_>,
    ) -> Result<(), Failure> {
        let (snapshot, data_dir) = (snapshot.display().to_string(), wanted.data_dir.display());
        let data_dir = data_dir.to_string();
        let mut words = vec![
            "snapshot",
            "restore",
            &snapshot,
            "--name",
            wanted.name,
            "--initial-cluster",
            wanted.cluster,
            "--initial-cluster-token",
            wanted.token,
            "--initial-advertise-peer-urls",
            wanted.peer_url,
            "--data-dir",
            &data_dir,
        ];
        if self.bumps {
            words.extend(["--bump-revision", BUMP, "--mark-compacted"]);
        }
        let folders: Vec<&Path> = [Path::new(&snapshot), wanted.data_dir]
            .iter()
            .filter_map(|path| path.parent())
            .collect();
        let done = self.program.process(context, &folders, &words).run()?;
        succeeded(done, &self.name(), "snapshot restore").map(drop)
    }
}

/// `etcdutl version: 3.5.16`, in its first line.
/// The version that a program of etcd's names in its first line.
pub fn version_in(text: &str) -> Option<Version> {
    text.lines().next()?.rsplit(' ').next().and_then(Version::parse)
}

fn succeeded(output: Output, tool: &str, what: &str) -> Result<Output, Failure> {
    if output.success() {
        return Ok(output);
    }
    let why = if output.timed_out { "it took too long" } else { output.stderr.trim() };
    Err(Failure::new(format!("{tool} {what} failed: {why}"))
        .with("rc", output.rc)
        .with("stderr", output.stderr.clone()))
}

impl Program {
    /// `folders` are what a program in a container has to see.
    fn process(&self, context: &Context, folders: &[&Path], words: &[&str]) -> Process {
        match self {
            Self::Host(name) => Process::new(name).args(words).env("ETCDCTL_API", "3"),
            Self::Image { name, image, snapshotter } => {
                remove_container(context);
                let mut process = ctr().args(["run", "--rm", "--env", "ETCDCTL_API=3"]);
                if let Some(snapshotter) = snapshotter {
                    process = process.args(["--snapshotter", snapshotter]);
                }
                for folder in folders {
                    let path = folder.display();
                    let mount = format!("type=bind,src={path},dst={path},options=rbind:rw");
                    process = process.args(["--mount", &mount]);
                }
                process.args([image.as_str(), CONTAINER, name]).args(words)
            }
        }
        .in_context(context)
    }
}

/// containerd as the kubelet uses it.
fn ctr() -> Process {
    Process::new("ctr").args(["-n", "k8s.io"])
}

/// One that was left when its host's agent was ended in the middle.
fn remove_container(context: &Context) {
    for words in
        [["tasks", "delete", "--force", CONTAINER].as_slice(), &["containers", "delete", CONTAINER]]
    {
        // There is none, as a rule.
        let _ = ctr().args(words).in_context(context).timeout(PATIENCE).run();
    }
}

fn candidates(context: &Context, image: &str) -> Vec<Program> {
    let names = ["etcdutl", "etcdctl"];
    let on_host = names.into_iter().filter(|name| tools::find(context, name).is_some());
    let mut all: Vec<_> = on_host.map(Program::Host).collect();
    if has_image(context, image) {
        let snapshotter = snapshotter(context);
        let (image, snapshotter) = (&image.to_owned(), &snapshotter);
        all.extend(names.map(|name| Program::Image {
            name,
            image: image.clone(),
            snapshotter: snapshotter.clone(),
        }));
    }
    all
}

fn has_image(context: &Context, image: &str) -> bool {
    if image.is_empty() || tools::find(context, "ctr").is_none() {
        return false;
    }
    let listed = ctr().args(["images", "list", "-q"]).in_context(context).timeout(PATIENCE).run();
    listed.is_ok_and(|output| output.stdout.lines().any(|line| line.trim() == image))
}

/// The one that the kubelet's containers stand on: `ctr run` would take its own.
fn snapshotter(context: &Context) -> Option<String> {
    let ask = |words: &[&str]| {
        let output = ctr().args(words).in_context(context).timeout(PATIENCE).run().ok();
        output.filter(Output::success).map(|output| output.stdout)
    };
    let listed = ask(&["containers", "list", "-q"])?;
    let id = listed.lines().find(|line| !line.trim().is_empty())?;
    let info: Json = serde_json::from_str(&ask(&["containers", "info", id.trim()])?).ok()?;
    info.get("Snapshotter")?.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder for PATH with programs that print a version and a help.
    fn programs(programs: &[(&str, &str, &str)]) -> (tempfile::TempDir, Context) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, version, help) in programs {
            let path = folder.path().join(name);
            let text = format!(
                "#!/bin/sh\nif [ $1 = version ]; then echo '{name} version: {version}'; else echo '{help}'; fi\n"
            );
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
        }
        let path = folder.path().display().to_string();
        let environment = BTreeMap::from([("PATH".to_owned(), path)]);
        (folder, Context { environment, ..Context::default() })
    }

    const RESTORES: &str = "--initial-advertise-peer-urls";
    const BUMPS: &str = "--initial-advertise-peer-urls --bump-revision --mark-compacted";

    #[test]
    fn a_tool_that_puts_revisions_up_is_taken_before_one_that_does_not() {
        let (_folder, context) =
            programs(&[("etcdctl", "3.5.16", BUMPS), ("etcdutl", "3.5.16", RESTORES)]);
        let tool = Tool::find(&context, "registry.k8s.io/etcd:3.5.16-0").expect("a tool");
        assert_eq!((tool.name().as_str(), tool.bumps), ("etcdctl", true));
    }

    #[test]
    fn a_tool_that_is_newer_than_etcd_is_not_taken() {
        let (_folder, context) =
            programs(&[("etcdctl", "3.4.23", RESTORES), ("etcdutl", "3.5.16", BUMPS)]);
        let tool = Tool::find(&context, "k8s.gcr.io/etcd:3.4.13-0").expect("a tool");
        assert_eq!((tool.name().as_str(), tool.bumps), ("etcdctl", false));
    }

    #[test]
    fn an_etcdctl_that_does_not_restore_any_more_is_none() {
        let (_folder, context) = programs(&[("etcdctl", "3.6.4", "save | status")]);
        let failure = Tool::find(&context, "registry.k8s.io/etcd:3.6.4-0").expect_err("none");
        assert!(failure.msg.contains("install etcd-client"), "{}", failure.msg);
    }
}
