//! What tasks change in the inventory: add_host and group_by.

use super::Inventory;
use super::address;
use crate::source::Error;
use crate::template::{Value, Variable};

/// What a task did.
#[derive(Clone, Debug)]
pub enum Change {
    Host { name: String, groups: Vec<String>, variables: Vec<(String, Variable)> },
    Group { host: String, group: String, parents: Vec<String> },
}

impl Inventory {
    /// The sources read anew take the place of this one; what tasks changed stays.
    pub fn refresh(&mut self, mut new: Self) -> Result<(), Error> {
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Host { name, groups, variables } => {
                    new.add_host(&name, &groups, variables)?;
                }
                Change::Group { host, group, parents } if new.contains_host(&host) => {
                    new.add_to_group(&host, &group, &parents)?;
                }
                Change::Group { .. } => {}
            }
        }
        *self = new;
        Ok(())
    }

    /// Adds a host (its name may end with a port) to `all` and to these groups, which
    /// are made when there are none of their names. A host that is there already
    /// takes the variables over those it has.
    pub fn add_host(
        &mut self,
        name: &str,
        groups: &[String],
        variables: impl IntoIterator<Item = (String, Variable)>,
    ) -> Result<bool, Error> {
        let mut changed = false;
        let (names, port) = address::expand(name).map_err(|error| Error::new(error.to_string()))?;
        let variables: Vec<_> = variables.into_iter().collect();
        let groups = self.used_names(groups);
        self.changes.push(Change::Host {
            name: name.to_owned(),
            groups: groups.clone(),
            variables: variables.clone(),
        });
        for name in &names {
            changed |= !self.contains_host(name);
            self.declare_host(name, "all", None);
            for group in &groups {
                changed |= !self.is_in(name, group);
                self.declare_host(name, group, None);
            }
            if let Some(port) = port {
                let port = Variable::Data(Value::from(port));
                self.set_host_variable(name, "ansible_port", port);
            }
        }
        for (variable, value) in variables {
            for name in &names {
                changed |= !self.has_variable(name, &variable, &value);
                self.set_host_variable(name, &variable, value.clone());
            }
        }
        self.resettle()?;
        Ok(changed)
    }

    /// Puts a host into a group below `parents` (none: below `all`).
    pub fn add_to_group(
        &mut self,
        host: &str,
        group: &str,
        parents: &[String],
    ) -> Result<bool, Error> {
        let group = &*self.used_name(group);
        let parents = &self.used_names(parents);
        let mut changed = !self.is_in(host, group);
        self.changes.push(Change::Group {
            host: host.to_owned(),
            group: group.to_owned(),
            parents: parents.to_owned(),
        });
        for parent in parents {
            let known = self.groups.get(parent).is_some_and(|p| p.children.contains(group));
            changed |= !known && parent != "all";
            self.declare_child(parent, group).map_err(Error::new)?;
        }
        self.declare_host(host, group, None);
        self.resettle()?;
        Ok(changed)
    }

    fn used_names(&mut self, groups: &[String]) -> Vec<String> {
        groups.iter().map(|name| self.used_name(name)).collect()
    }

    fn is_in(&self, host: &str, group: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.hosts.contains(host))
    }

    fn has_variable(&self, host: &str, name: &str, value: &Variable) -> bool {
        let known = self.hosts.get(host).and_then(|host| host.vars.inline.get(name));
        match (known, value) {
            (Some(Variable::Data(known)), Variable::Data(value)) => known == value,
            _ => false,
        }
    }

    fn resettle(&mut self) -> Result<(), Error> {
        // What there is to warn of was said when the sources were read.
        self.settle();
        self.load_vars_files()
    }
}
