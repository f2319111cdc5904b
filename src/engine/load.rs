//! Everything that is read and checked before a host is touched.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value as Json;

use super::Settings;
use super::catalogue::{Catalogue, Found};
use super::foreseen::{self, Foreseen, Places};
use super::recorder::is_for_clusters;
use super::rejected;
use super::tags::Selection;
use crate::cli::exit;
use crate::inventory::{Inventory, KnownFacts, Reading, is_localhost};
use crate::journal::Recording;
use crate::playbook::{Loader, Module, Names, Play, Task, Tasks};
use crate::source::{self, Node};
use crate::template::{self, HostPattern, Layers, Scope, Templar};
use crate::vars::{ConnectionVars, Layer, Manager, RunVars, SharedInventory};
use crate::vault;

/// Playbooks and inventory, read and found right.
pub struct Prepared {
    pub settings: Settings,
    pub playbooks: Vec<(PathBuf, Vec<Play>)>,
    pub manager: Arc<Manager>,
    pub selection: Selection,
    pub warnings: Vec<String>,
    /// The journal of the run, if it is to have one.
    pub recording: Option<Recording>,
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
    /// What is wrong, and where.
    pub fn error(&self) -> &source::Error {
        &self.error
    }

    /// A wrong or unusable option.
    pub fn options(message: impl Into<String>) -> Self {
        Self { error: source::Error::new(message), code: exit::ERROR }
    }

    /// An ansible.cfg or a variable ANSIBLE_… that is wrong.
    pub fn of_settings(error: source::Error) -> Self {
        Self { error, code: exit::OPTIONS }
    }

    /// The same, ending with another exit code.
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { error: self.error.with_help(help), ..self }
    }

    pub fn exit_code(&self) -> u8 {
        self.code
    }
}

/// What has a place in a file does not parse, unless it is refused for what it asks;
/// what has none (a missing file) is an error of another kind to Ansible.
impl From<source::Error> for LoadError {
    fn from(error: source::Error) -> Self {
        let parsed = error.span.is_none() || error.refused;
        let code = if !parsed { exit::PARSE } else { exit::ERROR };
        Self { error, code }
    }
}

