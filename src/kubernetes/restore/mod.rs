//! Objects of an export put back into the cluster, in the order in which they need each
//! other.

mod leave_out;
mod order;
mod read;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use serde_json::{Value as Json, json};

use super::discovery::{self, Resource};
use super::objects::{Elements, as_written, essence, is_part};
use super::{Api, ApiError};
use leave_out::WithoutSelector;
use read::Saved;

/// Objects that are applied at the same time.
const AT_ONCE: usize = 8;
/// Until a new kind can be used.
const ESTABLISHED: Duration = Duration::from_secs(30);

/// What is to be done.
pub struct Options<'a> {
    /// Whether an object is meant, by its name in the export (`NAMESPACE/KIND.GROUP/NAME`).
    pub wanted: &'a (dyn Fn(&str) -> bool + Sync),
    /// Objects become what was saved and nothing else; otherwise what others have added to
    /// them stays.
    pub replace: bool,
    /// Objects that are meant and were not saved are deleted.
    pub prune: bool,
    /// Nothing is changed.
    pub dry: bool,
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    pub name: String,
    pub done: Done,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    Unchanged,
    /// Made, changed or deleted: before and after.
    Changed(Option<Json>, Option<Json>),
    LeftOut(&'static str),
    Failed(String),
}

/// Puts the objects below a folder back. The error is one that kept it from beginning; what
/// went wrong with single objects is told of them.
pub async fn restore(
    api: &Api,
    folder: &Path,
    options: &Options<'_>,
) -> Result<Vec<Put>, ApiError> {
    let saved = read::all(folder)?;
    let services = WithoutSelector::among(saved.iter().map(|saved| &saved.object));
    let kinds: HashSet<_> = saved.iter().filter_map(|saved| kind_in(&saved.name)).collect();
    let wanted: Vec<_> = saved.into_iter().filter(|saved| (options.wanted)(&saved.name)).collect();
    let names: HashSet<_> = wanted.iter().map(|saved| saved.name.clone()).collect();
    let defined: HashSet<_> = wanted.iter().filter_map(|saved| defines(&saved.object)).collect();
    let mut done = Vec::new();
    let mut groups: BTreeMap<usize, Vec<Saved>> = BTreeMap::new();
    for saved in wanted {
        match leave_out::why(&saved.object, &services) {
            Some(why) => done.push(Put { name: saved.name, done: Done::LeftOut(why) }),
            None => groups.entry(order::rank(&saved.object)).or_default().push(saved),
        }
    }
    let mut resources = discovery::all(api).await?;
    for (rank, group) in groups {
        let put = |saved: Saved| {
            let (resources, defined) = (&resources, &defined);
            async move {
                let put = put(api, resources, &saved.object, options).await;
                let done = match put {
                    // A dry run does not make its kind first.
                    Err(_) if options.dry && defined.contains(&group_kind(&saved.object)) => {
                        Done::Changed(None, Some(as_written(&saved.object)))
                    }
                    put => put.unwrap_or_else(|error| Done::Failed(error.to_string())),
                };
                Put { name: saved.name, done }
            }
        };
        let put: Vec<_> = stream::iter(group).map(put).buffer_unordered(AT_ONCE).collect().await;
        if rank == order::DEFINITIONS && !options.dry {
            await_definitions(api, &put).await?;
            resources = discovery::all(api).await?;
        }
        done.extend(put);
    }
    if options.prune {
        resources.retain(|resource| kinds.contains(&resource.full_name()));
        done.extend(prune(api, &resources, &names, &services, options).await?);
    }
    done.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(done)
}

/// `KIND.GROUP` of an object's name in the export.
fn kind_in(name: &str) -> Option<String> {
    name.split('/').nth(1).map(str::to_owned)
}

/// The group and kind that a definition brings in.
fn defines(object: &Json) -> Option<(String, String)> {
    let text = |pointer: &str| object.pointer(pointer)?.as_str().map(str::to_owned);
    (text("/kind")? == "CustomResourceDefinition")
        .then(|| Some((text("/spec/group")?, text("/spec/names/kind")?)))?
}

fn group_kind(object: &Json) -> (String, String) {
    let text = |key: &str| object.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let version = text("apiVersion");
    (version.split_once('/').map(|(group, _)| group.to_owned()).unwrap_or_default(), text("kind"))
}

