//! `import_role` and `include_role`: roles in the place of a task.

use std::path::Path;
use std::sync::Arc;

use super::action::Action;
use super::load::{Found, Loader, Place};
use super::role::{RoleTasks, Wanted};
use super::role_files::Names;
use super::{Item, Role, Task};
use crate::source::{Error, Node, Yaml, boolean};
use crate::template::Layer;

/// The arguments of both.
pub const ARGUMENTS: &[&str] = &[
    "name",
    "role",
    "tasks_from",
    "vars_from",
    "defaults_from",
    "handlers_from",
    "apply",
    "public",
    "allow_duplicates",
    "rolespec_validate",
];

/// What an include brings into a running play.
#[derive(Debug)]
pub struct Brought {
    pub items: Vec<Item>,
    /// Handlers of its roles.
    pub handlers: Vec<Item>,
    /// Roles whose variables the rest of the play sees.
    pub roles: Vec<Arc<Role>>,
}

impl Loader<'_> {
    pub(super) fn import_role(
        &self,
        node: &Node,
        action: &Action,
        place: &Place,
    ) -> Result<RoleTasks, Error> {
        self.check_import(node, "role")?;
        let keywords = place.keywords.inherit(node, "TaskInclude")?;
        let inner = Place { keywords: Arc::new(keywords), ..place.clone() };
        let text = |argument: &Node| self.names.file_name(argument, &self.known(&inner));
        let none = Node::new(Yaml::Map(Vec::new()), node.span.clone());
        let arguments = action.arguments.as_ref().unwrap_or(&none);
        let public = !self.names.private_role_vars().unwrap_or(false);
        let wanted = wanted(node, arguments, &inner, &text, public)?;
        let name = arguments.get("name").or_else(|| arguments.get("role"));
        self.role(name.unwrap_or(node), wanted, &inner)
    }

    /// The role that a running `include_role` names; its arguments are templated.
    pub fn included_role(
        &self,
        task: &Task,
        arguments: &Node,
        directory: &Path,
    ) -> Result<Brought, Error> {
        let place = self.place_of_include(task, directory)?;
        let text = |argument: &Node| match argument.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(argument.span.error("the name of a role or a file must be a string")),
        };
        let written = task.arguments.as_ref();
        let name = written.and_then(|node| node.get("name").or_else(|| node.get("role")));
        let span = name.map_or(&task.span, |name| &name.span);
        let node = Node::new(Yaml::Null, span.clone());
        let public = self.names.private_role_vars().is_some_and(|private| !private);
        let wanted = wanted(&node, arguments, &place, &text, public)?;
        let tasks = self.role(&node, wanted, &place)?;
        Ok(self.brought(vec![Item::Role(tasks)]))
    }

    /// What the tasks that a running include brings inherit.
    pub(super) fn place_of_include(&self, task: &Task, directory: &Path) -> Result<Place, Error> {
        self.found.take();
        let mut keywords = (*task.outer).clone();
        if let Some(apply) = task.arguments.as_ref().and_then(|arguments| arguments.get("apply")) {
            keywords = keywords.inherit(apply, "Block")?;
        }
        Ok(Place {
            keywords: Arc::new(keywords),
            play_vars: Arc::default(),
            handler: task.handler,
            parents: task.role.as_ref().map(|role| role.chain()).unwrap_or_default(),
            role: task.role.clone(),
            directory: directory.to_owned(),
            rescued: task.rescued,
            depth: 0,
        })
    }

    pub(super) fn brought(&self, items: Vec<Item>) -> Brought {
        let Found { roles, handlers } = self.found.take();
        Brought { items, handlers, roles }
    }
}

fn wanted(
    node: &Node,
    arguments: &Node,
    place: &Place,
    text: &dyn Fn(&Node) -> Result<String, Error>,
    public: bool,
) -> Result<Wanted, Error> {
    let name = arguments.get("name").or_else(|| arguments.get("role"));
    let Some(name) = name else {
        return Err(node
            .span
            .error("'name' is a required field for include_role and import_role."));
    };
    let from = |key: &str| -> Result<String, Error> {
        let file = match arguments.get(key) {
            Some(file) => text(file)?,
            None => "main".to_owned(),
        };
        // Both `x` and `x.yml` name the file.
        Ok(match file.strip_suffix(".yml").or_else(|| file.strip_suffix(".yaml")) {
            Some(stem) => stem.to_owned(),
            None => file,
        })
    };
    let flag = |key: &str, default: bool| match arguments.get(key) {
        Some(Node { value: Yaml::Bool(value), .. }) => *value,
        Some(node) => match text(node) {
            Ok(text) => boolean(&text).unwrap_or(default),
            Err(_) => default,
        },
        None => default,
    };
    Ok(Wanted {
        name: text(name)?,
        keywords: place.keywords.clone(),
        given: Layer::new(),
        params: Layer::new(),
        files: Names {
            tasks: from("tasks_from")?,
            vars: from("vars_from")?,
            defaults: from("defaults_from")?,
            handlers: from("handlers_from")?,
        },
        public: flag("public", public),
        allow_duplicates: Some(flag("allow_duplicates", true)),
        from_include: true,
        validate: flag("rolespec_validate", true),
        written: String::new(),
    })
}