impl Prepared {
    /// The tags of a task, filled in.
    pub fn tags_of<'a>(&self, play: &Play, task: &'a Task) -> Cow<'a, [String]> {
        let scope = || super::plays::scope_of(&self.manager, play, None);
        super::tags::templated(task.tags(), self.manager.templar(), scope)
    }

    /// Playbooks that are files.
    pub fn load(paths: &[PathBuf], settings: Settings, extra: Layer) -> Result<Self, LoadError> {
        let directory = paths.first().and_then(|path| absolute(path).parent().map(PathBuf::from));
        let mut prepared = Self::prepare(directory, settings, extra, |loader| {
            let read = |path: &PathBuf| Ok((path.clone(), loader.playbook(&absolute(path))?));
            paths.iter().map(read).collect()
        })?;
        prepared.warn_of_no_hosts();
        Ok(prepared)
    }

    /// A playbook that is a text; its files are looked for in `directory`.
    pub fn ad_hoc(
        text: &str,
        directory: &Path,
        settings: Settings,
        extra: Layer,
    ) -> Result<Self, LoadError> {
        let path = absolute(directory).join("__adhoc_playbook__");
        let document = source::load_str(text, &path)?;
        let mut local = false;
        let folder = path.parent().map(PathBuf::from);
        let mut prepared = Self::prepare(folder, settings, extra, |loader| {
            let plays = loader.ad_hoc(&document)?;
            local = plays.iter().all(|play| play.hosts.as_str().is_some_and(is_localhost));
            Ok(vec![(path.clone(), plays)])
        })?;
        if !local {
            prepared.warn_of_no_hosts();
        }
        Ok(prepared)
    }

    fn warn_of_no_hosts(&mut self) {
        let wanted = self.settings.config.flag("LOCALHOST_WARNING");
        if wanted && self.manager.inventory().host_names().is_empty() {
            self.warnings.push(
                "provided hosts list is empty, only localhost is available. Note that the implicit \
                 localhost does not match 'all'"
                    .to_owned(),
            );
        }
    }

    /// No playbook, but the inventory and what is given for its hosts; files of variables
    /// are looked for in `directory` too.
    pub fn inventory(
        directory: &Path,
        settings: Settings,
        extra: Layer,
    ) -> Result<Self, LoadError> {
        Self::prepare(Some(absolute(directory)), settings, extra, |_| Ok(Vec::new()))
    }

    fn prepare(
        directory: Option<PathBuf>,
        settings: Settings,
        extra: Layer,
        read: impl FnOnce(&Loader) -> Result<Vec<(PathBuf, Vec<Play>)>, source::Error>,
    ) -> Result<Self, LoadError> {
        let folders = module_folders(directory.as_deref());
        let rejected = rejected::modules(&settings.config)?;
        let catalogue = Arc::new(Catalogue::load(&folders, &settings.module_path, rejected));
        let shared: SharedInventory = Arc::default();
        let templar = Templar::new(template::Settings {
            playbook_dir: directory.clone().unwrap_or_default(),
            hosts: Some(host_pattern(shared.clone())),
            config: Some({
                let config = settings.config.clone();
                Arc::new(move |name| Some((config.value(name)?, config.origin(name)?.to_string())))
            }),
            decrypt: Some(Arc::new(|text| {
                vault::of_this_run().reveal(text).map_err(|error| error.to_string())
            })),
            no_lookups: false,
        });
        let extra = Arc::new(extra);
        let reading = reading(&settings, directory.as_deref(), &templar, &extra)?;
        let (inventory, mut warnings) = Inventory::load(&settings.inventory, &reading)?;
        if let Some(limit) = &settings.limit {
            warnings.extend(inventory.check_limit(limit)?);
        }
        *shared.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(inventory);
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
            connection: ConnectionVars {
                connection: settings.connection.clone(),
                user: settings.user.clone(),
                port: settings.port,
                timeout: settings.timeout,
                private_key: settings.private_key.as_ref().map(|path| path.display().to_string()),
                password: settings.password.clone(),
            },
            inject_facts: settings.inject_facts,
            merge_hashes: settings.merge_hashes,
            config_file: settings.config_file.as_ref().map(|path| path.display().to_string()),
        };
        let names = Checker {
            catalogue: &catalogue,
            templar: &templar,
            extra: &extra,
            settings: &settings,
            warnings: Mutex::default(),
        };
        let playbooks = read(&Loader::new(&names))?;
        warnings.extend(names.take_warnings());
        let manager = Arc::new(Manager::new(
            shared,
            templar,
            run,
            (*extra).clone(),
            settings.fact_cache.clone(),
        ));
        let recording = None;
        Ok(Self { settings, playbooks, manager, selection, warnings, recording, catalogue })
    }
}

impl Prepared {
    fn plays(&self) -> impl Iterator<Item = &Play> {
        self.playbooks.iter().flat_map(|(_, plays)| plays)
    }

    /// The files that the run depends on, as far as they are known before it, and whether
    /// it changes clusters: what plays and tasks stand in, what includes bring in,
    /// templates, the inventory, and variables beside it and beside the playbook.
    pub fn foreseen(&self) -> Foreseen {
        let playbook =
            self.playbooks.first().and_then(|(path, _)| absolute(path).parent().map(PathBuf::from));
        let places = Places { playbook: playbook.as_deref(), roles: &self.settings.roles_path };
        let mut foreseen = Foreseen::of(self.plays(), &places);
        for play in self.plays() {
            foreseen.files.insert(play.span.path().to_owned());
            let sections = [&play.pre_tasks, &play.tasks, &play.post_tasks, &play.handlers];
            for task in sections.into_iter().flatten().flat_map(|item| item.tasks(Tasks::All)) {
                foreseen.files.insert(task.span.path().to_owned());
                foreseen.for_clusters |= is_for_clusters(task);
            }
        }
        let mut beside: Vec<_> = playbook.into_iter().collect();
        for source in self.settings.inventory.iter().map(|source| absolute(Path::new(source))) {
            if source.is_dir() {
                let entries = std::fs::read_dir(&source).into_iter().flatten().flatten();
                foreseen
                    .files
                    .extend(entries.map(|entry| entry.path()).filter(|path| path.is_file()));
                beside.push(source);
            } else if source.is_file() {
                beside.extend(source.parent().map(PathBuf::from));
                foreseen.files.insert(source);
            }
        }
        for folder in beside {
            for variables in ["group_vars", "host_vars"] {
                foreseen.files.extend(foreseen::below(&folder.join(variables)));
            }
        }
        foreseen
    }
}