async fn put(
    api: &Api,
    resources: &[Resource],
    saved: &Json,
    options: &Options<'_>,
) -> Result<Done, ApiError> {
    let wanted = as_written(saved);
    let text = |pointer: &str| saved.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let (version, kind) = (text("/apiVersion"), text("/kind"));
    let resource = match resource_of(resources, version, kind) {
        Ok(resource) => resource.clone(),
        // A version that is served beside the preferred one.
        Err(why) => Resource::find_opt(api, version, kind).await?.ok_or(why)?,
    };
    let namespace = saved.pointer("/metadata/namespace").and_then(Json::as_str);
    let path = resource.path(namespace, Some(text("/metadata/name")));
    let before = api.get_opt(&path).await?;
    let same = before.as_ref().is_some_and(|live| match options.replace {
        true => without_kind(as_written(live)) == without_kind(wanted.clone()),
        // A pod cannot be changed in what matters.
        false => {
            is_part(&without_kind(wanted.clone()), live, Elements::ByPlace)
                || resource.kind == "Pod"
        }
    });
    if same {
        return Ok(Done::Unchanged);
    }
    let after = match (&before, options.replace) {
        (Some(live), true) => {
            let mut object = wanted.clone();
            object["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            api.put(&path, &object, options.dry).await
        }
        _ => api.apply(&path, &wanted, options.dry).await,
    };
    let after = match after {
        Ok(after) => after,
        // A dry run does not make its namespace first.
        Err(error) if options.dry && error.is_not_found() && before.is_none() => wanted,
        Err(error) => return Err(error),
    };
    if before.as_ref().map(essence) == Some(essence(&after)) {
        return Ok(Done::Unchanged);
    }
    Ok(Done::Changed(before.as_ref().map(essence), Some(essence(&after))))
}

/// Objects that are asked for one by one say what they are, and in which version.
fn without_kind(mut object: Json) -> Json {
    if let Some(map) = object.as_object_mut() {
        map.shift_remove("apiVersion");
        map.shift_remove("kind");
    }
    object
}

/// The resource of a kind, in the version that it was saved in.
fn resource_of<'a>(
    resources: &'a [Resource],
    api_version: &str,
    kind: &str,
) -> Result<&'a Resource, ApiError> {
    let found = resources
        .iter()
        .find(|resource| resource.kind == kind && resource.api_version == api_version);
    let group = |version: &str| version.split_once('/').map(|(group, _)| group.to_owned());
    found.ok_or_else(|| {
        let other = resources.iter().find(|resource| {
            resource.kind == kind && group(&resource.api_version) == group(api_version)
        });
        ApiError::Other(match other {
            Some(other) => format!(
                "the cluster has {kind} in {} and no more in {api_version}: it has to be \
                 converted",
                other.api_version
            ),
            None => format!("the cluster has no {kind} in {api_version}"),
        })
    })
}

/// Waits until the kinds that were put back can be used.
async fn await_definitions(api: &Api, put: &[Put]) -> Result<(), ApiError> {
    let deadline = Instant::now() + ESTABLISHED;
    for put in put.iter().filter(|put| matches!(put.done, Done::Changed(..))) {
        let name = put.name.rsplit('/').next().unwrap_or_default();
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        loop {
            let definition = api.get_opt(&path).await?.unwrap_or_default();
            let conditions = definition.pointer("/status/conditions").and_then(Json::as_array);
            let established = conditions.into_iter().flatten().any(|condition| {
                condition.get("type") == Some(&json!("Established"))
                    && condition.get("status") == Some(&json!("True"))
            });
            // What is of a kind that does not come up will say so.
            if established || Instant::now() > deadline {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

/// Deletes what is meant and was not saved, of kinds of which anything was: one that the export
/// has nothing of may be one that it could not read.
async fn prune(
    api: &Api,
    resources: &[Resource],
    saved: &HashSet<String>,
    services: &WithoutSelector,
    options: &Options<'_>,
) -> Result<Vec<Put>, ApiError> {
    let mut done = Vec::new();
    let may_go = |resource: &&Resource| resource.can("list") && resource.can("delete");
    for resource in resources.iter().filter(may_go) {
        let objects = match api.list(&resource.path(None, None), "").await {
            Ok(objects) => objects,
            // Listed by discovery but not to be had.
            Err(ApiError::Status { .. }) => continue,
            Err(error) => return Err(error),
        };
        for object in objects {
            let name = resource.name_of(&object);
            if !(options.wanted)(&name) || saved.contains(&name) {
                continue;
            }
            // What the cluster makes by itself it has made for good reason.
            let mut known = object.clone();
            known["apiVersion"] = json!(resource.api_version);
            known["kind"] = json!(resource.kind);
            if leave_out::why(&known, services).is_some() {
                continue;
            }
            let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str);
            let path = resource.path(text("/metadata/namespace"), text("/metadata/name"));
            if !options.dry {
                api.delete(&path, &json!({"propagationPolicy": "Background"})).await?;
            }
            done.push(Put { name, done: Done::Changed(Some(essence(&object)), None) });
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(api_version: &str, kind: &str) -> Resource {
        Resource {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: kind.to_lowercase() + "s",
            namespaced: true,
            verbs: Vec::new(),
        }
    }

    #[test]
    fn an_object_of_a_version_that_is_gone_is_not_applied_in_another() {
        let resources =
            [resource("networking.k8s.io/v1", "Ingress"), resource("apps/v1", "Deployment")];
        assert!(resource_of(&resources, "apps/v1", "Deployment").is_ok());
        let error =
            resource_of(&resources, "networking.k8s.io/v1beta1", "Ingress").expect_err("gone");
        assert!(error.to_string().contains("networking.k8s.io/v1 and no more in"), "{error}");
        let error = resource_of(&resources, "extensions/v1beta1", "Ingress").expect_err("gone");
        assert!(error.to_string().contains("has no Ingress in"), "{error}");
    }
}
