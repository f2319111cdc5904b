//! `k8s_scale`: how many pods a workload is to have.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Done, Target, awaited, told_by};
use crate::actions::waiting::{self, Waiting};
use crate::actions::{Action, Context, Error, Outcome, cluster};
use crate::modules::args::{Flag, Number, Text};

/// Sets the replicas of a workload, or the parallelism of a Job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sScale {
    #[serde(default = "super::v1", alias = "api", alias = "version")]
    api_version: String,
    kind: String,
    name: String,
    namespace: Option<String>,
    replicas: Number,
    /// Do nothing unless there are so many now.
    current_replicas: Option<Number>,
    /// Do nothing unless the object is of this version.
    resource_version: Option<Text>,
    /// Wait until they are there and ready.
    #[serde(default = "Flag::yes")]
    wait: Flag,
    /// Seconds.
    #[serde(default = "twenty")]
    wait_timeout: Number,
    /// Seconds between two looks while the apiserver does not tell what changes.
    #[serde(default = "waiting::sleep")]
    wait_sleep: Number,
    /// A kubeconfig on the controller; admin.conf of the first control plane unless given.
    kubeconfig: Option<String>,
    /// A context of that kubeconfig.
    context: Option<String>,
}

fn twenty() -> Number {
    Number(20)
}

impl Action for K8sScale {
    const NAME: &'static str = "k8s_scale";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let namespace = self.namespace.as_deref();
        let target =
            Target::find(&api, &self.api_version, &self.kind, namespace, &self.name).await?;
        let before = api.get(&target.path).await?;
        let field = if target.resource.kind == "Job" { "parallelism" } else { "replicas" };
        let is_now = before.pointer(&format!("/spec/{field}")).and_then(Json::as_i64);
        let Some(is_now) = is_now else {
            return Err(Error::failed(format!("{} has no {field} to set", target.what())));
        };
        let version = before.pointer("/metadata/resourceVersion").and_then(Json::as_str);
        let is_meant = self.current_replicas.is_none_or(|number| number.0 == is_now)
            && self.resource_version.as_ref().is_none_or(|own| Some(own.0.as_str()) == version);
        let result = match is_meant && is_now != self.replicas.0 {
            true => {
                let patch = json!({"spec": {field: self.replicas.0}});
                api.patch(&target.path, "merge", &patch, context.check).await?
            }
            false => before.clone(),
        };
        let mut done = Done::new("", Some(&before), result);
        let mut outcome = Outcome::default();
        if context.diff && done.changed {
            outcome = outcome.with_diff(target.diff(Some(&before), &done.result));
        }
        if self.wait.0 {
            done.duration = Some(0);
        }
        if self.wait.0 && done.changed && !context.check {
            let waiting = Waiting::new(self.wait_timeout, self.wait_sleep);
            awaited(&target, &waiting, &mut done).await?;
        }
        Ok(told_by(outcome, done.into_result()))
    }
}
