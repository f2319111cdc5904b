//! What of an export must not be applied: the cluster makes it by itself, or it is over.

use std::collections::HashSet;

use serde_json::Value as Json;

use crate::kubernetes::objects::is_own_group;

/// Kinds that components of the cluster write, and nobody else.
const OF_THE_CLUSTER: &[&str] = &[
    "CSINode",
    "CSIStorageCapacity",
    "CertificateSigningRequest",
    "ComponentStatus",
    "ControllerRevision",
    "Event",
    "IPAddress",
    "Lease",
    "Node",
    "StorageVersion",
    "VolumeAttachment",
];
/// ConfigMaps that the control plane puts there.
const CONFIG_MAPS: &[&str] =
    &["extension-apiserver-authentication", "kube-root-ca.crt", "openshift-service-ca.crt"];

/// Services whose endpoints are written by hand, as `namespace/name`.
pub struct WithoutSelector(HashSet<String>);

impl WithoutSelector {
    pub fn among<'a>(objects: impl Iterator<Item = &'a Json>) -> Self {
        let services = objects.filter(|object| {
            // The apiservers write their own endpoints.
            text(object, "/kind") == "Service"
                && !has(object, "/spec/selector")
                && name(object) != "default/kubernetes"
        });
        Self(services.map(name).collect())
    }
}

/// Why an object is left out; none: it is to be applied.
pub fn why(object: &Json, without_selector: &WithoutSelector) -> Option<&'static str> {
    // Kinds of the same names in groups of others are something else.
    let kind = if is_own_group(object) { text(object, "/kind") } else { "" };
    if OF_THE_CLUSTER.contains(&kind) {
        return Some("the cluster makes it");
    }
    if has(object, "/metadata/deletionTimestamp") {
        return Some("it was being deleted");
    }
    if has_controller(object) {
        return Some("its controller makes it");
    }
    match kind {
        "Pod" => of_pod(object),
        "Job" => is_over(object).then_some("it has ended"),
        "Secret" => of_secret(object),
        "ConfigMap" => {
            CONFIG_MAPS.contains(&text(object, "/metadata/name")).then_some("the cluster makes it")
        }
        "Endpoints" => (!without_selector.0.contains(&name(object)))
            .then_some("it follows the pods of its Service"),
        "EndpointSlice" => label(object, "endpointslice.kubernetes.io/managed-by")
            .is_some_and(|by| by.ends_with(".k8s.io"))
            .then_some("it follows the pods of its Service"),
        "APIService" => label(object, "kube-aggregator.kubernetes.io/automanaged")
            .is_some()
            .then_some("the cluster makes it"),
        "FlowSchema" | "PriorityLevelConfiguration" => {
            (annotation(object, "apf.kubernetes.io/autoupdate-spec") == Some("true"))
                .then_some("the cluster makes it")
        }
        _ => None,
    }
}

fn of_pod(pod: &Json) -> Option<&'static str> {
    if annotation(pod, "kubernetes.io/config.mirror").is_some() {
        return Some("it stands for a static pod");
    }
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed").then_some("it has ended")
}

fn of_secret(secret: &Json) -> Option<&'static str> {
    match text(secret, "/type") {
        "kubernetes.io/service-account-token" => Some("tokens are made anew"),
        "bootstrap.kubernetes.io/token" => Some("tokens for joining nodes are short-lived"),
        _ => None,
    }
}

fn is_over(job: &Json) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Json::as_array);
    conditions.into_iter().flatten().any(|condition| {
        matches!(text(condition, "/type"), "Complete" | "Failed")
            && text(condition, "/status") == "True"
    })
}

fn has_controller(object: &Json) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Json::as_array);
    owners.into_iter().flatten().any(|owner| owner.get("controller") == Some(&Json::Bool(true)))
}

fn name(object: &Json) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

fn text<'a>(object: &'a Json, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

fn has(object: &Json, pointer: &str) -> bool {
    match object.pointer(pointer) {
        None | Some(Json::Null) => false,
        Some(Json::Object(map)) => !map.is_empty(),
        Some(_) => true,
    }
}

fn annotation<'a>(object: &'a Json, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}

fn label<'a>(object: &'a Json, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(object: &Json) -> bool {
        let services = [
            json!({"kind": "Service", "metadata": {"namespace": "a", "name": "by-hand"}, "spec": {}}),
            json!({"kind": "Service", "metadata": {"namespace": "a", "name": "web"}, "spec": {"selector": {"app": "web"}}}),
            json!({"kind": "Service", "metadata": {"namespace": "default", "name": "kubernetes"}, "spec": {}}),
        ];
        why(object, &WithoutSelector::among(services.iter())).is_none()
    }

    #[test]
    fn what_a_controller_makes_is_left_to_it() {
        let owner = json!([{"kind": "ReplicaSet", "name": "web-1", "controller": true}]);
        let pod = json!({"kind": "Pod", "metadata": {"ownerReferences": owner}});
        assert!(!applied(&pod));
        assert!(applied(&json!({"kind": "Pod", "metadata": {"name": "bare"}})));
        assert!(applied(&json!({"kind": "Deployment", "metadata": {"name": "web"}})));
    }

    #[test]
    fn endpoints_come_back_only_where_somebody_wrote_them() {
        let endpoints = |namespace: &str, name: &str| json!({"kind": "Endpoints", "metadata": {"namespace": namespace, "name": name}});
        assert!(applied(&endpoints("a", "by-hand")));
        assert!(!applied(&endpoints("a", "web")));
        assert!(!applied(&endpoints("a", "no-service")));
        assert!(!applied(&endpoints("default", "kubernetes")));
    }

    #[test]
    fn tokens_and_what_is_over_do_not_come_back() {
        let secret =
            |kind: &str| json!({"kind": "Secret", "metadata": {"name": "s"}, "type": kind});
        assert!(!applied(&secret("kubernetes.io/service-account-token")));
        assert!(!applied(&secret("bootstrap.kubernetes.io/token")));
        assert!(applied(&secret("Opaque")));
        let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        assert!(!applied(&json!({"kind": "Job", "metadata": {"name": "j"}, "status": complete})));
        assert!(applied(
            &json!({"kind": "Job", "metadata": {"name": "j"}, "status": {"active": 1}})
        ));
        assert!(!applied(&json!({"kind": "Lease", "metadata": {"name": "l"}})));
    }
}
