//! Playbook files into plays; everything that can be wrong before a host is
//! touched is found here.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keywords::{COMMON, unknown, vars_of};
use super::names::Names;
use super::role_tasks::Brought;
use super::{Item, Keywords, Play, Role, RoleBody, Task, values};
use crate::source::{self, Error, Node, Yaml};
use crate::template::Layer;

/// Files may import each other this deep.
pub(super) const MAX_IMPORTS: usize = 64;

/// Reads playbooks and files of tasks.
pub struct Loader<'a> {
    pub(super) names: &'a dyn Names,
    pub(super) found: RefCell<Found>,
}

/// What roles bring to the play around them.
#[derive(Default)]
pub(super) struct Found {
    /// Those whose variables the play sees.
    pub roles: Vec<Arc<Role>>,
    pub handlers: Vec<Item>,
}

/// What `import_playbook` puts on every play that it brings.
#[derive(Clone, Default)]
pub(super) struct Imported {
    pub keywords: Keywords,
    /// They win over the variables of the plays.
    pub vars: Layer,
}

/// Where a list of tasks stands.
#[derive(Clone)]
pub(super) struct Place {
    pub keywords: Arc<Keywords>,
    /// The variables of the play, for names of files.
    pub play_vars: Arc<Layer>,
    pub handler: bool,
    /// The role that the tasks belong to.
    pub role: Option<Arc<Role>>,
    /// The roles around, outermost first.
    pub parents: Vec<Arc<RoleBody>>,
    /// The playbook's folder.
    pub directory: PathBuf,
    /// A block around has a rescue.
    pub rescued: bool,
    /// How many files have been imported on the way here.
    pub depth: usize,
}

impl<'a> Loader<'a> {
    pub fn new(names: &'a dyn Names) -> Self {
        Self { names, found: RefCell::default() }
    }
}

