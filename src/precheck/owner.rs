//! To whom a pod belongs.

use serde_json::Value as Json;

use super::world::{Cluster, list, name, text};
use crate::kubernetes::pod;

/// `Deployment default/app (3 replicas)`: the topmost controller that is known.
pub fn describe(cluster: &Cluster, pod: &Json) -> String {
    let namespace = text(pod, "/metadata/namespace");
    let Some((mut kind, mut owner)) = controller(pod) else {
        return format!("bare pod {}", pod::name(pod));
    };
    let mut replicas = None;
    // ReplicaSets belong to Deployments; nothing is deeper than that.
    for _ in 0..4 {
        let object = cluster.controllers.iter().find(|object| {
            text(object, "/kind") == kind
                && text(object, "/metadata/namespace") == namespace
                && name(object) == owner
        });
        let Some(object) = object else { break };
        replicas = object.pointer("/spec/replicas").and_then(Json::as_i64);
        let Some((above, its_name)) = controller(object) else { break };
        (kind, owner) = (above, its_name);
    }
    match replicas {
        Some(1) => format!("{kind} {namespace}/{owner} (1 replica)"),
        Some(count) => format!("{kind} {namespace}/{owner} ({count} replicas)"),
        None => format!("{kind} {namespace}/{owner}"),
    }
}

fn controller(object: &Json) -> Option<(&str, &str)> {
    let owner = list(object, "/metadata/ownerReferences")
        .find(|owner| owner.get("controller") == Some(&Json::Bool(true)))?;
    Some((text(owner, "/kind"), text(owner, "/name")))
}
