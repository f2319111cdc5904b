//! Groups and hosts as the sources have told them, and questions about them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::change::Change;
use super::reading::{GroupNames, Mismatch};
use super::vars_files::Folders;
use crate::source::{Error, Node, Yaml};
use crate::template::{Layer, Variable, put};

/// Names that mean this machine also when no source names them.
pub const LOCALHOST: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// Whether a name means this machine.
pub fn is_localhost(name: &str) -> bool {
    LOCALHOST.contains(&name)
}

/// The hosts of a run. Groups and hosts keep the order in which they were read.
#[derive(Clone, Debug)]
pub struct Inventory {
    pub(super) groups: IndexMap<String, Group>,
    pub(super) hosts: IndexMap<String, Host>,
    pub(super) folders: Folders,
    /// What tasks have changed, which outlives a new reading of the sources.
    pub(super) changes: Vec<Change>,
    pub(super) group_names: GroupNames,
    /// Names of groups in which characters were replaced.
    pub(super) replaced: IndexSet<String>,
    pub(super) mismatch: Mismatch,
    /// Names of variables that were not written as texts, and what they were written as.
    pub(super) odd_names: IndexMap<String, Node>,
    /// Mappings that are given twice are merged, not replaced.
    pub(super) merge_hashes: bool,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub hosts: IndexSet<String>,
    pub children: IndexSet<String>,
    pub vars: Given,
    /// `ansible_group_priority`: of groups of one depth the highest wins.
    pub priority: i64,
}

impl Default for Group {
    fn default() -> Self {
        let (hosts, children, vars) = Default::default();
        Self { hosts, children, vars, priority: DEFAULT_PRIORITY }
    }
}

/// The `ansible_group_priority` of groups that have none.
pub const DEFAULT_PRIORITY: i64 = 1;

#[derive(Clone, Debug, Default)]
pub struct Host {
    pub vars: Given,
    /// The source that named it first; none for `-i a,b` and add_host.
    pub source: Option<PathBuf>,
}

/// The variables of a group or a host, by where they were given.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// In the inventory's sources.
    pub inline: Arc<Layer>,
    /// In group_vars/ or host_vars/ beside the sources.
    pub inventory: Arc<Layer>,
    /// In group_vars/ or host_vars/ beside the playbook.
    pub playbook: Arc<Layer>,
    /// Whether the folders have been looked into for it.
    pub files_read: bool,
}

impl Default for Inventory {
    fn default() -> Self {
        let mut groups: IndexMap<String, Group> = IndexMap::new();
        groups.entry("all".to_owned()).or_default().children.insert("ungrouped".to_owned());
        groups.entry("ungrouped".to_owned()).or_default();
        Self {
            groups,
            hosts: IndexMap::new(),
            folders: Folders::default(),
            changes: Vec::new(),
            group_names: GroupNames::default(),
            replaced: IndexSet::new(),
            mismatch: Mismatch::default(),
            odd_names: IndexMap::new(),
            merge_hashes: false,
        }
    }
}

/// What the readers of sources tell; `Err` texts are for the place that the reader knows.
impl Inventory {
    /// The name that a group of this name gets.
    pub(super) fn used_name(&mut self, name: &str) -> String {
        let used = self.group_names.name(name).into_owned();
        if used != name {
            self.replaced.insert(name.to_owned());
        }
        used
    }

    /// The group of this name.
    pub(super) fn group(&mut self, name: &str) -> &mut Group {
        let name = self.used_name(name);
        self.groups.entry(name).or_default()
    }

    pub(super) fn declare_group(&mut self, name: &str) {
        self.group(name);
    }

    pub(super) fn declare_host(&mut self, name: &str, group: &str, source: Option<&Path>) {
        self.hosts
            .entry(name.to_owned())
            .or_insert_with(|| Host { source: source.map(PathBuf::from), ..Host::default() });
        self.group(group).hosts.insert(name.to_owned());
    }

    pub(super) fn declare_child(&mut self, parent: &str, child: &str) -> Result<(), String> {
        let (parent, child) = (&*self.used_name(parent), &*self.used_name(child));
        if parent == child {
            return Err(format!("can't add group to itself: {child}"));
        }
        if self.descendants(child).contains(parent) {
            return Err(format!(
                "Adding group '{child}' as child to '{parent}' creates a recursive dependency loop."
            ));
        }
        self.declare_group(child);
        self.group(parent).children.insert(child.to_owned());
        Ok(())
    }

    pub(super) fn set_group_variable(
        &mut self,
        group: &str,
        name: &str,
        value: Node,
    ) -> Result<(), Error> {
        let merge = self.merge_hashes;
        let group = self.group(group);
        if name == "ansible_group_priority" {
            group.priority = match &value.value {
                Yaml::Int(number) => *number,
                other => text_of(other).and_then(|text| text.parse().ok()).ok_or_else(|| {
                    value.span.error("ansible_group_priority must be a whole number")
                })?,
            };
            return Ok(());
        }
        let value = Variable::Source(Arc::new(value));
        put(Arc::make_mut(&mut group.vars.inline), name, value, merge);
        Ok(())
    }

    /// The name of the variable that is written as this.
    pub(super) fn variable_name(&mut self, key: &Node) -> Option<String> {
        let name = match key.value {
            Yaml::Bool(true) => "True".to_owned(),
            Yaml::Bool(false) => "False".to_owned(),
            _ => text_of(&key.value)?,
        };
        if key.as_str().is_none() {
            self.odd_names.insert(name.clone(), key.clone());
        }
        Some(name)
    }

    /// What a variable's name was written as, where that was no text.
    pub fn odd_name(&self, name: &str) -> Option<&Node> {
        self.odd_names.get(name)
    }

