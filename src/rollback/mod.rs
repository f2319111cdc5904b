//! The way back from an upgrade: which case it is and what has to be done, as a function of
//! what the hosts, the cluster and the saved states say.

mod certificates;
mod plan;
mod steps;
mod storage;
#[cfg(test)]
mod testing;
mod world;

pub use plan::{Back, Case, Plan};
pub use world::{Backup, Host, World};
