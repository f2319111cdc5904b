//! Nodes: cordoned, and put back to what they were.

use serde_json::{Value as Json, json};

use super::{Api, ApiError};

/// Remembers on the node itself whether it was schedulable before this program
/// cordoned it (`true`: it was cordoned already), so that whoever puts it back, now
/// or after a crash, knows what "back" is.
pub const CORDONED_BEFORE: &str = "kup-play.dev/cordoned-before";

fn path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

pub async fn get(api: &Api, name: &str) -> Result<Json, ApiError> {
    api.get_opt(&path(name))
        .await?
        .ok_or_else(|| ApiError::Other(format!("the cluster has no node {name}")))
}

pub fn is_cordoned(node: &Json) -> bool {
    node.pointer("/spec/unschedulable").and_then(Json::as_bool).unwrap_or(false)
}

/// The roles that labels give a node.
pub fn roles(node: &Json) -> Vec<&str> {
    let labels = node.pointer("/metadata/labels").and_then(Json::as_object).into_iter().flatten();
    let roles = labels.filter_map(|(name, _)| name.strip_prefix("node-role.kubernetes.io/"));
    roles.filter(|role| !role.is_empty()).collect()
}

/// `master` is the role's name before 1.20, and stands beside the new one until 1.24.
pub fn is_control_plane(node: &Json) -> bool {
    roles(node).iter().any(|role| matches!(*role, "control-plane" | "master"))
}

fn remembered(node: &Json) -> Option<bool> {
    let annotations = node.pointer("/metadata/annotations")?;
    Some(annotations.get(CORDONED_BEFORE)?.as_str()? == "true")
}

/// Whether this program has cordoned it and has not put it back.
pub fn is_remembered(node: &Json) -> bool {
    remembered(node).is_some()
}

/// When the cluster saw that it was cordoned, by its own clock; none if it is not, or not yet
/// known to be.
pub fn cordoned_at(node: &Json) -> Option<jiff::Timestamp> {
    let taints = node.pointer("/spec/taints")?.as_array()?;
    let of_cordon = |taint: &&Json| {
        taint.get("key").and_then(Json::as_str) == Some("node.kubernetes.io/unschedulable")
    };
    taints.iter().find(of_cordon)?.get("timeAdded")?.as_str()?.parse().ok()
}

/// Takes the memory away: it is not this program's cordon any more.
pub async fn forget(api: &Api, name: &str) -> Result<(), ApiError> {
    api.merge(&path(name), &json!({"metadata": {"annotations": {CORDONED_BEFORE: null}}}))
        .await
        .map(drop)
}

/// Cordons a node and remembers its state before; true if anything changed. What is remembered
/// of a node that is cordoned stays: it is the older truth.
pub async fn cordon(api: &Api, name: &str, dry: bool) -> Result<bool, ApiError> {
    let node = get(api, name).await?;
    let cordoned = is_cordoned(&node);
    if cordoned && remembered(&node).is_some() {
        return Ok(false);
    }
    if !dry {
        let mut patch = json!({"spec": {"unschedulable": true}});
        if remembered(&node).is_none() || !cordoned {
            patch["metadata"] = json!({"annotations": {CORDONED_BEFORE: cordoned.to_string()}});
        }
        api.merge(&path(name), &patch).await?;
    }
    Ok(!cordoned)
}

/// Puts a node back to what it was before [`cordon`]; true if it is schedulable now and
/// was not. Without a memory the operator asks for a plain uncordon.
pub async fn uncordon(api: &Api, name: &str, dry: bool) -> Result<bool, ApiError> {
    let node = get(api, name).await?;
    let before = remembered(&node);
    let stays_cordoned = before == Some(true);
    let changes = is_cordoned(&node) && !stays_cordoned;
    if !dry && (changes || before.is_some()) {
        let mut patch = json!({"metadata": {"annotations": {CORDONED_BEFORE: null}}});
        if !stays_cordoned {
            // Null takes the field away, as kubectl does.
            patch["spec"] = json!({"unschedulable": null});
        }
        api.merge(&path(name), &patch).await?;
    }
    Ok(changes)
}

/// The nodes that take pods.
pub async fn schedulable(api: &Api) -> Result<Vec<String>, ApiError> {
    let nodes = api.list("/api/v1/nodes", "").await?;
    Ok(nodes
        .iter()
        .filter(|node| !is_cordoned(node))
        .filter_map(|node| node.pointer("/metadata/name")?.as_str().map(str::to_owned))
        .collect())
}
