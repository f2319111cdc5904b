//! Objects without what the cluster itself writes into them.

use serde_json::{Map, Value as Json};

/// What of the metadata is the author's.
const METADATA: [&str; 5] = ["name", "namespace", "labels", "annotations", "finalizers"];
/// Annotations in which controllers keep what they have done.
const ANNOTATIONS: [&str; 3] = [
    "deployment.kubernetes.io/revision",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
];
/// Labels that a Job's controller gives it and its pods.
const OF_JOBS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

/// An object without what changes by itself.
pub fn essence(object: &Json) -> Json {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.shift_remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
        for key in ["managedFields", "resourceVersion", "generation"] {
            metadata.shift_remove(key);
        }
    }
    object
}

/// An object as it could be made anew: without its state, without what names other objects
/// by their uid, and without what admission adds.
pub fn as_written(object: &Json) -> Json {
    let mut object = object.clone();
    remove(&mut object, "", &["status"]);
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.retain(|key, value| METADATA.contains(&key.as_str()) && !value.is_null());
    }
    remove(&mut object, "/metadata/annotations", &ANNOTATIONS);
    let kind = object.get("kind").and_then(Json::as_str).unwrap_or_default().to_owned();
    let kind = if is_own_group(&object) { kind.as_str() } else { "" };
    match kind {
        "Namespace" => remove(&mut object, "", &["spec"]),
        "PersistentVolume" => remove(&mut object, "/spec/claimRef", &["uid", "resourceVersion"]),
        "ServiceAccount" => forget_tokens(&mut object),
        "Job" => forget_job(&mut object),
        "Pod" => forget_placement(&mut object),
        _ => {}
    }
    if object.pointer("/metadata/annotations").and_then(Json::as_object).is_some_and(Map::is_empty)
    {
        remove(&mut object, "/metadata", &["annotations"]);
    }
    object
}

/// Whether the kind is one of Kubernetes' own.
pub fn is_own_group(object: &Json) -> bool {
    let version = object.get("apiVersion").and_then(Json::as_str).unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    !group.contains('.') || group.ends_with(".k8s.io")
}

fn remove(object: &mut Json, pointer: &str, keys: &[&str]) {
    if let Some(map) = object.pointer_mut(pointer).and_then(Json::as_object_mut) {
        map.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

/// Secrets that were made for the account have other names in another life.
fn forget_tokens(account: &mut Json) {
    let name = account.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default();
    let made = [format!("{name}-token-"), format!("{name}-dockercfg-")];
    for list in ["secrets", "imagePullSecrets"] {
        if let Some(secrets) = account.get_mut(list).and_then(Json::as_array_mut) {
            secrets.retain(|secret| {
                let name = secret.get("name").and_then(Json::as_str).unwrap_or_default();
                !made.iter().any(|made| name.starts_with(made.as_str()))
            });
        }
    }
    if account.get("secrets").and_then(Json::as_array).is_some_and(Vec::is_empty) {
        remove(account, "", &["secrets"]);
    }
}

/// The selector holds the uid of the Job that was.
fn forget_job(job: &mut Json) {
    if job.pointer("/spec/manualSelector") == Some(&Json::Bool(true)) {
        return;
    }
    remove(job, "/spec", &["selector"]);
    remove(job, "/metadata/labels", &OF_JOBS);
    remove(job, "/spec/template/metadata/labels", &OF_JOBS);
}

/// The scheduler places it, and its account's token is put in anew.
fn forget_placement(pod: &mut Json) {
    remove(pod, "/spec", &["nodeName"]);
    let account = pod.pointer("/spec/serviceAccountName").and_then(Json::as_str);
    let token = format!("{}-token-", account.unwrap_or("default"));
    let is_token = |name: &str| name.starts_with(&token) || name.starts_with("kube-api-access-");
    let name_of =
        |entry: &Json| entry.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
    if let Some(volumes) = pod.pointer_mut("/spec/volumes").and_then(Json::as_array_mut) {
        volumes.retain(|volume| !is_token(&name_of(volume)));
    }
    for list in ["/spec/containers", "/spec/initContainers"] {
        let containers = pod.pointer_mut(list).and_then(Json::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Json::as_array_mut) {
                mounts.retain(|mount| !is_token(&name_of(mount)));
            }
        }
    }
}

/// How elements of two lists find each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elements {
    /// All of them, place by place.
    ByPlace,
    /// Those of the same name, or type as conditions have it; by place where they have none.
    ByName,
}

