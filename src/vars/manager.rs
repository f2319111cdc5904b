//! The variables that live through a run, and the scopes made of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::scope::TaskPlace;
use super::{BatchVars, FactCache, Layer, RunVars, TaskScope};
use crate::inventory::Inventory;
use crate::playbook::{Keywords, Role};
use crate::template::{Templar, Value, Variable};

/// No host at all; no host has this name.
pub(super) const NOBODY: &str = "";

/// The inventory as it is now; tasks may change it.
pub type SharedInventory = Arc<RwLock<Arc<Inventory>>>;

/// Holds inventory, extra variables, and per host the facts and what tasks have set.
#[derive(Debug)]
pub struct Manager {
    inventory: SharedInventory,
    templar: Templar,
    run: RunVars,
    extra: Arc<Layer>,
    hosts: RwLock<HashMap<String, HostVariables>>,
    /// `groups`, which every condition with a group in it asks for.
    groups: RwLock<Option<Value>>,
    cache: Option<FactCache>,
}

/// What a host has gathered up so far.
#[derive(Clone, Debug, Default)]
struct HostVariables {
    /// Level 11, under the names the modules returned (`ansible_…`).
    facts: Arc<Layer>,
    /// Level 18: include_vars.
    included: Arc<Layer>,
    /// Level 19: set_fact, registered.
    set: Arc<Layer>,
    /// The inventory's levels, computed once, highest first.
    inventory: Option<Arc<[Arc<Layer>]>>,
}

/// The variables that a task brings with it, in Ansible's levels.
#[derive(Clone, Debug, Default)]
pub struct TaskLayers {
    /// The role that the task belongs to.
    pub role: Option<Arc<Role>>,
    /// Roles whose variables the whole play sees, in the order in which they are used.
    pub roles: Vec<Arc<Role>>,
    /// Folders where the task's files are looked for, nearest first.
    pub search: Vec<PathBuf>,
    /// Those of the task, which its connection follows.
    pub keywords: Option<Arc<Keywords>>,
    /// Levels 12 to 14: play vars, prompts, vars_files; highest first.
    pub play: Vec<Arc<Layer>>,
    /// Levels 16 and 17: vars of blocks and of the task; highest first.
    pub task: Vec<Arc<Layer>>,
    /// Level 21: parameters of includes; highest first.
    pub include: Vec<Arc<Layer>>,
}

impl Manager {
    pub fn new(
        inventory: SharedInventory,
        templar: Templar,
        run: RunVars,
        extra: Layer,
        cache: Option<FactCache>,
    ) -> Self {
        Self {
            inventory,
            templar,
            run,
            extra: Arc::new(extra),
            hosts: RwLock::default(),
            groups: RwLock::default(),
            cache,
        }
    }

