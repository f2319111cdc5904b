//! `kubeadm`: version, plan, diff, apply, node and certs, with parsed results.

mod certs;
mod plan;
mod preflight;
mod state;
mod version;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, Number, Text, TextList};
use super::process::{Output, Process};
use super::{Context, Diff, Failure, Module, Outcome};
use version::Version;

/// The rest of kubeadm's output that a failure carries, in lines.
const LAST_LINES: usize = 15;

/// Upgrades and inspects what kubeadm made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubeadm {
    command: Command,
    /// The version to upgrade to, with or without a leading v.
    version: Option<Text>,
    /// A configuration file for kubeadm.
    config: Option<String>,
    /// A folder of patches for the static pods.
    patches: Option<String>,
    /// Preflight checks whose errors are taken for warnings.
    #[serde(default)]
    ignore_preflight_errors: TextList,
    /// Renew the certificates on the way (kubeadm's default: yes).
    certificate_renewal: Option<Flag>,
    /// Upgrade etcd too (kubeadm's default: yes).
    etcd_upgrade: Option<Flag>,
    #[serde(default = "admin_conf")]
    kubeconfig: String,
    /// Seconds that kubeadm may take.
    #[serde(default = "fifteen_minutes")]
    timeout: Number,
}

fn admin_conf() -> String {
    "/etc/kubernetes/admin.conf".to_owned()
}

fn fifteen_minutes() -> Number {
    Number(900)
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Command {
    /// The version of the program.
    Version,
    /// What can be upgraded to what.
    Plan,
    /// How the static pods' manifests would change.
    Diff,
    /// Upgrade the cluster; on the first control plane.
    Apply,
    /// Upgrade a further control plane, or a worker's configuration.
    Node,
    /// When certificates expire.
    Certs,
}

impl Module for Kubeadm {
    const NAME: &'static str = "kubeadm";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        match self.command {
            Command::Version => {
                let version = self.program_version(context)?;
                Ok(Outcome::default().with("version", version.to_string()))
            }
            Command::Plan => self.plan(context),
            Command::Diff => self.diff(context),
            Command::Certs => self.certs(context),
            Command::Apply => self.apply(context),
            Command::Node => self.node(context),
        }
    }
}

impl Kubeadm {
    fn kubeadm(&self, context: &Context, words: &[&str]) -> Process {
        let seconds = u64::try_from(self.timeout.0).unwrap_or(u64::MAX);
        Process::new("kubeadm")
            .in_context(context)
            .timeout(Duration::from_secs(seconds))
            .args(words)
    }

    fn run_it(&self, process: Process, what: &str) -> Result<Output, Failure> {
        let output = process.run()?;
        if output.success() {
            return Ok(output);
        }
        Err(self.explained(what, &output))
    }

    /// A failure that says which check, or which pod, it was.
    fn explained(&self, what: &str, output: &Output) -> Failure {
        let findings = preflight::findings(&output.stderr);
        let errors: Vec<_> =
            findings.iter().filter(|finding| finding.severity == "error").collect();
        let mut msg = format!("kubeadm {what} failed");
        if output.timed_out {
            msg += &format!(" after {} seconds", self.timeout.0);
        }
        if let Some(pod) = state::pod_waited_for(&output.stdout, &output.stderr) {
            msg += &format!(": the static pod {pod} did not come up");
            let log = state::last_log_lines(&pod);
            if !log.is_empty() {
                msg += &format!("; its last lines:\n{}", log.join("\n"));
            }
        } else if errors.is_empty() {
            let last: Vec<_> = output
                .stderr
                .lines()
                .filter(|line| !line.starts_with("To see the stack trace"))
                .rev()
                .take(LAST_LINES)
                .collect();
            let last: Vec<_> = last.into_iter().rev().collect();
            msg += &format!(": {}", last.join("\n"));
        } else {
            let list: Vec<_> =
                errors.iter().map(|error| format!("{}: {}", error.id, error.message)).collect();
            msg += &format!(
                " in its preflight checks: {} (ignore_preflight_errors names checks to ignore)",
                list.join("; ")
            );
        }
        Failure::new(msg)
            .with("rc", output.rc)
            .with("preflight", json!(findings))
            .with("stdout", output.stdout.clone())
            .with("stderr", output.stderr.clone())
    }

