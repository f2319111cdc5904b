//! `k8s_info`: reads objects of the cluster.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Action, Context, Error, Failure, Outcome, cluster};
use crate::deadline;
use crate::kubernetes::{Api, Resource, encode};
use crate::modules::args::{Flag, Number, TextList};

/// Changes come in groups: after the first of one it is worth to wait so long for the others.
const SETTLED: Duration = Duration::from_millis(100);

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
    /// Seconds between two looks while the apiserver does not tell what changes.
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
        let resource = match Resource::find_opt(&api, &self.api_version, &self.kind).await? {
            Some(resource) => resource,
            // Playbooks ask so whether the cluster has a kind.
            None if !self.wait.0 => {
                let nothing = Outcome::default().with("api_found", false);
                return Ok(nothing.with("resources", json!([])));
            }
            None => Resource::find(&api, &self.api_version, &self.kind).await?,
        };
        let seconds = u64::try_from(self.wait_timeout.0).unwrap_or(0);
        let deadline = deadline::after(Duration::from_secs(seconds));
        loop {
            let (resources, version) = self.read(&api, &resource).await?;
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
            self.change(&api, &resource, &version, deadline).await;
        }
    }
}

impl K8sInfo {
    /// The objects, and the state of the cluster that they are of.
    async fn read(&self, api: &Api, resource: &Resource) -> Result<(Vec<Json>, String), Error> {
        if self.name.is_some() && !self.wait.0 {
            // Who may read one object may not be allowed to list them.
            let path = resource.path(self.namespace(), self.name.as_deref());
            return Ok((api.get_opt(&path).await?.into_iter().collect(), String::new()));
        }
        let (path, query) = self.selection(resource);
        let (mut objects, version) = api.list_at(&path, &query).await?;
        for object in &mut objects {
            if let Some(map) = object.as_object_mut() {
                map.insert("apiVersion".to_owned(), json!(resource.api_version));
                map.insert("kind".to_owned(), json!(resource.kind));
            }
        }
        Ok((objects, version))
    }

    /// The list that the objects are in, and what selects them there.
    fn selection(&self, resource: &Resource) -> (String, String) {
        let mut fields = self.field_selectors.0.clone();
        fields.extend(self.name.as_ref().map(|name| format!("metadata.name={name}")));
        let query: Vec<_> =
            [("labelSelector", &self.label_selectors.0), ("fieldSelector", &fields)]
                .into_iter()
                .filter(|(_, selectors)| !selectors.is_empty())
                .map(|(name, selectors)| format!("{name}={}", encode(&selectors.join(","))))
                .collect();
        (resource.path(self.namespace(), None), query.join("&"))
    }

    /// An object with a name but no namespace is in the default one, as for kubectl.
    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref().or(self.name.as_ref().map(|_| "default"))
    }

    /// Returns when the objects are worth another look: something has happened to them since
    /// `version`, or the server does not tell.
    async fn change(&self, api: &Api, resource: &Resource, version: &str, deadline: Instant) {
        let (path, query) = self.selection(resource);
        match api.watch(&path, &query, version).await {
            Ok(mut watch) => {
                let _ = tokio::time::timeout_at(deadline.into(), watch.next()).await;
                tokio::time::sleep(SETTLED).await;
            }
            Err(_) => {
                let pause = u64::try_from(self.wait_sleep.0).unwrap_or(1).max(1);
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
        }
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
