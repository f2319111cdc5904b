//! kubeadm's flags, by its version.

use std::fs;

use super::{Flag, Kubeadm, Version};
use crate::modules::Failure;

impl Kubeadm {
    /// What `plan`, `apply` and `node` have in common.
    pub(super) fn common_flags(&self, program: Version) -> Result<Vec<String>, Failure> {
        let mut flags = vec![format!("--kubeconfig={}", self.kubeconfig)];
        if let Some(config) = &self.config {
            self.require_fitting_config(config, program)?;
            flags.push(format!("--config={config}"));
        }
        let ignored = &self.ignore_preflight_errors.0;
        if !ignored.is_empty() {
            flags.push(format!("--ignore-preflight-errors={}", ignored.join(",")));
        }
        Ok(flags)
    }

    /// What `apply` and `node` take beside these.
    pub(super) fn upgrade_flags(&self, program: Version) -> Vec<String> {
        let mut flags = Vec::new();
        if let Some(patches) = &self.patches {
            // Renamed in 1.22.
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

    /// What kubeadm expects behind `--config` has changed twice, and it tells of a wrong
    /// kind only by a warning.
    fn require_fitting_config(&self, path: &str, program: Version) -> Result<(), Failure> {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("config {path} cannot be read: {error}")))?;
        let has = |kind: &str| text.lines().any(|line| line.trim_end() == format!("kind: {kind}"));
        match program.minor {
            // https://github.com/kubernetes/kubeadm/issues/3054
            30 => Err(Failure::new(
                "kubeadm 1.30 upgrades with no config file: it refuses one together with --yes",
            )),
            ..30 if has("UpgradeConfiguration") => Err(Failure::new(format!(
                "{path} has an UpgradeConfiguration; kubeadm {program} knows it only from 1.31 on"
            ))),
            ..30 => Ok(()),
            _ if !has("UpgradeConfiguration") => Err(Failure::new(format!(
                "{path} has no UpgradeConfiguration, the only kind that kubeadm {program} takes \
                 for an upgrade"
            ))),
            _ => self.require_unmixed(path),
        }
    }

    /// From 1.31 on the file stands for these flags.
    fn require_unmixed(&self, path: &str) -> Result<(), Failure> {
        let given = [
            (self.patches.is_some(), "patches"),
            (self.certificate_renewal.is_some(), "certificate_renewal"),
            (self.etcd_upgrade.is_some(), "etcd_upgrade"),
            (self.force.0, "force"),
        ];
        let mixed: Vec<_> = given.iter().filter(|(given, _)| *given).map(|(_, n)| *n).collect();
        if mixed.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "kubeadm takes either a config file or {}: write them into {path}",
            mixed.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn flags(arguments: Json, program: &str) -> Result<String, Failure> {
        let kubeadm: Kubeadm = serde_json::from_value(arguments).expect("arguments");
        let program = Version::parse(program).expect("a version");
        let mut flags = kubeadm.common_flags(program)?;
        flags.extend(kubeadm.upgrade_flags(program));
        Ok(flags.join(" "))
    }

    #[test]
    fn the_flag_for_patches_has_two_names() {
        let arguments = json!({"command": "apply", "patches": "/p", "etcd_upgrade": "no"});
        let old = flags(arguments.clone(), "1.21.2").expect("flags");
        assert!(old.ends_with("--experimental-patches=/p --etcd-upgrade=false"), "{old}");
        assert!(flags(arguments, "1.23.0").expect("flags").contains(" --patches=/p "));
    }

    #[test]
    fn a_config_file_must_be_of_the_kind_that_the_version_takes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |kind: &str| {
            let path = folder.path().join(kind);
            let text = format!("apiVersion: kubeadm.k8s.io/v1beta3\nkind: {kind}\n");
            fs::write(&path, text).expect("written");
            path
        };
        let (cluster, upgrade) = (file("ClusterConfiguration"), file("UpgradeConfiguration"));
        let with = |config, version| flags(json!({"command": "plan", "config": config}), version);
        assert!(with(&cluster, "1.21.2").is_ok());
        assert!(with(&upgrade, "1.29.0").expect_err("refused").msg.contains("from 1.31 on"));
        assert!(with(&upgrade, "1.30.1").expect_err("refused").msg.contains("--yes"));
        assert!(with(&cluster, "1.32.0").expect_err("refused").msg.contains("no Upgrade"));
        assert!(with(&upgrade, "1.32.0").is_ok());
        let mixed = json!({"command": "apply", "config": upgrade, "force": true});
        assert!(flags(mixed, "1.33.0").expect_err("refused").msg.contains("force"));
    }
}
