//! `k8s_log`: what a pod's containers have written.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Target, selector};
use crate::actions::{Action, Context, Error, Outcome, cluster};
use crate::kubernetes::wait::Selection;
use crate::kubernetes::{Api, ApiError, Resource, encode};
use crate::modules::args::{Flag, Number, Text, TextList};

/// Reads the log of a pod, or of the first pod of a workload or of some labels.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sLog {
    #[serde(default = "super::v1", alias = "api", alias = "version")]
    api_version: String,
    #[serde(default = "pod")]
    kind: String,
    name: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    label_selectors: TextList,
    /// Needed where the pod has more than one.
    container: Option<String>,
    /// The logs of all containers, one after the other.
    #[serde(default)]
    all_containers: Flag,
    /// Only what is younger.
    since_seconds: Option<Text>,
    /// Of the container's run before this one.
    #[serde(default)]
    previous: Flag,
    /// So many lines from the end.
    tail_lines: Option<Number>,
    /// A kubeconfig on the controller; admin.conf of the first control plane unless given.
    kubeconfig: Option<String>,
    /// A context of that kubeconfig.
    context: Option<String>,
}

fn pod() -> String {
    "Pod".to_owned()
}

impl Action for K8sLog {
    const NAME: &'static str = "k8s_log";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let name = self.pod(&api).await?;
        let mut log = String::new();
        match self.all_containers.0 {
            true => {
                let path = Resource::pods().path(Some(self.namespace()), Some(&name));
                let pod = api.get(&path).await.map_err(|error| self.failed(&name, &error))?;
                let started = pod.pointer("/status/containerStatuses").and_then(Json::as_array);
                let started = started.into_iter().flatten();
                for container in started.filter_map(|one| one.get("name")?.as_str()) {
                    log += &self.read(&api, &name, Some(container)).await?;
                }
            }
            false => log = self.read(&api, &name, self.container.as_deref()).await?,
        }
        let lines: Vec<_> = log.split('\n').collect();
        Ok(Outcome::default().with("log_lines", json!(lines)).with("log", log))
    }
}

impl K8sLog {
    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }

    /// The pod's name.
    async fn pod(&self, api: &Api) -> Result<String, Error> {
        if self.container.is_some() && self.all_containers.0 {
            let msg = "parameters are mutually exclusive: container|all_containers";
            return Err(Error::failed(msg));
        }
        let is_pod = matches!(self.kind.to_lowercase().as_str(), "pod" | "pods");
        let labels = match (&self.name, self.label_selectors.0.as_slice()) {
            (Some(_), [_, ..]) => {
                return Err(Error::failed("Only one of name or label_selectors can be provided"));
            }
            (Some(name), []) if is_pod => return Ok(name.clone()),
            (Some(name), []) => {
                let namespace = Some(self.namespace());
                let target =
                    Target::find(api, &self.api_version, &self.kind, namespace, name).await?;
                selector(&api.get(&target.path).await?).ok_or_else(|| {
                    Error::failed(format!("{} has no selector of pods", target.what()))
                })?
            }
            (None, labels) if is_pod && !labels.is_empty() => labels.to_vec(),
            (None, _) => {
                return Err(Error::failed(
                    "name must be provided for resources that do not support the log subresource",
                ));
            }
        };
        let selection = Selection::new(Resource::pods(), Some(self.namespace()), &labels, &[]);
        let (pods, _) = selection.read(api).await?;
        let name = pods.first().and_then(|pod| pod.pointer("/metadata/name")?.as_str());
        name.map(str::to_owned).ok_or_else(|| {
            let (namespace, labels) = (self.namespace(), labels.join(","));
            Error::failed(format!("No pods in namespace {namespace} matched selector {labels}"))
        })
    }

    async fn read(&self, api: &Api, name: &str, container: Option<&str>) -> Result<String, Error> {
        let mut query = vec![format!("previous={}", self.previous.0)];
        query.extend(container.map(|name| format!("container={}", encode(name))));
        let seconds = self.since_seconds.as_ref();
        query.extend(seconds.map(|seconds| format!("sinceSeconds={}", encode(&seconds.0))));
        query.extend(self.tail_lines.map(|lines| format!("tailLines={}", lines.0)));
        let pod = Resource::pods().path(Some(self.namespace()), Some(name));
        let read = api.text(&format!("{pod}/log?{}", query.join("&"))).await;
        read.map_err(|error| self.failed(name, &error))
    }

    fn failed(&self, name: &str, error: &ApiError) -> Error {
        Error::failed(match error {
            error if error.is_not_found() => format!("Pod {}/{name} not found.", self.namespace()),
            ApiError::Status { message, .. } => {
                format!("Unable to retrieve log from Pod due to: {message}")
            }
            error => format!("Unable to retrieve log from Pod due to: {error}"),
        })
    }
}
