//! `k8s`: objects of the cluster made, changed, removed.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Action, Context, Error, Outcome, cluster, files};
use crate::kubernetes::objects::essence;
use crate::kubernetes::{Api, Resource};
use crate::modules::Diff;
use crate::source;

/// Applies objects (server-side), or deletes them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8s {
    #[serde(default)]
    state: State,
    /// The object as a mapping, a list of objects, or YAML text.
    #[serde(alias = "resource_definition", alias = "inline")]
    definition: Option<Json>,
    /// A YAML file on the controller.
    src: Option<String>,
    #[serde(alias = "api", alias = "version")]
    api_version: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    kubeconfig: Option<String>,
    context: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    #[serde(alias = "patched")]
    Present,
    Absent,
}

impl Action for K8s {
    const NAME: &'static str = "k8s";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let objects = self.objects(context)?;
        let mut whole = Outcome::default();
        let mut results = Vec::new();
        for object in &objects {
            let (changed, result) = self.one(&api, object, context, &mut whole).await?;
            whole.changed |= changed;
            results.push(result);
        }
        let result =
            if results.len() == 1 { results.remove(0) } else { json!({"results": results}) };
        Ok(whole.with("result", result))
    }
}

impl K8s {
    fn objects(&self, context: &Context) -> Result<Vec<Json>, Error> {
        let text_objects = |text: &str, name: &str| -> Result<Vec<Json>, Error> {
            let documents = source::load_all_str(text, std::path::Path::new(name))
                .map_err(|error| Error::failed(error.to_string()))?;
            Ok(documents.iter().map(source::Node::to_json).filter(|o| !o.is_null()).collect())
        };
        let objects = match (&self.definition, &self.src) {
            (Some(Json::String(text)), None) => text_objects(text, "definition")?,
            (Some(Json::Array(list)), None) => list.clone(),
            (Some(object), None) => vec![object.clone()],
            (None, Some(src)) => {
                let path = files::find(context, "files", src)?;
                let text = std::fs::read_to_string(&path)
                    .map_err(|e| Error::failed(format!("{}: {e}", path.display())))?;
                text_objects(&text, &path.display().to_string())?
            }
            (None, None) => vec![json!({})],
            (Some(_), Some(_)) => {
                return Err(Error::failed("definition and src are mutually exclusive"));
            }
        };
        let objects = objects.into_iter().filter(|object| !object.is_null()).flat_map(of_list);
        objects.map(|object| self.complete(object)).collect()
    }

    /// What the arguments say and the object does not.
    fn complete(&self, mut object: Json) -> Result<Json, Error> {
        if !object.is_object() {
            return Err(Error::failed("an object is a mapping with apiVersion, kind and metadata"));
        }
        let mut default = |pointer: &[&str], value: &Option<String>| {
            let Some(value) = value else {
                return;
            };
            let mut place = &mut object;
            for key in pointer {
                if !place.is_object() {
                    *place = json!({});
                }
                place = &mut place[*key];
            }
            if place.is_null() {
                *place = json!(value);
            }
        };
        default(&["apiVersion"], &self.api_version);
        default(&["kind"], &self.kind);
        default(&["metadata", "name"], &self.name);
        default(&["metadata", "namespace"], &self.namespace);
        if object.get("apiVersion").is_none() {
            object["apiVersion"] = json!("v1");
        }
        for pointer in ["/kind", "/metadata/name"] {
            if object.pointer(pointer).and_then(Json::as_str).is_none() {
                let name = pointer.trim_start_matches('/').replace('/', ".");
                return Err(Error::failed(format!("an object needs {name}")));
            }
        }
        Ok(object)
    }

    async fn one(
        &self,
        api: &Api,
        object: &Json,
        context: &Context,
        whole: &mut Outcome,
    ) -> Result<(bool, Json), Error> {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        let resource = Resource::find(api, text("/apiVersion"), text("/kind")).await?;
        let namespace = object.pointer("/metadata/namespace").and_then(Json::as_str);
        let path =
            resource.path(Some(namespace.unwrap_or("default")), Some(text("/metadata/name")));
        let before = api.get_opt(&path).await?;
        if self.state == State::Absent {
            if before.is_some() && !context.check {
                let options = json!({"propagationPolicy": "Background"});
                return Ok((api.delete(&path, &options).await?, json!({})));
            }
            return Ok((before.is_some(), json!({})));
        }
        let after = api.apply(&path, object, context.check).await?;
        let changed = before.as_ref().map(essence) != Some(essence(&after));
        if context.diff && changed {
            let yaml = |object: &Json| serde_yaml::to_string(object).unwrap_or_default();
            let name = format!("{} {}", text("/kind"), text("/metadata/name"));
            *whole = std::mem::take(whole).with_diff(Diff {
                before_header: name.clone(),
                after_header: name,
                before: before.as_ref().map(essence).as_ref().map(yaml).unwrap_or_default().into(),
                after: yaml(&essence(&after)).into(),
                ..Diff::default()
            });
        }
        Ok((changed, after))
    }
}

/// The objects of a `List`, or the one.
fn of_list(object: Json) -> Vec<Json> {
    let is_list = object.get("kind").and_then(Json::as_str) == Some("List");
    match object.get("items").and_then(Json::as_array) {
        Some(items) if is_list => items.clone(),
        _ => vec![object],
    }
}
