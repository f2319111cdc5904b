//! Magic variables: what Ansible itself sets. They win over everything but a loop's own.

use std::sync::Arc;

use indexmap::IndexSet;

use super::manager::NOBODY;
use super::scope::TaskScope;
use super::{ConnectionVars, Manager};
use crate::inventory::short_name;
use crate::template::{Scope, Value, Variable};

/// What holds for the whole run.
#[derive(Clone, Debug, Default)]
pub struct RunVars {
    pub check: bool,
    pub diff: bool,
    pub forks: usize,
    pub verbosity: u8,
    pub run_tags: Vec<String>,
    pub skip_tags: Vec<String>,
    pub limit: Option<String>,
    pub inventory_sources: Vec<String>,
    pub connection: ConnectionVars,
    /// Facts are variables too, under names with `ansible_`.
    pub inject_facts: bool,
    /// Mappings of several levels are merged, not replaced.
    pub merge_hashes: bool,
    /// The ansible.cfg that was read.
    pub config_file: Option<String>,
}

/// What holds for a play's batch of hosts.
#[derive(Clone, Debug, Default)]
pub struct BatchVars {
    /// False for what `hostvars` give: those know nothing of the play.
    pub of_play: bool,
    pub play_name: String,
    pub playbook_dir: String,
    /// All hosts of the play.
    pub play_hosts_all: Vec<String>,
    /// The hosts of the play that have not failed.
    pub play_hosts: Vec<String>,
    /// The hosts of this batch.
    pub batch: Vec<String>,
    /// The roles of the play, and those that they depend on.
    pub role_names: Vec<String>,
    pub dependent_role_names: Vec<String>,
}

const NAMES: &[&str] = &[
    "inventory_hostname",
    "inventory_hostname_short",
    "group_names",
    "groups",
    "hostvars",
    "vars",
    "ansible_facts",
    "ansible_play_name",
    "ansible_play_hosts_all",
    "ansible_play_hosts",
    "play_hosts",
    "ansible_play_batch",
    "ansible_check_mode",
    "ansible_diff_mode",
    "ansible_forks",
    "ansible_verbosity",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_limit",
    "ansible_version",
    "ansible_playbook_python",
    "ansible_inventory_sources",
    "ansible_config_file",
    "inventory_dir",
    "inventory_file",
    "playbook_dir",
    "role_name",
    "role_path",
    "ansible_collection_name",
    "ansible_role_name",
    "ansible_parent_role_names",
    "ansible_parent_role_paths",
    "role_names",
    "ansible_role_names",
    "ansible_play_role_names",
    "ansible_dependent_role_names",
    "ansible_search_path",
];

pub fn names() -> impl Iterator<Item = String> {
    NAMES.iter().map(|name| (*name).to_owned())
}

/// The magic variable of this name as `scope` sees it.
pub fn lookup(scope: &TaskScope, name: &str) -> Option<Value> {
    let manager = scope.manager();
    let run = manager.run();
    let batch = scope.batch();
    let host = scope.host();
    Some(match name {
        "inventory_hostname"
        | "inventory_hostname_short"
        | "group_names"
        | "ansible_facts"
        | "inventory_dir"
        | "inventory_file"
            if host == NOBODY =>
        {
            return None;
        }
        "inventory_hostname" => Value::from(host),
        "inventory_hostname_short" => Value::from(short_name(host)),
        "group_names" => list(&manager.inventory().group_names(host)),
        "groups" => manager.groups(),
        "hostvars" => Value::from_object(HostVars { manager: manager.clone() }),
        "vars" => lazy(manager, scope.clone()),
        "ansible_facts" => facts(manager, host),
        "ansible_play_name"
        | "ansible_play_hosts_all"
        | "ansible_play_hosts"
        | "play_hosts"
        | "ansible_play_batch"
        | "role_names"
        | "ansible_play_role_names"
        | "ansible_dependent_role_names"
        | "ansible_role_names"
            if !batch.of_play =>
        {
            return None;
        }
        "ansible_play_name" => Value::from(batch.play_name.clone()),
        "ansible_play_hosts_all" => list(&batch.play_hosts_all),
        "ansible_play_hosts" | "play_hosts" => list(&batch.play_hosts),
        "ansible_play_batch" => list(&batch.batch),
        "playbook_dir" => Value::from(batch.playbook_dir.clone()),
        "ansible_check_mode" => Value::from(run.check),
        "ansible_diff_mode" => Value::from(run.diff),
        "ansible_forks" => Value::from(run.forks),
        "ansible_verbosity" => Value::from(run.verbosity),
        "ansible_run_tags" => list(&run.run_tags),
        "ansible_skip_tags" => list(&run.skip_tags),
        "ansible_limit" => Value::from(run.limit.clone()?),
        "ansible_config_file" => run.config_file.clone().map_or(Value::from(()), Value::from),
        "ansible_version" => version(),
        // Inventories name it as the interpreter of local hosts; nothing here runs it.
        "ansible_playbook_python" => Value::from("/usr/bin/python3"),
        "ansible_inventory_sources" => list(&run.inventory_sources),
        "inventory_dir" => Value::from(manager.inventory().source_dir(host)?),
        "inventory_file" => Value::from(manager.inventory().source_file(host)?),
        "ansible_search_path" => {
            let search = scope.place().search.iter();
            search.map(|path| Value::from(path.display().to_string())).collect()
        }
        "role_names" | "ansible_play_role_names" => list(&batch.role_names),
        "ansible_dependent_role_names" => list(&batch.dependent_role_names),
        "ansible_role_names" => {
            let all = batch.role_names.iter().chain(&batch.dependent_role_names);
            let names: IndexSet<&String> = all.collect();
            names.into_iter().map(|name| Value::from(name.as_str())).collect()
        }
        _ => return of_role(scope, name),
    })
}

