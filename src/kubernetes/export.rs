//! All objects of the cluster as YAML files, and what cluster that was.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use futures::stream::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::discovery::{self, Resource, Served};
use super::{Api, ApiError};

/// Kinds listed at the same time.
const AT_ONCE: usize = 8;

const PODS: &str = "/api/v1/namespaces/kube-system/pods";

/// The file in an export that says what cluster it is of.
pub const CLUSTER: &str = "cluster.json";

/// It is there while an export is made, and when that was broken off.
const BEGUN: &str = "export-begun";

/// A cluster as an export remembers it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// When it was exported; RFC 3339.
    pub at: String,
    /// The uid of kube-system: the cluster's own name for itself.
    pub uid: String,
    /// The version of the apiserver, as `v1.21.2`.
    pub version: String,
    /// The versions of all apiservers that are static pods.
    #[serde(default)]
    pub apiservers: Vec<String>,
    pub nodes: Vec<String>,
    pub served: Vec<Served>,
}

/// What cluster it is.
pub async fn cluster(api: &Api) -> Result<Cluster, ApiError> {
    let text = |object: &Json, pointer: &str| {
        object.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    let namespace = api.get("/api/v1/namespaces/kube-system").await?;
    let version = api.get("/version").await?;
    let nodes = api.list("/api/v1/nodes", "").await?;
    let apiservers = api.list(PODS, "labelSelector=component%3Dkube-apiserver").await?;
    let tag = |pod: &Json| {
        let image = text(pod, "/spec/containers/0/image");
        image.rsplit_once(':').map(|(_, tag)| tag.to_owned())
    };
    Ok(Cluster {
        at: jiff::Timestamp::now().to_string(),
        uid: text(&namespace, "/metadata/uid"),
        version: text(&version, "/gitVersion"),
        apiservers: apiservers.iter().filter_map(tag).collect(),
        nodes: nodes.iter().map(|node| text(node, "/metadata/name")).collect(),
        served: discovery::served(api).await?,
    })
}

/// Writes `DIR/NAMESPACE/KIND.GROUP/NAME.yaml` (cluster-wide objects under `_cluster`);
/// files are for the operator alone, as Secrets are among them. `DIR/cluster.json` is there
/// when all others are. Returns how many objects there are.
pub async fn export(api: &Api, folder: &Path, secrets: bool) -> Result<usize, ApiError> {
    make_room(folder)?;
    let cluster = cluster(api).await?;
    let objects = objects(api, folder, secrets).await?;
    let text = serde_json::to_vec_pretty(&cluster).map_err(|e| ApiError::Other(e.to_string()))?;
    put(&folder.join(CLUSTER), &text)?;
    let _ = fs::remove_file(folder.join(BEGUN));
    Ok(objects)
}

/// An export of before goes: what is gone in the cluster would come back from it.
fn make_room(folder: &Path) -> Result<(), ApiError> {
    let failed = |error: std::io::Error| ApiError::Other(format!("{}: {error}", folder.display()));
    if folder.join(CLUSTER).exists() || folder.join(BEGUN).exists() {
        fs::remove_dir_all(folder).map_err(failed)?;
    } else if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let folder = folder.display();
        return Err(ApiError::Other(format!("{folder} is neither empty nor an export")));
    }
    put(&folder.join(BEGUN), b"")
}

async fn objects(api: &Api, folder: &Path, secrets: bool) -> Result<usize, ApiError> {
    let resources = discovery::all(api).await?;
    // Events tell of the past; the metrics and reviews of now cannot be applied.
    let wanted = resources.into_iter().filter(|resource| {
        resource.can("list")
            && !(resource.kind == "Event" && ["", "events.k8s.io"].contains(&resource.group()))
            && (secrets || resource.kind != "Secret")
            && !resource.api_version.starts_with("metrics.k8s.io/")
    });
    futures::stream::iter(wanted)
        .map(|resource| async move {
            let objects = match api.list(&resource.path(None, None), "").await {
                Ok(objects) => objects,
                // Listed by discovery but not to be had.
                Err(ApiError::Status { code: 404 | 405, .. }) => return Ok(0),
                Err(error) if discovery::is_of_aggregate(api, &error, resource.group()).await => {
                    return Ok(0);
                }
                // A kind that is missing would be taken for one that had no objects.
                Err(error) => return Err(error),
            };
            for object in &objects {
                write(folder, &resource, object)?;
            }
            Ok(objects.len())
        })
        .buffer_unordered(AT_ONCE)
        .try_fold(0, |sum, count| async move { Ok(sum + count) })
        .await
}

fn write(folder: &Path, resource: &Resource, object: &Json) -> Result<(), ApiError> {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        // Objects in a list do not say what they are.
        map.insert("apiVersion".to_owned(), resource.api_version.clone().into());
        map.insert("kind".to_owned(), resource.kind.clone().into());
    }
    let path = folder.join(format!("{}.yaml", resource.name_of(&object)));
    let yaml = serde_yaml::to_string(&object).map_err(|e| ApiError::Other(e.to_string()))?;
    put(&path, yaml.as_bytes())
}

/// Writes a file for the operator alone.
fn put(path: &Path, bytes: &[u8]) -> Result<(), ApiError> {
    let failed = |error: std::io::Error| ApiError::Other(format!("{}: {error}", path.display()));
    let place = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(place).map_err(failed)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)
}