/// How the inventory of a run is read.
pub(super) fn reading(
    settings: &Settings,
    directory: Option<&Path>,
    templar: &Templar,
    extra: &Arc<Layer>,
) -> Result<Reading, source::Error> {
    let mut reading = Reading::of(&settings.config)?;
    reading.playbook_dir = directory.map(PathBuf::from);
    reading.templar = templar.clone();
    reading.extra = extra.clone();
    let cache = settings.fact_cache.clone();
    reading.facts = cache.map(|cache| -> KnownFacts { Arc::new(move |host| cache.load(host)) });
    Ok(reading)
}

/// The hosts of a pattern, for the lookup `inventory_hostnames`.
fn host_pattern(inventory: SharedInventory) -> HostPattern {
    Arc::new(move |pattern| {
        let inventory = inventory.read().unwrap_or_else(PoisonError::into_inner).clone();
        inventory.select(pattern).map(|(hosts, _)| hosts).map_err(|error| error.message)
    })
}

/// Paths in results and errors are whole ones, as Ansible's are.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Where executables are modules: `library/` beside the playbook, `modules/` at the
/// top of the project (beside or above the playbook).
fn module_folders(directory: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(directory) = directory {
        folders.push(directory.join("library"));
        folders.push(directory.join("modules"));
        folders.extend(directory.parent().map(|parent| parent.join("modules")));
    }
    folders
}

/// Tells the loader what there is.
pub struct Checker<'a> {
    pub catalogue: &'a Catalogue,
    pub templar: &'a Templar,
    /// The variables of `-e`, for names of files to import.
    pub extra: &'a Arc<Layer>,
    pub settings: &'a Settings,
    pub warnings: Mutex<Vec<String>>,
}

impl Checker<'_> {
    pub(super) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Names for Checker<'_> {
    fn module(&self, name: &str) -> Option<Module> {
        let found = self.catalogue.find(name)?;
        let validate: Box<dyn Fn(Json) -> Result<(), String>> = match found {
            Found::Action(spec) => Box::new(spec.validate),
            Found::Module(spec) => Box::new(spec.validate),
            Found::Include
            | Found::IncludeRole
            | Found::Facts
            | Found::Meta
            | Found::External(_) => Box::new(|_| Ok(())),
        };
        Some(Module { free_form: found.free_form(), arguments: found.arguments(), validate })
    }

    fn add_modules(&self, folder: &Path) {
        self.catalogue.add(folder);
    }

    fn modules(&self) -> Vec<String> {
        self.catalogue.names()
    }

    fn check_template(&self, node: &Node) -> Result<(), source::Error> {
        self.templar.check(node)
    }

    fn has_lookup(&self, name: &str) -> bool {
        Templar::has_lookup(name)
    }

    fn file_name(&self, node: &Node, vars: &[Arc<Layer>]) -> Result<String, source::Error> {
        let mut layers = vec![self.extra.clone()];
        layers.extend(vars.iter().rev().cloned());
        let scope: Arc<dyn Scope> = Arc::new(Layers(layers));
        let value = self.templar.render(node, &scope).map_err(|error| {
            let written = node.as_str().unwrap_or_default();
            let error = source::Error::from(error.at(Some(&node.span)));
            let error = node.span.error(format!(
                "Error when evaluating variable in import path: {written}.\n\n{}",
                error.message
            ));
            error.with_help(
                "what is imported is read before hosts are known: only extra vars and the play's \
                 own variables can name it; include_tasks and include_role are read when they run",
            )
        })?;
        Ok(template::python_text(&value))
    }

    fn roles_path(&self) -> Vec<PathBuf> {
        self.settings.roles_path.clone()
    }

    fn private_role_vars(&self) -> Option<bool> {
        self.settings.private_role_vars
    }

    fn warn(&self, warning: source::Error) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(warning.to_string());
    }

    fn check_condition(&self, node: &Node) -> Result<(), source::Error> {
        self.templar.check_condition(node)
    }
}
