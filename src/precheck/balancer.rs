//! Kubelets of control planes that speak to the apiservers through a load balancer.

use super::finding::{Finding, Id, Severity, few};
use super::world::{Cluster, World, list, name, text};

/// From this minor on new kubelets were seen to fail at apiservers of the version before
/// (kubernetes/kubernetes#127316).
const FAILS_FROM: u32 = 31;

/// While control planes are upgraded one after the other, the kubelet of the first may be
/// answered by an apiserver that is older than itself, which no version permits.
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
         may answer one that is"
    );
    let finding = Finding::warning(Id::KubeletThroughBalancer, "cluster", evidence).fix(
        "let `server` in /etc/kubernetes/kubelet.conf of each control plane be its own address, and \
         restart its kubelet; kubeadm does so by itself from v1.33 on",
    );
    let fails = world.target.minor >= FAILS_FROM;
    Some(if fails { finding } else { Finding { severity: Severity::Info, ..finding } })
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

    fn three(target: &str, servers: [&str; 3]) -> Option<Finding> {
        let mut cluster = cluster();
        cluster.nodes = ["a", "b", "c"].map(|name| node(name, "v1.30.1")).to_vec();
        for (number, node) in cluster.nodes.iter_mut().enumerate() {
            let address = format!("10.0.0.{}", number + 1);
            node["status"]["addresses"] = json!([{"type": "InternalIP", "address": address}]);
        }
        let [a, b, c] = servers.map(of);
        check(&asked(target, vec![("a", a), ("b", b), ("c", c)]), &cluster)
    }

    const OWN: [&str; 3] =
        ["https://10.0.0.1:6443", "https://127.0.0.1:6443", "https://10.0.0.3:6443"];

    #[test]
    fn kubelets_that_ask_their_own_apiserver_are_well() {
        assert_eq!(three("1.31.0", OWN), None);
    }

    #[test]
    fn a_balancer_is_a_warning_where_kubelets_fail_at_older_apiservers() {
        let through = ["https://lb.example:6443", OWN[1], "https://lb.example:6443"];
        let found = three("1.31.0", through).expect("a finding");
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.evidence.contains("a, c speak to https://lb.example:6443"), "{found:?}");
        assert_eq!(three("1.30.2", through).expect("a finding").severity, Severity::Info);
    }

    #[test]
    fn one_control_plane_needs_no_balancer() {
        let one = asked("1.31.0", vec![("a", of("https://lb.example:6443"))]);
        assert_eq!(check(&one, &cluster()), None);
    }
}
