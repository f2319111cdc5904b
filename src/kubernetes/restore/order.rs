//! In which order objects come back: what others need is there before them.

use serde_json::Value as Json;

/// Kinds that are applied together, one group after the other.
const GROUPS: &[&[&str]] = &[
    &["CustomResourceDefinition"],
    &["Namespace"],
    &[
        "PriorityClass",
        "StorageClass",
        "CSIDriver",
        "RuntimeClass",
        "IngressClass",
        "PriorityLevelConfiguration",
    ],
    &["ServiceAccount", "FlowSchema"],
    &["ClusterRole", "Role", "PodSecurityPolicy"],
    &["ClusterRoleBinding", "RoleBinding"],
    &["ConfigMap", "Secret", "LimitRange", "ResourceQuota", "NetworkPolicy"],
    &["PersistentVolume"],
    &["PersistentVolumeClaim"],
    &["Service"],
    &["Endpoints", "EndpointSlice", "PodDisruptionBudget"],
    &["DaemonSet", "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController", "Pod"],
    &["Job", "CronJob", "HorizontalPodAutoscaler", "Ingress"],
];
/// They stand in the way of everything else while what they call does not run.
const LAST: &[&str] =
    &["APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Definitions of kinds come first: what is applied after this group may be of them.
pub const DEFINITIONS: usize = 0;

/// The group of an object. Kinds that are not known, custom resources as a rule, come
/// behind those that are, but for what everything waits for.
pub fn rank(object: &Json) -> usize {
    let kind = object.get("kind").and_then(Json::as_str).unwrap_or_default();
    if LAST.contains(&kind) {
        return GROUPS.len() + 1;
    }
    GROUPS.iter().position(|group| group.contains(&kind)).unwrap_or(GROUPS.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_need_comes_before_them() {
        let kinds = [
            "CustomResourceDefinition",
            "Namespace",
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "ConfigMap",
            "PersistentVolumeClaim",
            "Service",
            "Deployment",
            "CronJob",
            "Certificate",
            "ValidatingWebhookConfiguration",
        ];
        let ranks: Vec<_> = kinds.iter().map(|kind| rank(&json!({"kind": kind}))).collect();
        assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "{ranks:?}");
    }
}
