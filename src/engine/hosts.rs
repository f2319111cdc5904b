//! The other hosts, for actions that need them.

use std::sync::Arc;

use super::Settings;
use super::connection::Resolver;
use crate::actions::{Failure, Hosts, Remote};
use crate::template::{Scope, Value, Variable};
use crate::transport::Pool;
use crate::vars::Manager;

/// The inventory as actions see it.
pub struct Directory {
    pub settings: Settings,
    pub manager: Arc<Manager>,
    pub pool: Arc<Pool>,
}

impl Directory {
    fn scope(&self, host: &str) -> Option<Arc<dyn Scope>> {
        self.manager.host_scope(host).map(|scope| Arc::new(scope) as Arc<dyn Scope>)
    }
}

impl Hosts for Directory {
    fn remote(&self, host: &str) -> Result<Remote, Failure> {
        let scope = self
            .scope(host)
            .ok_or_else(|| Failure::new(format!("{host} is not a host of the inventory")))?;
        let templar = self.manager.templar();
        let (settings, of_task) = (&self.settings, &scope);
        Resolver { settings, templar, scope: &scope, of_task, keywords: None }
            .remote(host, &self.pool)
    }

    fn group(&self, name: &str) -> Vec<String> {
        self.manager.inventory().group_hosts(name)
    }

    fn variable(&self, host: &str, name: &str) -> Option<Value> {
        let scope = self.scope(host)?;
        match scope.lookup(name)? {
            Variable::Data(value) => Some(value),
            Variable::Source(node) => self.manager.templar().render(&node, &scope).ok(),
        }
    }
}
