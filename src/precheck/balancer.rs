//! Kubelets of control planes that speak to the apiservers through a load balancer.

use super::finding::{Finding, Id, few};
use super::world::{Cluster, World, list, name, text};

/// Where a control plane's kubelet is upgraded before all apiservers are, one that is older than
/// itself may answer it, which no version permits (kubernetes/kubernetes#127316).
pub fn check(world: &World, cluster: &Cluster) -> Option<Finding> {
    if world.plan.control_planes.len() < 2 {
        return None;
    }
    let through: Vec<(&str, &str)> = world
        .facts()
        .filter(|(host, _)| world.plan.is_control_plane(host))
        .filter_map(|(host, facts)| Some((host, facts.kubelet_server.as_deref()?)))
        .filter(|(host, server)| !is_own(cluster, host, server))
        .collect();
    let (_, server) = through.first()?;
    let hosts = few(through.iter().map(|(host, _)| host));
    let evidence = format!(
        "the kubelets of {hosts} speak to {server}, where an apiserver that is not upgraded yet \
         may answer"
    );
    Some(Finding::info(Id::KubeletThroughBalancer, "cluster", evidence).fix(
        "upgrade these kubelets after all apiservers, as playbooks/upgrade-cp.yml does; or let \
         `server` in /etc/kubernetes/kubelet.conf of each control plane be its own address, as \
         kubeadm does from v1.33 on",
    ))
}

/// Whether the address of an apiserver is the node's own.
fn is_own(cluster: &Cluster, host: &str, server: &str) -> bool {
    let Ok(uri) = server.parse::<http::Uri>() else { return false };
    let address = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let node = cluster.nodes.iter().find(|node| name(node) == host);
    let mut known = node.into_iter().flat_map(|node| list(node, "/status/addresses"));
    matches!(address, "localhost" | "127.0.0.1" | "::1")
        || known.any(|known| text(known, "/address") == address)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::modules::precheck_host::Facts;
    use crate::precheck::testing::{asked, cluster, node};

    fn of(server: &str) -> Facts {
        Facts { kubelet_server: Some(server.to_owned()), ..Facts::default() }
    }

    fn three(servers: [&str; 3]) -> Option<Finding> {
        let mut cluster = cluster();
        cluster.nodes = ["a", "b", "c"].map(|name| node(name, "v1.30.1")).to_vec();
        for (number, node) in cluster.nodes.iter_mut().enumerate() {
            let address = format!("10.0.0.{}", number + 1);
            node["status"]["addresses"] = json!([{"type": "InternalIP", "address": address}]);
        }
        let [a, b, c] = servers.map(of);
        check(&asked("1.31.0", vec![("a", a), ("b", b), ("c", c)]), &cluster)
    }

    const OWN: [&str; 3] =
        ["https://10.0.0.1:6443", "https://127.0.0.1:6443", "https://10.0.0.3:6443"];

    #[test]
    fn kubelets_that_ask_their_own_apiserver_are_well() {
        assert_eq!(three(OWN), None);
    }

    #[test]
    fn those_that_ask_a_balancer_are_named() {
        let found = three(["https://lb.example:6443", OWN[1], "https://lb.example:6443"]);
        let found = found.expect("a finding");
        assert!(found.evidence.contains("a, c speak to https://lb.example:6443"), "{found:?}");
    }

    #[test]
    fn one_control_plane_needs_no_balancer() {
        let one = asked("1.31.0", vec![("a", of("https://lb.example:6443"))]);
        assert_eq!(check(&one, &cluster()), None);
    }
}
