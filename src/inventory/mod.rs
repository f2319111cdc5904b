//! Hosts, their groups and the variables that are given for them: Ansible's
//! inventories (YAML, INI, JSON, TOML, scripts, lists of hosts, constructed groups, folders of
//! these), the nodes of a cluster, the folders group_vars/ and host_vars/, and the patterns that select hosts.

mod address;
mod change;
mod cluster;
mod constructed;
mod data;
mod file;
mod generator;
mod ini;
mod layers;
mod literal;
mod load;
mod options;
mod pattern;
mod range;
mod reading;
mod script;
mod toml;
mod vars_files;
mod yaml;

pub use address::{host_and_port, short_name};
pub use data::{Inventory, is_localhost};
pub use layers::Level;
pub use reading::{KnownFacts, Reading};
