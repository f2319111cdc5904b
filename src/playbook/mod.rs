//! Playbooks as typed values: plays, blocks, tasks, and the keywords they inherit.
//!
//! [`Loader`] reads files; what it has to know of modules and templates it asks
//! [`Names`]. `import_playbook`, `import_tasks` and `import_role` are resolved here,
//! `include_tasks` and `include_role` stay tasks until they run.

mod action;
mod arguments;
mod block;
mod groups;
pub mod key_value;
mod keywords;
mod load;
mod model;
mod names;
mod notified;
mod play;
mod prompt;
mod role;
mod role_files;
mod role_tasks;
pub mod serial;
mod task;
mod values;

pub use action::normalise;
pub use key_value::split as split_pairs;
pub use keywords::{Keywords, list_of};
pub use load::Loader;
pub use model::{Block, Item, Loop, LoopControl, Play, Prompt, Task, Tasks};
pub use names::{Module, Names};
pub use role::{Role, RoleBody, RoleTasks};
pub use role_files::short_name as short_role_name;
pub use role_tasks::{ARGUMENTS as ROLE_ARGUMENTS, Brought};
