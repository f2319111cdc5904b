//! Jinja2 as Ansible uses it, on minijinja: native types and lazy variables.
//!
//! [`Templar`] is the way in. A text is cut into data and tags ([`scan`]),
//! expressions are read as tokens ([`tokens`]) and written anew for minijinja
//! ([`rewrite`]), which then runs them over a [`Context`](context::Context) that
//! asks the [`Scope`] for a variable only when one is used.

mod access;
mod call;
mod charset;
mod check;
mod context;
mod error;
mod file;
mod file_vars;
mod filters;
mod finish;
mod globals;
mod ini;
mod json;
mod layers;
mod line_statements;
mod locate;
mod lookups;
mod merge;
mod methods;
mod mutable;
mod nesting;
mod omit;
mod pyformat;
mod python;
mod rewrite;
mod running;
mod scan;
mod templar;
mod tests;
mod tokens;
pub mod yaml;

use std::fmt::Debug;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::source::{Node, Yaml};

pub use charset::Charset;
pub use error::TemplateError;
pub use file::FileOptions;
pub use filters::paths::normal as normal_path;
pub use json::{JsonStyle, from_json, merge_json, to_json, write_json};
pub use layers::{Layers, put, stacked};
pub use lookups::asked as lookups_asked;
pub use merge::merged;
pub use omit::is_omit;
pub use python::{repr as python_repr, text as python_text, type_name as python_type};
pub use scan::Delimiters;
pub use templar::{Decrypt, HostPattern, Settings, Templar};

/// What a template works on and gives back. Cheap to clone.
pub type Value = minijinja::Value;

/// A variable as a scope holds it.
#[derive(Clone, Debug)]
pub enum Variable {
    /// Written by the operator: templated each time it is looked at.
    Source(Arc<Node>),
    /// A result, a fact or a magic variable: never a template, whatever it looks like.
    Data(Value),
}

/// Variables of one source (a file, a `vars:`), in its order.
pub type Layer = IndexMap<String, Variable>;

/// The entries of a mapping that the operator wrote as variables; keys that are
/// no strings cannot be looked up by name and are left out.
pub fn layer_of(node: &Node) -> Layer {
    let Yaml::Map(entries) = &node.value else {
        return Layer::new();
    };
    entries
        .iter()
        .filter_map(|(key, value)| {
            Some((key.as_str()?.to_owned(), Variable::Source(Arc::new(value.clone()))))
        })
        .collect()
}

/// The variables that one host sees for one task, by precedence.
pub trait Scope: Debug + Send + Sync {
    /// The variable that wins for this name.
    fn lookup(&self, name: &str) -> Option<Variable>;
    /// Every name that `lookup` knows (for `vars`, the varnames lookup and suggestions).
    fn names(&self) -> Vec<String>;
}
