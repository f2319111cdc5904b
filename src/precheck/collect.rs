//! Reads from the API what the checks look at.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use serde_json::Value as Json;

use super::removed::{self, HELM_SELECTOR, Written, table};
use super::world::{Cluster, list, text};
use crate::kubernetes::{Api, ApiError, budget};

/// What the API says; things that may not be read are noted. Fails when what every check
/// needs cannot be had.
pub async fn collect(api: &Api, target_minor: u32) -> Result<Cluster, ApiError> {
    // Before anything else is asked for: what is asked here must not count.
    let metrics = api.text("/metrics").await;
    let version = api.get("/version").await?;
    let mut cluster =
        Cluster { version: text(&version, "/gitVersion").to_owned(), ..Cluster::default() };
    let (nodes, pods, budgets) =
        tokio::join!(api.list("/api/v1/nodes", ""), api.list("/api/v1/pods", ""), budget::all(api));
    (cluster.nodes, cluster.pods, cluster.budgets) = (nodes?, pods?, budgets?);
    let mut unread = Unread::default();
    for (kind, plural) in [
        ("Deployment", "deployments"),
        ("ReplicaSet", "replicasets"),
        ("StatefulSet", "statefulsets"),
    ] {
        let path = format!("/apis/apps/v1/{plural}");
        let objects = unread.or_none(kind, api.list(&path, "").await);
        cluster.controllers.extend(objects.into_iter().map(|mut object| {
            // Objects in a list do not say what they are.
            object["kind"] = kind.into();
            object
        }));
    }
    cluster.volumes =
        unread.or_none("PersistentVolume", api.list("/api/v1/persistentvolumes", "").await);
    match metrics {
        Ok(page) => cluster.requested = removed::requested(&page),
        Err(error) => unread.note("the apiserver's metrics", &error.to_string()),
    }
    cluster.image_repository = image_repository(api).await;
    let path = "/api/v1/secrets";
    let query = format!("labelSelector={}", crate::kubernetes::encode(HELM_SELECTOR));
    for secret in unread.or_none("Helm's Secrets", api.list(path, &query).await) {
        match removed::release(&secret) {
            Ok(release) => cluster.releases.push(release),
            Err(why) => unread.0.push(why),
        }
    }
    cluster.written = written(api, target_minor, &mut unread).await;
    cluster.unread = unread.0;
    Ok(cluster)
}

/// What could not be read.
#[derive(Default)]
struct Unread(Vec<String>);

impl Unread {
    fn note(&mut self, what: &str, why: &str) {
        self.0.push(format!("{what} ({why})"));
    }

    fn or_none(&mut self, what: &str, read: Result<Vec<Json>, ApiError>) -> Vec<Json> {
        read.unwrap_or_else(|error| {
            self.note(what, &error.to_string());
            Vec::new()
        })
    }
}

/// The objects of kinds that the target has no more in some version, each read in a
/// version that stays if the server has one.
async fn written(api: &Api, minor: u32, unread: &mut Unread) -> Vec<Written> {
    let served = served(api).await;
    let mut removals: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for removal in table::until(minor) {
        removals.entry(removal.plural).or_default().push(removal);
    }
    let reads = removals.into_iter().filter_map(|(plural, removals)| {
        let versions = removals.iter().filter_map(|r| r.instead);
        let versions = versions.chain(removals.iter().map(|r| r.api_version));
        let version = versions.into_iter().find(|v| served.iter().any(|s| s == v))?.to_owned();
        Some(async move {
            let objects = api.list(&format!("/apis/{version}/{plural}"), "").await;
            (plural, removals, objects)
        })
    });
    let mut found = Vec::new();
    for (plural, removals, objects) in join_all(reads).await {
        match objects {
            Ok(objects) => found.extend(
                objects.iter().flat_map(|object| removed::used_versions(object, &removals)),
            ),
            // Reviews and their like are not there to be listed.
            Err(error) if matches!(error.code(), Some(404 | 405)) => {}
            Err(error) => unread.note(plural, &error.to_string()),
        }
    }
    found
}

/// The API versions that the server has.
async fn served(api: &Api) -> BTreeSet<String> {
    let groups = api.get("/apis").await.unwrap_or(Json::Null);
    list(&groups, "/groups")
        .flat_map(|group| list(group, "/versions"))
        .map(|version| text(version, "/groupVersion").to_owned())
        .collect()
}

/// What kubeadm's own ConfigMap says.
async fn image_repository(api: &Api) -> String {
    let path = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config";
    let map = api.get_opt(path).await.ok().flatten().unwrap_or(Json::Null);
    let configuration = text(&map, "/data/ClusterConfiguration");
    let lines = configuration.lines();
    let named = lines.filter_map(|line| line.strip_prefix("imageRepository:")).next();
    named.map(|name| name.trim().trim_matches(['"', '\'']).to_owned()).unwrap_or_default()
}