/// Whether everything in `part` is in `whole` too, with the same values.
pub fn is_part(part: &Json, whole: &Json, elements: Elements) -> bool {
    match (part, whole) {
        (Json::Object(part), Json::Object(whole)) => part.iter().all(|(key, value)| {
            whole.get(key).is_some_and(|other| is_part(value, other, elements))
        }),
        (Json::Array(part), Json::Array(whole)) => {
            let have = |key: &str| part.iter().all(|element| element.get(key).is_some());
            let is_in = |wanted| whole.iter().any(|found| is_part(wanted, found, elements));
            if elements == Elements::ByName && !part.is_empty() && (have("name") || have("type")) {
                return part.iter().all(is_in);
            }
            part.len() == whole.len()
                && part.iter().zip(whole).all(|(a, b)| is_part(a, b, elements))
        }
        (part, whole) => part == whole,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_cluster_wrote_is_taken_out() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "namespace": "a", "uid": "1", "resourceVersion": "2",
                "creationTimestamp": "x", "managedFields": [], "labels": {"app": "web"},
                "annotations": {"deployment.kubernetes.io/revision": "3"},
                "ownerReferences": [{"kind": "App", "uid": "4"}],
            },
            "spec": {"replicas": 2}, "status": {"replicas": 2},
        });
        let written = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "a", "labels": {"app": "web"}},
            "spec": {"replicas": 2},
        });
        assert_eq!(as_written(&object), written);
    }

    #[test]
    fn a_volume_waits_for_its_claim_by_name() {
        let volume = json!({"kind": "PersistentVolume", "metadata": {"name": "v"},
            "spec": {"claimRef": {"namespace": "a", "name": "data", "uid": "1", "resourceVersion": "2"}}});
        let claim = json!({"namespace": "a", "name": "data"});
        assert_eq!(as_written(&volume).pointer("/spec/claimRef"), Some(&claim));
    }

    #[test]
    fn a_pod_is_placed_anew_and_gets_another_token() {
        let pod = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {
            "nodeName": "w1", "serviceAccountName": "default",
            "volumes": [{"name": "data"}, {"name": "default-token-abc"}, {"name": "kube-api-access-x"}],
            "containers": [{"name": "c", "volumeMounts": [{"name": "data"}, {"name": "default-token-abc"}]}],
        }});
        let written = as_written(&pod);
        assert_eq!(written["spec"]["volumes"], json!([{"name": "data"}]));
        assert_eq!(written["spec"]["containers"][0]["volumeMounts"], json!([{"name": "data"}]));
        assert!(written["spec"].get("nodeName").is_none());
    }

    #[test]
    fn an_account_keeps_the_secrets_that_somebody_gave_it() {
        let account = json!({"kind": "ServiceAccount", "metadata": {"name": "robot"},
            "secrets": [{"name": "robot-token-x1"}, {"name": "registry"}]});
        assert_eq!(as_written(&account)["secrets"], json!([{"name": "registry"}]));
    }

    #[test]
    fn defaults_that_the_server_adds_make_no_difference() {
        let part = json!({"spec": {"ports": [{"port": 80}]}});
        let is_part = |whole: Json| is_part(&part, &whole, Elements::ByPlace);
        assert!(is_part(
            json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}], "type": "x"}})
        ));
        assert!(!is_part(json!({"spec": {"ports": [{"port": 81}]}})));
        assert!(!is_part(json!({"spec": {"ports": []}})));
    }
}
