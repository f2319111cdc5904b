//! `k8s_json_patch`: an object changed by the operations of RFC 6902.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Done, Target, awaited, told_by};
use crate::actions::waiting::{self, WaitCondition, Waiting};
use crate::actions::{Action, Context, Error, Outcome, cluster};
use crate::modules::args::{Flag, Number};

/// Changes an object by JSON patch operations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sJsonPatch {
    #[serde(default = "super::v1", alias = "api", alias = "version")]
    api_version: String,
    kind: String,
    name: String,
    namespace: Option<String>,
    /// The operations: `op`, `path`, and `value` or `from`.
    patch: Vec<Map<String, Json>>,
    /// Wait until the object is ready.
    #[serde(default)]
    wait: Flag,
    /// Seconds.
    #[serde(default = "waiting::timeout")]
    wait_timeout: Number,
    /// Seconds between two looks while the apiserver does not tell what changes.
    #[serde(default = "waiting::sleep")]
    wait_sleep: Number,
    /// The condition to wait for; what the kind is when all is well unless given.
    wait_condition: Option<WaitCondition>,
    /// A kubeconfig on the controller; admin.conf of the first control plane unless given.
    kubeconfig: Option<String>,
    /// A context of that kubeconfig.
    context: Option<String>,
}

impl Action for K8sJsonPatch {
    const NAME: &'static str = "k8s_json_patch";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let namespace = self.namespace.as_deref();
        let target =
            Target::find(&api, &self.api_version, &self.kind, namespace, &self.name).await?;
        let before = api.get(&target.path).await?;
        let result = api.patch(&target.path, "json", &json!(self.patch), context.check).await?;
        let mut done = Done::new("", Some(&before), result);
        let mut outcome = Outcome::default();
        if context.diff && done.changed {
            outcome = outcome.with_diff(target.diff(Some(&before), &done.result));
        }
        if self.wait.0 && !context.check {
            let waiting = Waiting::new(self.wait_timeout, self.wait_sleep)
                .condition(self.wait_condition.as_ref());
            awaited(&target, &waiting, &mut done).await?;
        }
        Ok(told_by(outcome, done.into_result()))
    }
}
