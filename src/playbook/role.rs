//! Roles: what stands under `roles/`, and what a play, a dependency or a task says
//! about using it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::keywords::{COMMON, list_of, tags_of, vars_of};
use super::load::{Loader, MAX_IMPORTS, Place};
use super::role_files as files;
use super::values::{is_template, is_variable_name};
use super::{Item, Keywords};
use crate::source::{Error, Node, Yaml};
use crate::template::{Layer, Variable, layer_of};
use crate::vars::reserved;

/// A role as one play uses it.
#[derive(Debug)]
pub struct Role {
    pub body: Arc<RoleBody>,
    /// The roles that it stands in or is a dependency of, outermost first.
    pub parents: Vec<Arc<RoleBody>>,
    /// Those that `meta/main.yml` names.
    pub dependencies: Vec<Arc<Role>>,
    /// Whether the rest of the play sees its variables.
    pub public: bool,
    /// Whether it runs again on a host where the same role with the same parameters has run.
    pub allow_duplicates: bool,
    /// Whether a task brought it, and not `roles` or a dependency.
    pub from_include: bool,
    /// Equal for two uses that are the same.
    pub identity: String,
}

/// A role's name, place and variables.
#[derive(Debug, Default)]
pub struct RoleBody {
    pub name: String,
    pub path: PathBuf,
    /// Level 2.
    pub defaults: Arc<Layer>,
    /// Level 15: its `vars/`.
    pub vars: Arc<Layer>,
    /// What `vars` beside its name in `roles` says.
    pub given: Arc<Layer>,
    /// Level 20: other keys beside its name.
    pub params: Arc<Layer>,
}

/// A role with its tasks, dependencies first.
#[derive(Debug)]
pub struct RoleTasks {
    pub role: Arc<Role>,
    pub items: Vec<Item>,
}

/// Which role is wanted, and how.
pub(super) struct Wanted {
    pub name: String,
    pub keywords: Arc<Keywords>,
    pub given: Layer,
    pub params: Layer,
    pub files: files::Names,
    pub public: bool,
    /// What the user of the role says; else its `meta/main.yml`.
    pub allow_duplicates: Option<bool>,
    pub validate: bool,
    pub from_include: bool,
    /// What is said beside the role's name.
    pub written: String,
}

impl Role {
    /// Defaults that its tasks see, highest first.
    pub fn default_layers(&self) -> Vec<Arc<Layer>> {
        let mut layers = vec![self.body.defaults.clone()];
        layers.extend(self.parents.iter().rev().map(|parent| parent.defaults.clone()));
        layers.extend(self.dependencies.iter().rev().flat_map(|role| role.own_defaults()));
        layers
    }

    fn own_defaults(&self) -> Vec<Arc<Layer>> {
        let mut layers = vec![self.body.defaults.clone()];
        layers.extend(self.dependencies.iter().rev().flat_map(|role| role.own_defaults()));
        layers
    }

    /// Variables of level 15 that its tasks see, highest first. Of the roles around it
    /// `vars/` wins over what is said beside the name, of itself it is the other way round.
    pub fn variable_layers(&self) -> Vec<Arc<Layer>> {
        let mut layers = vec![self.body.given.clone(), self.body.vars.clone()];
        layers.extend(self.dependencies.iter().rev().flat_map(|role| role.exported_layers()));
        for parent in self.parents.iter().rev() {
            layers.extend([parent.vars.clone(), parent.given.clone()]);
        }
        layers
    }

    /// What the rest of the play sees: the `vars/` of it and of its dependencies, highest first.
    pub fn exported_layers(&self) -> Vec<Arc<Layer>> {
        let mut layers = vec![self.body.vars.clone()];
        layers.extend(self.dependencies.iter().rev().flat_map(|role| role.exported_layers()));
        layers
    }

    /// Parameters, its own first, then those of the roles around it.
    pub fn parameter_layers(&self) -> Vec<Arc<Layer>> {
        let around = self.parents.iter().rev().map(|parent| parent.params.clone());
        std::iter::once(self.body.params.clone()).chain(around).collect()
    }

