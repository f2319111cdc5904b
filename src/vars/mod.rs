//! The variables of a run: which wins, which live on from task to task, and the
//! magic ones. Levels are those of Ansible's "Understanding variable precedence".

mod cache;
mod connection;
mod magic;
mod manager;
pub mod reserved;
mod scope;

pub use crate::template::{Layer, layer_of};

pub use cache::FactCache;
pub use connection::ConnectionVars;
pub use magic::{BatchVars, RunVars};
pub use manager::{Manager, SharedInventory, TaskLayers};
pub use scope::TaskScope;
