//! What a precheck has to know of a host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A host as it is. Lists that could not be read are empty, and `unread` says why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The host's clock when it began to look, in seconds since 1970.
    pub clock: f64,
    /// Seconds that it took.
    pub took: f64,
    /// Swap devices and files in use.
    pub swap: Vec<String>,
    /// The kubelet refuses to start with swap.
    pub fail_swap_on: bool,
    /// Where the kubelet looks for the apiserver.
    pub kubelet_server: Option<String>,
    pub certificates: Vec<Certificate>,
    pub disks: Vec<Disk>,
    pub manifests: Vec<Manifest>,
    /// Lines of kubeadm's manifests that somebody edited, each after the name of its file.
    pub edited: Vec<String>,
    pub packages: Option<Packages>,
    /// The etcd member of this host, if it has one.
    pub etcd: Option<Etcd>,
    /// Names of the images that the container runtime has.
    pub images: Option<Vec<String>>,
    /// Images that were tried and did not come, each with why.
    pub refused_images: BTreeMap<String, String>,
    pub unread: Vec<String>,
}

/// A file with certificates; private keys never leave the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    pub path: String,
    /// The certificates as PEM texts.
    pub pem: Vec<String>,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// The file system that a path is on, or will be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    pub path: String,
    /// Equal for paths on the same file system.
    pub device: u64,
    pub free: u64,
    /// Bytes of what is in the folder; of etcd's alone, 0 for others.
    pub used: u64,
}

/// A file that the kubelet takes for a static pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    pub file: String,
    /// `metadata.name` of the pod in it, if there is one.
    pub pod: Option<String>,
}

/// Who has a host's packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manager {
    #[default]
    Apt,
    Dnf,
}

/// What the package manager says of Kubernetes' packages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Packages {
    pub manager: Manager,
    /// Package and version.
    pub installed: BTreeMap<String, String>,
    /// Those that an upgrade of the whole host leaves alone.
    pub held: Vec<String>,
    /// The versions that repositories offer of each, newest first.
    pub offered: BTreeMap<String, Vec<String>>,
    /// Packages of which neither what is installed nor any offered version is what the upgrade
    /// asks for.
    pub unfitting: Vec<String>,
    /// Why the target would not be installed; none: it would, or nobody was asked.
    pub refused: Option<String>,
    /// What `dpkg --audit` complains of; dnf has nothing that half did its work.
    pub broken: Option<String>,
}

/// The cluster of etcd as this host's member sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Etcd {
    /// Why it did not answer.
    pub error: Option<String>,
    pub members: Vec<Member>,
    /// `NOSPACE 1234…`.
    pub alarms: Vec<String>,
    /// Bytes that the database may have.
    pub quota: u64,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    pub name: String,
    pub endpoint: String,
    pub healthy: bool,
    /// Why not.
    pub error: String,
    pub learner: bool,
    pub version: String,
    pub database: u64,
    /// The revision of its store; it is the same on all members when nothing is written.
    pub revision: i64,
}
