//! `k8s_info`: reads objects of the cluster.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Action, Context, Error, Failure, Outcome, cluster};
use crate::kubernetes::{Api, Resource, encode};
use crate::modules::args::{Flag, Number, TextList};

/// Reads one object or many.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sInfo {
    #[serde(default = "v1", alias = "api", alias = "version")]
    api_version: String,
    kind: String,
    name: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    label_selectors: TextList,
    #[serde(default)]
    field_selectors: TextList,
    /// Wait until there is at least one, and all are ready.
    #[serde(default)]
    wait: Flag,
    /// Seconds.
    #[serde(default = "two_minutes")]
    wait_timeout: Number,
    /// Seconds between two looks.
    #[serde(default = "one")]
    wait_sleep: Number,
    /// The condition to wait for; Ready unless given.
    wait_condition: Option<Condition>,
    kubeconfig: Option<String>,
    context: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default = "true_text")]
    status: crate::modules::args::Text,
    reason: Option<String>,
}

fn v1() -> String {
    "v1".to_owned()
}

fn two_minutes() -> Number {
    Number(120)
}

fn one() -> Number {
    Number(1)
}

fn true_text() -> crate::modules::args::Text {
    crate::modules::args::Text("True".to_owned())
}

impl Action for K8sInfo {
    const NAME: &'static str = "k8s_info";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let resource = Resource::find(&api, &self.api_version, &self.kind).await?;
        let seconds = u64::try_from(self.wait_timeout.0).unwrap_or(0);
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let resources = self.read(&api, &resource).await?;
            let done = !self.wait.0
                || (!resources.is_empty() && resources.iter().all(|object| self.holds(object)));
            if done {
                return Ok(Outcome::default()
                    .with("api_found", true)
                    .with("resources", json!(resources)));
            }
            if Instant::now() >= deadline {
                let msg = format!(
                    "{} {} did not become {} in {seconds} seconds",
                    self.kind,
                    self.name.as_deref().unwrap_or("objects"),
                    self.wait_condition.as_ref().map_or("Ready", |condition| &condition.kind)
                );
                return Err(Failure::new(msg).with("resources", json!(resources)).into());
            }
            let pause = u64::try_from(self.wait_sleep.0).unwrap_or(1).max(1);
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
    }
}

impl K8sInfo {
    async fn read(&self, api: &Api, resource: &Resource) -> Result<Vec<Json>, Error> {
        // An object with a name but no namespace is in the default one, as for kubectl.
        let namespace = match (&self.namespace, &self.name) {
            (None, Some(_)) => Some("default"),
            (namespace, _) => namespace.as_deref(),
        };
        let path = resource.path(namespace, self.name.as_deref());
        if self.name.is_some() {
            return Ok(api.get_opt(&path).await?.into_iter().collect());
        }
        let mut query = Vec::new();
        for (name, selectors) in
            [("labelSelector", &self.label_selectors), ("fieldSelector", &self.field_selectors)]
        {
            if !selectors.0.is_empty() {
                query.push(format!("{name}={}", encode(&selectors.0.join(","))));
            }
        }
        let mut objects = api.list(&path, &query.join("&")).await?;
        for object in &mut objects {
            if let Some(map) = object.as_object_mut() {
                map.insert("apiVersion".to_owned(), json!(resource.api_version));
                map.insert("kind".to_owned(), json!(resource.kind));
            }
        }
        Ok(objects)
    }

    /// Whether an object has the condition; a kind without conditions is ready when it is there.
    fn holds(&self, object: &Json) -> bool {
        let Some(conditions) = object.pointer("/status/conditions").and_then(Json::as_array) else {
            return self.wait_condition.is_none() && self.kind.to_lowercase() != "pod";
        };
        let ready = Condition { kind: "Ready".to_owned(), status: true_text(), reason: None };
        let wanted = self.wait_condition.as_ref().unwrap_or(&ready);
        let text = |condition: &Json, key: &str| {
            condition.get(key).and_then(Json::as_str).map(str::to_owned)
        };
        conditions.iter().any(|condition| {
            text(condition, "type").as_deref() == Some(wanted.kind.as_str())
                && text(condition, "status").as_deref() == Some(wanted.status.0.as_str())
                && (wanted.reason.is_none() || text(condition, "reason") == wanted.reason)
        })
    }
}
