//! What the run as a whole offers to its actions.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::guard::{self, Guard};
use super::undo::Undo;
use super::{Failure, Remote};
use crate::kubernetes::Api;
use crate::report::Events;
use crate::template::Value;
use crate::transport::Pool;

/// Shared by all actions of a run.
pub struct Session {
    pub pool: Arc<Pool>,
    pub events: Events,
    pub hosts: Arc<dyn Hosts>,
    pub undo: Undo,
    /// Locks of clusters.
    pub guard: Guard,
    /// Clusters that are connected to, by where their kubeconfig comes from.
    pub clusters: Mutex<HashMap<String, Api>>,
    /// Bytes of a file that is not too large to be shown as a diff.
    pub diff_limit: u64,
}

/// The other hosts of the inventory.
pub trait Hosts: Send + Sync {
    /// How a host is reached, with the privileges that its variables give.
    fn remote(&self, host: &str) -> Result<Remote, Failure>;
    /// The hosts of a group, in the inventory's order; none if there is no such group.
    fn group(&self, name: &str) -> Vec<String>;
    /// A variable of a host, templated.
    fn variable(&self, host: &str, name: &str) -> Option<Value>;
}

impl Session {
    pub fn new(
        pool: Arc<Pool>,
        events: Events,
        hosts: Arc<dyn Hosts>,
        run: guard::Run,
        diff_limit: u64,
    ) -> Self {
        let (guard, undo, clusters) = (Guard::new(run), Undo::default(), Mutex::default());
        Self { pool, events, hosts, undo, guard, clusters, diff_limit }
    }
}
