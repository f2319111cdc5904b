//! Whether an object is what is waited for.

use serde_json::Value as Json;

use super::objects::{Elements, is_part};

/// What an object is to be.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// None: what objects of its kind are when all is well.
    pub condition: Option<Condition>,
    /// What is to be in it, with these values.
    pub definition: Option<Json>,
    /// Objects as they were: it is to be none of them.
    pub before: Vec<Json>,
}

/// A condition that an object is to have (`status.conditions`).
#[derive(Clone, Debug)]
pub struct Condition {
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    pub reason: Option<String>,
}

impl Wanted {
    pub fn is_met(&self, object: &Json) -> bool {
        self.definition.as_ref().is_none_or(|part| is_part(part, object, Elements::ByName))
            && !self.before.iter().any(|before| is_same(before, object))
            && match &self.condition {
                Some(condition) => condition.is_met(object),
                None => is_well(object),
            }
    }
}

impl Condition {
    fn is_met(&self, object: &Json) -> bool {
        condition(object, &self.kind).is_some_and(|found| {
            let is = |key: &str, value: &str| found.get(key).and_then(Json::as_str) == Some(value);
            is("status", &self.status)
                && self.reason.as_ref().is_none_or(|reason| is("reason", reason))
        })
    }
}

/// Whether a pod or a node says that it is ready.
pub fn is_ready(object: &Json) -> bool {
    let status = condition(object, "Ready").and_then(|condition| condition.get("status"));
    status.and_then(Json::as_str) == Some("True")
}

fn condition<'a>(object: &'a Json, kind: &str) -> Option<&'a Json> {
    let conditions = object.pointer("/status/conditions").and_then(Json::as_array)?;
    conditions.iter().find(|condition| condition.get("type").and_then(Json::as_str) == Some(kind))
}

/// Whether nothing has happened to an object.
fn is_same(before: &Json, now: &Json) -> bool {
    ["/metadata/uid", "/metadata/resourceVersion"]
        .iter()
        .all(|pointer| before.pointer(pointer) == now.pointer(pointer))
}

