//! The sources of an inventory, each read by what it is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::vars_files::Folders;
use super::{Inventory, address, ini, script, yaml};
use crate::source::{self, Error, Node, SourceFile, Span, Yaml};
use crate::template::{Value, Variable};

/// What Ansible passes over in a folder of sources.
const IGNORED: &[&str] = &[
    "orig", "cfg", "retry", "pyc", "pyo", "pyd", "swp", "bak", "rpm", "md", "txt", "rst", "toml",
    "j2", "ini~",
];

/// More hosts than this are a slip in a range.
const MAX_HOSTS: usize = 500_000;

/// Reads one source after the other into an inventory.
pub(super) struct Reader<'a> {
    pub inventory: &'a mut Inventory,
    pub warnings: &'a mut Vec<String>,
}

impl Inventory {
    /// Reads all sources (paths, or lists of hosts: `a,b,`) and the folders of
    /// variables beside them and in `playbook_dir`; also returns what is to be warned of.
    ///
    /// A path that does not exist is a warning, as it is to Ansible; a source that
    /// cannot be read right is an error.
    pub fn load(
        sources: &[String],
        playbook_dir: Option<&Path>,
    ) -> Result<(Self, Vec<String>), Error> {
        let mut inventory = Self::default();
        let mut warnings = Vec::new();
        let mut folders = Folders::default();
        folders.playbook = playbook_dir.map(PathBuf::from);
        let mut reader = Reader { inventory: &mut inventory, warnings: &mut warnings };
        for source in sources {
            if let Some(folder) = reader.source(source)?
                && !folders.inventory.contains(&folder)
            {
                folders.inventory.push(folder);
            }
        }
        // So far there is nothing else to warn of than sources that are not there.
        let unread = warnings.len();
        inventory.folders = folders;
        warnings.extend(inventory.settle());
        warnings.extend(inventory.odd_group_names());
        inventory.load_vars_files()?;
        if unread == sources.len() {
            warnings
                .push("No inventory was parsed, only implicit localhost is available".to_owned());
        }
        if inventory.hosts.is_empty() {
            warnings.push(
                "provided hosts list is empty, only localhost is available. Note that the implicit \
                 localhost does not match 'all'"
                    .to_owned(),
            );
        }
        Ok((inventory, warnings))
    }

    fn odd_group_names(&self) -> Option<String> {
        let odd = |name: &&String| {
            !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                || name.starts_with(|c: char| c.is_ascii_digit())
        };
        let names: Vec<&str> = self.groups.keys().filter(odd).map(String::as_str).collect();
        (!names.is_empty()).then(|| {
            format!(
                "Invalid characters were found in group names but not replaced: {}",
                names.join(", ")
            )
        })
    }
}

impl Reader<'_> {
    /// Returns the folder beside which group_vars/ and host_vars/ are looked for.
    fn source(&mut self, source: &str) -> Result<Option<PathBuf>, Error> {
        let path = Path::new(source);
        if source.contains(',') && !path.exists() {
            self.host_list(source)?;
            return Ok(None);
        }
        let path = std::path::absolute(path)
            .map_err(|error| Error::new(format!("{source} cannot be used as a path: {error}")))?;
        if !path.exists() {
            self.warnings
                .push(format!("Unable to parse {} as an inventory source", path.display()));
            return Ok(None);
        }
        if path.is_dir() {
            self.folder(&path)?;
            return Ok(Some(path));
        }
        self.file(&path)?;
        Ok(path.parent().map(PathBuf::from))
    }

    fn host_list(&mut self, source: &str) -> Result<(), Error> {
        let wrong = |text: String| {
            Error::new(format!("Failed to parse {source} with advanced_host_list: {text}"))
        };
        for pattern in source.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
            let (names, port) = address::expand(pattern).map_err(wrong)?;
            self.room_for(&names).map_err(wrong)?;
            for name in names {
                self.inventory.declare_host(&name, "ungrouped", None);
                if let Some(port) = port {
                    let port = Variable::Data(Value::from(port));
                    self.inventory.set_host_variable(&name, "ansible_port", port);
                }
            }
        }
        Ok(())
    }

    /// Ranges are short and stand for many hosts.
    fn room_for(&self, names: &[String]) -> Result<(), String> {
        match self.inventory.hosts.len() + names.len() {
            0..=MAX_HOSTS => Ok(()),
            _ => Err(format!("the inventory has more than {MAX_HOSTS} hosts")),
        }
    }

    fn folder(&mut self, folder: &Path) -> Result<(), Error> {
        for path in sorted_entries(folder)? {
            let name =
                path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let extension = path.extension().map(|e| e.to_string_lossy().into_owned());
            let ignored = matches!(name.as_str(), "group_vars" | "host_vars" | "vars_plugins")
                || name.starts_with('.')
                || name.ends_with('~')
                || extension.is_some_and(|extension| IGNORED.contains(&extension.as_str()));
            if ignored {
                continue;
            }
            if path.is_dir() {
                self.folder(&path)?;
            } else {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), Error> {
        if is_script(path) {
            return script::read(self, path);
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yml" | "yaml" | "json")) {
            return yaml::read(self, &source::load(path)?);
        }
        let text = source::read(path)?;
        if extension.is_none()
            && let Some(document) = yaml_groups(&text, path)
        {
            return yaml::read(self, &document);
        }
        ini::read(self, &SourceFile::new(path, &text))
    }

    /// Adds the hosts that a pattern stands for to a group; returns their names.
    pub fn hosts(&mut self, pattern: &str, group: &str, span: &Span) -> Result<Vec<String>, Error> {
        let (names, port) = address::expand(pattern).map_err(|error| span.error(error))?;
        self.room_for(&names).map_err(|error| span.error(error))?;
        for name in &names {
            self.inventory.declare_host(name, group, Some(span.path()));
            if let Some(port) = port {
                let port = Variable::Data(Value::from(port));
                self.inventory.set_host_variable(name, "ansible_port", port);
            }
        }
        Ok(names)
    }
}

/// The groups of a file without an extension, if it is YAML or JSON and not INI: INI is
/// a text, a list or nothing at all to a YAML reader.
fn yaml_groups(text: &str, path: &Path) -> Option<Node> {
    let document = source::load_str(text, path).ok()?;
    let is_group = |node: &Node| matches!(node.value, Yaml::Map(_) | Yaml::Null);
    let groups = document.as_map().filter(|groups| !groups.is_empty())?;
    groups.iter().all(|(_, group)| is_group(group)).then_some(document)
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

/// Executable, and begins as programs do: an inventory on a file system that makes
/// every file executable is still read as text.
fn is_script(path: &Path) -> bool {
    let executable = path
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    executable && {
        let mut start = [0; 4];
        let read = std::fs::File::open(path)
            .and_then(|mut file| std::io::Read::read(&mut file, &mut start))
            .unwrap_or(0);
        let start = start.get(..read).unwrap_or_default();
        start.starts_with(b"#!") || start == b"\x7fELF"
    }
}