impl Loader<'_> {
    /// The plays of a playbook, imported ones in their place.
    pub fn playbook(&self, path: &Path) -> Result<Vec<Play>, Error> {
        if !path.exists() {
            return Err(Error::new(format!("the playbook: {} could not be found", path.display())));
        }
        let mut plays = Vec::new();
        self.plays(path, &Imported::default(), &mut plays, 0)?;
        Ok(plays)
    }

    fn plays(
        &self,
        path: &Path,
        imported: &Imported,
        plays: &mut Vec<Play>,
        depth: usize,
    ) -> Result<(), Error> {
        if let Some(folder) = path.parent() {
            self.names.add_modules(&folder.join("library"));
        }
        self.plays_of(&self.document(path)?, imported, plays, depth)
    }

    /// The plays of a text that is no file.
    pub fn ad_hoc(&self, document: &Node) -> Result<Vec<Play>, Error> {
        let mut plays = Vec::new();
        self.plays_of(document, &Imported::default(), &mut plays, 0)?;
        Ok(plays)
    }

    fn plays_of(
        &self,
        document: &Node,
        imported: &Imported,
        plays: &mut Vec<Play>,
        depth: usize,
    ) -> Result<(), Error> {
        let path = document.span.path();
        let Some(entries) = document.as_seq() else {
            return Err(document.span.error(match document.value {
                Yaml::Null => format!("Empty playbook, nothing to do: {}", path.display()),
                _ => format!("A playbook must be a list of plays, got {} instead", document.kind()),
            }));
        };
        if entries.is_empty() {
            return Err(document.span.error("A playbook must contain at least one play"));
        }
        for entry in entries {
            if entry.as_map().is_none() {
                return Err(entry.span.error(format!(
                    "playbook entries must be either valid plays or 'import_playbook' statements, \
                     not {}",
                    entry.kind()
                )));
            }
            match import_of(entry) {
                Some(file) => self.import_playbook(entry, file, imported, plays, depth)?,
                None => plays.push(self.play(entry, imported)?),
            }
        }
        Ok(())
    }

    fn import_playbook(
        &self,
        entry: &Node,
        file: &Node,
        imported: &Imported,
        plays: &mut Vec<Play>,
        depth: usize,
    ) -> Result<(), Error> {
        for (key, value) in entry.as_map().unwrap_or_default() {
            match key.as_str() {
                Some(name) if is_import(name) => {}
                Some(name) if name == "when" || COMMON.contains(&name) => {
                    self.check(name, value)?
                }
                _ => {
                    let known = COMMON.iter().copied().chain(["when", "import_playbook"]);
                    return Err(unknown(key, "PlaybookInclude", known));
                }
            }
        }
        // Of nested imports the outer one's variables win.
        let mut inner = Imported {
            keywords: imported.keywords.inherit(entry, "Play")?,
            vars: entry
                .get("vars")
                .map(|v| vars_of(v, "PlaybookInclude"))
                .transpose()?
                .unwrap_or_default(),
        };
        inner.vars.extend(imported.vars.clone());
        let name = self.names.file_name(file, &[Arc::new(inner.vars.clone())])?;
        let path = beside(entry, &name);
        if !path.exists() {
            return Err(file
                .span
                .error(format!("the playbook: {} could not be found", path.display())));
        }
        if depth >= MAX_IMPORTS {
            return Err(file.span.error("playbooks import each other without an end"));
        }
        self.plays(&path, &inner, plays, depth + 1)
    }

    /// The tasks of a file that `include_tasks` names. They inherit what stands around
    /// the including task and its `vars`; of its other keywords only those under `apply`.
    pub fn tasks_file(
        &self,
        path: &Path,
        parent: &Task,
        directory: &Path,
    ) -> Result<Brought, Error> {
        let place = self.place_of_include(parent, directory)?;
        let items = self.tasks_of(path, &place)?;
        Ok(self.brought(items))
    }

    /// The tasks of a file.
    pub(super) fn tasks_of(&self, path: &Path, place: &Place) -> Result<Vec<Item>, Error> {
        let document = self.document(path)?;
        match &document.value {
            Yaml::Null => Ok(Vec::new()),
            Yaml::Seq(_) => self.items(&document, "tasks", place),
            _ => Err(document.span.error(format!(
                "included task files must contain a list of tasks, not {}",
                document.kind()
            ))),
        }
    }

    pub(super) fn import_path(
        &self,
        task: &Node,
        file: &Node,
        place: &Place,
    ) -> Result<PathBuf, Error> {
        if place.depth > MAX_IMPORTS {
            return Err(file.span.error("files of tasks import each other without an end"));
        }
        let name = self.names.file_name(file, &self.known(place))?;
        let path = beside(task, &name);
        let roles = place.parents.last().into_iter().map(|role| &role.path);
        let folders = roles.chain([&place.directory]);
        let others =
            folders.flat_map(|folder| [folder.join("tasks").join(&name), folder.join(&name)]);
        [path.clone(), beside(task, &format!("tasks/{name}"))]
            .into_iter()
            .chain(others)
            .find(|path| path.is_file())
            .ok_or_else(|| {
                file.span.error(format!(
                    "Could not find or access '{}' on the Ansible Controller.",
                    path.display()
                ))
            })
    }

    /// Whether the value of a keyword can be right: its type, and its templates.
    pub(super) fn check(&self, keyword: &str, value: &Node) -> Result<(), Error> {
        values::check(keyword, value)?;
        match keyword {
            "when" | "until" | "changed_when" | "failed_when" | "break_when" => {
                super::keywords::list_of(value)
                    .iter()
                    .try_for_each(|node| self.names.check_condition(node))
            }
            _ => self.names.check_template(value),
        }
    }

    pub(super) fn document(&self, path: &Path) -> Result<Node, Error> {
        let mut warnings = Vec::new();
        let document = source::load_noting(path, &mut warnings)?;
        warnings.into_iter().for_each(|warning| self.names.warn(warning));
        Ok(document)
    }
}

fn is_import(key: &str) -> bool {
    matches!(
        key,
        "import_playbook" | "ansible.builtin.import_playbook" | "ansible.legacy.import_playbook"
    )
}

/// The file of an `import_playbook` entry.
fn import_of(entry: &Node) -> Option<&Node> {
    entry
        .as_map()?
        .iter()
        .find(|(key, _)| key.as_str().is_some_and(is_import))
        .map(|(_, file)| file)
}

/// A path as a file names it: beside that file.
fn beside(node: &Node, name: &str) -> PathBuf {
    let folder = node.span.path().parent().map(PathBuf::from).unwrap_or_default();
    folder.join(name)
}
