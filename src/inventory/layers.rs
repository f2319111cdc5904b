//! The variables of a host by level, as "Understanding variable precedence" orders them.

use std::sync::{Arc, LazyLock};

use super::Inventory;
use super::data::{Given, is_localhost};
use crate::template::{Layer, Value, Variable};

/// Where a variable of the inventory was given; a later one wins over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Of groups, in the inventory's sources (3).
    GroupSource,
    /// group_vars/all beside the inventory (4).
    InventoryAll,
    /// group_vars/all beside the playbook (5).
    PlaybookAll,
    /// group_vars/* beside the inventory (6).
    InventoryGroup,
    /// group_vars/* beside the playbook (7).
    PlaybookGroup,
    /// Of the host, in the inventory's sources (8).
    HostSource,
    /// host_vars/* beside the inventory (9).
    InventoryHost,
    /// host_vars/* beside the playbook (10).
    PlaybookHost,
}

/// The implicit localhost is this machine, and no ssh is needed to reach it. Its Python,
/// for modules that are written in it, is the first one of the search path.
static IMPLICIT: LazyLock<Arc<Layer>> = LazyLock::new(|| {
    let variable = |name: &str, value: &str| (name.to_owned(), Variable::Data(Value::from(value)));
    let mut layer = Layer::from([variable("ansible_connection", "local")]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let python = std::env::split_paths(&path).map(|folder| folder.join("python3"));
    if let Some(python) = python.into_iter().find(|python| python.is_file()) {
        layer.extend([variable("ansible_python_interpreter", &python.display().to_string())]);
    }
    Arc::new(layer)
});

impl Inventory {
    /// The variables given for a host, lowest level first. Within a level, groups
    /// come by depth, then priority, then name. A name that no source knows has
    /// the variables of `all`.
    pub fn layers(&self, host: &str) -> Vec<(Level, Arc<Layer>)> {
        let all = self.groups.get("all").map(|group| group.vars.clone()).unwrap_or_default();
        let groups = self.ordered_groups(host);
        let mut layers = vec![(Level::GroupSource, all.inline)];
        layers.extend(groups.iter().map(|(_, given)| (Level::GroupSource, given.inline.clone())));
        layers.push((Level::InventoryAll, all.inventory));
        layers.push((Level::PlaybookAll, all.playbook));
        let inventory = groups.iter().map(|(_, given)| given.inventory.clone());
        layers.extend(inventory.map(|layer| (Level::InventoryGroup, layer)));
        let playbook = groups.iter().map(|(_, given)| given.playbook.clone());
        layers.extend(playbook.map(|layer| (Level::PlaybookGroup, layer)));
        match self.hosts.get(host) {
            Some(host) => {
                layers.push((Level::HostSource, host.vars.inline.clone()));
                layers.push((Level::InventoryHost, host.vars.inventory.clone()));
                layers.push((Level::PlaybookHost, host.vars.playbook.clone()));
            }
            None if is_localhost(host) => {
                layers.push((Level::HostSource, IMPLICIT.clone()));
                let (inventory, playbook) = self.folders.loaded_localhost(host);
                layers.push((Level::InventoryHost, inventory));
                layers.push((Level::PlaybookHost, playbook));
            }
            None => {}
        }
        layers.retain(|(_, layer)| !layer.is_empty());
        layers
    }

    /// What is given for a group itself, lowest level first.
    pub fn group_layers(&self, group: &str) -> Vec<(Level, Arc<Layer>)> {
        let Some(group) = self.groups.get(group) else {
            return Vec::new();
        };
        vec![
            (Level::GroupSource, group.vars.inline.clone()),
            (Level::InventoryGroup, group.vars.inventory.clone()),
            (Level::PlaybookGroup, group.vars.playbook.clone()),
        ]
    }

    /// The names of all variables that are given for a host.
    pub fn names(&self, host: &str) -> Vec<String> {
        let layers = self.layers(host);
        layers.iter().flat_map(|(_, layer)| layer.keys().cloned()).collect()
    }

    /// The groups of a host without `all`, those that win last.
    pub(super) fn ordered_groups(&self, host: &str) -> Vec<(&str, &Given)> {
        let depths = self.depths();
        let names = self.group_names(host);
        let mut groups: Vec<_> = names
            .iter()
            .filter_map(|name| {
                let (name, group) = self.groups.get_key_value(name)?;
                let depth = depths.get(name.as_str()).copied().unwrap_or_default();
                Some(((depth, group.priority, name.as_str()), &group.vars))
            })
            .collect();
        groups.sort_by(|a, b| a.0.cmp(&b.0));
        groups.into_iter().map(|((_, _, name), given)| (name, given)).collect()
    }
}
