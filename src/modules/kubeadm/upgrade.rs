//! What `apply` and `node` share: the run itself, and what is refused before it.

use std::collections::BTreeMap;

use serde_json::json;

use super::state::{self, ControlPlane};
use super::{Kubeadm, Version, dry_run, preflight};
use crate::modules::{Context, Diff, Failure, Outcome};

impl Kubeadm {
    /// Runs an upgrade; what it changed is told by the files that it writes.
    pub(super) fn upgrade(
        &self,
        context: &Context,
        mut words: Vec<String>,
        what: &str,
        program: Version,
        target: Version,
    ) -> Result<Outcome, Failure> {
        if program < target {
            let msg = format!("kubeadm is v{program} and cannot upgrade to v{target}");
            if context.check {
                // In a dry run of a whole playbook the package is not there yet.
                let msg = format!("{msg}; with its package the upgrade would be tried");
                return Ok(Outcome::changed(true).with("msg", msg));
            }
            return Err(Failure::new(format!(
                "{msg}: install the kubeadm package of v{target} first"
            )));
        }
        let before = state::files();
        if context.check {
            words.push("--dry-run".to_owned());
            let output = self.must(self.process(context, &words), what)?;
            let after = dry_run::files(&output.stdout);
            let outcome = Outcome::changed(true)
                .with("would_write", json!(after.keys().collect::<Vec<_>>()))
                .with("preflight", json!(preflight::findings(&output.stderr)))
                .with("stderr", output.stderr);
            return Ok(with_diffs(outcome, &before, &after, context));
        }
        // Stopped in the middle it would leave manifests away from their place.
        let output = self.must(self.process(context, &words).to_its_end(), what)?;
        let after = state::files();
        let mut outcome = Outcome::changed(before != after);
        if state::is_control_plane() {
            let now = ControlPlane::read()?;
            if !now.all_run(target) {
                return Err(Failure::new(format!(
                    "kubeadm {what} ended well, but the manifests are of {}",
                    json!(now.versions())
                ))
                .with("stdout", output.stdout));
            }
            outcome = outcome.with("versions", json!(now.versions()));
        }
        let outcome = outcome
            .with("preflight", json!(preflight::findings(&output.stderr)))
            .with("stdout", output.stdout)
            .with("stderr", output.stderr);
        Ok(with_diffs(outcome, &before, &after, context))
    }
}

fn with_diffs(
    mut outcome: Outcome,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    context: &Context,
) -> Outcome {
    if !context.diff {
        return outcome;
    }
    for (path, new) in after {
        let old = before.get(path).cloned().unwrap_or_default();
        if old != *new {
            outcome = outcome.with_diff(Diff {
                before_header: path.clone(),
                after_header: path.clone(),
                before: old.into(),
                after: new.clone().into(),
                ..Diff::default()
            });
        }
    }
    outcome
}

/// Downwards breaks what etcd holds, kubeadm's own word or not; two minors upwards break
/// the skew policy. An older patch of the same minor may be forced.
pub fn refuse_jumps(now: &ControlPlane, target: Version, force: bool) -> Result<(), Failure> {
    for (component, version) in now.parsed() {
        let next = Version { minor: version.minor + 1, patch: 0, ..version };
        if (target.major, target.minor) < (version.major, version.minor) {
            return Err(Failure::new(format!(
                "{component} runs v{version}: kubeadm does not go back to v{target}; rollback.yml \
                 restores what was saved"
            )));
        }
        if target < version && !force {
            return Err(Failure::new(format!(
                "{component} runs v{version}, which is newer than v{target} (force goes back to an \
                 older patch)"
            )));
        }
        if (target.major, target.minor) > (next.major, next.minor) {
            return Err(Failure::new(format!(
                "{component} runs v{version}: one minor at a time, so v{}.{} comes before v{target}",
                next.major, next.minor
            )));
        }
    }
    Ok(())
}

/// A kubelet newer than its target would be newer than the control plane.
pub fn refuse_newer_kubelet(kubelet: Option<Version>, target: Version) -> Result<(), Failure> {
    match kubelet {
        Some(kubelet) if (kubelet.major, kubelet.minor) > (target.major, target.minor) => {
            Err(Failure::new(format!(
                "the kubelet is v{kubelet}, newer than v{target}: a node is not taken back by \
                 kubeadm"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(now: &str, target: &str, force: bool) -> String {
        let now = ControlPlane::of([("kube-apiserver", now)]);
        let target = Version::parse(target).expect("a version");
        refuse_jumps(&now, target, force).err().map(|failure| failure.msg).unwrap_or_default()
    }

    #[test]
    fn a_step_of_one_minor_or_a_patch_is_taken() {
        assert_eq!(refused("v1.20.2", "1.21.2", false), "");
        assert_eq!(refused("v1.20.2", "1.20.15", false), "");
        assert_eq!(refused("v1.21.2", "1.21.2", false), "");
    }

    #[test]
    fn two_minors_are_refused_with_the_one_between() {
        let msg = refused("v1.20.2", "1.22.1", true);
        assert!(msg.contains("v1.21 comes before v1.22.1"), "{msg}");
    }

    #[test]
    fn nothing_goes_down_a_minor_and_a_patch_only_by_force() {
        assert!(refused("v1.21.2", "1.20.2", true).contains("does not go back"));
        assert!(refused("v1.21.2", "1.21.1", false).contains("force"));
        assert_eq!(refused("v1.21.2", "1.21.1", true), "");
    }
}
