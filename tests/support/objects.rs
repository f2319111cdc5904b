//! Objects of a cluster as somebody wrote them, to be compared.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// By kind, namespace and name.
pub type Objects = BTreeMap<String, Value>;

/// Kinds that the cluster itself makes, and what is over by itself.
const NOT_WANTED: &[&str] = &[
    "apiservices.apiregistration.k8s.io",
    "certificatesigningrequests.certificates.k8s.io",
    "componentstatuses",
    "controllerrevisions.apps",
    "csinodes.storage.k8s.io",
    "endpointslices.discovery.k8s.io",
    "events",
    "events.events.k8s.io",
    "flowschemas.flowcontrol.apiserver.k8s.io",
    // The same objects as those of networking.k8s.io.
    "ingresses.extensions",
    "jobs.batch",
    "leases.coordination.k8s.io",
    "nodes",
    "pods",
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
    "replicasets.apps",
];

pub fn is_wanted(kind: &str) -> bool {
    !NOT_WANTED.contains(&kind)
}

/// What `kubectl get -o json` says.
pub fn of(list: &str) -> Objects {
    let list: Value = serde_json::from_str(list).expect("JSON");
    let items = list["items"].as_array().expect("items");
    items
        .iter()
        .filter(|object| is_written(object))
        .map(|object| (key(object), written(object)))
        .collect()
}

fn key(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    format!(
        "{} {}/{}",
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"])
    )
}

fn is_written(object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match object["kind"].as_str().unwrap_or_default() {
        // Tokens, and what goes with those that are for a while.
        "Secret" => object["type"] == "Opaque" && name != "kubeadm-certs",
        "ConfigMap" => name != "cluster-info",
        "Endpoints" => name == "by-hand",
        _ => true,
    }
}

fn written(object: &Value) -> Value {
    let mut object = object.clone();
    let map = object.as_object_mut().expect("an object");
    map.remove("status");
    let (labels, mut annotations) =
        (map["metadata"]["labels"].take(), map["metadata"]["annotations"].take());
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.retain(|name, _| {
            !name.contains("pv.kubernetes.io/")
                && ![
                    "deployment.kubernetes.io/revision",
                    "deprecated.daemonset.template.generation",
                ]
                .contains(&name.as_str())
        });
    }
    let annotations = if annotations == json!({}) { Value::Null } else { annotations };
    map.insert("metadata".to_owned(), json!({"labels": labels, "annotations": annotations}));
    if let Some(claim) = object.pointer_mut("/spec/claimRef").and_then(Value::as_object_mut) {
        claim.retain(|key, _| key == "namespace" || key == "name");
    }
    // Names of tokens' Secrets are new ones.
    if object["kind"] == "ServiceAccount" {
        object["secrets"] = Value::Null;
    }
    object
}

/// What one has and the other has not, or has otherwise.
pub fn difference(before: &Objects, after: &Objects) -> Vec<String> {
    let lost =
        before.keys().filter(|key| !after.contains_key(*key)).map(|key| format!("lost: {key}"));
    let new =
        after.keys().filter(|key| !before.contains_key(*key)).map(|key| format!("new: {key}"));
    let changed = before.iter().filter_map(|(key, was)| {
        let is = after.get(key)?;
        (is != was).then(|| format!("changed: {key}\n  {was}\n  {is}"))
    });
    lost.chain(new).chain(changed).collect()
}