    pub fn inventory(&self) -> Arc<Inventory> {
        self.inventory.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the inventory (add_host, group_by); every host's levels are computed anew.
    pub fn change_inventory<T>(&self, change: impl FnOnce(&mut Inventory) -> T) -> T {
        let mut inventory = self.inventory.write().unwrap_or_else(PoisonError::into_inner);
        *self.groups.write().unwrap_or_else(PoisonError::into_inner) = None;
        let result = change(Arc::make_mut(&mut inventory));
        for host in self.hosts.write().unwrap_or_else(PoisonError::into_inner).values_mut() {
            host.inventory = None;
        }
        result
    }

    /// The hosts of every group.
    pub fn groups(&self) -> Value {
        // Held meanwhile, so that nobody changes it between the look and what is kept of it.
        let inventory = self.inventory.read().unwrap_or_else(PoisonError::into_inner);
        let known = self.groups.read().unwrap_or_else(PoisonError::into_inner).clone();
        known.unwrap_or_else(|| {
            let list = |hosts: Vec<String>| hosts.into_iter().collect::<Value>();
            let groups = inventory.groups().into_iter().map(|(name, hosts)| (name, list(hosts)));
            let groups = Value::from_pairs(groups);
            *self.groups.write().unwrap_or_else(PoisonError::into_inner) = Some(groups.clone());
            groups
        })
    }

    /// The variables of `-e`.
    pub fn extra(&self) -> &Arc<Layer> {
        &self.extra
    }

    pub fn templar(&self) -> &Templar {
        &self.templar
    }

    pub fn run(&self) -> &RunVars {
        &self.run
    }

    /// Facts under the names that modules returned them by.
    pub fn facts(&self, host: &str) -> Arc<Layer> {
        self.host(host).facts
    }

    /// Adds facts, to the cache too; a cache that cannot be written is an error.
    pub fn add_facts(
        &self,
        host: &str,
        facts: impl IntoIterator<Item = (String, Value)>,
    ) -> std::io::Result<()> {
        let facts = facts.into_iter().map(|(name, value)| (name, Variable::Data(value)));
        let known = self.host(host).facts;
        let mut all = (*known).clone();
        all.extend(facts);
        let stored = self.cache.as_ref().map_or(Ok(()), |cache| cache.store(host, &all));
        self.update(host, |variables| variables.facts = Arc::new(all));
        stored
    }

    /// Adds variables of level 18, of include_vars.
    pub fn include(&self, host: &str, variables: impl IntoIterator<Item = (String, Variable)>) {
        self.know(host);
        self.update(host, |host| Arc::make_mut(&mut host.included).extend(variables));
    }

    /// Sets variables of level 19: they outlive the task and the play.
    pub fn set(&self, host: &str, variables: impl IntoIterator<Item = (String, Variable)>) {
        self.know(host);
        self.update(host, |host| Arc::make_mut(&mut host.set).extend(variables));
    }

    /// Facts of the cache are there before anything else is known of a host.
    fn know(&self, host: &str) {
        let _ = self.host(host);
    }

    pub fn clear_facts(&self, host: &str) {
        if let Some(cache) = &self.cache {
            cache.forget(host);
        }
        self.update(host, |variables| variables.facts = Arc::default());
    }

    /// What a task on `host` sees.
    pub fn task_scope(
        self: &Arc<Self>,
        host: &str,
        batch: &Arc<BatchVars>,
        layers: &TaskLayers,
    ) -> TaskScope {
        self.scope(host, self.host(host), &self.inventory_layers(host), batch, layers)
    }

    /// What is seen where no host has been chosen.
    pub fn play_scope(self: &Arc<Self>, batch: &Arc<BatchVars>, layers: &TaskLayers) -> TaskScope {
        self.scope(NOBODY, HostVariables::default(), &[], batch, layers)
    }

    fn scope(
        self: &Arc<Self>,
        host: &str,
        variables: HostVariables,
        inventory: &[Arc<Layer>],
        batch: &Arc<BatchVars>,
        layers: &TaskLayers,
    ) -> TaskScope {
        let role = layers.role.as_ref();
        let mut stack = vec![self.extra.clone()];
        stack.extend(layers.include.iter().cloned());
        stack.extend(role.iter().flat_map(|role| role.parameter_layers()));
        stack.push(variables.set);
        stack.push(variables.included);
        stack.extend(layers.task.iter().cloned());
        stack.extend(role.iter().flat_map(|role| role.variable_layers()));
        stack.extend(layers.roles.iter().rev().flat_map(|role| role.exported_layers()));
        stack.extend(layers.play.iter().cloned());
        if self.run.inject_facts {
            stack.push(variables.facts);
        }
        stack.extend(inventory.iter().cloned());
        stack.extend(role.iter().flat_map(|role| role.default_layers()));
        stack.extend(layers.roles.iter().rev().flat_map(|role| role.default_layers()));
        stack.retain(|layer| !layer.is_empty());
        let place = TaskPlace {
            role: role.cloned(),
            search: layers.search.clone(),
            keywords: layers.keywords.clone(),
        };
        TaskScope::new(self.clone(), host, batch.clone(), place, stack)
    }

    /// What other hosts see of `host` through `hostvars`; none if there is no such host.
    pub fn host_scope(self: &Arc<Self>, host: &str) -> Option<TaskScope> {
        self.inventory()
            .contains_host(host)
            .then(|| self.task_scope(host, &Arc::default(), &TaskLayers::default()))
    }

    fn inventory_layers(&self, host: &str) -> Arc<[Arc<Layer>]> {
        if let Some(layers) = self.host(host).inventory {
            return layers;
        }
        let mut layers: Vec<_> =
            self.inventory().layers(host).into_iter().map(|(_, layer)| layer).collect();
        layers.reverse();
        let layers: Arc<[Arc<Layer>]> = layers.into();
        self.update(host, |variables| variables.inventory = Some(layers.clone()));
        layers
    }

    fn host(&self, host: &str) -> HostVariables {
        let known = {
            let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
            hosts.get(host).cloned()
        };
        known.unwrap_or_else(|| {
            // The first time that anyone asks for this host.
            let facts = self.cache.as_ref().and_then(|cache| cache.load(host));
            let facts = Arc::new(facts.unwrap_or_default());
            let variables = HostVariables { facts, ..HostVariables::default() };
            self.update(host, |known| *known = variables.clone());
            variables
        })
    }

    fn update(&self, host: &str, change: impl FnOnce(&mut HostVariables)) {
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        change(hosts.entry(host.to_owned()).or_default());
    }
}
