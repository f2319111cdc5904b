//! Whether another node would take a pod, as far as its selector and the nodes' taints say.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::world::{Cluster, condition, list, name, text};
use crate::kubernetes::node;

/// Whether a node that is not drained takes the pod.
pub fn exists(cluster: &Cluster, drained: &BTreeSet<String>, pod: &Json) -> bool {
    cluster.nodes.iter().any(|node| {
        !drained.contains(name(node))
            && !node::is_cordoned(node)
            && condition(node, "Ready") == "True"
            && selected(pod, node)
            && tolerates_all(pod, node)
    })
}

fn selected(pod: &Json, node: &Json) -> bool {
    let wanted = pod.pointer("/spec/nodeSelector").and_then(Json::as_object);
    let labels = node.pointer("/metadata/labels");
    wanted.into_iter().flatten().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value))
}

fn tolerates_all(pod: &Json, node: &Json) -> bool {
    let mut hard =
        list(node, "/spec/taints").filter(|taint| text(taint, "/effect") != "PreferNoSchedule");
    hard.all(|taint| list(pod, "/spec/tolerations").any(|toleration| tolerates(toleration, taint)))
}

fn tolerates(toleration: &Json, taint: &Json) -> bool {
    let (key, effect) = (text(toleration, "/key"), text(toleration, "/effect"));
    let same_effect = effect.is_empty() || effect == text(taint, "/effect");
    let same_value = text(toleration, "/operator") == "Exists"
        || text(toleration, "/value") == text(taint, "/value");
    // Without a key, Exists tolerates everything.
    let same_key =
        key == text(taint, "/key") || (key.is_empty() && text(toleration, "/operator") == "Exists");
    same_key && same_effect && same_value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::testing::{cluster, node, pod};
    use serde_json::json;

    #[test]
    fn taints_and_selectors_decide() {
        let mut cluster = cluster();
        let mut tainted = node("cp1", "v1.20.2");
        tainted["spec"]["taints"] =
            json!([{"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}]);
        cluster.nodes = vec![tainted, node("w1", "v1.20.2")];
        let drained = BTreeSet::from(["w1".to_owned()]);
        let mut pod = pod("a", "w1");
        assert!(!exists(&cluster, &drained, &pod), "the taint keeps it away");
        pod["spec"]["tolerations"] =
            json!([{"key": "node-role.kubernetes.io/master", "operator": "Exists"}]);
        assert!(exists(&cluster, &drained, &pod));
        pod["spec"]["nodeSelector"] = json!({"disk": "ssd"});
        assert!(!exists(&cluster, &drained, &pod), "the selector keeps it away");
    }
}
