//! `k8s_taint`: taints of a node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Done, Target, told_by};
use crate::actions::{Action, Context, Error, Outcome, cluster};
use crate::modules::args::{Flag, Text};

/// Adds taints to a node, or takes them away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sTaint {
    #[serde(default)]
    state: State,
    /// The node.
    name: String,
    taints: Vec<Taint>,
    /// Where a taint is new: the node has these and no others afterwards.
    #[serde(default)]
    replace: Flag,
    /// A kubeconfig on the controller; admin.conf of the first control plane unless given.
    kubeconfig: Option<String>,
    /// A context of that kubeconfig.
    context: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Taint {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Text>,
    /// Needed for the state present; without one it is any, for the state absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
enum Effect {
    NoSchedule,
    NoExecute,
    PreferNoSchedule,
}

impl Action for K8sTaint {
    const NAME: &'static str = "k8s_taint";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        if self.state == State::Present
            && let Some(taint) = self.taints.iter().find(|taint| taint.effect.is_none())
        {
            let msg = format!("the taint {} needs an effect for the state present", taint.key);
            return Err(Error::failed(msg));
        }
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let target = Target::find(&api, "v1", "Node", None, &self.name).await?;
        let Some(node) = api.get_opt(&target.path).await? else {
            return Err(Error::failed(format!("Node '{}' has not been found.", self.name)));
        };
        let existing = node.pointer("/spec/taints").and_then(Json::as_array);
        let result = match self.wanted(existing.map_or(&[], Vec::as_slice)) {
            Some(taints) => {
                let patch = json!({"spec": {"taints": taints}});
                api.patch(&target.path, "merge", &patch, context.check).await?
            }
            None => node.clone(),
        };
        let done = Done::new("", Some(&node), result);
        let mut outcome = Outcome::default();
        if context.diff && done.changed {
            outcome = outcome.with_diff(target.diff(Some(&node), &done.result));
        }
        Ok(told_by(outcome, done.into_result()))
    }
}

impl K8sTaint {
    /// The taints that the node is to have; none if it has what is asked for.
    fn wanted(&self, existing: &[Json]) -> Option<Vec<Json>> {
        let others = existing.iter().filter(|taint| !self.taints.iter().any(|own| own.is(taint)));
        let others = others.cloned();
        if self.state == State::Absent {
            let left: Vec<_> = others.collect();
            return (left.len() < existing.len()).then_some(left);
        }
        let own = || self.taints.iter().map(|taint| json!(taint));
        let is_new = self.taints.iter().any(|own| !existing.iter().any(|taint| own.is(taint)));
        let has_value = |own: &Taint| {
            let value = own.value.as_ref().map(|value| value.0.as_str());
            let same = |taint: &&Json| own.is(taint);
            existing.iter().filter(same).all(|taint| {
                taint.get("value").and_then(Json::as_str).unwrap_or_default()
                    == value.unwrap_or_default()
            })
        };
        if is_new && self.replace.0 {
            return Some(own().collect());
        }
        let is_there = !is_new && self.taints.iter().all(has_value);
        (!is_there).then(|| others.chain(own()).collect())
    }
}

impl Taint {
    /// Whether that is a taint of this key and effect.
    fn is(&self, other: &Json) -> bool {
        other.get("key").and_then(Json::as_str) == Some(&self.key)
            && self.effect.is_none_or(|effect| other.get("effect") == Some(&json!(effect)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(state: &str, taints: Json, replace: bool, existing: &[Json]) -> Option<Vec<Json>> {
        let arguments = json!({"name": "w1", "state": state, "taints": taints, "replace": replace});
        serde_json::from_value::<K8sTaint>(arguments).expect("arguments").wanted(existing)
    }

    fn taint(key: &str, value: &str, effect: &str) -> Json {
        json!({"key": key, "value": value, "effect": effect})
    }

    #[test]
    fn a_taint_is_added_beside_the_others_once() {
        let (a, b) = (taint("a", "1", "NoSchedule"), taint("b", "1", "NoExecute"));
        let added = wanted("present", json!([b]), false, std::slice::from_ref(&a));
        assert_eq!(added, Some(vec![a.clone(), b.clone()]));
        assert_eq!(wanted("present", json!([b]), false, &[a.clone(), b.clone()]), None);
        let replaced = wanted("present", json!([b]), true, &[a]);
        assert_eq!(replaced, Some(vec![b]));
    }

    #[test]
    fn another_value_takes_the_place_of_the_one_before() {
        let (old, new) = (taint("a", "1", "NoSchedule"), taint("a", "2", "NoSchedule"));
        assert_eq!(wanted("present", json!([new]), false, &[old]), Some(vec![new]));
    }

    #[test]
    fn a_key_alone_takes_taints_of_all_effects_away() {
        let (a, b) = (taint("a", "1", "NoSchedule"), taint("a", "", "NoExecute"));
        let all = [a.clone(), b.clone(), taint("c", "", "NoExecute")];
        let left = wanted("absent", json!([{"key": "a"}]), false, &all);
        assert_eq!(left, Some(vec![taint("c", "", "NoExecute")]));
        let one =
            wanted("absent", json!([{"key": "a", "effect": "NoExecute"}]), false, &[a.clone(), b]);
        assert_eq!(one, Some(vec![a]));
        assert_eq!(wanted("absent", json!([{"key": "x"}]), false, &all), None);
    }
}
