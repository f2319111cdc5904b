//! `kubeadm upgrade node`: a further control plane, or a worker's configuration.

use serde_json::json;

use super::state::{self, ControlPlane};
use super::{Kubeadm, running, upgrade};
use crate::modules::{Context, Failure, Outcome};

impl Kubeadm {
    pub(super) fn node(&self, context: &Context) -> Result<Outcome, Failure> {
        let target = self.target()?;
        running::wait(self.timeout.0)?;
        let mut pods_are_done = true;
        if state::is_control_plane() {
            let before = ControlPlane::read()?;
            upgrade::refuse_jumps(&before, target, self.force.0)?;
            pods_are_done = before.all_run(target);
        }
        // The kubelet's package comes after its configuration: where it is, all is done.
        let kubelet = state::kubelet_version(context)?;
        if pods_are_done && kubelet == Some(target) {
            return Ok(Outcome::default().with("kubelet", target.to_string()));
        }
        upgrade::refuse_newer_kubelet(kubelet, target)?;
        let program = self.program_version(context)?;
        let mut words = ["upgrade", "node"].map(str::to_owned).to_vec();
        words.extend(self.node_flags(program)?);
        let outcome = self.upgrade(context, words, "upgrade node", program, target)?;
        Ok(outcome.with("kubelet", json!(kubelet.map(|version| version.to_string()))))
    }

    fn node_flags(&self, program: super::Version) -> Result<Vec<String>, Failure> {
        let mut flags = self.common_flags(program)?;
        if state::is_control_plane() {
            flags.extend(self.upgrade_flags(program));
        } else {
            // A worker has no admin.conf; kubeadm takes the kubelet's own by itself.
            flags.retain(|flag| !flag.starts_with("--kubeconfig="));
            // From 1.25 on they are applied to the kubelet's configuration too.
            let patches = self.patches.iter().filter(|_| program.minor >= 25);
            flags.extend(patches.map(|patches| format!("--patches={patches}")));
        }
        Ok(flags)
    }
}