    fn program_version(&self, context: &Context) -> Result<Version, Failure> {
        let output = self.run_it(self.kubeadm(context, &["version", "-o", "short"]), "version")?;
        Version::parse(output.stdout.trim())
            .ok_or_else(|| Failure::new(format!("kubeadm says its version is '{}'", output.stdout)))
    }

    fn target(&self) -> Result<Version, Failure> {
        let text = self.version.as_ref().map(|text| text.0.as_str()).unwrap_or_default();
        Version::parse(text)
            .ok_or_else(|| Failure::new(format!("'{text}' is no version; give one such as 1.21.2")))
    }

    fn plan(&self, context: &Context) -> Result<Outcome, Failure> {
        let program = self.program_version(context)?;
        let mut words = vec!["upgrade".to_owned(), "plan".to_owned()];
        if self.version.is_some() {
            words.push(format!("v{}", self.target()?));
        }
        words.extend(self.common_flags());
        if program.minor >= 25 {
            words.push("-o=json".to_owned());
        }
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let output = self.run_it(self.kubeadm(context, &words), "upgrade plan")?;
        let plan = plan::parse(&output.stdout).map_err(Failure::new)?;
        Ok(Outcome::default()
            .with("components", json!(plan.components))
            .with("manual_upgrades", json!(plan.manual))
            .with("preflight", json!(preflight::findings(&output.stderr)))
            .with("stdout", output.stdout))
    }

    fn diff(&self, context: &Context) -> Result<Outcome, Failure> {
        let target = format!("v{}", self.target()?);
        let output =
            self.run_it(self.kubeadm(context, &["upgrade", "diff", &target]), "upgrade diff")?;
        let text: Vec<_> =
            output.stdout.lines().filter(|line| !line.starts_with("[upgrade/")).collect();
        Ok(Outcome::default().with("diff_text", text.join("\n")).with("stdout", output.stdout))
    }

    fn certs(&self, context: &Context) -> Result<Outcome, Failure> {
        let program = self.program_version(context)?;
        let mut words = vec!["certs", "check-expiration"];
        if program.minor >= 30 {
            words.extend(["-o", "json"]);
        }
        let output = self.run_it(self.kubeadm(context, &words), "certs check-expiration")?;
        let certs = certs::parse(&output.stdout).map_err(Failure::new)?;
        Ok(Outcome::default()
            .with("certificates", json!(certs.certificates))
            .with("authorities", json!(certs.authorities)))
    }

    fn apply(&self, context: &Context) -> Result<Outcome, Failure> {
        let target = self.target()?;
        let before = state::ControlPlane::read()?;
        self.refuse_jumps(&before, target)?;
        if before.all_run(target) && state::cluster_is_at(context, &self.kubeconfig, target) {
            return Ok(Outcome::default().with("versions", json!(before.versions())));
        }
        let program = self.program_version(context)?;
        self.refuse_older_program(program, target, context)?;
        let mut words = vec![
            "upgrade".to_owned(),
            "apply".to_owned(),
            format!("v{target}"),
            "--yes".to_owned(),
        ];
        words.extend(self.common_flags());
        words.extend(self.upgrade_flags(program));
        self.upgrade(context, words, "upgrade apply", Some(target))
    }

    fn node(&self, context: &Context) -> Result<Outcome, Failure> {
        let target = self.target()?;
        let program = self.program_version(context)?;
        let is_control_plane = state::is_control_plane();
        if is_control_plane {
            let before = state::ControlPlane::read()?;
            self.refuse_jumps(&before, target)?;
        }
        let kubelet = state::kubelet_version(context)?;
        let done = if is_control_plane {
            kubelet == Some(target) && state::ControlPlane::read()?.all_run(target)
        } else {
            kubelet == Some(target)
        };
        if done {
            return Ok(Outcome::default().with("kubelet", target.to_string()));
        }
        self.refuse_older_program(program, target, context)?;
        let mut words = vec!["upgrade".to_owned(), "node".to_owned()];
        if is_control_plane {
            words.extend(self.upgrade_flags(program));
        }
        if !self.ignore_preflight_errors.0.is_empty() {
            words.push(self.ignore_flag());
        }
        self.upgrade(context, words, "upgrade node", is_control_plane.then_some(target))
    }

