//! What tasks change in the inventory: add_host and group_by.

use super::Inventory;
use super::address;
use crate::source::Error;
use crate::template::{Value, Variable};

impl Inventory {
    /// Adds a host (its name may end with a port) to `all` and to these groups, which
    /// are made when there are none of their names. A host that is there already
    /// takes the variables over those it has.
    pub fn add_host(
        &mut self,
        name: &str,
        groups: &[String],
        variables: impl IntoIterator<Item = (String, Variable)>,
    ) -> Result<(), Error> {
        let (names, port) = address::expand(name).map_err(Error::new)?;
        for name in &names {
            self.declare_host(name, "all", None);
            for group in groups {
                self.declare_host(name, group, None);
            }
            if let Some(port) = port {
                let port = Variable::Data(Value::from(port));
                self.set_host_variable(name, "ansible_port", port);
            }
        }
        for (variable, value) in variables {
            for name in &names {
                self.set_host_variable(name, &variable, value.clone());
            }
        }
        self.resettle()
    }

    /// Puts a host into a group below `parents` (none: below `all`).
    pub fn add_to_group(
        &mut self,
        host: &str,
        group: &str,
        parents: &[String],
    ) -> Result<(), Error> {
        for parent in parents {
            self.declare_child(parent, group).map_err(Error::new)?;
        }
        self.declare_host(host, group, None);
        self.resettle()
    }

    fn resettle(&mut self) -> Result<(), Error> {
        // What there is to warn of was said when the sources were read.
        self.settle();
        self.load_vars_files()
    }
}