    /// The roles around it and itself, as the parents of what stands in it.
    pub fn chain(&self) -> Vec<Arc<RoleBody>> {
        let mut chain = self.parents.clone();
        chain.push(self.body.clone());
        chain
    }

    /// Folders where its files are looked for, nearest first.
    pub fn search_path(&self) -> Vec<PathBuf> {
        let around = self.parents.iter().rev().map(|parent| parent.path.clone());
        std::iter::once(self.body.path.clone()).chain(around).collect()
    }
}

/// Keywords that may stand beside a role's name in `roles` and in dependencies.
fn is_keyword(name: &str) -> bool {
    COMMON.contains(&name) || matches!(name, "when" | "delegate_to" | "delegate_facts")
}

impl Loader<'_> {
    /// The entries of `roles`, or of a role's dependencies.
    pub(super) fn roles(&self, list: &Node, place: &Place) -> Result<Vec<Item>, Error> {
        if !matches!(list.value, Yaml::Seq(_) | Yaml::Null) {
            return Err(list
                .span
                .error("A malformed role declaration was encountered.")
                .with_help(format!("roles must be a list, not {}", list.kind())));
        }
        let mut items = Vec::new();
        for entry in list_of(list) {
            let wanted = self.wanted(&entry, place)?;
            items.push(Item::Role(self.role(&entry, wanted, place)?));
        }
        Ok(items)
    }

    /// An entry of `roles`: a name, or a mapping with `role` and parameters.
    fn wanted(&self, entry: &Node, place: &Place) -> Result<Wanted, Error> {
        let named = ["role", "name", "src"].iter().find_map(|key| entry.get(key));
        let name = match &entry.value {
            Yaml::Str(_) | Yaml::Int(_) => Some(entry),
            Yaml::Map(_) => named,
            _ => None,
        };
        let Some(name) = name else {
            return Err(entry.span.error("role definitions must contain a role name").with_help(
                "write the role's name, or a mapping with 'role: NAME' and what is set for it",
            ));
        };
        if let Some(text) = name.as_str().filter(|text| text.contains(',') && !is_template(name)) {
            return Err(name
                .span
                .error(format!("Invalid old style role requirement: {text}"))
                .with_help("write one role in each entry, with its name alone")
                .refused());
        }
        let mut params = Layer::new();
        for (key, value) in entry.as_map().unwrap_or_default() {
            let Some(text) = key.as_str() else {
                return Err(key.span.error("the name of a role's parameter must be a string"));
            };
            if is_keyword(text) {
                self.check(text, value)?;
            } else if text != "role" {
                if !is_variable_name(text) {
                    return Err(key.span.error(format!("'{text}' is not a valid variable name")));
                }
                self.names.check_template(value)?;
                params.insert(text.to_owned(), Variable::Source(Arc::new(value.clone())));
            }
        }
        let keywords = place.keywords.inherit(&without(entry, "vars"), "Role")?;
        let given = entry.get("vars").map(|vars| vars_of(vars, "RoleInclude")).transpose()?;
        Ok(Wanted {
            name: self.names.file_name(name, &self.known(place))?,
            keywords: Arc::new(keywords),
            given: given.unwrap_or_default(),
            params,
            files: files::Names::default(),
            public: !self.names.private_role_vars().unwrap_or(false),
            allow_duplicates: None,
            validate: true,
            from_include: false,
            written: match entry.as_map() {
                Some(_) => without(&without(entry, "role"), "name").to_json().to_string(),
                None => "{}".to_owned(),
            },
        })
    }

    /// Reads a role with everything that its tasks and dependencies bring.
    pub(super) fn role(
        &self,
        node: &Node,
        wanted: Wanted,
        place: &Place,
    ) -> Result<RoleTasks, Error> {
        if place.depth >= MAX_IMPORTS {
            return Err(node.span.error("A recursion loop was detected with the roles specified."));
        }
        let path = self.role_path(node, &wanted.name, place)?;
        let body = Arc::new(RoleBody {
            name: wanted.name.clone(),
            defaults: Arc::new(self.variables(&path, "defaults", &wanted.files.defaults, node)?),
            vars: Arc::new(self.variables(&path, "vars", &wanted.files.vars, node)?),
            given: Arc::new(wanted.given),
            params: Arc::new(wanted.params),
            path: path.clone(),
        });
        let meta = self.meta(&path)?;
        let mut items = self.dependencies(&meta, &body, &wanted.keywords, place)?;
        self.names.add_modules(&path.join("library"));
        let duplicates = meta.get("allow_duplicates").map(|node| node.value == Yaml::Bool(true));
        let role = Arc::new(Role {
            parents: place.parents.clone(),
            dependencies: items.iter().filter_map(Item::role).cloned().collect(),
            public: wanted.public,
            from_include: wanted.from_include,
            allow_duplicates: wanted.allow_duplicates.or(duplicates).unwrap_or(false),
            identity: format!("{}|{:?}|{}", path.display(), wanted.files, wanted.written),
            body,
        });
        if role.public {
            self.found.borrow_mut().roles.push(role.clone());
        }
        let inner = Place {
            keywords: wanted.keywords,
            parents: role.chain(),
            role: Some(role.clone()),
            depth: place.depth + 1,
            ..place.clone()
        };
        if wanted.validate {
            items.extend(self.specification(&meta, &path, &wanted.files.tasks, &inner)?);
        }
        if let Some(file) = files::find(&path, "tasks", &wanted.files.tasks, node)? {
            items.extend(self.tasks_of(&file, &Place { handler: false, ..inner.clone() })?);
        }
        if let Some(file) = files::find(&path, "handlers", &wanted.files.handlers, node)? {
            let handlers = self.tasks_of(&file, &Place { handler: true, ..inner })?;
            self.found.borrow_mut().handlers.extend(handlers);
        }
        Ok(RoleTasks { role, items })
    }

    fn dependencies(
        &self,
        meta: &Node,
        body: &Arc<RoleBody>,
        keywords: &Arc<Keywords>,
        place: &Place,
    ) -> Result<Vec<Item>, Error> {
        let Some(list) = meta.get("dependencies") else {
            return Ok(Vec::new());
        };
        let mut parents = place.parents.clone();
        parents.push(body.clone());
        let inner =
            Place { keywords: keywords.clone(), parents, depth: place.depth + 1, ..place.clone() };
        // Those of dependencies are seen through the role that depends on them.
        let seen = self.found.borrow().roles.len();
        let items = self.roles(list, &inner)?;
        self.found.borrow_mut().roles.truncate(seen);
        Ok(items)
    }

    /// `meta/main.yml`; an empty mapping when there is none.
    fn meta(&self, path: &Path) -> Result<Node, Error> {
        let Some(file) = files::main(&path.join("meta")) else {
            return Ok(files::empty(path));
        };
        let node = self.document(&file)?;
        match node.value {
            Yaml::Map(_) => Ok(node),
            Yaml::Null => Ok(files::empty(path)),
            _ => Err(node.span.error(format!(
                "the 'meta/main.yml' for role must be a dictionary, not {}",
                node.kind()
            ))),
        }
    }

    fn variables(
        &self,
        path: &Path,
        folder: &str,
        name: &str,
        node: &Node,
    ) -> Result<Layer, Error> {
        let mut layer = Layer::new();
        for file in files::all(path, folder, name, node)? {
            let document = self.document(&file)?;
            match document.value {
                Yaml::Null => {}
                Yaml::Map(_) => layer.extend(layer_of(&document)),
                _ => {
                    return Err(document.span.error(format!(
                        "the {folder} of a role must be specified as a dictionary, not {}",
                        document.kind()
                    )));
                }
            }
        }
        for text in reserved::warnings(layer.keys().map(String::as_str)) {
            self.names.warn(Error::new(text));
        }
        Ok(layer)
    }

    /// The folder of a role, as Ansible looks for it.
    fn role_path(&self, node: &Node, name: &str, place: &Place) -> Result<PathBuf, Error> {
        let mut searched = vec![place.directory.join("roles")];
        searched.extend(
            place.parents.iter().rev().filter_map(|parent| parent.path.parent()).map(PathBuf::from),
        );
        searched.extend(self.names.roles_path());
        searched.push(place.directory.clone());
        let mut found = searched.iter().map(|folder| folder.join(name));
        let collection = files::in_collections(name, &place.directory);
        found.find(|path| path.is_dir()).or(collection).ok_or_else(|| {
            let shown: Vec<_> = searched.iter().map(|path| path.display().to_string()).collect();
            let error =
                node.span.error(format!("the role '{name}' was not found in {}", shown.join(":")));
            match files::nearest(name, &searched) {
                Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
                None => error,
            }
        })
    }

    /// The task that proves a role's arguments, if the role says what they are.
    fn specification(
        &self,
        meta: &Node,
        path: &Path,
        entry_point: &str,
        place: &Place,
    ) -> Result<Option<Item>, Error> {
        let own = ["yml", "yaml"]
            .map(|ending| path.join("meta").join(format!("argument_specs.{ending}")))
            .into_iter()
            .find(|path| path.is_file());
        let document = own.map(|file| self.document(&file)).transpose()?;
        let specs = document.as_ref().unwrap_or(meta).get("argument_specs");
        let point = entry_point.split('.').next().unwrap_or(entry_point);
        match specs.and_then(|specs| specs.get(point)) {
            Some(spec) => {
                Ok(Some(Item::Task(Arc::new(self.specification_task(spec, point, place)?))))
            }
            None => Ok(None),
        }
    }

    fn specification_task(
        &self,
        spec: &Node,
        point: &str,
        place: &Place,
    ) -> Result<super::Task, Error> {
        let short = spec.get("short_description").and_then(Node::as_str);
        let mut name = format!("Validating arguments against arg spec '{point}'");
        if let Some(short) = short {
            name.push_str(&format!(" - {short}"));
        }
        let text = |text: &str| Node::new(Yaml::Str(text.to_owned()), spec.span.clone());
        let options = spec.get("options").cloned();
        let body = place.role.as_ref().map(|role| &role.body);
        let about = json!({
            "argument_spec_name": point,
            // One of a collection has its short name here.
            "name": body.map(|body| files::short_name(&body.name)),
            "path": body.map(|body| body.path.display().to_string()),
            "type": "role",
        });
        let none = Node::new(Yaml::Map(Vec::new()), spec.span.clone());
        let arguments = Node::new(
            Yaml::Map(vec![
                (text("argument_spec"), options.unwrap_or(none).untemplated()),
                (text("validate_args_context"), Node::from_json(&about, &spec.span)),
            ]),
            spec.span.clone(),
        );
        let mut keywords = (*place.keywords).clone();
        keywords.tags.extend(tags_of(&text("always"))?);
        keywords.tags.sort();
        keywords.tags.dedup();
        Ok(super::Task {
            name: Some(text(&name)),
            arguments: Some(arguments),
            role: place.role.clone(),
            ..super::Task::new("validate_argument_spec", Arc::new(keywords), spec.span.clone())
        })
    }

    /// Variables that are known before any host is, outer ones first.
    pub(super) fn known(&self, place: &Place) -> Vec<Arc<Layer>> {
        let mut known = Vec::new();
        if let Some(role) = &place.role {
            known.extend(role.default_layers().into_iter().rev());
        }
        known.push(place.play_vars.clone());
        if let Some(role) = &place.role {
            known.extend(role.variable_layers().into_iter().rev());
        }
        known.extend(place.keywords.vars.iter().cloned());
        if let Some(role) = &place.role {
            known.extend(role.parameter_layers().into_iter().rev());
            let magic = [
                ("role_path", role.body.path.display().to_string()),
                ("role_name", role.body.name.clone()),
            ];
            let magic = magic.map(|(name, text)| (name.to_owned(), Variable::Data(text.into())));
            known.push(Arc::new(Layer::from_iter(magic)));
        }
        known
    }
}

/// A mapping without one of its keys.
fn without(node: &Node, name: &str) -> Node {
    match node.as_map() {
        Some(entries) => {
            let rest = entries.iter().filter(|(key, _)| key.as_str() != Some(name)).cloned();
            Node::new(Yaml::Map(rest.collect()), node.span.clone())
        }
        None => node.clone(),
    }
}
