//! `k8s`: objects of the cluster made, changed, removed.

mod cluster_info;
mod definitions;
mod json_patch;
mod log;
mod rollback;
mod scale;
mod selector;
mod taint;

use std::time::Instant;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::waiting::{self, WaitCondition, Waiting};
use super::{Action, Context, Error, Outcome, cluster};
use crate::kubernetes::objects::essence;
use crate::kubernetes::wait::Selection;
use crate::kubernetes::{Api, ApiError, Resource};
use crate::modules::Diff;
use crate::modules::args::{Flag, Number, TextList};
pub use cluster_info::K8sClusterInfo;
pub use json_patch::K8sJsonPatch;
pub use log::K8sLog;
pub use rollback::K8sRollback;
pub use scale::K8sScale;
use selector::selector;
pub use taint::K8sTaint;

/// Kinds of patches that are tried: built-in kinds know the first, all the second.
const PATCHES: [&str; 2] = ["strategic-merge", "merge"];
/// The method that leaves no object.
const DELETE: &str = "delete";
/// The server does not know this kind of patch for this kind of object.
const UNSUPPORTED_MEDIA_TYPE: u16 = 415;

/// Makes objects, changes what differs in them, or deletes them.
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
    /// A Jinja2 file on the controller that gives YAML, or a list of them: by name, or as a mapping
    /// with `path` and how templates are marked there (as for `template`).
    template: Option<Json>,
    #[serde(alias = "api", alias = "version")]
    api_version: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    /// Fields that were applied before and are not given any more are removed.
    #[serde(default)]
    apply: Flag,
    /// Under which name fields are applied, and whether those of others are taken.
    server_side_apply: Option<ServerSideApply>,
    /// Make an object that is there what is given and nothing else.
    #[serde(default)]
    force: Flag,
    /// Kinds of patches for an object that is there, tried in turn: strategic-merge, merge, json.
    merge_type: Option<TextList>,
    /// `propagationPolicy`, `gracePeriodSeconds`, `preconditions`.
    delete_options: Option<Map<String, Json>>,
    /// What fails of several objects is told in its result; the others are done.
    #[serde(default)]
    continue_on_error: Flag,
    /// Wait until each object is ready, or gone if it is deleted.
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
    /// What is to be in it as well, with these values; elements of lists by their name or type.
    wait_definition: Option<Json>,
    kubeconfig: Option<String>,
    context: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    /// Changed if it is there, and not made if it is not.
    Patched,
    Absent,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServerSideApply {
    field_manager: String,
    #[serde(default)]
    force_conflicts: Flag,
}

/// An object and where it is.
struct Target<'a> {
    api: &'a Api,
    resource: Resource,
    namespace: &'a str,
    name: &'a str,
    path: String,
}

/// The version of a kind when none is named.
pub fn v1() -> String {
    "v1".to_owned()
}

/// What was done to one object, as its result tells it.
#[derive(Default)]
struct Done {
    changed: bool,
    method: &'static str,
    result: Json,
    /// Seconds of waiting.
    duration: Option<u64>,
    warning: Option<String>,
}

impl Action for K8s {
    const NAME: &'static str = "k8s";
    /// Each request is done by the server wholly or not at all.
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        if self.apply.0 && self.merge_type.is_some() {
            return Err(Error::failed("parameters are mutually exclusive: merge_type|apply"));
        }
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let objects = definitions::of(&self, context)?;
        let mut whole = Outcome::default();
        let mut results = Vec::new();
        for object in &objects {
            let one = match self.one(&api, object, context, &mut whole).await {
                Err(Error::Failed(failure)) if self.continue_on_error.0 => {
                    Map::from_iter([("error".to_owned(), json!(failure.msg))])
                }
                one => one?,
            };
            whole.changed |= one.get("changed") == Some(&Json::Bool(true));
            results.push(one);
        }
        Ok(match <[_; 1]>::try_from(results) {
            Ok([one]) => told_by(whole, one),
            Err(results) => whole.with("result", json!({"results": results})),
        })
    }
}

/// The outcome of a task for this object alone.
fn told_by(mut outcome: Outcome, mut result: Map<String, Json>) -> Outcome {
    outcome.changed |= result.shift_remove("changed") == Some(Json::Bool(true));
    outcome.result.extend(result);
    outcome
}

impl K8s {
    async fn one(
        &self,
        api: &Api,
        object: &Json,
        context: &Context,
        whole: &mut Outcome,
    ) -> Result<Map<String, Json>, Error> {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        let namespace = object.pointer("/metadata/namespace").and_then(Json::as_str);
        let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        let target = Target::find(api, version, kind, namespace, name).await?;
        let before = api.get_opt(&target.path).await?;
        let mut done = match (self.state, &before) {
            (State::Absent, _) => self.delete(&target, before.is_some(), context.check).await?,
            (State::Patched, None) => Done {
                result: json!({}),
                warning: Some(format!(
                    "{} is not there, and the state patched makes nothing",
                    target.what()
                )),
                ..Done::default()
            },
            _ => self.put(&target, object, before.as_ref(), context.check).await?,
        };
        if context.diff && done.changed && self.state != State::Absent {
            *whole = std::mem::take(whole).with_diff(target.diff(before.as_ref(), &done.result));
        }
        if self.wait.0 && !context.check && !done.method.is_empty() {
            let waiting = Waiting::new(self.wait_timeout, self.wait_sleep)
                .condition(self.wait_condition.as_ref())
                .definition(self.wait_definition.as_ref());
            awaited(&target, &waiting, &mut done).await?;
        }
        Ok(done.into_result())
    }

