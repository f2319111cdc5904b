//! The folders group_vars/ and host_vars/ beside the inventory and the playbook.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::data::{Given, LOCALHOST};
use super::load::is_host_list;
use super::{Inventory, cluster};
use crate::source::{self, Error, Yaml};
use crate::template::{Layer, Variable, stacked};
use crate::vault;

/// What a file of variables may be called after its name; the first that exists counts.
const EXTENSIONS: &[&str] = &["", "yml", "yaml", "json"];

/// Where the folders are looked for.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// Beside each source, in their order.
    pub inventory: Vec<PathBuf>,
    pub playbook: Option<PathBuf>,
    /// host_vars of the names that need no source.
    localhost: IndexMap<String, Given>,
}

impl Folders {
    /// The folders of these sources, and the playbook's. Of one that is named twice the last
    /// place counts, for what is read later wins.
    pub fn beside(sources: &[String], playbook: Option<PathBuf>) -> Self {
        let mut folders = Self { playbook, ..Self::default() };
        for source in sources {
            let path = std::path::absolute(source).unwrap_or_default();
            let folder = match source.as_str() {
                text if cluster::named_by(text).is_some() || is_host_list(text) => None,
                _ if path.is_dir() => Some(path),
                _ => path.parent().map(PathBuf::from),
            };
            if let Some(folder) = folder {
                folders.inventory.retain(|known| *known != folder);
                folders.inventory.push(folder);
            }
        }
        folders
    }

    /// host_vars of an implicit localhost, beside the inventory and beside the playbook.
    pub fn loaded_localhost(&self, name: &str) -> (Arc<Layer>, Arc<Layer>) {
        let given = self.localhost.get(name).cloned().unwrap_or_default();
        (given.inventory, given.playbook)
    }

    fn fill(&self, given: &mut Given, folder: &str, name: &str, merge: bool) -> Result<(), Error> {
        if given.files_read {
            return Ok(());
        }
        given.files_read = true;
        let places = self.inventory.iter();
        let layers = places.map(|place| read(&place.join(folder), name, merge).map(Arc::new));
        given.inventory = Arc::new(stacked(&layers.collect::<Result<Vec<_>, _>>()?, merge));
        if let Some(place) = &self.playbook {
            given.playbook = Arc::new(read(&place.join(folder), name, merge)?);
        }
        Ok(())
    }
}

impl Inventory {
    /// Reads the files of every group and host that have not been read yet.
    pub(super) fn load_vars_files(&mut self) -> Result<(), Error> {
        for (name, group) in &mut self.groups {
            self.folders.fill(&mut group.vars, "group_vars", name, self.merge_hashes)?;
        }
        for (name, host) in &mut self.hosts {
            self.folders.fill(&mut host.vars, "host_vars", name, self.merge_hashes)?;
        }
        for name in LOCALHOST {
            let mut given = self.folders.localhost.get(*name).cloned().unwrap_or_default();
            self.folders.fill(&mut given, "host_vars", name, self.merge_hashes)?;
            self.folders.localhost.insert((*name).to_owned(), given);
        }
        Ok(())
    }
}

/// All variables for a name in a folder; later files win.
pub(super) fn read(folder: &Path, name: &str, merge: bool) -> Result<Layer, Error> {
    if name.contains('/') || !folder.is_dir() {
        return Ok(Layer::new());
    }
    let mut files = files(folder, name)?;
    files.retain(|file| !vault::of_this_run().passes_over(file));
    let layers = files.iter().map(|file| read_file(file).map(Arc::new));
    Ok(stacked(&layers.collect::<Result<Vec<_>, _>>()?, merge))
}

fn files(folder: &Path, name: &str) -> Result<Vec<PathBuf>, Error> {
    for extension in EXTENSIONS {
        let path = match *extension {
            "" => folder.join(name),
            extension => folder.join(format!("{name}.{extension}")),
        };
        if path.is_dir() {
            let mut found = Vec::new();
            files_below(&path, &mut found)?;
            return Ok(found);
        }
        if path.exists() {
            return Ok(vec![path]);
        }
    }
    Ok(Vec::new())
}

/// The files of a folder in the order of their names, those of folders in it among
/// them; hidden ones, backups and files of another extension are left out.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    for path in super::load::sorted_entries(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if name.is_none_or(|name| name.starts_with('.') || name.ends_with('~')) {
            continue;
        }
        let extension = path.extension().map(|e| e.to_string_lossy().into_owned());
        if path.is_dir() && extension.is_none() {
            files_below(&path, found)?;
        } else if path.is_file() && EXTENSIONS.contains(&extension.as_deref().unwrap_or_default()) {
            found.push(path);
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Layer, Error> {
    let node = source::load(path)?;
    match &node.value {
        Yaml::Null => Ok(Layer::new()),
        Yaml::Map(entries) => entries
            .iter()
            .map(|(key, value)| match key.as_str() {
                Some(name) => Ok((name.to_owned(), Variable::Source(Arc::new(value.clone())))),
                None => Err(key
                    .span
                    .error(format!("the name of a variable must be a string, not {}", key.kind()))),
            })
            .collect(),
        _ => Err(node.span.error(format!(
            "a file of variables must be a mapping of names to values, not {}",
            node.kind()
        ))),
    }
}
