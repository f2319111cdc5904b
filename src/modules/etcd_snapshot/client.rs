//! etcdctl: the host's own, or the one inside etcd's static pod.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value as Json;

use super::member::Member;
use super::tool::version_in;
use crate::modules::files::failed;
use crate::modules::process::{Output, Process};
use crate::modules::{Context, Failure};

/// For an answer: a container runtime that hangs gives none.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a snapshot of a large database.
const PATIENCE_OF_SAVE: Duration = Duration::from_secs(1800);

/// How to run etcdctl, and with what.
pub struct Client {
    place: Place,
    /// etcdutl reads snapshots from 3.5 on; etcdctl's own reading is gone in 3.6.
    etcdutl: bool,
    flags: Vec<String>,
    /// The only folder that the host and the static pod both see.
    shared: PathBuf,
}

/// Where the programs are.
enum Place {
    Host,
    /// A container of containerd's, by its id.
    Ctr(String),
    /// A container of another runtime's.
    Crictl(String),
}

/// What `snapshot status` says.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Status {
    pub hash: u64,
    pub revision: i64,
    #[serde(rename = "totalKey")]
    pub total_key: i64,
}

impl Client {
    pub fn find(context: &Context, member: &Member) -> Result<Self, Failure> {
        // The host's may be one that does not answer in JSON, and etcd's own always fits.
        let place = if has_etcdctl(context) { Place::Host } else { container(context)? };
        let mut client =
            Self { place, etcdutl: false, flags: member.flags()?, shared: member.data_dir.clone() };
        client.etcdutl = match client.place {
            Place::Host => on_host(context, "etcdutl"),
            _ => client.exec(context, &["etcdutl", "version"]).is_ok_and(|o| o.success()),
        };
        Ok(client)
    }

    /// Whether snapshots go through the folder that the static pod shares.
    pub fn shared_folder(&self) -> Option<&Path> {
        (!matches!(self.place, Place::Host)).then_some(self.shared.as_path())
    }

    fn exec(&self, context: &Context, words: &[&str]) -> Result<Output, Failure> {
        let process = match (&self.place, words) {
            (Place::Host, [program, words @ ..]) => {
                Process::new(program).env("ETCDCTL_API", "3").args(words)
            }
            (Place::Host, []) => return Err(Failure::new("there is nothing to run")),
            (Place::Ctr(id), words) => {
                let name = format!("kup-play-{}", std::process::id());
                Process::new("ctr")
                    .args(["-n", "k8s.io", "tasks", "exec", "--exec-id", &name, id])
                    .args(words)
            }
            (Place::Crictl(id), words) => Process::new("crictl").args(["exec", id]).args(words),
        };
        let limit = if words.contains(&"save") { PATIENCE_OF_SAVE } else { PATIENCE };
        process.in_context(context).timeout(limit).run()
    }

    fn run(&self, context: &Context, program: &str, words: &[&str]) -> Result<Output, Failure> {
        let mut all = vec![program];
        if program == "etcdctl" {
            all.extend(self.flags.iter().map(String::as_str));
        }
        all.extend(words);
        let output = self.exec(context, &all)?;
        if output.success() {
            return Ok(output);
        }
        Err(Failure::new(format!("{program} {} failed: {}", words.join(" "), output.stderr.trim()))
            .with("rc", output.rc)
            .with("stderr", output.stderr.clone()))
    }

    /// What a question to etcdctl is answered with, also when it ends badly as it does for
    /// a cluster that is not well.
    pub fn json(&self, context: &Context, words: &[&str]) -> Result<Json, Failure> {
        let mut all = vec!["etcdctl"];
        all.extend(self.flags.iter().map(String::as_str));
        all.extend(words);
        all.extend(["-w", "json"]);
        let output = self.exec(context, &all)?;
        // Complaints about single members may stand before the answer.
        let answers = output.stdout.lines().rev().map(serde_json::from_str::<Json>);
        answers.flatten().next().ok_or_else(|| {
            let why = output.stderr.trim();
            Failure::new(format!("etcdctl {} failed: {why}", words.join(" ")))
        })
    }

