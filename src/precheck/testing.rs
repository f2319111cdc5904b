//! Small worlds for the tests of the checks.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::finding::{Finding, Id};
use super::world::{Cluster, Host, Plan, World};
use crate::modules::Version;
use crate::modules::precheck_host::Facts;

pub fn world(target: &str, control_planes: &[&str], workers: &[&str]) -> World {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (control_planes, workers) = (names(control_planes), names(workers));
    let batches = control_planes.iter().chain(&workers).map(|host| vec![host.clone()]).collect();
    World {
        target: Version::parse(target).expect("a version"),
        plan: Plan {
            control_planes,
            workers,
            batches,
            delete_emptydir_data: true,
            certificate_days: 30,
            ..Plan::default()
        },
        cluster: Ok(cluster()),
        hosts: BTreeMap::new(),
        now: "2026-01-01T00:00:00Z".parse().expect("a time"),
    }
}

/// With hosts that answered.
pub fn asked(target: &str, hosts: Vec<(&str, Facts)>) -> World {
    let names: Vec<_> = hosts.iter().map(|(name, _)| *name).collect();
    let mut world = world(target, &names, &[]);
    let hosts = hosts.into_iter().map(|(name, facts)| {
        let facts = Box::new(facts);
        (name.to_owned(), Host::Asked { facts, between: (0.0, 0.0) })
    });
    world.hosts = hosts.collect();
    world
}

pub fn cluster() -> Cluster {
    Cluster { version: "v1.20.2".to_owned(), ..Cluster::default() }
}

/// Ready and schedulable.
pub fn node(name: &str, kubelet: &str) -> Json {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeletVersion": kubelet},
        },
    })
}

/// A ready pod of a ReplicaSet `app-1` with the label `app: app`.
pub fn pod(name: &str, node: &str) -> Json {
    json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "labels": {"app": "app"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "app-1", "controller": true}],
        },
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

pub fn ids(found: &[Finding]) -> Vec<Id> {
    found.iter().map(|finding| finding.id).collect()
}
