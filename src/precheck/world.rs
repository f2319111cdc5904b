//! What the checks look at.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::removed::{Release, Requested, Written};
use crate::kubernetes::budget::Budget;
use crate::kubernetes::policy::Policies;
use crate::modules::Version;
use crate::modules::precheck_host::{Disk, Facts};

/// The cluster, its hosts, and what is planned.
#[derive(Debug)]
pub struct World {
    pub target: Version,
    pub plan: Plan,
    /// The API's side, or why there is none.
    pub cluster: Result<Cluster, String>,
    /// The hosts that were asked, by their names.
    pub hosts: BTreeMap<String, Host>,
    pub now: Timestamp,
}

/// What the upgrade would do, as the playbook's variables say.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub control_planes: Vec<String>,
    pub workers: Vec<String>,
    /// Nodes that are drained at the same time, in the order of the upgrade.
    pub batches: Vec<Vec<String>>,
    /// Pods that nothing starts again are evicted.
    pub force: bool,
    /// Pods that keep data in an emptyDir are evicted.
    pub delete_emptydir_data: bool,
    /// What drains do about budgets that forbid.
    pub policies: Policies,
    /// Days that a certificate has to last.
    pub certificate_days: i64,
    /// The images have to be on the hosts already.
    pub require_images: bool,
    /// The file system of the backup's folder on the controller.
    pub backup_here: Option<Disk>,
    /// How hosts are reached, for names that differ.
    pub addresses: BTreeMap<String, String>,
}

impl Plan {
    pub fn is_known(&self, host: &str) -> bool {
        self.control_planes.iter().chain(&self.workers).any(|known| known == host)
    }

    pub fn is_control_plane(&self, host: &str) -> bool {
        self.control_planes.iter().any(|known| known == host)
    }
}

/// What the API says.
#[derive(Debug, Default)]
pub struct Cluster {
    /// Of the apiserver that answered.
    pub version: String,
    pub nodes: Vec<Json>,
    pub pods: Vec<Json>,
    pub budgets: Vec<Budget>,
    /// Deployments, ReplicaSets and StatefulSets, each with its kind.
    pub controllers: Vec<Json>,
    pub volumes: Vec<Json>,
    /// Objects that a removed API version was used for.
    pub written: Vec<Written>,
    /// Removed API versions that clients ask for.
    pub requested: Vec<Requested>,
    pub releases: Vec<Release>,
    /// Where the control plane's images come from.
    pub image_repository: String,
    /// What could not be read, each with why.
    pub unread: Vec<String>,
}

/// A host as its agent sees it.
#[derive(Debug)]
pub enum Host {
    Unreachable(String),
    Asked {
        facts: Box<Facts>,
        /// The controller's clock before and after, in seconds since 1970.
        between: (f64, f64),
    },
}

impl World {
    /// What an answer says of a host that answered.
    pub fn facts_mut(&mut self, host: &str) -> Option<&mut Facts> {
        match self.hosts.get_mut(host)? {
            Host::Asked { facts, .. } => Some(facts.as_mut()),
            Host::Unreachable(_) => None,
        }
    }

    /// The hosts that answered.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &Facts)> {
        self.hosts.iter().filter_map(|(name, host)| match host {
            Host::Asked { facts, .. } => Some((name.as_str(), facts.as_ref())),
            Host::Unreachable(_) => None,
        })
    }
}

/// A text of an object.
pub fn text<'a>(object: &'a Json, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

/// `metadata.name`.
pub fn name(object: &Json) -> &str {
    text(object, "/metadata/name")
}

/// The members of a list in an object.
pub fn list<'a>(object: &'a Json, pointer: &str) -> impl Iterator<Item = &'a Json> {
    object.pointer(pointer).and_then(Json::as_array).into_iter().flatten()
}

/// A condition's status: `True`, `False`, `Unknown`.
pub fn condition<'a>(object: &'a Json, kind: &str) -> &'a str {
    list(object, "/status/conditions")
        .find(|condition| text(condition, "/type") == kind)
        .map_or("", |condition| text(condition, "/status"))
}
