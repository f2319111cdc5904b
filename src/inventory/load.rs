//! The sources of an inventory, one after the other.

use std::path::{Path, PathBuf};

use super::range::RangeError;
use super::reading::{GroupNames, Plugin, Reading};
use super::vars_files::Folders;
use super::{Inventory, address, cluster, file};
use crate::source::{Error, Span};
use crate::template::{Value, Variable};

/// More hosts than this are a slip in a range.
const MAX_HOSTS: usize = 500_000;

/// Reads one source after the other into an inventory.
pub(super) struct Reader<'a> {
    pub inventory: &'a mut Inventory,
    pub warnings: &'a mut Vec<String>,
    pub reading: &'a Reading,
    /// The folders of the files that have been read so far.
    pub folders: Vec<PathBuf>,
}

impl Inventory {
    /// Reads all sources (paths, lists of hosts: `a,b,`, clusters: `cluster:KUBECONFIG`) and
    /// the folders of variables beside them and in the playbook's; also returns what is to be
    /// warned of.
    ///
    /// A path that does not exist is a warning, as it is to Ansible, and so is a file in a
    /// folder of sources that cannot be read; a source that was named itself and cannot be
    /// read right is an error, unless INVENTORY_ANY_UNPARSED_IS_FAILED says otherwise.
    pub fn load(sources: &[String], reading: &Reading) -> Result<(Self, Vec<String>), Error> {
        let mut inventory = Self {
            group_names: reading.group_names,
            mismatch: reading.mismatch,
            merge_hashes: reading.merge_hashes,
            ..Self::default()
        };
        let mut warnings = Vec::new();
        let mut reader = Reader {
            inventory: &mut inventory,
            warnings: &mut warnings,
            reading,
            folders: Vec::new(),
        };
        let mut any = false;
        for source in sources.iter().filter(|source| !source.is_empty()) {
            any |= reader.source(source)?;
        }
        if !any && reading.all_unparsed_fails {
            return Err(Error::new(
                "No inventory was parsed, please check your configuration and options.",
            ));
        }
        inventory.folders = Folders::beside(sources, reading.playbook_dir.clone());
        warnings.extend(inventory.settle());
        warnings.extend(inventory.odd_group_names());
        inventory.load_vars_files()?;
        if !any && reading.unparsed_warning {
            warnings
                .push("No inventory was parsed, only implicit localhost is available".to_owned());
        }
        Ok((inventory, warnings))
    }

    /// What is to be told of names of groups that are no names of variables.
    pub fn odd_group_names(&self) -> Option<String> {
        let (names, what): (Vec<&str>, _) = match self.group_names {
            GroupNames::KeptSilently | GroupNames::ReplacedSilently => return None,
            GroupNames::Replaced => {
                (self.replaced.iter().map(String::as_str).collect(), "and automatically replaced")
            }
            GroupNames::Kept => {
                let odd = |name: &&str| GroupNames::Replaced.name(name) != **name;
                let names = self.groups.keys().map(String::as_str).filter(odd);
                (names.collect(), "but not replaced")
            }
        };
        (!names.is_empty()).then(|| {
            format!("Invalid characters were found in group names {what}: {}", names.join(", "))
        })
    }
}

/// The text of a source that is a list of hosts and no path.
pub(super) fn is_host_list(source: &str) -> bool {
    source.contains(',') && !Path::new(source).exists()
}