/// Workloads when all that they are to run is of their last change and ready, as kubernetes.core
/// has it; of other kinds those that tell of a condition Ready when it is true, and the rest when
/// they are there.
fn is_well(object: &Json) -> bool {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str);
    let number = |pointer: &str| object.pointer(pointer).and_then(Json::as_i64);
    let count = |name: &str| number(&format!("/status/{name}")).unwrap_or(0);
    let is_seen = number("/status/observedGeneration") == number("/metadata/generation");
    let replicas = number("/spec/replicas").unwrap_or(1);
    // Somebody deletes the pods that are to be replaced.
    let on_delete = text("/spec/updateStrategy/type") == Some("OnDelete");
    match text("/kind").unwrap_or_default() {
        "Deployment" => {
            is_seen
                && count("replicas") == replicas
                && count("availableReplicas") == replicas
                && count("unavailableReplicas") == 0
        }
        "ReplicaSet" | "ReplicationController" => {
            is_seen && count("replicas") == replicas && count("readyReplicas") == replicas
        }
        "DaemonSet" => number("/status/desiredNumberScheduled").is_some_and(|nodes| {
            is_seen
                && count("numberReady") == nodes
                && (on_delete || count("updatedNumberScheduled") == nodes)
        }),
        "StatefulSet" => {
            let is_updated = text("/status/updateRevision") == text("/status/currentRevision")
                && count("updatedReplicas") == replicas;
            is_seen
                && count("replicas") == replicas
                && count("readyReplicas") == replicas
                && (on_delete || is_updated)
        }
        "Pod" => is_ready(object),
        _ => condition(object, "Ready").is_none() || is_ready(object),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn met(condition: Option<Condition>, definition: Option<Json>, object: &Json) -> bool {
        Wanted { condition, definition, before: Vec::new() }.is_met(object)
    }

    #[test]
    fn a_deployment_is_well_when_its_last_change_is_rolled_out() {
        let deployment = |observed: i64, replicas: i64, available: i64| {
            json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2},
                "status": {"observedGeneration": observed, "replicas": replicas,
                    "availableReplicas": available, "conditions": [{"type": "Available", "status": "True"}]}})
        };
        assert!(met(None, None, &deployment(2, 2, 2)));
        assert!(!met(None, None, &deployment(1, 2, 2)));
        assert!(!met(None, None, &deployment(2, 3, 2)));
        assert!(!met(None, None, &deployment(2, 2, 1)));
        let none = json!({"kind": "Deployment", "metadata": {"generation": 1},
            "spec": {"replicas": 0}, "status": {"observedGeneration": 1}});
        assert!(met(None, None, &none));
    }

    #[test]
    fn a_daemonset_is_well_when_each_node_runs_its_last_version() {
        let set = |updated: i64, ready: i64| {
            json!({"kind": "DaemonSet", "metadata": {"generation": 1},
                "status": {"observedGeneration": 1, "desiredNumberScheduled": 3,
                    "updatedNumberScheduled": updated, "numberReady": ready}})
        };
        assert!(met(None, None, &set(3, 3)));
        assert!(!met(None, None, &set(2, 3)));
        assert!(!met(None, None, &set(3, 2)));
        let unseen = json!({"kind": "DaemonSet", "metadata": {"generation": 1}, "status": {}});
        assert!(!met(None, None, &unseen));
    }

    #[test]
    fn a_statefulset_that_waits_for_somebody_to_delete_its_pods_need_not_be_updated() {
        let set = |strategy: &str| {
            json!({"kind": "StatefulSet", "metadata": {"generation": 2},
                "spec": {"replicas": 1, "updateStrategy": {"type": strategy}},
                "status": {"observedGeneration": 2, "replicas": 1, "readyReplicas": 1,
                    "currentRevision": "a", "updateRevision": "b"}})
        };
        assert!(met(None, None, &set("OnDelete")));
        assert!(!met(None, None, &set("RollingUpdate")));
    }

    #[test]
    fn a_kind_that_tells_of_no_readiness_is_well_when_it_is_there() {
        assert!(met(None, None, &json!({"kind": "ConfigMap"})));
        let definition = json!({"kind": "CustomResourceDefinition",
            "status": {"conditions": [{"type": "Established", "status": "True"}]}});
        assert!(met(None, None, &definition));
        assert!(!met(None, None, &json!({"kind": "Pod", "status": {"phase": "Pending"}})));
        let node = json!({"kind": "Node",
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
        assert!(!met(None, None, &node));
    }

    #[test]
    fn a_condition_has_a_status_and_may_have_a_reason() {
        let paused = json!({"kind": "Deployment", "status": {"conditions": [
            {"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}]}});
        let wanted = |status: &str, reason: Option<&str>| {
            let reason = reason.map(str::to_owned);
            Some(Condition { kind: "Progressing".to_owned(), status: status.to_owned(), reason })
        };
        assert!(met(wanted("Unknown", Some("DeploymentPaused")), None, &paused));
        assert!(met(wanted("Unknown", None), None, &paused));
        assert!(!met(wanted("Unknown", Some("Other")), None, &paused));
        assert!(!met(wanted("False", None), None, &paused));
    }

    #[test]
    fn a_node_is_waited_for_until_it_is_ready_with_its_new_kubelet() {
        let node = |version: &str, ready: &str| {
            json!({"kind": "Node", "status": {"nodeInfo": {"kubeletVersion": version, "os": "x"},
                "conditions": [{"type": "Ready", "status": ready}]}})
        };
        let new = Some(json!({"status": {"nodeInfo": {"kubeletVersion": "v1.21.2"}}}));
        assert!(met(None, new.clone(), &node("v1.21.2", "True")));
        assert!(!met(None, new.clone(), &node("v1.20.2", "True")));
        assert!(!met(None, new, &node("v1.21.2", "False")));
    }

    #[test]
    fn a_static_pod_is_waited_for_until_its_own_container_has_the_image() {
        let pod = |image: &str| {
            json!({"kind": "Pod", "spec": {"containers": [{"name": "agent", "image": "agent:1"},
                    {"name": "etcd", "image": image, "command": ["etcd"]}]},
                "status": {"conditions": [{"type": "Initialized", "status": "True"},
                    {"type": "Ready", "status": "True"}]}})
        };
        let new = Some(json!({"spec": {"containers": [{"name": "etcd", "image": "etcd:3.5"}]},
            "status": {"conditions": [{"type": "Initialized", "status": "True"}]}}));
        assert!(met(None, new.clone(), &pod("etcd:3.5")));
        assert!(!met(None, new, &pod("etcd:3.4")));
        let command = |words: &[&str]| {
            Some(json!({"spec": {"containers": [{"name": "etcd", "command": words}]}}))
        };
        assert!(met(None, command(&["etcd"]), &pod("etcd:3.5")));
        assert!(!met(None, command(&["etcd", "-v"]), &pod("etcd:3.5")));
        assert!(!met(None, command(&[]), &pod("etcd:3.5")));
    }

    #[test]
    fn a_lease_is_waited_for_until_it_is_renewed() {
        let lease = |uid: &str, version: &str| json!({"kind": "Lease", "metadata": {"uid": uid, "resourceVersion": version}});
        let wanted = Wanted { before: vec![lease("a", "7")], ..Wanted::default() };
        assert!(!wanted.is_met(&lease("a", "7")));
        assert!(wanted.is_met(&lease("a", "8")));
        assert!(wanted.is_met(&lease("b", "7")));
    }
}
