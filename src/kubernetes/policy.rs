//! What a drain does about a budget that keeps a pod where it is.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::ApiError;

/// What follows when a budget has forbidden an eviction for long enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// The drain waits on, until its own time is over.
    #[default]
    Wait,
    /// The node is put back and left as it is.
    Skip,
    /// The pod is deleted: budgets are not asked.
    Force,
}

/// One policy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Policy {
    pub then: Then,
    /// How long the budget is waited for first.
    pub after: Duration,
}

/// The policies of a drain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies {
    pub default: Policy,
    pub namespaces: BTreeMap<String, Policy>,
}

impl Policies {
    pub fn of(&self, namespace: &str) -> Policy {
        self.namespaces.get(namespace).copied().unwrap_or(self.default)
    }
}

/// Whether it is a budget that refuses: an apiserver that has too much to do says 429 too.
pub fn is_of_budget(error: &ApiError) -> bool {
    match error {
        ApiError::Status { code: 429 | 500, message, .. } => {
            message.contains("disruption budget") || message.contains("PodDisruptionBudget")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_may_have_a_policy_of_its_own() {
        let force = Policy { then: Then::Force, after: Duration::from_secs(60) };
        let namespaces = BTreeMap::from([("batch".to_owned(), force)]);
        let policies = Policies { default: Policy::default(), namespaces };
        assert_eq!(policies.of("batch"), force);
        assert_eq!(policies.of("shop").then, Then::Wait);
    }

    #[test]
    fn budgets_are_told_from_a_busy_apiserver() {
        let status = |code: u16, message: &str| ApiError::Status {
            code,
            reason: "TooManyRequests".to_owned(),
            message: message.to_owned(),
            retry_after: None,
        };
        let budget = "Cannot evict pod as it would violate the pod's disruption budget.";
        assert!(is_of_budget(&status(429, budget)));
        let two = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        assert!(is_of_budget(&status(500, two)));
        assert!(!is_of_budget(&status(429, "too many requests, please try again later")));
    }
}
