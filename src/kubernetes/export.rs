//! All objects of the cluster as YAML files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use futures::stream::{StreamExt, TryStreamExt};
use serde_json::Value as Json;

use super::discovery::{self, Resource};
use super::{Api, ApiError};

/// Kinds listed at the same time.
const AT_ONCE: usize = 8;

/// Writes `DIR/NAMESPACE/KIND.GROUP/NAME.yaml` (cluster-wide objects under `_cluster`);
/// files are for the operator alone, as Secrets are among them. Returns how many.
pub async fn export(api: &Api, folder: &Path, secrets: bool) -> Result<usize, ApiError> {
    let resources = discovery::all(api).await?;
    // Events tell of the past; the metrics and reviews of now cannot be applied.
    let wanted = resources.into_iter().filter(|resource| {
        resource.can("list")
            && resource.kind != "Event"
            && (secrets || resource.kind != "Secret")
            && !resource.api_version.starts_with("metrics.k8s.io/")
    });
    futures::stream::iter(wanted)
        .map(|resource| async move {
            let objects = match api.list(&resource.path(None, None), "").await {
                Ok(objects) => objects,
                // Listed by discovery but not to be had (405, 404, a broken aggregate).
                Err(ApiError::Status { .. }) => return Ok(0),
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
    let place = path.parent().unwrap_or(folder);
    let failed = |error: std::io::Error| ApiError::Other(format!("{}: {error}", path.display()));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(place).map_err(failed)?;
    let yaml = serde_yaml::to_string(&object).map_err(|e| ApiError::Other(e.to_string()))?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    file.write_all(yaml.as_bytes()).map_err(failed)
}
