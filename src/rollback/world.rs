//! What a plan is made from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::kubernetes::export::Cluster;
use crate::modules::Version;
use crate::modules::host_state::{Now, Record};
use crate::modules::precheck_host::{Certificate, Etcd};

use super::Case;

/// Hosts, cluster and saved states.
#[derive(Debug)]
pub struct World {
    /// In the order of the inventory.
    pub control_planes: Vec<String>,
    pub workers: Vec<String>,
    /// The hosts that were asked; or why one did not answer.
    pub hosts: BTreeMap<String, Result<Host, String>>,
    /// The cluster, or why its API does not answer.
    pub cluster: Result<Cluster, String>,
    /// Backups on the controller, the oldest first.
    pub backups: Vec<Backup>,
    /// There is one only, which the operator names.
    pub named: bool,
    /// The version to go back to, if the operator names one.
    pub wanted: Option<Version>,
    /// The case, if the operator names one.
    pub case: Option<Case>,
    /// The time of the controller.
    pub time: Timestamp,
}

/// A host as its agent sees it.
#[derive(Clone, Debug, Default)]
pub struct Host {
    pub now: Now,
    /// Its certificates below /etc/kubernetes.
    pub certificates: Vec<Certificate>,
    /// The oldest first.
    pub saved: Vec<Record>,
    /// The members of etcd, as this host's own sees them.
    pub etcd: Option<Etcd>,
}

/// What `backup.yml` left on the controller.
#[derive(Clone, Debug, Default)]
pub struct Backup {
    pub folder: PathBuf,
    pub cluster: Cluster,
    /// The snapshot of etcd, if there is one.
    pub snapshot: Option<PathBuf>,
}

impl World {
    /// The hosts that answered.
    pub fn answered(&self) -> impl Iterator<Item = (&str, &Host)> {
        self.hosts.iter().filter_map(|(name, host)| Some((name.as_str(), host.as_ref().ok()?)))
    }

    /// The control planes that answered, in their order.
    pub fn planes(&self) -> impl Iterator<Item = (&str, &Host)> {
        self.control_planes.iter().filter_map(|name| {
            let host = self.hosts.get(name)?.as_ref().ok()?;
            Some((name.as_str(), host))
        })
    }
}