impl Reader<'_> {
    /// Whether anything could read it.
    fn source(&mut self, source: &str) -> Result<bool, Error> {
        if let Some(cluster) = cluster::named_by(source) {
            let read = cluster::read(self, &cluster);
            return self.judged(source, vec![("cluster", read)], true);
        }
        if is_host_list(source) {
            let enabled = self.reading.plugins.contains(&Plugin::HostList);
            let read = enabled.then(|| (Plugin::HostList.name(), self.host_list(source)));
            return self.judged(source, read.into_iter().collect(), true);
        }
        let path = std::path::absolute(source)
            .map_err(|error| Error::new(format!("{source} cannot be used as a path: {error}")))?;
        self.path(&path, true)
    }

    /// A file or a folder; `named`: by the operator, not found in a folder.
    fn path(&mut self, path: &Path, named: bool) -> Result<bool, Error> {
        let source = path.display().to_string();
        if path.is_dir() {
            let mut any = false;
            for entry in sorted_entries(path)? {
                if !self.reading.ignores(&entry) {
                    any |= self.path(&entry, false)?;
                }
            }
            return if any { Ok(true) } else { self.judged(&source, Vec::new(), named) };
        }
        let attempts = if path.exists() { file::read(self, path) } else { Vec::new() };
        let read = self.judged(&source, attempts, named)?;
        if read && let Some(folder) = path.parent() {
            self.folders.push(folder.to_owned());
        }
        Ok(read)
    }

    /// What comes of the attempts of plugins to read a source, the last of which may have
    /// succeeded.
    fn judged(
        &mut self,
        source: &str,
        attempts: Vec<(&str, Result<(), Error>)>,
        named: bool,
    ) -> Result<bool, Error> {
        let mut failures = Vec::new();
        for (plugin, attempt) in attempts {
            match attempt {
                Ok(()) => return Ok(true),
                Err(error) => failures.push((plugin, error)),
            }
        }
        let fails = self.reading.any_unparsed_fails;
        if fails == Some(true) {
            let why = failures.first().map_or(String::new(), |(_, error)| format!(": {error}"));
            let text = format!("Completely failed to parse inventory source {source}{why}");
            return Err(Error::new(text));
        }
        if fails.is_none() && named && !failures.is_empty() {
            return Err(failures.swap_remove(0).1);
        }
        for (plugin, error) in failures {
            let text = format!(" * Failed to parse {source} with {plugin} plugin: {error}");
            self.warnings.push(text);
        }
        self.warnings.push(format!("Unable to parse {source} as an inventory source"));
        Ok(false)
    }

    fn host_list(&mut self, source: &str) -> Result<(), Error> {
        let wrong = |text: String| {
            let plugin = Plugin::HostList.name();
            Error::new(format!("Failed to parse {source} with {plugin}: {text}"))
        };
        for pattern in source.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
            let (names, port) = match address::expand(pattern) {
                // As in Ansible, where what is no range may be a name.
                Err(error @ RangeError::Form(_)) => {
                    let told = "Unable to parse address from hostname, leaving unchanged";
                    self.warnings.push(format!("{told}:\n  {error}"));
                    (vec![pattern.to_owned()], None)
                }
                expanded => expanded.map_err(|error| wrong(error.to_string()))?,
            };
            self.room_for(names.len()).map_err(wrong)?;
            for name in names {
                if !self.inventory.hosts.contains_key(&name) {
                    self.host(&name, "ungrouped", port, None);
                }
            }
        }
        Ok(())
    }

    /// Ranges are short and stand for many hosts.
    pub fn room_for(&self, count: usize) -> Result<(), String> {
        match self.inventory.hosts.len() + count {
            0..=MAX_HOSTS => Ok(()),
            _ => Err(format!("the inventory has more than {MAX_HOSTS} hosts")),
        }
    }

    /// Adds the hosts that a pattern stands for to a group; returns their names.
    pub fn hosts(&mut self, pattern: &str, group: &str, span: &Span) -> Result<Vec<String>, Error> {
        let (names, port) =
            address::expand(pattern).map_err(|error| span.error(error.to_string()))?;
        self.room_for(names.len()).map_err(|error| span.error(error))?;
        for name in &names {
            self.host(name, group, port, Some(span.path()));
        }
        Ok(names)
    }

    fn host(&mut self, name: &str, group: &str, port: Option<u16>, source: Option<&Path>) {
        self.inventory.declare_host(name, group, source);
        if let Some(port) = port {
            let port = Variable::Data(Value::from(port));
            self.inventory.set_host_variable(name, "ansible_port", port);
        }
    }
}

/// The entries of a folder by name.
pub(super) fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let wrong =
        |error: std::io::Error| Error::new(format!("{} cannot be read: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        paths.push(entry.map_err(wrong)?.path());
    }
    paths.sort();
    Ok(paths)
}
