//! Groups of modules in `module_defaults` (`group/k8s`).

use crate::source::{Error, Node};

/// What stands before the name of a group.
const PREFIX: &str = "group/";

/// The groups of ansible-core itself, most of which stand for those of collections.
const BUILTIN: &[&str] = &[
    "testgroup",
    "testlegacy",
    "aws",
    "acme",
    "azure",
    "cpm",
    "docker",
    "gcp",
    "k8s",
    "os",
    "ovirt",
    "vmware",
];

/// Groups of the collections that have modules here, and those of kubernetes.core's kin.
const OF_COLLECTIONS: &[(&str, &[&str])] = &[
    ("ansible.builtin", BUILTIN),
    ("ansible.legacy", &[]),
    ("ansible.posix", &[]),
    ("community.general", &["consul", "keycloak", "proxmox"]),
    ("kubernetes.core", &["helm", "k8s"]),
];

/// The groups whose modules are here, and the modules of kubernetes.core that they hold.
const K8S: &[&str] = &["ansible.builtin.k8s", "kubernetes.core.k8s", "community.kubernetes.k8s"];
const K8S_MODULES: &[&str] =
    &["k8s", "k8s_info", "k8s_drain", "k8s_exec", "k8s_log", "k8s_scale", "k8s_service"];

/// Whether a key of `module_defaults` is a group with this module in it.
pub fn holds(key: &str, module: &str) -> bool {
    full_name(key).is_some_and(|name| K8S.contains(&&*name)) && K8S_MODULES.contains(&module)
}

/// Refuses a group that its collection does not have. What collections without modules
/// here have is not known, and without an effect.
///
/// # Errors
/// A group that nobody knows.
pub fn check(key: &Node) -> Result<(), Error> {
    let Some(name) = key.as_str().and_then(full_name) else { return Ok(()) };
    let Some((collection, group)) = name.rsplit_once('.') else { return Ok(()) };
    let known = OF_COLLECTIONS.iter().find(|(known, _)| *known == collection);
    if known.is_none_or(|(_, groups)| groups.contains(&group)) {
        return Ok(());
    }
    Err(key.span.error(format!(
        "Error loading module_defaults: could not resolve the module_defaults group {name}"
    )))
}

/// The name of a group with its collection; none where the key is no group.
fn full_name(key: &str) -> Option<String> {
    let name = key.strip_prefix(PREFIX)?;
    let has_collection = name.matches('.').count() > 1;
    Some(if has_collection { name.to_owned() } else { format!("ansible.builtin.{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_those_of_ansible_core() {
        assert!(holds("group/k8s", "k8s_info"));
        assert!(holds("group/kubernetes.core.k8s", "k8s"));
        assert!(!holds("group/aws", "k8s"));
        assert!(!holds("group/k8s", "debug"));
        assert!(!holds("k8s", "k8s"));
    }
}
