//! `k8s_info`: reads objects of the cluster.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::waiting::{self, WaitCondition, Waiting};
use super::{Action, Context, Error, Outcome, cluster};
use crate::kubernetes::wait::Selection;
use crate::kubernetes::{Api, Resource};
use crate::modules::args::{Flag, Number, TextList};

/// Reads one object or many.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sInfo {
    #[serde(default = "super::k8s::v1", alias = "api", alias = "version")]
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
    #[serde(default = "waiting::timeout")]
    wait_timeout: Number,
    /// Seconds between two looks while the apiserver does not tell what changes.
    #[serde(default = "waiting::sleep")]
    wait_sleep: Number,
    /// The condition to wait for; what the kind is when all is well unless given.
    wait_condition: Option<WaitCondition>,
    /// What is to be in them as well, with these values; elements of lists by their name or type.
    wait_definition: Option<Json>,
    /// Objects as they were registered before: those that are found are not to be as they were.
    #[serde(default)]
    wait_changed_since: Vec<Json>,
    kubeconfig: Option<String>,
    context: Option<String>,
}

impl Action for K8sInfo {
    const NAME: &'static str = "k8s_info";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        // What is waited for may be the apiserver's own pod.
        let api = if self.wait.0 { api.may_start() } else { api };
        let resource = match Resource::find_opt(&api, &self.api_version, &self.kind).await? {
            Some(resource) => resource,
            // Playbooks ask so whether the cluster has a kind.
            None if !self.wait.0 => {
                let nothing = Outcome::default().with("api_found", false);
                return Ok(nothing.with("resources", json!([])));
            }
            None => Resource::find(&api, &self.api_version, &self.kind).await?,
        };
        let objects = if self.wait.0 {
            let waiting = Waiting::new(self.wait_timeout, self.wait_sleep)
                .condition(self.wait_condition.as_ref())
                .definition(self.wait_definition.as_ref())
                .changed_since(&self.wait_changed_since);
            let name = self.name.as_deref().unwrap_or("objects");
            let what = format!("{} {name}", self.kind);
            waiting.present(&api, &self.selection(&resource), &what).await?
        } else {
            self.read(&api, &resource).await?
        };
        Ok(Outcome::default().with("api_found", true).with("resources", json!(objects)))
    }
}

impl K8sInfo {
    async fn read(&self, api: &Api, resource: &Resource) -> Result<Vec<Json>, Error> {
        if self.name.is_some() {
            // Who may read one object may not be allowed to list them.
            let path = resource.path(self.namespace(), self.name.as_deref());
            return Ok(api.get_opt(&path).await?.into_iter().collect());
        }
        Ok(self.selection(resource).read(api).await?.0)
    }

    fn selection(&self, resource: &Resource) -> Selection {
        let mut fields = self.field_selectors.0.clone();
        fields.extend(self.name.as_ref().map(|name| format!("metadata.name={name}")));
        Selection::new(resource.clone(), self.namespace(), &self.label_selectors.0, &fields)
    }

    /// An object with a name but no namespace is in the default one, as for kubectl.
    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref().or(self.name.as_ref().map(|_| "default"))
    }
}