    async fn delete(&self, target: &Target<'_>, is_there: bool, dry: bool) -> Result<Done, Error> {
        if is_there && !dry {
            let mut options = json!({"propagationPolicy": "Background"});
            for (key, value) in self.delete_options.iter().flatten() {
                options[key] = value.clone();
            }
            target.api.delete(&target.path, &options).await?;
        }
        Ok(Done { changed: is_there, method: DELETE, result: json!({}), ..Done::default() })
    }

    /// Makes the object or changes it.
    async fn put(
        &self,
        target: &Target<'_>,
        object: &Json,
        before: Option<&Json>,
        dry: bool,
    ) -> Result<Done, Error> {
        let Target { api, path, .. } = target;
        let (method, result) = match before {
            _ if self.apply.0 => match &self.server_side_apply {
                Some(ServerSideApply { field_manager, force_conflicts }) => {
                    let force = force_conflicts.0;
                    ("apply", api.apply_as(field_manager, force, path, object, dry).await?)
                }
                None => ("apply", api.apply(path, object, dry).await?),
            },
            // Applied, so that it may be repeated when the answer was lost.
            None => ("create", api.apply(path, object, dry).await?),
            Some(before) if self.force.0 => {
                let mut object = object.clone();
                let version = before.pointer("/metadata/resourceVersion").cloned();
                object["metadata"]["resourceVersion"] = version.unwrap_or_default();
                ("replace", api.put(path, &object, dry).await?)
            }
            Some(_) => ("update", self.patch(target, object, dry).await?),
        };
        Ok(Done::new(method, before, result))
    }

    async fn patch(&self, target: &Target<'_>, object: &Json, dry: bool) -> Result<Json, ApiError> {
        let given = self.merge_type.iter().flat_map(|kinds| &kinds.0).map(String::as_str);
        let mut kinds: Vec<_> = given.collect();
        if kinds.is_empty() {
            kinds.extend(PATCHES);
        }
        let mut last = ApiError::Other("there is no kind of patch to try".to_owned());
        for kind in kinds {
            match target.api.patch(&target.path, kind, object, dry).await {
                Err(error) if error.code() == Some(UNSUPPORTED_MEDIA_TYPE) => last = error,
                done => return done,
            }
        }
        Err(last)
    }
}

/// Waits until the object is what it is to be, or gone if it was deleted.
async fn awaited(target: &Target<'_>, waiting: &Waiting, done: &mut Done) -> Result<(), Error> {
    let began = Instant::now();
    let resource = target.resource.clone();
    let selection = Selection::named(resource, Some(target.namespace), target.name);
    let waited = match done.method {
        DELETE => {
            let gone = waiting.absent(target.api, &selection, &target.what()).await;
            gone.map(|()| json!({}))
        }
        _ => {
            let found = waiting.present(target.api, &selection, &target.what()).await;
            found.map(|found| found.into_iter().next().unwrap_or_default())
        }
    };
    done.duration = Some(began.elapsed().as_secs());
    match waited {
        Ok(result) => {
            done.result = result;
            Ok(())
        }
        // What was done is told all the same.
        Err(Error::Failed(mut failure)) => {
            failure.changed |= done.changed;
            let mut told = std::mem::take(done).into_result();
            told.shift_remove("changed");
            failure.result.extend(told);
            Err(Error::Failed(failure))
        }
        Err(error) => Err(error),
    }
}

impl<'a> Target<'a> {
    async fn find(
        api: &'a Api,
        api_version: &str,
        kind: &str,
        namespace: Option<&'a str>,
        name: &'a str,
    ) -> Result<Self, ApiError> {
        let resource = Resource::find(api, api_version, kind).await?;
        let namespace = namespace.unwrap_or("default");
        let path = resource.path(Some(namespace), Some(name));
        Ok(Self { api, resource, namespace, name, path })
    }

    fn what(&self) -> String {
        format!("{} {}", self.resource.kind, self.name)
    }

    fn diff(&self, before: Option<&Json>, after: &Json) -> Diff {
        let yaml = |object: &Json| serde_yaml::to_string(&essence(object)).unwrap_or_default();
        Diff {
            before_header: self.what(),
            after_header: self.what(),
            before: before.map(yaml).unwrap_or_default().into(),
            after: yaml(after).into(),
            ..Diff::default()
        }
    }
}

impl Done {
    fn new(method: &'static str, before: Option<&Json>, result: Json) -> Self {
        let changed = before.map(essence) != Some(essence(&result));
        Self { changed, method, result, ..Self::default() }
    }

    fn into_result(self) -> Map<String, Json> {
        let mut result = Map::new();
        result.insert("changed".to_owned(), json!(self.changed));
        result.insert("result".to_owned(), self.result);
        if !self.method.is_empty() {
            result.insert("method".to_owned(), json!(self.method));
        }
        if let Some(seconds) = self.duration {
            result.insert("duration".to_owned(), json!(seconds));
        }
        if let Some(warning) = self.warning {
            result.insert("warnings".to_owned(), json!([warning]));
        }
        result
    }
}
