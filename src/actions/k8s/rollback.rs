//! `k8s_rollback`: Deployments and DaemonSets as they were before their last change.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::selector;
use crate::actions::{Action, Context, Error, Outcome, cluster};
use crate::kubernetes::wait::Selection;
use crate::kubernetes::{Api, Resource};
use crate::modules::args::TextList;

const REVISION: &str = "deployment.kubernetes.io/revision";
/// By which a ReplicaSet's pods are told from those of others.
const TEMPLATE_HASH: &str = "pod-template-hash";
const APPS: &str = "apps/v1";

/// Takes back the last change of a Deployment's or DaemonSet's pods, as `kubectl rollout undo`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sRollback {
    #[serde(default = "apps", alias = "api", alias = "version")]
    api_version: String,
    /// Deployment or DaemonSet.
    kind: String,
    name: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    label_selectors: TextList,
    #[serde(default)]
    field_selectors: TextList,
    /// A kubeconfig on the controller; admin.conf of the first control plane unless given.
    kubeconfig: Option<String>,
    /// A context of that kubeconfig.
    context: Option<String>,
}

fn apps() -> String {
    APPS.to_owned()
}

/// What keeps the pods of changes before, and where its number stands.
struct History {
    kind: &'static str,
    revision: fn(&Json) -> Option<i64>,
    patch: fn(&Json) -> Option<(&'static str, Json)>,
}

impl Action for K8sRollback {
    const NAME: &'static str = "k8s_rollback";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let history = match self.kind.as_str() {
            "Deployment" => History {
                kind: "ReplicaSet",
                revision: |set| annotated(set)?.parse().ok(),
                patch: template_of_set,
            },
            "DaemonSet" => History {
                kind: "ControllerRevision",
                revision: |revision| revision.get("revision")?.as_i64(),
                patch: |revision| Some(("strategic-merge", revision.get("data")?.clone())),
            },
            kind => {
                let msg = format!("Cannot perform rollback on resource of kind {kind}");
                return Err(Error::failed(msg));
            }
        };
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let resource = Resource::find(&api, &self.api_version, &self.kind).await?;
        let mut fields = self.field_selectors.0.clone();
        fields.extend(self.name.as_ref().map(|name| format!("metadata.name={name}")));
        let namespace = self.namespace.as_deref().unwrap_or("default");
        let labels = &self.label_selectors.0;
        let selection = Selection::new(resource.clone(), Some(namespace), labels, &fields);
        let kept = Resource::find(&api, APPS, history.kind).await?;
        let mut outcome = Outcome::default();
        let mut done = Vec::new();
        for object in selection.read(&api).await?.0 {
            let name = object.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default();
            match before(&api, &kept, &history, namespace, &object).await? {
                Some((kind, patch)) => {
                    let path = resource.path(Some(namespace), Some(name));
                    let resources = api.patch(&path, kind, &patch, context.check).await?;
                    outcome.changed = true;
                    done.push(json!({"changed": true, "method": "patch", "body": patch,
                        "resources": resources}));
                }
                None => {
                    let warning =
                        format!("No rollout history found for resource {}/{name}", self.kind);
                    done.push(json!({"changed": false, "warnings": [warning]}));
                }
            }
        }
        Ok(outcome.with("rollback_info", done))
    }
}

/// The patch to what the object was before its last change; none if nothing of that is kept.
async fn before(
    api: &Api,
    kept: &Resource,
    history: &History,
    namespace: &str,
    object: &Json,
) -> Result<Option<(&'static str, Json)>, Error> {
    let Some(labels) = selector(object) else { return Ok(None) };
    let uid = object.pointer("/metadata/uid");
    let selection = Selection::new(kept.clone(), Some(namespace), &labels, &[]);
    let (all, _) = selection.read(api).await?;
    // Selectors of two objects may overlap.
    let is_of_it = |one: &&Json| {
        let owners = one.pointer("/metadata/ownerReferences").and_then(Json::as_array);
        owners.into_iter().flatten().any(|owner| owner.get("uid") == uid)
    };
    let numbered =
        all.iter().filter(is_of_it).filter_map(|one| Some(((history.revision)(one)?, one)));
    let mut numbered: Vec<_> = numbered.collect();
    numbered.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    Ok(numbered.get(1).and_then(|(_, one)| (history.patch)(one)))
}

fn annotated(object: &Json) -> Option<&str> {
    object.pointer("/metadata/annotations")?.get(REVISION)?.as_str()
}

/// The whole template, so that what the last change has added goes.
fn template_of_set(set: &Json) -> Option<(&'static str, Json)> {
    let mut template = set.pointer("/spec/template")?.clone();
    let labels = template.pointer_mut("/metadata/labels").and_then(Json::as_object_mut);
    labels.and_then(|labels: &mut Map<_, _>| labels.shift_remove(TEMPLATE_HASH));
    let patch = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
    Some(("json", patch))
}