    /// Bytes of the database of the member that is asked.
    pub fn database_size(&self, context: &Context) -> Result<u64, Failure> {
        let output = self.run(context, "etcdctl", &["endpoint", "status", "-w", "json"])?;
        let status: Json = serde_json::from_str(output.stdout.trim())
            .map_err(|error| Failure::new(format!("etcdctl endpoint status: {error}")))?;
        status
            .pointer("/0/Status/dbSize")
            .and_then(Json::as_u64)
            .ok_or_else(|| Failure::new("etcdctl endpoint status names no dbSize"))
    }

    pub fn save(&self, context: &Context, path: &Path) -> Result<(), Failure> {
        let inside = self.visible(path);
        let shown = inside.display().to_string();
        let saved = self.run(context, "etcdctl", &["snapshot", "save", &shown]);
        if inside != path {
            let moved = saved.and_then(|_| {
                fs::copy(&inside, path)
                    .and_then(|_| fs::File::open(path)?.sync_all())
                    .map_err(|error| failed("cannot be written", path, &error))
            });
            // In etcd's own folder nothing may be left.
            let _ = fs::remove_file(&inside);
            let _ = fs::remove_file(format!("{shown}.part"));
            return moved;
        }
        saved.map(drop)
    }

    pub fn status(&self, context: &Context, path: &Path) -> Result<Status, Failure> {
        let program = if self.etcdutl { "etcdutl" } else { "etcdctl" };
        let inside = self.visible(path);
        if inside != path {
            fs::copy(path, &inside)
                .map_err(|error| failed("cannot be written", &inside, &error))?;
        }
        let shown = inside.display().to_string();
        let output = self.run(context, program, &["snapshot", "status", &shown, "-w", "json"]);
        if inside != path {
            let _ = fs::remove_file(&inside);
        }
        serde_json::from_str(output?.stdout.trim())
            .map_err(|error| Failure::new(format!("{program} snapshot status: {error}")))
    }

    /// Where the program sees a file of this name.
    fn visible(&self, path: &Path) -> PathBuf {
        match (self.shared_folder(), path.file_name()) {
            (Some(shared), Some(name)) => shared.join(name),
            _ => path.to_owned(),
        }
    }
}

/// Whether the host has an etcdctl from 3.4 on.
fn has_etcdctl(context: &Context) -> bool {
    let asked = Process::new("etcdctl")
        .in_context(context)
        .env("ETCDCTL_API", "3")
        .arg("version")
        .timeout(PATIENCE)
        .run();
    let version = asked.ok().filter(Output::success).and_then(|said| version_in(&said.stdout));
    version.is_some_and(|version| (version.major, version.minor) >= (3, 4))
}

fn on_host(context: &Context, program: &str) -> bool {
    Process::shell(format!("command -v {program}"))
        .in_context(context)
        .run()
        .is_ok_and(|output| output.success())
}

/// The container of etcd's static pod, from containerd itself or, with another runtime,
/// from crictl.
fn container(context: &Context) -> Result<Place, Failure> {
    let ask = |program: &str, words: &[&str]| -> Vec<String> {
        let asked = Process::new(program).in_context(context).args(words);
        let output = asked.timeout(PATIENCE).run();
        let text = output.ok().filter(Output::success).map(|output| output.stdout);
        text.unwrap_or_default().lines().map(|line| line.trim().to_owned()).collect()
    };
    let filter = "labels.\"io.kubernetes.container.name\"==etcd";
    let named = ask("ctr", &["-n", "k8s.io", "containers", "list", "-q", filter]);
    if !named.is_empty() {
        let running = ask("ctr", &["-n", "k8s.io", "tasks", "list", "-q"]);
        if let Some(id) = named.into_iter().find(|id| running.contains(id)) {
            return Ok(Place::Ctr(id));
        }
    }
    let label = "io.kubernetes.container.name=etcd";
    let listed = ask("crictl", &["ps", "-q", "--label", label, "--state", "Running"]);
    match listed.into_iter().find(|id| !id.is_empty() && !id.contains(char::is_whitespace)) {
        Some(id) => Ok(Place::Crictl(id)),
        None => Err(Failure::new(
            "there is no etcdctl on this host, and no running etcd container was found with ctr \
             or crictl: install etcd-client, or run this on a control plane",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_3_4_and_3_5_is_read() {
        let text = r#"{"hash":1965384303,"revision":1234,"totalKey":1310,"totalSize":5488640}"#;
        let status: Status = serde_json::from_str(text).expect("a status");
        assert_eq!(status, Status { hash: 1_965_384_303, revision: 1234, total_key: 1310 });
    }
}
