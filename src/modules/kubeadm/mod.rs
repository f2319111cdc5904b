//! `kubeadm`: version, plan, diff, apply, node and certs, with parsed results, for
//! kubeadm 1.20 to 1.36.

mod apply;
mod certs;
mod diff;
mod dry_run;
mod failure;
mod flags;
#[cfg(test)]
mod hostile;
mod logs;
mod node;
mod plan;
mod preflight;
pub mod running;
mod state;
mod upgrade;
mod version;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, Number, Text, TextList};
use super::process::{Output, Process};
use super::{Context, Failure, Module, Outcome};
pub use state::{component_images, component_tags, kubelet_version, program_version};
pub use version::Version;

/// Upgrades and inspects what kubeadm made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubeadm {
    command: Command,
    /// The version to upgrade to, with or without a leading v.
    version: Option<Text>,
    /// A configuration file for kubeadm: up to 1.29 a ClusterConfiguration, from 1.31 on
    /// an UpgradeConfiguration.
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
    /// Upgrade although a requirement is not met; also to an older patch of the same minor.
    #[serde(default)]
    force: Flag,
    #[serde(default = "admin_conf")]
    kubeconfig: String,
    /// Seconds that kubeadm may take.
    #[serde(default = "half_an_hour")]
    timeout: Number,
}

fn admin_conf() -> String {
    "/etc/kubernetes/admin.conf".to_owned()
}

/// kubeadm itself waits up to five minutes for each static pod.
fn half_an_hour() -> Number {
    Number(1800)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Command {
    /// The version of the program.
    #[default]
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
    /// A kubeadm that ends with its task when that is stopped; what upgrades does not.
    fn process(&self, context: &Context, words: &[String]) -> Process {
        let seconds = u64::try_from(self.timeout.0).unwrap_or(u64::MAX);
        Process::new("kubeadm")
            .in_context(context)
            .timeout(Duration::from_secs(seconds))
            .args(words)
    }

    fn must(&self, process: Process, what: &str) -> Result<Output, Failure> {
        let output = process.run()?;
        if output.success() {
            return Ok(output);
        }
        Err(failure::explained(what, &output, self.timeout.0))
    }

    fn program_version(&self, context: &Context) -> Result<Version, Failure> {
        let words = ["version", "-o", "short"].map(str::to_owned);
        let output = self.must(self.process(context, &words), "version")?;
        Version::parse(output.stdout.trim())
            .ok_or_else(|| Failure::new(format!("kubeadm says its version is '{}'", output.stdout)))
    }

    fn target(&self) -> Result<Version, Failure> {
        let Some(text) = &self.version else {
            return Err(Failure::new(
                format!("{:?} needs the version to upgrade to", self.command).to_lowercase(),
            ));
        };
        Version::parse(&text.0).ok_or_else(|| {
            Failure::new(format!("'{}' is no version; give one such as 1.21.2", text.0))
        })
    }
}
