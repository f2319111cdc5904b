//! The API versions that releases of Kubernetes took away.

/// A resource that a release serves no more in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The first minor of 1.x without it.
    pub minor: u32,
    /// `policy/v1beta1`.
    pub api_version: &'static str,
    pub kind: &'static str,
    /// The name in paths.
    pub plural: &'static str,
    /// The version that takes its place; none: the kind is gone.
    pub instead: Option<&'static str>,
}

impl Removal {
    pub fn group(&self) -> &'static str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    pub fn version(&self) -> &'static str {
        self.api_version.split_once('/').map_or(self.api_version, |(_, version)| version)
    }
}

/// What is there no more at a minor.
pub fn until(minor: u32) -> impl Iterator<Item = &'static Removal> {
    TABLE.iter().filter(move |removal| removal.minor <= minor)
}

/// What an API version and a kind come to, if it was ever taken away.
pub fn find(api_version: &str, kind: &str) -> Option<&'static Removal> {
    TABLE.iter().find(|removal| removal.api_version == api_version && removal.kind == kind)
}

const fn removal(
    minor: u32,
    api_version: &'static str,
    kind: &'static str,
    plural: &'static str,
    instead: &'static str,
) -> Removal {
    Removal { minor, api_version, kind, plural, instead: Some(instead) }
}

