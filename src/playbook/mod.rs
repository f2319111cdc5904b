//! Playbooks as typed values: plays, blocks, tasks, and the keywords they inherit.
//!
//! [`Loader`] reads files; what it has to know of modules and templates it asks
//! [`Names`]. `import_playbook` and `import_tasks` are resolved here,
//! `include_tasks` stays a task until it runs.

mod action;
mod arguments;
mod block;
mod key_value;
mod keywords;
mod load;
mod model;
mod names;
mod notified;
mod play;
mod prompt;
mod task;
mod values;

pub use keywords::Keywords;
pub use load::Loader;
pub use model::{Block, Item, Loop, LoopControl, Play, Prompt, Task};
pub use names::{Module, Names};
