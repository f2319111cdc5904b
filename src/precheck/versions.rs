//! Versions: one minor at a time, and never more apart than Kubernetes permits.

use std::collections::BTreeMap;

use super::finding::{Finding, Id, few};
use super::world::{Cluster, World, list, name, text};
use crate::modules::Version;

pub fn check(world: &World, cluster: &Cluster) -> Vec<Finding> {
    let mut found = Vec::new();
    let target = world.target;
    let apiservers = apiservers(cluster);
    let lowest = apiservers.values().min().copied().or(Version::parse(&cluster.version));
    let Some(current) = lowest else {
        return found;
    };
    found.extend(steps(current, target));
    let different: Vec<_> =
        apiservers.iter().map(|(node, version)| format!("{node} v{version}")).collect();
    if apiservers.values().any(|version| *version != current) {
        let evidence = format!("the apiservers run different versions: {}", few(different));
        found.push(Finding::warning(Id::ApiserversDiffer, "cluster", evidence).fix(
            "an upgrade was begun and not finished: run it to its end with the same target, \
             before anything else",
        ));
    }
    let kubelets: Vec<_> =
        cluster.nodes.iter().filter_map(|node| Some((name(node), kubelet(node)?))).collect();
    // Of more minors the next one is what these kubelets will meet.
    let next = Version { minor: target.minor.min(current.minor + 1), ..target };
    found.extend(
        kubelets.iter().filter_map(|(node, version)| of_kubelet(node, *version, target, next)),
    );
    let all_there =
        |mut versions: Box<dyn Iterator<Item = Version> + '_>| versions.all(|v| v == target);
    if current == target
        && all_there(Box::new(apiservers.values().copied()))
        && all_there(Box::new(kubelets.iter().map(|(_, version)| *version)))
    {
        let evidence = format!("every apiserver and every kubelet runs v{target} already");
        found.push(Finding::info(Id::NothingToDo, "cluster", evidence));
    }
    found
}

/// The step from the cluster's version to the target.
fn steps(current: Version, target: Version) -> Option<Finding> {
    if (target.major, target.minor, target.patch) < (current.major, current.minor, current.patch) {
        let evidence = format!("the cluster runs v{current}, the target is v{target}");
        return Some(Finding::error(Id::TargetOlder, "cluster", evidence).fix(format!(
            "choose v{current} or newer; kubeadm does not go back to an older version, \
             playbooks/rollback.yml does"
        )));
    }
    if target.major == current.major && target.minor <= current.minor + 1 {
        return None;
    }
    let between: Vec<_> = (current.minor + 1..target.minor)
        .map(|minor| format!("the newest v{}.{minor}", current.major))
        .collect();
    let first = between.first().cloned().unwrap_or_default();
    Some(
        Finding::error(
            Id::MinorSkipped,
            "cluster",
            format!(
                "the cluster runs v{current} and the target v{target} is {} minors away; the \
                 steps are v{current} -> {} -> v{target}",
                target.minor.saturating_sub(current.minor),
                between.join(" -> ")
            ),
        )
        .fix(format!("upgrade to {first} first, whole: all control planes, then all workers")),
    )
}

fn of_kubelet(node: &str, version: Version, target: Version, next: Version) -> Option<Finding> {
    if version > target {
        let evidence = format!("its kubelet is v{version}, newer than the target v{target}");
        let is_minor = (version.major, version.minor) > (target.major, target.minor);
        return Some(match is_minor {
            true => Finding::error(Id::TargetOlder, node, evidence)
                .fix("a kubelet may never be newer than the apiserver: choose a newer target"),
            // Patches do not matter to the skew policy.
            false => Finding::warning(Id::TargetOlder, node, evidence)
                .fix("the upgrade takes its package back to the target: choose a newer patch"),
        });
    }
    // From 1.28 on kubelets may be three minors behind, before that two.
    let behind = if next.minor >= 28 { 3 } else { 2 };
    if version.minor + behind >= next.minor {
        return None;
    }
    let evidence = format!(
        "its kubelet is v{version}; apiservers of v1.{} work with kubelets that are at most \
         {behind} minors behind",
        next.minor
    );
    Some(
        Finding::error(Id::KubeletTooOld, node, evidence)
            .fix("upgrade this node's kubelet to the cluster's present version first"),
    )
}