const fn gone(
    minor: u32,
    api_version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Removal {
    Removal { minor, api_version, kind, plural, instead: None }
}

const ADMISSION: &str = "admissionregistration.k8s.io/v1";
const RBAC: &str = "rbac.authorization.k8s.io/v1";
const RBAC_BETA: &str = "rbac.authorization.k8s.io/v1beta1";
const RBAC_ALPHA: &str = "rbac.authorization.k8s.io/v1alpha1";
const STORAGE_BETA: &str = "storage.k8s.io/v1beta1";
const NETWORKING: &str = "networking.k8s.io/v1";
const NETWORKING_BETA: &str = "networking.k8s.io/v1beta1";
const AUTHORIZATION_BETA: &str = "authorization.k8s.io/v1beta1";
const FLOWCONTROL: &str = "flowcontrol.apiserver.k8s.io/v1";

#[rustfmt::skip]
static TABLE: &[Removal] = &[
    removal(16, "extensions/v1beta1", "Deployment", "deployments", "apps/v1"),
    removal(16, "extensions/v1beta1", "DaemonSet", "daemonsets", "apps/v1"),
    removal(16, "extensions/v1beta1", "ReplicaSet", "replicasets", "apps/v1"),
    removal(16, "extensions/v1beta1", "NetworkPolicy", "networkpolicies", NETWORKING),
    removal(16, "extensions/v1beta1", "PodSecurityPolicy", "podsecuritypolicies", "policy/v1beta1"),
    removal(16, "apps/v1beta1", "Deployment", "deployments", "apps/v1"),
    removal(16, "apps/v1beta1", "StatefulSet", "statefulsets", "apps/v1"),
    removal(16, "apps/v1beta2", "Deployment", "deployments", "apps/v1"),
    removal(16, "apps/v1beta2", "StatefulSet", "statefulsets", "apps/v1"),
    removal(16, "apps/v1beta2", "DaemonSet", "daemonsets", "apps/v1"),
    removal(16, "apps/v1beta2", "ReplicaSet", "replicasets", "apps/v1"),
    removal(22, "admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", ADMISSION),
    removal(22, "admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", ADMISSION),
    removal(22, "apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", "customresourcedefinitions", "apiextensions.k8s.io/v1"),
    removal(22, "apiregistration.k8s.io/v1beta1", "APIService", "apiservices", "apiregistration.k8s.io/v1"),
    removal(22, "authentication.k8s.io/v1beta1", "TokenReview", "tokenreviews", "authentication.k8s.io/v1"),
    removal(22, AUTHORIZATION_BETA, "SubjectAccessReview", "subjectaccessreviews", "authorization.k8s.io/v1"),
    removal(22, AUTHORIZATION_BETA, "LocalSubjectAccessReview", "localsubjectaccessreviews", "authorization.k8s.io/v1"),
    removal(22, AUTHORIZATION_BETA, "SelfSubjectAccessReview", "selfsubjectaccessreviews", "authorization.k8s.io/v1"),
    removal(22, AUTHORIZATION_BETA, "SelfSubjectRulesReview", "selfsubjectrulesreviews", "authorization.k8s.io/v1"),
    removal(22, "certificates.k8s.io/v1beta1", "CertificateSigningRequest", "certificatesigningrequests", "certificates.k8s.io/v1"),
    removal(22, "coordination.k8s.io/v1beta1", "Lease", "leases", "coordination.k8s.io/v1"),
    removal(22, "extensions/v1beta1", "Ingress", "ingresses", NETWORKING),
    removal(22, NETWORKING_BETA, "Ingress", "ingresses", NETWORKING),
    removal(22, NETWORKING_BETA, "IngressClass", "ingressclasses", NETWORKING),
    removal(22, RBAC_BETA, "ClusterRole", "clusterroles", RBAC),
    removal(22, RBAC_BETA, "ClusterRoleBinding", "clusterrolebindings", RBAC),
    removal(22, RBAC_BETA, "Role", "roles", RBAC),
    removal(22, RBAC_BETA, "RoleBinding", "rolebindings", RBAC),
    removal(23, RBAC_ALPHA, "ClusterRole", "clusterroles", RBAC),
    removal(23, RBAC_ALPHA, "ClusterRoleBinding", "clusterrolebindings", RBAC),
    removal(23, RBAC_ALPHA, "Role", "roles", RBAC),
    removal(23, RBAC_ALPHA, "RoleBinding", "rolebindings", RBAC),
    removal(22, "scheduling.k8s.io/v1beta1", "PriorityClass", "priorityclasses", "scheduling.k8s.io/v1"),
    removal(22, STORAGE_BETA, "CSIDriver", "csidrivers", "storage.k8s.io/v1"),
    removal(22, STORAGE_BETA, "CSINode", "csinodes", "storage.k8s.io/v1"),
    removal(22, STORAGE_BETA, "StorageClass", "storageclasses", "storage.k8s.io/v1"),
    removal(22, STORAGE_BETA, "VolumeAttachment", "volumeattachments", "storage.k8s.io/v1"),
    removal(25, "batch/v1beta1", "CronJob", "cronjobs", "batch/v1"),
    removal(25, "discovery.k8s.io/v1beta1", "EndpointSlice", "endpointslices", "discovery.k8s.io/v1"),
    removal(25, "events.k8s.io/v1beta1", "Event", "events", "events.k8s.io/v1"),
    removal(25, "autoscaling/v2beta1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling/v2"),
    removal(25, "policy/v1beta1", "PodDisruptionBudget", "poddisruptionbudgets", "policy/v1"),
    gone(25, "policy/v1beta1", "PodSecurityPolicy", "podsecuritypolicies"),
    removal(25, "node.k8s.io/v1beta1", "RuntimeClass", "runtimeclasses", "node.k8s.io/v1"),
    removal(26, "flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema", "flowschemas", FLOWCONTROL),
    removal(26, "flowcontrol.apiserver.k8s.io/v1beta1", "PriorityLevelConfiguration", "prioritylevelconfigurations", FLOWCONTROL),
    removal(26, "autoscaling/v2beta2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling/v2"),
    removal(27, STORAGE_BETA, "CSIStorageCapacity", "csistoragecapacities", "storage.k8s.io/v1"),
    removal(29, "flowcontrol.apiserver.k8s.io/v1beta2", "FlowSchema", "flowschemas", FLOWCONTROL),
    removal(29, "flowcontrol.apiserver.k8s.io/v1beta2", "PriorityLevelConfiguration", "prioritylevelconfigurations", FLOWCONTROL),
    removal(32, "flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "flowschemas", FLOWCONTROL),
    removal(32, "flowcontrol.apiserver.k8s.io/v1beta3", "PriorityLevelConfiguration", "prioritylevelconfigurations", FLOWCONTROL),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_release_takes_away_what_it_does() {
        let at = |minor| until(minor).map(|r| (r.api_version, r.kind)).collect::<Vec<_>>();
        assert!(!at(21).contains(&(NETWORKING_BETA, "Ingress")));
        assert!(at(22).contains(&(NETWORKING_BETA, "Ingress")));
        assert!(at(32).contains(&("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema")));
        let policy = find("policy/v1beta1", "PodSecurityPolicy").expect("known");
        assert_eq!((policy.group(), policy.version(), policy.instead), ("policy", "v1beta1", None));
    }
}
