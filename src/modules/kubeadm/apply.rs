//! `kubeadm upgrade apply`: the first control plane, and with it the cluster.

use serde_json::json;

use super::state::{self, ControlPlane};
use super::{Kubeadm, running, upgrade};
use crate::modules::{Context, Failure, Outcome};

impl Kubeadm {
    pub(super) fn apply(&self, context: &Context) -> Result<Outcome, Failure> {
        let target = self.target()?;
        running::wait(self.timeout.0)?;
        let before = ControlPlane::read()?;
        upgrade::refuse_jumps(&before, target, self.force.0)?;
        // The pods alone do not tell: what comes after them may be missing still.
        let cluster = state::cluster_version(context, &self.kubeconfig);
        if before.all_run(target) && cluster == Some(target) {
            return Ok(Outcome::default().with("versions", json!(before.versions())));
        }
        let program = self.program_version(context)?;
        let mut words = ["upgrade", "apply"].map(str::to_owned).to_vec();
        words.extend([format!("v{target}"), "--yes".to_owned()]);
        if self.force.0 {
            words.push("--force".to_owned());
        }
        words.extend(self.common_flags(program)?);
        words.extend(self.upgrade_flags(program));
        let mut outcome = self.upgrade(context, words, "upgrade apply", program, target)?;
        outcome.changed |= cluster.is_some_and(|version| version != target);
        Ok(outcome)
    }
}
