//! Hosts, their groups and the variables that are given for them: Ansible's
//! inventories (YAML, INI, JSON, scripts, lists of hosts, folders of these), the
//! folders group_vars/ and host_vars/, and the patterns that select hosts.

mod address;
mod change;
mod data;
mod ini;
mod layers;
mod literal;
mod load;
mod pattern;
mod range;
mod script;
mod vars_files;
mod yaml;

pub use address::host_and_port;
pub use data::Inventory;
pub use layers::Level;
