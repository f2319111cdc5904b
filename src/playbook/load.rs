//! Playbook files into plays; everything that can be wrong before a host is
//! touched is found here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Item, Keywords, Play, Task};
use crate::source::{self, Error, Node, Yaml, suggest};

/// Files may import each other this deep.
const MAX_IMPORTS: usize = 64;

/// What the loader has to know of modules and templates.
pub trait Names: Sync {
    /// A module by its short name.
    fn module(&self, name: &str) -> Option<Module>;
    /// All names, for suggestions.
    fn modules(&self) -> Vec<String>;
    /// Whether the templates in a value can be read.
    fn check_template(&self, node: &Node) -> Result<(), Error>;
    /// Whether a bare condition (`when`, `until` …) can be read.
    fn check_condition(&self, node: &Node) -> Result<(), Error>;
}

/// A module as far as the loader needs it.
pub struct Module {
    pub free_form: Option<&'static str>,
    /// The names of its arguments; empty when any will do.
    pub arguments: &'static [&'static str],
    pub validate: Box<dyn Fn(Json) -> Result<(), String>>,
}

/// Reads playbooks and files of tasks.
pub struct Loader<'a> {
    pub names: &'a dyn Names,
}

impl Loader<'_> {
    /// The plays of a playbook, imported ones in their place.
    pub fn playbook(&self, path: &Path) -> Result<Vec<Play>, Error> {
        if !path.exists() {
            return Err(Error::new(format!("the playbook: {} could not be found", path.display())));
        }
        let mut plays = Vec::new();
        self.plays(
            path,
            &Node::new(
                Yaml::Map(Vec::new()),
                source::Span::start(&source::SourceFile::new(path, "")),
            ),
            &mut plays,
            0,
        )?;
        Ok(plays)
    }

    /// Adds the plays of a file; `outer` holds what an import puts on each of them.
    pub(super) fn plays(
        &self,
        path: &Path,
        outer: &Node,
        plays: &mut Vec<Play>,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > MAX_IMPORTS {
            return Err(outer.span.error("playbooks import each other without an end"));
        }
        let document = source::load(path)?;
        let Some(entries) = document.as_seq() else {
            return Err(document.span.error(match document.value {
                Yaml::Null => "Empty playbook, nothing to do".to_owned(),
                _ => format!("A playbook must be a list of plays, got {} instead", document.kind()),
            }));
        };
        if entries.is_empty() {
            return Err(document.span.error("A playbook must contain at least one play"));
        }
        for entry in entries {
            match imported(entry) {
                Some(file) => self.import_playbook(entry, file, outer, plays, depth)?,
                None => plays.push(self.play(entry, outer)?),
            }
        }
        Ok(())
    }

    fn import_playbook(
        &self,
        entry: &Node,
        file: &Node,
        outer: &Node,
        plays: &mut Vec<Play>,
        depth: usize,
    ) -> Result<(), Error> {
        let Some(name) = file.as_str() else {
            return Err(file.span.error("import_playbook needs the name of a file"));
        };
        let path = beside(entry, name);
        if !path.exists() {
            return Err(file.span.error(format!("{} could not be found", path.display())));
        }
        let mut inherited: Vec<(Node, Node)> = outer.as_map().unwrap_or_default().to_vec();
        for (key, value) in entry.as_map().unwrap_or_default() {
            match key.as_str() {
                Some("name") => {}
                Some(key) if key.ends_with("import_playbook") => {}
                Some("tags" | "vars" | "when" | "become" | "become_user" | "environment") => {
                    inherited.push((key.clone(), value.clone()));
                }
                _ => {
                    return Err(unknown_keyword(
                        key,
                        "PlaybookInclude",
                        ["tags", "vars", "when", "name", "import_playbook"].into_iter(),
                    ));
                }
            }
        }
        let inherited = Node::new(Yaml::Map(inherited), entry.span.clone());
        self.plays(&path, &inherited, plays, depth + 1)
    }

    /// The tasks of a file that `include_tasks` names; they inherit from the including task.
    pub fn tasks_file(&self, path: &Path, parent: &Task) -> Result<Vec<Item>, Error> {
        let mut keywords = (*parent.keywords).clone();
        // The condition and the tags of an include are its own; only what `apply`
        // names goes on to the tasks, but they keep what blocks and play around say.
        keywords.when.clear();
        keywords.delegate_to = None;
        self.tasks_of(path, &Arc::new(keywords), parent.handler, 0)
    }

    pub(super) fn tasks_of(
        &self,
        path: &Path,
        keywords: &Arc<Keywords>,
        handler: bool,
        depth: usize,
    ) -> Result<Vec<Item>, Error> {
        if depth > MAX_IMPORTS {
            return Err(Error::new(format!(
                "{}: files of tasks import each other without an end",
                path.display()
            )));
        }
        let document = source::load(path)?;
        match &document.value {
            Yaml::Null => Ok(Vec::new()),
            Yaml::Seq(_) => self.items(&document, keywords, handler, depth),
            _ => Err(document.span.error(format!(
                "included task files must contain a list of tasks, not {}",
                document.kind()
            ))),
        }
    }
}

/// The file of an `import_playbook` entry.
fn imported(entry: &Node) -> Option<&Node> {
    ["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook"]
        .iter()
        .find_map(|key| entry.get(key))
}

/// A path as a file names it: beside that file.
pub(super) fn beside(node: &Node, name: &str) -> PathBuf {
    let folder = node.span.path().parent().map(PathBuf::from).unwrap_or_default();
    folder.join(name)
}

/// "'x' is not a valid attribute for a Y", with the nearest name.
pub(super) fn unknown_keyword<'a>(
    key: &Node,
    object: &str,
    known: impl Iterator<Item = &'a str>,
) -> Error {
    let name = match key.as_str() {
        Some(name) => name.to_owned(),
        None => key.to_json().to_string(),
    };
    let error = key.span.error(format!("'{name}' is not a valid attribute for a {object}"));
    match suggest(&name, known) {
        Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
        None => error,
    }
}
