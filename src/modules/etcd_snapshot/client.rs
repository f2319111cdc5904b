//! etcdctl: the host's own, or the one inside etcd's static pod.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

use crate::modules::files::failed;
use crate::modules::process::{Output, Process};
use crate::modules::{Context, Failure};

/// The only folder that the host and the static pod both see.
const SHARED: &str = "/var/lib/etcd";

/// How to run etcdctl, and with what.
pub struct Client {
    /// The container of the static pod; none: the host's own program.
    container: Option<String>,
    /// etcdutl reads snapshots from 3.5 on; etcdctl's own reading is gone in 3.6.
    etcdutl: bool,
    flags: Vec<String>,
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
    pub fn find(context: &Context, endpoint: &str, pki: &Path) -> Result<Self, Failure> {
        let key = |name: &str| pki.join(name).display().to_string();
        let pair = ["healthcheck-client", "server"]
            .into_iter()
            .find(|name| pki.join(format!("{name}.crt")).exists())
            .ok_or_else(|| {
                Failure::new(format!("{} has no client certificate of etcd", pki.display()))
            })?;
        let flags = vec![
            format!("--endpoints={endpoint}"),
            format!("--cacert={}", key("ca.crt")),
            format!("--cert={}", key(&format!("{pair}.crt"))),
            format!("--key={}", key(&format!("{pair}.key"))),
        ];
        let on_host = |program: &str| {
            Process::shell(format!("command -v {program}"))
                .in_context(context)
                .run()
                .is_ok_and(|output| output.success())
        };
        let container =
            if on_host("etcdctl") { None } else { Some(static_pod_container(context)?) };
        let etcdutl = match &container {
            None => on_host("etcdutl"),
            Some(id) => exec(context, id, &["etcdutl", "version"]).is_ok_and(|o| o.success()),
        };
        Ok(Self { container, etcdutl, flags })
    }

    fn run(&self, context: &Context, program: &str, words: &[&str]) -> Result<Output, Failure> {
        let mut all = vec![program];
        if program == "etcdctl" {
            all.extend(self.flags.iter().map(String::as_str));
        }
        all.extend(words);
        let output = match &self.container {
            Some(id) => exec(context, id, &all)?,
            None => match all.split_first() {
                Some((program, words)) => Process::new(program)
                    .in_context(context)
                    .env("ETCDCTL_API", "3")
                    .args(words)
                    .run()?,
                None => return Err(Failure::new("there is nothing to run")),
            },
        };
        if output.success() {
            return Ok(output);
        }
        Err(Failure::new(format!("{program} {} failed: {}", words.join(" "), output.stderr.trim()))
            .with("rc", output.rc)
            .with("stderr", output.stderr.clone()))
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
                fs::copy(&inside, path).map_err(|error| failed("cannot be written", path, &error))
            });
            // In etcd's own folder nothing may be left.
            let _ = fs::remove_file(&inside);
            let _ = fs::remove_file(format!("{shown}.part"));
            return moved.map(drop);
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
        match (&self.container, path.file_name()) {
            (Some(_), Some(name)) => Path::new(SHARED).join(name),
            _ => path.to_owned(),
        }
    }
}

/// The container of etcd's static pod, from crictl or, without it, from ctr.
fn static_pod_container(context: &Context) -> Result<String, Failure> {
    let crictl = Process::new("crictl")
        .in_context(context)
        .args(["ps", "--quiet", "--name", "^etcd$", "--state", "Running"])
        .run();
    let listed = crictl.ok().filter(Output::success).and_then(|output| {
        let id = output.stdout.lines().next()?.trim().to_owned();
        (!id.is_empty() && !id.contains(char::is_whitespace)).then_some(id)
    });
    let through_ctr = || {
        let filter = "labels.\"io.kubernetes.container.name\"==etcd";
        let output = Process::new("ctr")
            .in_context(context)
            .args(["-n", "k8s.io", "containers", "list", "-q", filter])
            .run()
            .ok()?;
        let running = Process::new("ctr")
            .in_context(context)
            .args(["-n", "k8s.io", "tasks", "list", "-q"])
            .run()
            .ok()?;
        let alive: Vec<_> = running.stdout.lines().collect();
        output.stdout.lines().find(|id| alive.contains(id)).map(str::to_owned)
    };
    listed.or_else(through_ctr).ok_or_else(|| {
        Failure::new(
            "there is no etcdctl on this host, and no running etcd container was found with \
             crictl or ctr: install etcd-client, or run this on a control plane",
        )
    })
}

fn exec(context: &Context, id: &str, words: &[&str]) -> Result<Output, Failure> {
    let ctr = Process::shell("command -v ctr").in_context(context).run();
    if ctr.is_ok_and(|output| output.success()) {
        let name = format!("kup-play-{}", std::process::id());
        return Process::new("ctr")
            .in_context(context)
            .args(["-n", "k8s.io", "tasks", "exec", "--exec-id", &name, id])
            .args(words)
            .run();
    }
    Process::new("crictl").in_context(context).args(["exec", id]).args(words).run()
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
