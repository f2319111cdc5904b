//! Which resources there are, and their paths.

use std::collections::HashSet;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Api, ApiError, encode};

/// Versions asked for at the same time.
const AT_ONCE: usize = 8;
/// How long the server of an aggregated API is waited for.
const OF_AGGREGATE: Duration = Duration::from_secs(10);

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
    /// Pods, which every cluster has.
    pub fn pods() -> Self {
        Self {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            plural: "pods".to_owned(),
            namespaced: true,
            verbs: Vec::new(),
        }
    }

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
        let Some(list) = api.get_opt(&root(api_version)).await? else {
            return Ok(None);
        };
        let is_it = |one: &Self| one.kind.to_lowercase() == wanted || one.plural == wanted;
        Ok(resources_in(&list, api_version).into_iter().find(is_it))
    }

    /// The path of all objects, of those of a namespace, or of one.
    pub fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = root(&self.api_version);
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            path += &format!("/namespaces/{namespace}");
        }
        path += &format!("/{}", self.plural);
        if let Some(name) = name {
            path += &format!("/{}", encode(name));
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
    let mut known = HashSet::new();
    let mut resources = Vec::new();
    for (version, list) in versions(api).await? {
        let is_new = |one: &Resource| known.insert((one.group().to_owned(), one.plural.clone()));
        resources.extend(resources_in(&list, &version).into_iter().filter(is_new));
    }
    Ok(resources)
}

/// What each version of each group has: the core group first, and of each group the version that
/// is preferred.
pub async fn versions(api: &Api) -> Result<Vec<(String, Json)>, ApiError> {
    let groups = api.get("/apis").await?;
    let mut names = vec!["v1".to_owned()];
    for group in groups.get("groups").and_then(Json::as_array).into_iter().flatten() {
        let preferred = group.pointer("/preferredVersion/groupVersion").and_then(Json::as_str);
        let all = group.get("versions").and_then(Json::as_array).into_iter().flatten();
        let all = all.filter_map(|version| version.get("groupVersion")?.as_str());
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|version| Some(*version) != preferred);
        names.extend(all.into_iter().map(str::to_owned));
    }
    let found: Vec<Option<(String, Json)>> = stream::iter(names)
        .map(|name| async move { Ok(offered(api, &name).await?.map(|list| (name, list))) })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// What a version has; none if it is gone, or if an aggregated API has it whose server is down:
/// that takes only its own group away.
async fn offered(api: &Api, api_version: &str) -> Result<Option<Json>, ApiError> {
    let path = root(api_version);
    let error = match api.clone().with_patience(OF_AGGREGATE).get_opt(&path).await {
        Ok(list) => return Ok(list),
        Err(error) => error,
    };
    if is_of_aggregate(api, &error, group_of(api_version)).await {
        return Ok(None);
    }
    // The apiserver itself, which is worth more patience.
    api.get_opt(&path).await
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

/// Every kind in every version.
pub async fn served(api: &Api) -> Result<Vec<Served>, ApiError> {
    let versions = versions(api).await?;
    Ok(versions.iter().flat_map(|(version, list)| in_version(list, version)).collect())
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

fn resources_in(list: &Json, api_version: &str) -> Vec<Resource> {
    let resources = list.get("resources").and_then(Json::as_array).into_iter().flatten();
    resources.filter_map(|resource| read(resource, api_version)).collect()
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::super::testing::{Answer, api, refusal};
    use super::*;

    /// Deployments in two versions, and three groups whose servers are down.
    fn cluster() -> Api {
        let kind = |name: &str, kind: &str| json!({"name": name, "kind": kind, "verbs": ["list"]});
        let group = |name: &str, versions: &[&str], preferred: &str| {
            let of = |version: &str| json!({"groupVersion": format!("{name}/{version}")});
            let versions: Vec<_> = versions.iter().map(|version| of(version)).collect();
            json!({"versions": versions, "preferredVersion": of(preferred)})
        };
        let down = ["a.example", "b.example", "c.example"];
        api(move |what, _| -> Answer {
            let object = match what.split('?').next()? {
                "GET /apis" => {
                    let mut groups = vec![group("apps", &["v1beta1", "v1"], "v1")];
                    groups.extend(down.map(|name| group(name, &["v1"], "v1")));
                    json!({"groups": groups})
                }
                "GET /api/v1" => json!({"resources": [kind("pods", "Pod")]}),
                "GET /apis/apps/v1" => json!({"resources": [kind("deployments", "Deployment")]}),
                "GET /apis/apps/v1beta1" => json!({"resources": [
                    kind("deployments", "Deployment"), kind("scales", "Scale"),
                ]}),
                "GET /apis/apiregistration.k8s.io/v1/apiservices" => {
                    let service = |group: &str| json!({"spec": {"group": group, "service": {}}});
                    json!({"items": down.map(service)})
                }
                _ => return refusal(503, "service unavailable"),
            };
            Some((200, object))
        })
    }

    #[tokio::test]
    async fn aggregated_apis_that_are_down_are_waited_for_briefly_and_side_by_side() {
        let began = Instant::now();
        let found = all(&cluster()).await.expect("the others");
        let name = |one: &Resource| format!("{}: {}", one.api_version, one.plural);
        let found: Vec<_> = found.iter().map(name).collect();
        assert_eq!(found, ["v1: pods", "apps/v1: deployments", "apps/v1beta1: scales"]);
        assert!(began.elapsed() < OF_AGGREGATE * 2, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_version_that_the_cluster_does_not_have_has_no_kinds() {
        let nothing = api(|_, _| refusal(404, "not found"));
        let found = Resource::find_opt(&nothing, "a.example/v1", "App").await;
        assert_eq!(found, Ok(None));
    }
}