/// What only tasks of a role have.
fn of_role(scope: &TaskScope, name: &str) -> Option<Value> {
    let role = scope.place().role.as_ref()?;
    Some(match name {
        // A role of a collection knows itself by the last part of its full name.
        "role_name" => Value::from(in_collection(&role.body.name).1),
        "ansible_collection_name" => {
            in_collection(&role.body.name).0.map_or(().into(), Value::from)
        }
        "ansible_role_name" => Value::from(role.body.name.as_str()),
        "role_path" => Value::from(role.body.path.display().to_string()),
        "ansible_parent_role_names" if role.from_include && !role.parents.is_empty() => {
            role.parents.iter().rev().map(|parent| Value::from(parent.name.as_str())).collect()
        }
        "ansible_parent_role_paths" if role.from_include && !role.parents.is_empty() => {
            let paths = role.parents.iter().rev().map(|parent| parent.path.display().to_string());
            paths.map(Value::from).collect()
        }
        _ => return None,
    })
}

/// The collection of a role, if its name names one, and the rest of the name.
fn in_collection(name: &str) -> (Option<&str>, &str) {
    let is_word = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let dots: Vec<usize> = name.match_indices('.').map(|(at, _)| at).collect();
    match (dots.get(1), dots.last()) {
        (Some(second), Some(last)) if name.split('.').all(is_word) => {
            (name.get(..*second), name.get(last + 1..).unwrap_or_default())
        }
        _ => (None, name),
    }
}

/// A scope as a value, resolved when it is looked at.
pub(super) fn lazy(manager: &Manager, scope: TaskScope) -> Value {
    let scope: Arc<dyn Scope> = Arc::new(scope);
    manager.templar().lazy(&scope)
}

fn list(items: &[String]) -> Value {
    items.iter().map(|item| Value::from(item.as_str())).collect()
}

/// Facts under their names without `ansible_`, which only the injected variables carry.
fn facts(manager: &Manager, host: &str) -> Value {
    let facts = manager.facts(host);
    Value::from_pairs(facts.iter().filter_map(|(name, fact)| {
        let Variable::Data(value) = fact else {
            return None;
        };
        let name = match name.as_str() {
            "ansible_local" => "local",
            name => name.strip_prefix("ansible_").unwrap_or(name),
        };
        Some((name.to_owned(), value.clone()))
    }))
}

/// The version of ansible-core whose behaviour is followed: playbooks assert on it.
fn version() -> Value {
    minijinja::context! {
        full => "2.18.0", major => 2, minor => 18, revision => 0, string => "2.18.0",
    }
}

/// `hostvars`: every host's variables, resolved when they are looked at.
#[derive(Debug)]
struct HostVars {
    manager: Arc<Manager>,
}

impl minijinja::value::Object for HostVars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let scope = self.manager.host_scope(key.as_str()?)?;
        Some(lazy(&self.manager, scope))
    }

    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        let hosts = self.manager.inventory().host_names();
        minijinja::value::Enumerator::Values(hosts.into_iter().map(Value::from).collect())
    }
}
