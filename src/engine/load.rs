//! Everything that is read and checked before a host is touched.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use super::Settings;
use super::catalogue::{Catalogue, Found};
use super::tags::Selection;
use crate::cli::exit;
use crate::inventory::Inventory;
use crate::playbook::{Loader, Module, Names, Play};
use crate::source::{self, Node};
use crate::template::{self, Templar};
use crate::vars::{Layer, Manager, RunVars};

/// Playbooks and inventory, read and found right.
pub struct Prepared {
    pub settings: Settings,
    pub playbooks: Vec<(PathBuf, Vec<Play>)>,
    pub manager: Arc<Manager>,
    pub selection: Selection,
    pub warnings: Vec<String>,
    pub(super) catalogue: Arc<Catalogue>,
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct LoadError {
    error: source::Error,
    code: u8,
}

impl LoadError {
    /// A wrong or unusable option.
    pub fn options(message: impl Into<String>) -> Self {
        Self { error: source::Error::new(message), code: exit::ERROR }
    }

    pub fn exit_code(&self) -> u8 {
        self.code
    }
}

/// What has a place in a file does not parse; what has none (a missing file) is
/// an error of another kind to Ansible.
impl From<source::Error> for LoadError {
    fn from(error: source::Error) -> Self {
        let code = if error.span.is_some() { exit::PARSE } else { exit::ERROR };
        Self { error, code }
    }
}

impl Prepared {
    pub fn load(paths: &[PathBuf], settings: Settings, extra: Layer) -> Result<Self, LoadError> {
        let directory = paths.first().and_then(|path| absolute(path).parent().map(PathBuf::from));
        let (inventory, mut warnings) = Inventory::load(&settings.inventory, directory.as_deref())?;
        if let Some(limit) = &settings.limit {
            warnings.extend(inventory.check_limit(limit)?);
        }
        let catalogue = Arc::new(Catalogue::load(&module_folders(directory.as_deref())));
        let templar = Templar::new(template::Settings {
            playbook_dir: directory.clone().unwrap_or_default(),
            ..template::Settings::default()
        });
        let selection = Selection::new(&settings.tags, &settings.skip_tags);
        let run = RunVars {
            check: settings.check,
            diff: settings.diff,
            forks: settings.forks,
            verbosity: settings.verbosity,
            run_tags: selection.only().to_vec(),
            skip_tags: settings.skip_tags.clone(),
            limit: settings.limit.clone(),
            inventory_sources: settings.inventory.clone(),
        };
        let names = Checker { catalogue: &catalogue, templar: &templar };
        let loader = Loader { names: &names };
        let mut playbooks = Vec::new();
        for path in paths {
            playbooks.push((path.clone(), loader.playbook(&absolute(path))?));
        }
        let manager = Arc::new(Manager::new(inventory, templar, run, extra));
        Ok(Self { settings, playbooks, manager, selection, warnings, catalogue })
    }
}

/// Paths in results and errors are whole ones, as Ansible's are.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Where executables are modules: `library/` beside the playbook, `modules/` at the
/// top of the project (beside or above the playbook), and what ANSIBLE_LIBRARY names.
fn module_folders(directory: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(directory) = directory {
        folders.push(directory.join("library"));
        folders.push(directory.join("modules"));
        folders.extend(directory.parent().map(|parent| parent.join("modules")));
    }
    let library = std::env::var_os("ANSIBLE_LIBRARY").unwrap_or_default();
    folders.extend(std::env::split_paths(&library).filter(|path| !path.as_os_str().is_empty()));
    folders
}

/// Tells the loader what there is.
pub struct Checker<'a> {
    pub catalogue: &'a Catalogue,
    pub templar: &'a Templar,
}

impl Names for Checker<'_> {
    fn module(&self, name: &str) -> Option<Module> {
        let found = self.catalogue.find(name)?;
        let validate: Box<dyn Fn(Json) -> Result<(), String>> = match found {
            Found::Action(spec) => Box::new(spec.validate),
            Found::Module(spec) => Box::new(spec.validate),
            Found::Include | Found::Meta | Found::External(_) => Box::new(|_| Ok(())),
        };
        Some(Module { free_form: found.free_form(), arguments: found.arguments(), validate })
    }

    fn modules(&self) -> Vec<String> {
        self.catalogue.names()
    }

    fn check_template(&self, node: &Node) -> Result<(), source::Error> {
        self.templar.check(node)
    }

    fn check_condition(&self, node: &Node) -> Result<(), source::Error> {
        self.templar.check_condition(node)
    }
}
