//! An export's files read back.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::kubernetes::ApiError;

/// A saved object.
#[derive(Clone, Debug)]
pub struct Saved {
    /// `NAMESPACE/KIND.GROUP/NAME`
    pub name: String,
    pub object: Json,
}

/// All objects below a folder as `export` writes them, sorted by name.
pub fn all(folder: &Path) -> Result<Vec<Saved>, ApiError> {
    let mut files = Vec::new();
    walk(folder, &mut files)
        .map_err(|error| ApiError::Other(format!("{}: {error}", folder.display())))?;
    files.sort();
    files.iter().map(|file| read(folder, file)).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(folder: &Path, file: &Path) -> Result<Saved, ApiError> {
    let failed = |why: String| ApiError::Other(format!("{}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let object: Json = serde_yaml::from_str(&text).map_err(|error| failed(error.to_string()))?;
    for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
        if object.pointer(pointer).and_then(Json::as_str).is_none_or(str::is_empty) {
            let name = pointer.trim_start_matches('/').replace('/', ".");
            return Err(failed(format!("an object needs {name}")));
        }
    }
    let name = file.strip_prefix(folder).unwrap_or(file).with_extension("");
    Ok(Saved { name: name.display().to_string(), object })
}
