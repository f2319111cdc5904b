//! What the loader has to know of the world beside the playbook.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use super::values::is_template;
use crate::source::{Error, Node};
use crate::template::Layer;

/// Answers the loader's questions about modules and templates.
pub trait Names: Sync {
    /// A module by its short name.
    fn module(&self, name: &str) -> Option<Module>;

    /// All names, for suggestions.
    fn modules(&self) -> Vec<String>;

    /// Executables of this folder are modules too.
    fn add_modules(&self, _folder: &Path) {}

    /// Whether the templates in a value can be read.
    fn check_template(&self, node: &Node) -> Result<(), Error>;

    /// Whether a bare condition (`when`, `until` …) can be read.
    fn check_condition(&self, node: &Node) -> Result<(), Error>;

    /// Whether there is a lookup of this name, for `with_` loops.
    fn has_lookup(&self, _name: &str) -> bool {
        true
    }

    /// The name of a file to import. `vars` are those that are known before any
    /// host is: of the play and its blocks, outer ones first.
    fn file_name(&self, node: &Node, _vars: &[Arc<Layer>]) -> Result<String, Error> {
        match node.as_str() {
            Some(name) if !is_template(node) => Ok(name.to_owned()),
            Some(name) => Err(node
                .span
                .error(format!("Error when evaluating variable in import path: {name}."))
                .with_help("an import is read before variables are known; include_tasks is read when it runs")),
            None => Err(node.span.error(format!("a file name must be a string, not {}", node.kind()))),
        }
    }

    /// Folders of roles beside those of the playbook.
    fn roles_path(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Whether the variables of roles are for the role alone, unless it is said otherwise.
    fn private_role_vars(&self) -> Option<bool> {
        None
    }

    /// Takes what is allowed but most likely a slip.
    fn warn(&self, _warning: Error) {}
}

/// A module as far as the loader needs it.
pub struct Module {
    /// The argument that takes the text behind the module's name, if any.
    pub free_form: Option<&'static str>,
    /// The names of its arguments; empty when any will do.
    pub arguments: &'static [&'static str],
    /// Whether these arguments, which hold no template, are right.
    pub validate: Box<dyn Fn(Json) -> Result<(), String>>,
}
