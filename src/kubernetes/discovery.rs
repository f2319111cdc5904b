//! Which resources there are, and their paths.

use std::collections::HashSet;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Api, ApiError};

/// A kind of object that the server offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    pub kind: String,
    /// The name in paths.
    pub plural: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
}

impl Resource {
    /// The resource of an API version and kind.
    pub async fn find(api: &Api, api_version: &str, kind: &str) -> Result<Self, ApiError> {
        Self::find_opt(api, api_version, kind)
            .await?
            .ok_or_else(|| ApiError::Other(format!("the cluster has no {kind} in {api_version}")))
    }

    /// None if the cluster does not have the kind, or not in this version.
    pub async fn find_opt(
        api: &Api,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Self>, ApiError> {
        let wanted = kind.to_lowercase();
        let resources = match of_version(api, api_version).await {
            Err(error) if error.is_not_found() => return Ok(None),
            found => found?,
        };
        let is_it = |one: &Self| one.kind.to_lowercase() == wanted || one.plural == wanted;
        Ok(resources.into_iter().find(is_it))
    }

    /// The path of all objects, of those of a namespace, or of one.
    pub fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = root(&self.api_version);
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            path += &format!("/namespaces/{namespace}");
        }
        path += &format!("/{}", self.plural);
        if let Some(name) = name {
            path += &format!("/{name}");
        }
        path
    }

    /// What an export calls an object of this kind: `NAMESPACE/KIND.GROUP/NAME`, objects
    /// without a namespace under `_cluster`.
    pub fn name_of(&self, object: &Json) -> String {
        let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str);
        let namespace = text("/metadata/namespace").unwrap_or("_cluster");
        // Names of RBAC objects hold colons, which are fine; a slash cannot be in a name.
        let name = text("/metadata/name").unwrap_or("unnamed").replace('/', "_");
        format!("{namespace}/{}/{name}", self.full_name())
    }

    /// `deployments.apps`, or `pods` of the core group.
    pub fn full_name(&self) -> String {
        match self.group() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// Empty for the core group.
    pub fn group(&self) -> &str {
        group_of(&self.api_version)
    }

    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }
}

/// Every resource of every group, in the group's preferred version or else in the first one that
/// has it.
pub async fn all(api: &Api) -> Result<Vec<Resource>, ApiError> {
    let mut resources = of_version(api, "v1").await?;
    let groups = api.get("/apis").await?;
    for group in groups.get("groups").and_then(Json::as_array).into_iter().flatten() {
        let preferred = group.pointer("/preferredVersion/groupVersion").and_then(Json::as_str);
        let others = group.get("versions").and_then(Json::as_array).into_iter().flatten();
        let others = others.filter_map(|version| version.get("groupVersion")?.as_str());
        let others = others.filter(|version| Some(*version) != preferred);
        let mut known = HashSet::new();
        for version in preferred.into_iter().chain(others) {
            match of_version(api, version).await {
                Ok(found) => {
                    let new = found.into_iter().filter(|one| known.insert(one.plural.clone()));
                    resources.extend(new);
                }
                Err(error) if is_of_aggregate(api, &error, group_of(version)).await => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(resources)
}

fn group_of(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether it is the refusal of an aggregated API, whose server may be down: that takes only its
/// own group away.
pub async fn is_of_aggregate(api: &Api, error: &ApiError, group: &str) -> bool {
    const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
    if error.code().is_none() {
        return false;
    }
    let services = api.list(SERVICES, "").await.unwrap_or_default();
    services.iter().any(|service| {
        service.pointer("/spec/group").and_then(Json::as_str) == Some(group)
            && service.pointer("/spec/service").is_some_and(Json::is_object)
    })
}

/// A kind in one of the versions that the server has it in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    /// The name in paths.
    pub plural: String,
    /// Stands for the version that its objects are stored in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
}

/// Versions asked for at the same time.
const AT_ONCE: usize = 8;

/// Every kind in every version.
pub async fn served(api: &Api) -> Result<Vec<Served>, ApiError> {
    let groups = api.get("/apis").await?;
    let groups = groups.get("groups").and_then(Json::as_array).cloned().unwrap_or_default();
    let versions = groups.iter().filter_map(|group| group.get("versions")?.as_array()).flatten();
    let versions = versions.filter_map(|version| version.get("groupVersion")?.as_str());
    let versions: Vec<_> = ["v1"].into_iter().chain(versions).map(str::to_owned).collect();
    let all: Vec<Vec<Served>> = stream::iter(versions)
        .map(|version| async move {
            match api.get(&root(&version)).await {
                Ok(list) => Ok(in_version(&list, &version)),
                // An aggregated API whose server is down takes only its own group away.
                Err(ApiError::Status { .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(all.into_iter().flatten().collect())
}

fn in_version(list: &Json, api_version: &str) -> Vec<Served> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resources = list.get("resources").and_then(Json::as_array).into_iter().flatten();
    let read = |resource: &Json| {
        let text = |key: &str| resource.get(key).and_then(Json::as_str).map(str::to_owned);
        Some(Served {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text("kind")?,
            plural: text("name").filter(|name| !name.contains('/'))?,
            storage: text("storageVersionHash"),
        })
    };
    resources.filter_map(read).collect()
}

/// Whether the server has an API version.
pub async fn has_version(api: &Api, api_version: &str) -> Result<bool, ApiError> {
    Ok(api.get_opt(&root(api_version)).await?.is_some())
}

async fn of_version(api: &Api, api_version: &str) -> Result<Vec<Resource>, ApiError> {
    let Some(list) = api.get_opt(&root(api_version)).await? else {
        return Err(ApiError::Other(format!("the cluster has no API version {api_version}")));
    };
    let resources = list.get("resources").and_then(Json::as_array).into_iter().flatten();
    Ok(resources.filter_map(|resource| read(resource, api_version)).collect())
}

fn read(resource: &Json, api_version: &str) -> Option<Resource> {
    let text = |key: &str| resource.get(key).and_then(Json::as_str);
    // pods/log and its like are no objects.
    let plural = text("name").filter(|name| !name.contains('/'))?;
    let verbs = resource.get("verbs").and_then(Json::as_array)?;
    Some(Resource {
        api_version: api_version.to_owned(),
        kind: text("kind")?.to_owned(),
        plural: plural.to_owned(),
        namespaced: resource.get("namespaced").and_then(Json::as_bool).unwrap_or(false),
        verbs: verbs.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
    })
}

fn root(api_version: &str) -> String {
    if api_version.contains('/') {
        format!("/apis/{api_version}")
    } else {
        format!("/api/{api_version}")
    }
}
