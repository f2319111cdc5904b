//! The variables of a run: which wins, which live on from task to task, and the
//! magic ones. Levels are those of Ansible's "Understanding variable precedence".

mod magic;
mod manager;
mod scope;

use std::sync::Arc;

use crate::source::{Node, Yaml};
pub use crate::template::Layer;
use crate::template::Variable;

pub use magic::{BatchVars, RunVars};
pub use manager::{Manager, TaskLayers};
pub use scope::TaskScope;

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
