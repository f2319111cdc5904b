//! Everything that a task may name: actions, host modules, the operator's own
//! executables, and what the engine itself does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::fact_modules;
use crate::actions::{self, ActionSpec};
use crate::modules::{self, ModuleSpec};
use crate::playbook::ROLE_ARGUMENTS;

/// The modules of a run.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Roles and imported playbooks bring more while plays are read.
    external: RwLock<BTreeMap<String, PathBuf>>,
    /// What the settings name; roles and playbooks win over it.
    configured: BTreeMap<String, PathBuf>,
    /// Those that are not to be used.
    rejected: BTreeSet<String>,
}

/// What a name stands for.
pub enum Found {
    Action(&'static ActionSpec),
    Module(&'static ModuleSpec),
    External(PathBuf),
    /// include_tasks
    Include,
    IncludeRole,
    /// gather_facts
    Facts,
    Meta,
}

impl Catalogue {
    /// Takes in the executables of these folders, and of those that the settings name;
    /// earlier folders win.
    pub fn load(folders: &[PathBuf], configured: &[PathBuf], rejected: BTreeSet<String>) -> Self {
        let found = configured.iter().rev().flat_map(|folder| executables(folder));
        let catalogue = Self { configured: found.collect(), rejected, ..Self::default() };
        folders.iter().for_each(|folder| catalogue.add(folder));
        catalogue
    }

    /// Takes in the executables of a folder; those that are known already win.
    pub fn add(&self, folder: &Path) {
        let found = executables(folder);
        let mut external = self.external.write().unwrap_or_else(PoisonError::into_inner);
        for (name, path) in found {
            external.entry(name).or_insert(path);
        }
    }

    fn external(&self) -> RwLockReadGuard<'_, BTreeMap<String, PathBuf>> {
        self.external.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operator's own module wins over a built-in one, as `library/` does in Ansible.
    pub fn find(&self, name: &str) -> Option<Found> {
        if self.rejected.contains(name) {
            return None;
        }
        let path = self.external().get(name).cloned();
        if let Some(path) = path.or_else(|| self.configured.get(name).cloned()) {
            return Some(Found::External(path));
        }
        match name {
            "include_tasks" => Some(Found::Include),
            "include_role" => Some(Found::IncludeRole),
            "gather_facts" => Some(Found::Facts),
            "meta" => Some(Found::Meta),
            _ => actions::find(name)
                .map(Found::Action)
                .or_else(|| modules::find(name).map(Found::Module)),
        }
    }

    /// Whether a module acts for the whole batch at once.
    pub fn runs_once(&self, name: &str) -> bool {
        matches!(self.find(name), Some(Found::Action(spec)) if spec.once)
    }

    /// Whether it may be that nothing but the host is needed to run a module.
    pub fn goes_ahead(&self, name: &str) -> bool {
        match self.find(name) {
            Some(Found::Module(_)) => true,
            Some(Found::Action(spec)) => spec.ahead.is_some(),
            _ => false,
        }
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = [
            "include_tasks",
            "import_tasks",
            "include_role",
            "import_role",
            "gather_facts",
            "meta",
        ]
        .map(str::to_owned)
        .to_vec();
        names.extend(actions::names().map(str::to_owned));
        names.extend(modules::names().map(str::to_owned));
        names.extend(self.external().keys().chain(self.configured.keys()).cloned());
        names
    }
}

impl Found {
    pub fn free_form(&self) -> Option<&'static str> {
        match self {
            Self::Action(spec) => spec.free_form,
            Self::Module(spec) => spec.free_form,
            Self::Include | Self::Meta => Some("_raw_params"),
            Self::External(_) | Self::IncludeRole | Self::Facts => None,
        }
    }

    /// The names of its arguments; empty when any will do.
    pub fn arguments(&self) -> &'static [&'static str] {
        match self {
            Self::Action(spec) => (spec.arguments)(),
            Self::Module(spec) => (spec.arguments)(),
            Self::Include => &["file", "apply", "_raw_params"],
            Self::IncludeRole => ROLE_ARGUMENTS,
            Self::Facts => fact_modules::ARGUMENTS,
            Self::Meta => &["_raw_params"],
            Self::External(_) => &[],
        }
    }
}

/// Extensions of what lies beside modules and is none.
const NO_MODULES: &[&str] = &[
    "bak", "cfg", "ini", "json", "md", "orig", "pyc", "pyo", "retry", "rpm", "rst", "swp", "txt",
    "yaml", "yml",
];

fn executables(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let is_other = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| NO_MODULES.contains(&extension))
    };
    paths
        .into_iter()
        .filter(|path| !is_other(path) && is_program(path))
        .filter_map(|path| {
            // A leading `_` marks one that its author calls deprecated.
            let stem = path.file_stem()?.to_str()?;
            let name = stem.strip_prefix('_').unwrap_or(stem).replace('-', "_");
            Some((name, path))
        })
        .collect()
}

/// Whether a module is in Python by its name; it needs no first line that says so.
pub fn is_python(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "py")
}

/// Whether a module is a script that does not say that it takes JSON, nor uses Ansible's
/// library in Python: Ansible gives it `name=value` words.
pub fn takes_words(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| {
        let json = ["WANT_JSON", "ansible.module_utils", "ansible_collections"];
        !json.iter().any(|word| text.contains(word))
    })
}

/// An executable, a script by its first line, or one in Python by its name: Ansible does
/// not ask for the mode either.
fn is_program(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    let mut start = [0; 2];
    metadata.is_file()
        && (metadata.permissions().mode() & 0o111 != 0
            || is_python(path)
            || File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
                && start == *b"#!")
}