fn kubelet(node: &serde_json::Value) -> Option<Version> {
    Version::parse(text(node, "/status/nodeInfo/kubeletVersion"))
}

/// The version of each apiserver's static pod, by its node.
fn apiservers(cluster: &Cluster) -> BTreeMap<String, Version> {
    let pods = cluster.pods.iter().filter(|pod| {
        text(pod, "/metadata/namespace") == "kube-system"
            && text(pod, "/metadata/labels/component") == "kube-apiserver"
    });
    pods.filter_map(|pod| {
        let image = list(pod, "/spec/containers").map(|c| text(c, "/image")).next()?;
        let tag = image.split('@').next()?.rsplit_once(':')?.1;
        Some((text(pod, "/spec/nodeName").to_owned(), Version::parse(tag)?))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::testing::{cluster, ids, node, world};
    use serde_json::json;

    fn found(kubelets: &[&str], target: &str) -> Vec<Finding> {
        let mut cluster = cluster();
        cluster.nodes =
            kubelets.iter().enumerate().map(|(n, v)| node(&format!("n{n}"), v)).collect();
        let world = world(target, &[], &[]);
        check(&world, &cluster)
    }

    #[test]
    fn one_minor_and_any_patch_ahead_is_fine() {
        assert_eq!(found(&["v1.20.2", "v1.20.4"], "1.21.2"), []);
        assert_eq!(found(&["v1.20.2"], "1.20.15"), []);
    }

    #[test]
    fn two_minors_give_the_chain_of_steps() {
        let found = found(&["v1.20.2"], "1.23.1");
        assert_eq!(ids(&found), [Id::MinorSkipped]);
        assert!(
            found[0]
                .evidence
                .contains("v1.20.2 -> the newest v1.21 -> the newest v1.22 -> v1.23.1")
        );
    }

    #[test]
    fn an_older_target_is_refused() {
        assert_eq!(ids(&found(&["v1.20.2"], "1.19.9")), [Id::TargetOlder, Id::TargetOlder]);
    }

    #[test]
    fn a_kubelet_may_be_so_far_behind_as_kubernetes_says() {
        assert_eq!(ids(&found(&["v1.18.0"], "1.21.2")), [Id::KubeletTooOld]);
        let mut newer = cluster();
        newer.version = "v1.31.0".to_owned();
        newer.nodes = vec![node("old", "v1.29.0")];
        assert_eq!(check(&world("1.32.1", &[], &[]), &newer), []);
    }

    #[test]
    fn the_lowest_apiserver_counts() {
        let mut cluster = cluster();
        let pod = |node: &str, tag: &str| {
            json!({
                "metadata": {"namespace": "kube-system", "labels": {"component": "kube-apiserver"}},
                "spec": {"nodeName": node, "containers": [{"image": format!("k8s.gcr.io/kube-apiserver:{tag}")}]},
            })
        };
        cluster.version = "v1.21.2".to_owned();
        cluster.pods = vec![pod("cp1", "v1.21.2"), pod("cp2", "v1.20.2")];
        let found = check(&world("1.22.0", &[], &[]), &cluster);
        assert_eq!(ids(&found), [Id::MinorSkipped, Id::ApiserversDiffer]);
    }

    #[test]
    fn a_finished_upgrade_is_told() {
        let mut cluster = cluster();
        cluster.version = "v1.21.2".to_owned();
        cluster.nodes = vec![node("cp1", "v1.21.2")];
        assert_eq!(ids(&check(&world("1.21.2", &[], &[]), &cluster)), [Id::NothingToDo]);
    }
}
