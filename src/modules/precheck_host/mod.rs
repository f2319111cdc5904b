//! `precheck_host`: everything that a precheck wants to know of a host, in one round trip.
//! It changes nothing.

mod apt;
pub mod certificates;
mod dnf;
mod drift;
pub mod etcd;
mod facts;
pub mod images;
mod packages;
mod system;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::args::Text;
use super::etcd_snapshot::Place;
use super::{Context, Failure, Module, Outcome};

pub use facts::{Certificate, Disk, Etcd, Facts, Manager, Manifest, Member, Packages};
pub use system::disk;

/// What kubeadm and etcd write to.
const TMP: &str = "/etc/kubernetes/tmp";
const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Where etcd's data are unless its manifest says something else.
const ETCD_DATA: &str = "/var/lib/etcd";
/// Where packages and images go.
const VAR: &str = "/var";

/// Looks at a host; the result is what it found.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrecheckHost {
    /// The version of the packages: exact, or with a star.
    package_version: Text,
    /// Where backups go.
    backup_folder: PathBuf,
}

impl Module for PrecheckHost {
    const NAME: &'static str = "precheck_host";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
        let mut unread = Vec::new();
        let packages = match packages::look(context, &self.package_version.0) {
            Some(Ok(packages)) => Some(packages),
            Some(Err(failure)) => {
                unread.push(format!("packages: {}", failure.msg));
                None
            }
            None => None,
        };
        let facts = Facts {
            clock,
            swap: system::swap(),
            fail_swap_on: system::fail_swap_on(),
            kubelet_server: system::kubelet_server(),
            certificates: certificates::all(Path::new("/")),
            disks: self.disks(),
            manifests: system::manifests(),
            edited: drift::look(context),
            packages,
            etcd: etcd::look(context),
            images: images::all(context),
            refused_images: BTreeMap::new(),
            unread,
            took: begun.elapsed().as_secs_f64(),
        };
        let result = serde_json::to_value(facts).map_err(|e| Failure::new(e.to_string()))?;
        let Json::Object(result) = result else {
            return Err(Failure::new("the facts are no mapping"));
        };
        Ok(Outcome { result, ..Outcome::default() })
    }
}

impl PrecheckHost {
    fn disks(&self) -> Vec<Disk> {
        let etcd = Place::of_manifest().map_or_else(|| ETCD_DATA.into(), |place| place.data_dir);
        let etcd = etcd.as_path();
        let paths = [Path::new(TMP), Path::new(MANIFESTS), &self.backup_folder, Path::new(VAR)];
        let mut disks: Vec<_> = paths.into_iter().filter_map(system::disk).collect();
        if etcd.exists()
            && let Some(disk) = system::disk(etcd)
        {
            disks.push(Disk { used: system::size_of(etcd), ..disk });
        }
        disks
    }
}