    /// Runs an upgrade; what changed is told by the files that it writes.
    fn upgrade(
        &self,
        context: &Context,
        mut words: Vec<String>,
        what: &str,
        target: Option<Version>,
    ) -> Result<Outcome, Failure> {
        if context.check {
            // A dry run of another version's program would fail for that alone.
            words.push("--dry-run".to_owned());
        }
        let before = state::files();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let output = self.run_it(self.kubeadm(context, &words), what)?;
        let after = state::files();
        let mut outcome = Outcome::changed(context.check || before != after || target.is_some());
        if let Some(target) = target.filter(|_| !context.check) {
            let now = state::ControlPlane::read()?;
            if !now.all_run(target) {
                return Err(Failure::new(format!(
                    "kubeadm {what} ended well, but the manifests are of {}",
                    json!(now.versions())
                ))
                .with("stdout", output.stdout));
            }
            outcome = outcome.with("versions", json!(now.versions()));
        }
        if context.diff {
            for (path, new) in &after {
                let old = before.get(path).cloned().unwrap_or_default();
                if old != *new {
                    outcome = outcome.with_diff(Diff {
                        before_header: path.clone(),
                        after_header: path.clone(),
                        before: old,
                        after: new.clone(),
                    });
                }
            }
        }
        Ok(outcome
            .with("preflight", json!(preflight::findings(&output.stderr)))
            .with("stdout", output.stdout)
            .with("stderr", output.stderr))
    }

    /// A minor downwards breaks what etcd holds; two upwards break the skew policy.
    fn refuse_jumps(&self, now: &state::ControlPlane, target: Version) -> Result<(), Failure> {
        for (component, version) in now.parsed() {
            if target.minor < version.minor {
                return Err(Failure::new(format!(
                    "{component} runs v{version}: kubeadm does not go back to v{target}; \
                     rollback.yml restores what was saved"
                )));
            }
            if target.minor > version.minor + 1 {
                return Err(Failure::new(format!(
                    "{component} runs v{version}: one minor at a time, so v1.{} comes before v{target}",
                    version.minor + 1
                )));
            }
        }
        Ok(())
    }

    fn refuse_older_program(
        &self,
        program: Version,
        target: Version,
        context: &Context,
    ) -> Result<(), Failure> {
        // In a dry run the new package is not there yet.
        if context.check || program >= target {
            return Ok(());
        }
        Err(Failure::new(format!(
            "kubeadm is v{program} and cannot upgrade to v{target}: install the kubeadm package of v{target} first"
        )))
    }

    fn common_flags(&self) -> Vec<String> {
        let mut flags = vec![format!("--kubeconfig={}", self.kubeconfig)];
        if let Some(config) = &self.config {
            flags.push(format!("--config={config}"));
        }
        if !self.ignore_preflight_errors.0.is_empty() {
            flags.push(self.ignore_flag());
        }
        flags
    }

    fn ignore_flag(&self) -> String {
        format!("--ignore-preflight-errors={}", self.ignore_preflight_errors.0.join(","))
    }

    fn upgrade_flags(&self, program: Version) -> Vec<String> {
        let mut flags = Vec::new();
        if let Some(patches) = &self.patches {
            let flag = if program.minor >= 22 { "--patches" } else { "--experimental-patches" };
            flags.push(format!("{flag}={patches}"));
        }
        if let Some(Flag(renew)) = self.certificate_renewal {
            flags.push(format!("--certificate-renewal={renew}"));
        }
        if let Some(Flag(upgrade)) = self.etcd_upgrade {
            flags.push(format!("--etcd-upgrade={upgrade}"));
        }
        flags
    }
}
