//! Worlds for tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Backup, Host, World};
use crate::kubernetes::export::Cluster;
use crate::modules::host_state::{Now, Record};

const OLD: &str = "1.20.2";
const NEW: &str = "1.21.2";

fn now(version: &str, etcd: &str) -> Now {
    let all = |names: [&str; 3], value: String| {
        BTreeMap::from(names.map(|name| (name.to_owned(), value.clone())))
    };
    let mut components =
        all(["kube-apiserver", "kube-controller-manager", "kube-scheduler"], format!("v{version}"));
    components.insert("etcd".to_owned(), etcd.to_owned());
    Now {
        packages: all(["kubeadm", "kubelet", "kubectl"], format!("{version}-00")),
        held: Vec::new(),
        kubeadm: Some(version.to_owned()),
        kubelet: Some(version.to_owned()),
        components,
        stopped: Vec::new(),
    }
}

/// A control plane as it was saved.
pub fn host() -> Host {
    let saved = Record {
        at: "2024-05-01T10:00:00Z".to_owned(),
        version: OLD.to_owned(),
        host: now(OLD, "3.4.13-0"),
        path: format!("/var/lib/kup-play/backup/{OLD}"),
        ..Record::default()
    };
    Host { now: now(OLD, "3.4.13-0"), saved: vec![saved], ..Host::default() }
}

/// The same after an upgrade.
pub fn upgraded(etcd: &str) -> Host {
    Host { now: now(NEW, etcd), ..host() }
}

/// Hosts whose names begin with `cp` are control planes.
pub fn world(hosts: &[(&str, Host)]) -> World {
    let names = |planes: bool| {
        let names = hosts.iter().map(|(name, _)| (*name).to_owned());
        names.filter(|name| name.starts_with("cp") == planes).collect::<Vec<_>>()
    };
    let cluster = |version: &str| Cluster {
        apiservers: vec![version.to_owned()],
        at: "2024-05-01T10:05:00Z".to_owned(),
        uid: "the cluster".to_owned(),
        version: format!("v{version}"),
        nodes: hosts.iter().map(|(name, _)| (*name).to_owned()).collect(),
        served: Vec::new(),
    };
    World {
        control_planes: names(true),
        workers: names(false),
        hosts: hosts.iter().map(|(name, host)| ((*name).to_owned(), Ok(host.clone()))).collect(),
        cluster: Ok(cluster(NEW)),
        backups: vec![Backup {
            folder: PathBuf::from("/backups/1"),
            cluster: cluster(OLD),
            snapshot: Some(PathBuf::from("/backups/1/etcd-snapshot.db")),
        }],
        named: false,
        wanted: None,
        case: None,
        time: "2024-05-02T00:00:00Z".parse().expect("a time"),
    }
}
