//! Pods that a drain would lose, or that lose something by it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::finding::{Finding, Id, Severity, few};
use super::world::{Cluster, World, list, name, text};
use crate::kubernetes::pod::{self, Kind, Rules};

pub fn check(world: &World, cluster: &Cluster) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut data: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let local = local_claims(cluster);
    for pod in on_drained(world, cluster) {
        let object = pod::name(pod);
        let node = text(pod, "/spec/nodeName");
        if needs(pod, "force") {
            found.push(bare(world, &object, node));
        }
        if needs(pod, "delete_emptydir_data") {
            data.entry(node).or_default().push(object.clone());
        }
        let claims = list(pod, "/spec/volumes").filter_map(|volume| {
            let claim = text(volume, "/persistentVolumeClaim/claimName");
            local.get(&(text(pod, "/metadata/namespace"), claim)).copied()
        });
        let volumes: BTreeSet<_> = claims.collect();
        if !volumes.is_empty() {
            let evidence = format!(
                "its volume {} is on node {node} alone: the pod waits, Pending, until the node is back",
                few(volumes)
            );
            found.push(
                Finding::warning(Id::PodLocalVolume, object, evidence).fix(
                    "plan for its absence, or let the application move to another replica first",
                ),
            );
        }
    }
    found.extend(data.into_iter().map(|(node, pods)| empty_dirs(world, node, &pods)));
    found
}

/// Pods on nodes that are going to be drained, without those that stay there.
fn on_drained<'a>(world: &'a World, cluster: &'a Cluster) -> impl Iterator<Item = &'a Json> {
    let target = format!("v{}", world.target);
    let nodes: BTreeSet<_> = cluster
        .nodes
        .iter()
        .filter(|node| text(node, "/status/nodeInfo/kubeletVersion") != target)
        .map(name)
        .filter(|node| world.plan.is_known(node))
        .collect();
    cluster.pods.iter().filter(move |pod| nodes.contains(text(pod, "/spec/nodeName")))
}

/// Whether a drain refuses the pod without this option alone.
fn needs(pod: &Json, missing: &str) -> bool {
    let rules = Rules {
        ignore_daemonsets: true,
        delete_emptydir_data: missing != "delete_emptydir_data",
        force: missing != "force",
    };
    matches!(pod::classify(pod, rules), Kind::Refused { option, .. } if option == missing)
}

fn bare(world: &World, pod: &str, node: &str) -> Finding {
    let forced = world.plan.force;
    let what = match forced {
        true => "the drain deletes it for good (drain_force)",
        false => "the drain refuses it",
    };
    let evidence = format!("on node {node}, no controller would start it again: {what}");
    Finding::warning(Id::BarePod, pod, evidence)
        .error_if(!forced)
        .fix("delete it, or let a Deployment or Job own it; drain_force: true evicts all such pods")
}

fn empty_dirs(world: &World, node: &str, pods: &[String]) -> Finding {
    let evidence = format!("{} keep data in an emptyDir, which is lost with them", few(pods));
    let finding = Finding::info(Id::PodEmptyDir, node, evidence);
    match world.plan.delete_emptydir_data {
        true => finding.fix("nothing, if it is but a cache; otherwise save it first"),
        false => Finding { severity: Severity::Error, ..finding }
            .fix("the drain refuses them: set drain_delete_emptydir_data, or delete the pods"),
    }
}

/// The claims that are bound to a volume of one node's, and the volume.
fn local_claims(cluster: &Cluster) -> BTreeMap<(&str, &str), &str> {
    let local = cluster.volumes.iter().filter(|volume| {
        volume.pointer("/spec/local").is_some() || volume.pointer("/spec/hostPath").is_some()
    });
    local
        .map(|volume| {
            let claim =
                (text(volume, "/spec/claimRef/namespace"), text(volume, "/spec/claimRef/name"));
            (claim, name(volume))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::testing::{cluster, ids, node, pod, world};
    use serde_json::json;

    fn with(change: impl Fn(&mut Json)) -> Cluster {
        let mut cluster = cluster();
        cluster.nodes = vec![node("w1", "v1.20.2")];
        let mut pod = pod("a", "w1");
        change(&mut pod);
        cluster.pods = vec![pod];
        cluster
    }

    #[test]
    fn a_bare_pod_stops_a_drain_or_is_lost() {
        let cluster = with(|pod| pod["metadata"]["ownerReferences"] = json!([]));
        let mut world = world("1.21.2", &[], &["w1"]);
        let found = check(&world, &cluster);
        assert!(ids(&found) == [Id::BarePod] && found[0].stops());
        world.plan.force = true;
        assert!(!check(&world, &cluster)[0].stops());
    }

    #[test]
    fn data_that_is_lost_with_its_pod_is_told() {
        let cluster = with(|pod| pod["spec"]["volumes"] = json!([{"name": "x", "emptyDir": {}}]));
        let mut world = world("1.21.2", &[], &["w1"]);
        let found = check(&world, &cluster);
        assert_eq!((ids(&found), found[0].severity), (vec![Id::PodEmptyDir], Severity::Info));
        world.plan.delete_emptydir_data = false;
        assert!(check(&world, &cluster)[0].stops());
    }

    #[test]
    fn a_pod_bound_to_its_node_by_a_volume_is_told() {
        let mut cluster = with(|pod| {
            pod["spec"]["volumes"] = json!([{"persistentVolumeClaim": {"claimName": "data"}}]);
        });
        cluster.volumes = vec![json!({"metadata": {"name": "pv1"}, "spec": {
            "local": {"path": "/x"}, "claimRef": {"namespace": "default", "name": "data"}}})];
        let found = check(&world("1.21.2", &[], &["w1"]), &cluster);
        assert_eq!(ids(&found), [Id::PodLocalVolume]);
        assert!(found[0].evidence.contains("pv1"));
    }

    #[test]
    fn pods_on_nodes_that_are_done_do_not_count() {
        let mut cluster = with(|pod| pod["metadata"]["ownerReferences"] = json!([]));
        cluster.nodes = vec![node("w1", "v1.21.2")];
        assert_eq!(check(&world("1.21.2", &[], &["w1"]), &cluster), []);
    }
}
