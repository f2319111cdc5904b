//! Nodes: those of the cluster and those of the inventory, and how they are.

use serde_json::Value as Json;

use super::finding::{Finding, Id, few};
use super::world::{Cluster, World, condition, list, name, text};
use crate::kubernetes::node;

/// Conditions that are bad when they hold.
const PRESSURES: [&str; 4] =
    ["DiskPressure", "MemoryPressure", "PIDPressure", "NetworkUnavailable"];

pub fn check(world: &World, cluster: &Cluster) -> Vec<Finding> {
    let mut found = Vec::new();
    let plan = &world.plan;
    for host in plan.control_planes.iter().chain(&plan.workers) {
        if !cluster.nodes.iter().any(|node| name(node) == host) {
            found.push(missing(world, cluster, host));
        }
    }
    for node in &cluster.nodes {
        found.extend(of_node(world, node));
    }
    if let [only] = plan.control_planes.as_slice() {
        let evidence = "it is the only control plane: the API is away while its apiserver restarts";
        found.push(
            Finding::info(Id::SingleControlPlane, only, evidence)
                .fix("choose a time at which controllers and operators may wait a minute"),
        );
    }
    found
}

fn missing(world: &World, cluster: &Cluster, host: &str) -> Finding {
    let address = world.plan.addresses.get(host).map_or(host, String::as_str);
    let same = cluster.nodes.iter().find(|node| {
        list(node, "/status/addresses").any(|known| text(known, "/address") == address)
    });
    let names = few(cluster.nodes.iter().map(name));
    let (evidence, fix) = match same {
        Some(node) => (
            format!("the cluster has no node of this name; {address} is its node {}", name(node)),
            format!("call the host {} in the inventory (ansible_host: {address})", name(node)),
        ),
        None => (
            format!("the cluster has no node of this name; it has {names}"),
            "join the host to the cluster, or take it out of the inventory".to_owned(),
        ),
    };
    Finding::error(Id::NodeMissing, host, evidence).fix(fix)
}

fn of_node(world: &World, node: &Json) -> Vec<Finding> {
    let mut found = Vec::new();
    let host = name(node);
    if !world.plan.is_known(host) {
        let control_plane = node::is_control_plane(node);
        let (what, stays) = match control_plane {
            true => ("control plane", "its apiserver would stay at the old version"),
            false => ("node", "it would stay at the old version"),
        };
        let evidence = format!("the {what} is not in the inventory: {stays}");
        let finding = Finding::warning(Id::NodeNotInInventory, host, evidence);
        found.push(
            finding
                .error_if(control_plane)
                .fix("add it to the inventory's kube_control_plane or kube_node"),
        );
    }
    let ready = condition(node, "Ready");
    if ready != "True" {
        let why = list(node, "/status/conditions")
            .find(|condition| text(condition, "/type") == "Ready")
            .map_or("", |condition| text(condition, "/message"));
        let status = if ready.is_empty() { "has no condition Ready" } else { "is not Ready" };
        found.push(
            Finding::error(Id::NodeNotReady, host, format!("the node {status}: {why}")).fix(
                format!("repair it: kubectl describe node {host}; journalctl -u kubelet there"),
            ),
        );
    }
    let pressures: Vec<_> =
        PRESSURES.into_iter().filter(|kind| condition(node, kind) == "True").collect();
    if !pressures.is_empty() {
        let evidence = format!("the node says {}", pressures.join(", "));
        found.push(
            Finding::warning(Id::NodePressure, host, evidence)
                .fix("make room: pods that are moved here may be refused or evicted"),
        );
    }
    found.extend(node::is_cordoned(node).then(|| cordoned(node, host)));
    found
}

fn cordoned(node: &Json, host: &str) -> Finding {
    let (evidence, fix) = match node::is_remembered(node) {
        true => (
            "a run of kup-play has cordoned it and not put it back",
            "the next run that changes the cluster puts it back to what it was".to_owned(),
        ),
        false => (
            "it is cordoned: it takes no pods from nodes that are drained, and stays cordoned after \
             the upgrade",
            format!("kubectl uncordon {host}, unless that is meant"),
        ),
    };
    Finding::warning(Id::NodeCordoned, host, evidence).fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::testing::{cluster, ids, node, world};
    use serde_json::json;

    #[test]
    fn a_healthy_cluster_that_is_its_inventory_gives_nothing() {
        let mut cluster = cluster();
        cluster.nodes = ["a", "b", "c"].map(|name| node(name, "v1.20.2")).to_vec();
        assert_eq!(check(&world("1.21.2", &["a", "b"], &["c"]), &cluster), []);
    }

    #[test]
    fn hosts_and_nodes_that_do_not_match_are_found() {
        let mut cluster = cluster();
        let mut plane = node("cp9", "v1.20.2");
        plane["metadata"]["labels"] = json!({"node-role.kubernetes.io/master": ""});
        let mut other = node("ip-10-0-0-5", "v1.20.2");
        other["status"]["addresses"] = json!([{"type": "InternalIP", "address": "10.0.0.5"}]);
        cluster.nodes = vec![plane, other, node("a", "v1.20.2")];
        let mut world = world("1.21.2", &["a", "b"], &["w5"]);
        world.plan.addresses.insert("w5".to_owned(), "10.0.0.5".to_owned());
        let found = check(&world, &cluster);
        assert_eq!(
            ids(&found),
            [Id::NodeMissing, Id::NodeMissing, Id::NodeNotInInventory, Id::NodeNotInInventory]
        );
        assert!(found[1].evidence.contains("10.0.0.5 is its node ip-10-0-0-5"));
        assert!(found[2].stops() && !found[3].stops());
    }

    #[test]
    fn nodes_in_trouble_are_found() {
        let mut cluster = cluster();
        let mut sick = node("a", "v1.20.2");
        sick["status"]["conditions"] = json!([
            {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."},
            {"type": "DiskPressure", "status": "True"},
        ]);
        let mut cordoned = node("b", "v1.20.2");
        cordoned["spec"]["unschedulable"] = json!(true);
        let mut left = cordoned.clone();
        left["metadata"] = json!({"name": "c", "annotations": {node::CORDONED_BEFORE: "false"}});
        cluster.nodes = vec![sick, cordoned, left];
        let found = check(&world("1.21.2", &["a", "b"], &["c"]), &cluster);
        assert_eq!(
            ids(&found),
            [Id::NodeNotReady, Id::NodePressure, Id::NodeCordoned, Id::NodeCordoned]
        );
        assert!(found[0].evidence.contains("stopped posting"));
        assert!(found[3].evidence.contains("kup-play"));
    }
}
