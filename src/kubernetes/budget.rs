//! PodDisruptionBudgets: which one keeps a pod where it is.

use serde::Serialize;
use serde_json::Value as Json;

use super::discovery::has_version;
use super::{Api, ApiError, is_ready};

/// A budget and what it allows now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Budget {
    pub namespace: String,
    pub name: String,
    pub disruptions_allowed: i64,
    pub current_healthy: i64,
    pub desired_healthy: i64,
    /// Pods that are not ready may always go.
    #[serde(skip)]
    unready_may_go: bool,
    #[serde(skip)]
    selector: Json,
}

impl Budget {
    /// Whether it covers a pod.
    pub fn covers(&self, pod: &Json) -> bool {
        let namespace = pod.pointer("/metadata/namespace").and_then(Json::as_str);
        namespace == Some(&self.namespace)
            && matches(&self.selector, pod.pointer("/metadata/labels").unwrap_or(&Json::Null))
    }

    /// Whether the eviction of a pod does not ask this budget: it takes nothing away.
    pub fn does_not_count(&self, pod: &Json) -> bool {
        let phase = pod.pointer("/status/phase").and_then(Json::as_str).unwrap_or_default();
        let enough = self.desired_healthy > 0 && self.current_healthy >= self.desired_healthy;
        matches!(phase, "Succeeded" | "Failed" | "Pending")
            || pod.pointer("/metadata/deletionTimestamp").is_some()
            || (!is_ready(pod) && (self.unready_may_go || enough))
    }

    pub fn describe(&self) -> String {
        format!(
            "PodDisruptionBudget {}/{} allows {} disruptions ({} of {} wanted pods are healthy)",
            self.namespace,
            self.name,
            self.disruptions_allowed,
            self.current_healthy,
            self.desired_healthy
        )
    }
}

/// All budgets; policy/v1 is there from 1.21 on, policy/v1beta1 until 1.24.
pub async fn all(api: &Api) -> Result<Vec<Budget>, ApiError> {
    let version = if has_version(api, "policy/v1").await? { "policy/v1" } else { "policy/v1beta1" };
    let path = format!("/apis/{version}/poddisruptionbudgets");
    Ok(api.list(&path, "").await?.iter().filter_map(read).collect())
}

/// A budget as the API has it.
pub fn read(object: &Json) -> Option<Budget> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
    let number = |pointer: &str| object.pointer(pointer).and_then(Json::as_i64).unwrap_or(0);
    Some(Budget {
        namespace: text("/metadata/namespace")?,
        name: text("/metadata/name")?,
        disruptions_allowed: number("/status/disruptionsAllowed"),
        current_healthy: number("/status/currentHealthy"),
        desired_healthy: number("/status/desiredHealthy"),
        unready_may_go: text("/spec/unhealthyPodEvictionPolicy").as_deref() == Some("AlwaysAllow"),
        selector: object.pointer("/spec/selector").cloned().unwrap_or(Json::Null),
    })
}

/// A label selector: matchLabels and matchExpressions. Null selects nothing.
fn matches(selector: &Json, labels: &Json) -> bool {
    let Some(selector) = selector.as_object() else {
        return false;
    };
    let label = |key: &str| labels.get(key).and_then(Json::as_str);
    let equal = selector.get("matchLabels").and_then(Json::as_object).into_iter().flatten();
    let mut equal = equal.map(|(key, value)| label(key) == value.as_str());
    let expressions = selector.get("matchExpressions").and_then(Json::as_array);
    equal.all(|holds| holds)
        && expressions.into_iter().flatten().all(|expression| {
            let text = |key: &str| expression.get(key).and_then(Json::as_str).unwrap_or_default();
            let values = expression.get("values").and_then(Json::as_array);
            let found = label(text("key"));
            let among = || {
                values.into_iter().flatten().any(|value| value.as_str() == found && found.is_some())
            };
            match text("operator") {
                "In" => among(),
                "NotIn" => !among(),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_select_as_kubernetes_does() {
        let labels = json!({"app": "web", "tier": "front"});
        assert!(matches(&json!({"matchLabels": {"app": "web"}}), &labels));
        assert!(!matches(&json!({"matchLabels": {"app": "db"}}), &labels));
        assert!(matches(&json!({}), &labels), "an empty selector selects all");
        assert!(!matches(&Json::Null, &labels), "no selector selects nothing");
        let not_in =
            json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]});
        assert!(matches(&not_in, &labels));
        let missing = json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]});
        assert!(!matches(&missing, &labels));
    }
}
