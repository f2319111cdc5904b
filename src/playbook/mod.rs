//! Playbooks as typed values: plays, blocks, tasks, and the keywords they inherit.

mod action;
mod keywords;
mod load;
mod model;
mod play;
mod task;

pub use keywords::Keywords;
pub use load::{Loader, Module, Names};
pub use model::{Block, Item, Loop, LoopControl, Play, Prompt, Task};