    pub(super) fn set_host_variable(&mut self, host: &str, name: &str, value: Variable) {
        let host = self.hosts.entry(host.to_owned()).or_default();
        put(Arc::make_mut(&mut host.vars.inline), name, value, self.merge_hashes);
    }

    /// Puts every group under `all` and every host without a group into `ungrouped`;
    /// returns what is to be warned of.
    pub(super) fn settle(&mut self) -> Vec<String> {
        let with_parent: IndexSet<String> =
            self.groups.values().flat_map(|group| group.children.iter().cloned()).collect();
        let roots: Vec<String> = self
            .groups
            .keys()
            .filter(|name| *name != "all" && !with_parent.contains(*name))
            .cloned()
            .collect();
        if let Some(all) = self.groups.get_mut("all") {
            all.children.extend(roots);
        }
        let grouped: IndexSet<String> = self
            .groups
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "all" | "ungrouped"))
            .flat_map(|(_, group)| group.hosts.iter().cloned())
            .collect();
        let lonely: IndexSet<String> =
            self.hosts.keys().filter(|name| !grouped.contains(*name)).cloned().collect();
        if let Some(ungrouped) = self.groups.get_mut("ungrouped") {
            ungrouped.hosts.retain(|name| !grouped.contains(name));
            ungrouped.hosts.extend(lonely);
        }
        let both = self.groups.keys().filter(|name| self.hosts.contains_key(*name));
        both.map(|name| format!("Found both group and host with same name: {name}")).collect()
    }
}

/// Questions.
impl Inventory {
    /// All hosts, in the order of the sources.
    pub fn host_names(&self) -> Vec<String> {
        self.hosts.keys().cloned().collect()
    }

    /// Whether there is a host of this name, the implicit localhost among them.
    pub fn contains_host(&self, name: &str) -> bool {
        self.hosts.contains_key(name) || is_localhost(name)
    }

    pub fn contains_group(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }

    /// Every group with its hosts and those of the groups below it: the variable `groups`.
    pub fn groups(&self) -> Vec<(String, Vec<String>)> {
        self.groups.keys().map(|name| (name.clone(), self.group_hosts(name))).collect()
    }

    /// The hosts of a group and of all groups below it; none if there is no such group.
    pub fn group_hosts(&self, name: &str) -> Vec<String> {
        let hosts: IndexSet<&String> = self
            .descendants(name)
            .iter()
            .filter_map(|name| self.groups.get(name))
            .flat_map(|group| &group.hosts)
            .collect();
        hosts.into_iter().cloned().collect()
    }

    /// The groups of a host, those above its groups among them, without `all`; sorted.
    pub fn group_names(&self, host: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .groups
            .keys()
            .filter(|name| *name != "all" && self.holds(name, host))
            .cloned()
            .collect();
        names.sort();
        names
    }

    /// The groups right below a group.
    pub fn children(&self, group: &str) -> impl Iterator<Item = &str> {
        let group = self.groups.get(group).into_iter();
        group.flat_map(|group| group.children.iter().map(String::as_str))
    }

    /// The hosts of a group itself.
    pub fn own_hosts(&self, group: &str) -> impl Iterator<Item = &str> {
        let group = self.groups.get(group).into_iter();
        group.flat_map(|group| group.hosts.iter().map(String::as_str))
    }

    /// `ansible_group_priority` of a group that has another one than most.
    pub fn own_priority(&self, group: &str) -> Option<i64> {
        let priority = self.groups.get(group)?.priority;
        (priority != DEFAULT_PRIORITY).then_some(priority)
    }

    /// `inventory_file` of a host.
    pub fn source_file(&self, host: &str) -> Option<String> {
        Some(self.hosts.get(host)?.source.as_ref()?.display().to_string())
    }

    /// `inventory_dir` of a host.
    pub fn source_dir(&self, host: &str) -> Option<String> {
        let source = self.hosts.get(host)?.source.as_ref()?;
        Some(source.parent()?.display().to_string())
    }

    pub(super) fn holds(&self, group: &str, host: &str) -> bool {
        self.descendants(group)
            .iter()
            .filter_map(|name| self.groups.get(name))
            .any(|group| group.hosts.contains(host))
    }

    /// The group and all groups below it, nearer ones first.
    fn descendants(&self, group: &str) -> IndexSet<String> {
        let mut found = IndexSet::from([group.to_owned()]);
        let mut next = 0;
        while let Some(name) = found.get_index(next) {
            let children = self.groups.get(name).map(|group| group.children.clone());
            found.extend(children.unwrap_or_default());
            next += 1;
        }
        found
    }

    /// The longest way to each group from those that are below no other one: from `all`,
    /// once the inventory is settled.
    pub(super) fn depths(&self) -> IndexMap<&str, usize> {
        let mut depths = IndexMap::new();
        let below: IndexSet<&String> =
            self.groups.values().flat_map(|group| &group.children).collect();
        let roots = self.groups.keys().filter(|name| !below.contains(name));
        let mut current: IndexSet<&str> = roots.map(String::as_str).collect();
        // There are no circles, so no way is longer than the number of groups.
        for depth in 0..=self.groups.len() {
            for name in &current {
                depths.insert(*name, depth);
            }
            current = current
                .iter()
                .filter_map(|name| self.groups.get(*name))
                .flat_map(|group| group.children.iter().map(String::as_str))
                .collect();
            if current.is_empty() {
                break;
            }
        }
        depths
    }
}

/// A value as text when it is a plain one.
pub(super) fn text_of(value: &Yaml) -> Option<String> {
    match value {
        Yaml::Str(text) | Yaml::Unsafe(text) => Some(text.clone()),
        Yaml::Int(number) => Some(number.to_string()),
        Yaml::Float(number) => Some(number.to_string()),
        _ => None,
    }
}
