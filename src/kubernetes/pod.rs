//! The pods of a node, as a drain sees them.

use serde_json::Value as Json;

/// What a pod is to a drain.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// To be evicted.
    Evictable,
    /// Stays, and that is as it should be: static pods, DaemonSets', finished ones.
    Stays,
    /// Cannot go without the option that is named.
    Refused { why: &'static str, option: &'static str },
}

/// Which pods may go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    pub ignore_daemonsets: bool,
    pub delete_emptydir_data: bool,
    pub force: bool,
}

pub fn name(pod: &Json) -> String {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    format!("{}/{}", text("/metadata/namespace"), text("/metadata/name"))
}

pub fn uid(pod: &Json) -> String {
    pod.pointer("/metadata/uid").and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// Sorts a pod as `kubectl drain` does.
pub fn classify(pod: &Json, rules: Rules) -> Kind {
    let annotation = |name: &str| pod.pointer("/metadata/annotations").and_then(|a| a.get(name));
    if annotation("kubernetes.io/config.mirror").is_some() {
        return Kind::Stays;
    }
    let phase = pod.pointer("/status/phase").and_then(Json::as_str).unwrap_or_default();
    let finished = matches!(phase, "Succeeded" | "Failed");
    let controller = controller(pod);
    if controller.as_deref() == Some("DaemonSet") && !finished {
        if rules.ignore_daemonsets {
            return Kind::Stays;
        }
        return Kind::Refused { why: "belongs to a DaemonSet", option: "ignore_daemonsets" };
    }
    if finished || pod.pointer("/metadata/deletionTimestamp").is_some() {
        return Kind::Evictable;
    }
    if controller.is_none() && !rules.force {
        return Kind::Refused {
            why: "has no controller that would start it again",
            option: "force",
        };
    }
    if has_empty_dir(pod) && !rules.delete_emptydir_data {
        return Kind::Refused {
            why: "keeps data in an emptyDir, which is lost with it",
            option: "delete_emptydir_data",
        };
    }
    Kind::Evictable
}

fn controller(pod: &Json) -> Option<String> {
    let owners = pod.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner.get("controller") == Some(&Json::Bool(true)))?;
    owner.get("kind")?.as_str().map(str::to_owned)
}

fn has_empty_dir(pod: &Json) -> bool {
    let volumes = pod.pointer("/spec/volumes").and_then(Json::as_array);
    volumes.into_iter().flatten().any(|volume| volume.get("emptyDir").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owned(kind: &str) -> Json {
        json!({"metadata": {"ownerReferences": [{"kind": kind, "controller": true}]}, "status": {"phase": "Running"}})
    }

    #[test]
    fn static_and_daemonset_pods_stay() {
        let rules = Rules { ignore_daemonsets: true, ..Rules::default() };
        let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}});
        assert_eq!(classify(&mirror, rules), Kind::Stays);
        assert_eq!(classify(&owned("DaemonSet"), rules), Kind::Stays);
        assert!(matches!(
            classify(&owned("DaemonSet"), Rules::default()),
            Kind::Refused { option: "ignore_daemonsets", .. }
        ));
    }

    #[test]
    fn what_would_be_lost_needs_a_word_of_the_operator() {
        let bare = json!({"metadata": {}, "status": {"phase": "Running"}});
        assert!(matches!(classify(&bare, Rules::default()), Kind::Refused { option: "force", .. }));
        let mut data = owned("ReplicaSet");
        data["spec"] = json!({"volumes": [{"emptyDir": {}}]});
        assert!(matches!(
            classify(&data, Rules::default()),
            Kind::Refused { option: "delete_emptydir_data", .. }
        ));
        let allowed = Rules { delete_emptydir_data: true, ..Rules::default() };
        assert_eq!(classify(&data, allowed), Kind::Evictable);
    }

    #[test]
    fn a_finished_pod_goes_whatever_it_is() {
        let done = json!({"metadata": {}, "status": {"phase": "Succeeded"}});
        assert_eq!(classify(&done, Rules::default()), Kind::Evictable);
    }
}
