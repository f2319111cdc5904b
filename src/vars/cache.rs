//! Facts that outlive the run: a file of JSON for each host, as Ansible's jsonfile
//! cache has them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value as Json;

use super::Layer;
use crate::template::{self, Variable};

/// The folder of the files.
#[derive(Clone, Debug)]
pub struct FactCache {
    pub folder: PathBuf,
    /// In front of the hosts' names.
    pub prefix: String,
    /// Seconds after which facts are forgotten; none: never.
    pub timeout: Option<u64>,
}

impl FactCache {
    fn path(&self, host: &str) -> Option<PathBuf> {
        // A name never leads out of the folder.
        let plain = !host.contains('/') && !host.starts_with('.');
        plain.then(|| self.folder.join(format!("{}{host}", self.prefix)))
    }

    /// What is known of a host; nothing when it is too old or cannot be read.
    pub fn load(&self, host: &str) -> Option<Layer> {
        let path = self.path(host)?;
        if self.is_old(&path) {
            return None;
        }
        let facts: BTreeMap<String, Json> = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let facts = facts.into_iter();
        Some(facts.map(|(name, fact)| (name, Variable::Data(template::from_json(&fact)))).collect())
    }

    fn is_old(&self, path: &Path) -> bool {
        let Some(timeout) = self.timeout else {
            return false;
        };
        let changed = path.metadata().and_then(|metadata| metadata.modified());
        let age = changed.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        age.is_some_and(|age| age > Duration::from_secs(timeout))
    }

    /// Keeps the facts of a host; a file is whole or not there.
    pub fn store(&self, host: &str, facts: &Layer) -> io::Result<()> {
        let Some(path) = self.path(host) else {
            return Ok(());
        };
        let facts: BTreeMap<&String, Json> = facts
            .iter()
            .filter_map(|(name, fact)| match fact {
                Variable::Data(value) => Some((name, template::to_json(value).ok()?)),
                Variable::Source(_) => None,
            })
            .collect();
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        let mut writer = serde_json::Serializer::with_formatter(
            &mut file,
            serde_json::ser::PrettyFormatter::with_indent(b"    "),
        );
        serde::Serialize::serialize(&facts, &mut writer).map_err(io::Error::from)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    pub fn forget(&self, host: &str) {
        if let Some(path) = self.path(host) {
            // Most often it was never there.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_kept_until_they_are_too_old() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache =
            FactCache { folder: folder.path().join("c"), prefix: "p_".to_owned(), timeout: None };
        let facts = Layer::from_iter([("ansible_x".to_owned(), Variable::Data(5.into()))]);
        cache.store("w1", &facts).unwrap();
        assert!(folder.path().join("c/p_w1").exists());
        assert_eq!(cache.load("w1").unwrap().len(), 1);
        cache.timeout = Some(0);
        std::thread::sleep(Duration::from_millis(5));
        assert!(cache.load("w1").is_none());
        cache.forget("w1");
        assert!(!folder.path().join("c/p_w1").exists());
        cache.store("../w1", &facts).unwrap();
        assert!(!folder.path().join("w1").exists());
    }
}
