//! Room for what an upgrade writes, by the file systems that it is written to.

use std::collections::BTreeMap;

use super::finding::{Finding, Id};
use super::world::World;
use crate::modules::precheck_host::{Disk, Facts};

const TMP: &str = "/etc/kubernetes/tmp";
const MANIFESTS: &str = "/etc/kubernetes/manifests";
const VAR: &str = "/var";
/// Packages, and images of the next version.
const PACKAGES: u64 = 1 << 30;

pub fn check(world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    for (host, facts) in world.facts() {
        found.extend(room(host, facts));
        found.extend(elsewhere(host, facts));
    }
    found.extend(here(world));
    found
}

/// The snapshot is copied to the controller too.
fn here(world: &World) -> Option<Finding> {
    let disk = world.plan.backup_here.as_ref()?;
    let databases = world.facts().filter_map(|(_, facts)| facts.etcd.as_ref());
    let largest = databases.flat_map(|etcd| &etcd.members).map(|member| member.database).max()?;
    (disk.free < largest).then(|| {
        let evidence = format!(
            "{} MB are free on this machine, the snapshot of etcd has {} MB",
            disk.free >> 20,
            largest.div_ceil(1 << 20)
        );
        Finding::error(Id::DiskSpace, format!("localhost:{}", disk.path), evidence)
            .fix("make room, or name another folder in backup_root")
    })
}

/// What is written to a path: kubeadm copies etcd's folder, the snapshot wants twice the
/// database, etcd itself needs room to go on.
fn need(disk: &Disk, etcd: &Disk, database: u64) -> (u64, &'static str) {
    match disk.path.as_str() {
        MANIFESTS => (0, ""),
        VAR => (PACKAGES, "packages and images"),
        _ if disk.used > 0 => (database, "etcd itself"),
        TMP if etcd.used > 0 => (etcd.used.max(2 * database), "kubeadm's copy of etcd"),
        TMP => (0, ""),
        _ => (2 * database, "the snapshot of etcd"),
    }
}

fn room(host: &str, facts: &Facts) -> Vec<Finding> {
    let etcd = facts.disks.iter().find(|disk| disk.used > 0).cloned().unwrap_or_default();
    let members = facts.etcd.iter().flat_map(|etcd| &etcd.members);
    let database = match etcd.used {
        0 => 0,
        used => {
            members.map(|member| member.database).max().filter(|size| *size > 0).unwrap_or(used)
        }
    };
    let mut by_device: BTreeMap<u64, Vec<(&Disk, u64, &str)>> = BTreeMap::new();
    for disk in &facts.disks {
        let (bytes, what) = need(disk, &etcd, database);
        if bytes > 0 {
            by_device.entry(disk.device).or_default().push((disk, bytes, what));
        }
    }
    let findings = by_device.into_values().filter_map(|needs| {
        let free = needs.iter().map(|(disk, ..)| disk.free).min()?;
        let wanted: u64 = needs.iter().map(|(_, bytes, _)| bytes).sum();
        if free >= wanted {
            return None;
        }
        let paths: Vec<_> = needs
            .iter()
            .map(|(disk, bytes, what)| {
                format!("{} MB in {} for {what}", bytes.div_ceil(1 << 20), disk.path)
            })
            .collect();
        let evidence = format!(
            "{} MB are free on one file system, {} MB are needed: {}",
            free >> 20,
            wanted.div_ceil(1 << 20),
            paths.join(", ")
        );
        let path = &needs.first()?.0.path;
        Some(Finding::error(Id::DiskSpace, format!("{host}:{path}"), evidence).fix(format!(
            "make room: old copies in {TMP}, apt-get clean, crictl rmi --prune; or name another \
             folder in host_backup_dir"
        )))
    });
    findings.collect()
}

/// kubeadm renames manifests into its folder: that works within one file system alone.
fn elsewhere(host: &str, facts: &Facts) -> Option<Finding> {
    let device = |path: &str| facts.disks.iter().find(|d| d.path == path).map(|d| d.device);
    let control_plane = facts.manifests.iter().any(|m| m.pod.as_deref() == Some("kube-apiserver"));
    let apart = control_plane && device(TMP)? != device(MANIFESTS)?;
    apart.then(|| {
        let evidence = format!("it is on another file system than {MANIFESTS}");
        Finding::error(Id::KubeadmTmpElsewhere, format!("{host}:{TMP}"), evidence)
            .fix("kubeadm moves manifests there by renaming them: remove the mount or the link")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::precheck_host::{Etcd, Manifest, Member};
    use crate::precheck::testing::{asked, ids};

    fn disk(path: &str, device: u64, free_mb: u64, used_mb: u64) -> Disk {
        Disk { path: path.to_owned(), device, free: free_mb << 20, used: used_mb << 20 }
    }

    fn found(database_mb: u64, disks: Vec<Disk>) -> Vec<Finding> {
        let member = Member { database: database_mb << 20, ..Member::default() };
        let etcd = Etcd { members: vec![member], ..Etcd::default() };
        let pod = Some("kube-apiserver".to_owned());
        let manifests = vec![Manifest { file: "kube-apiserver.yaml".to_owned(), pod }];
        let facts = Facts { disks, etcd: Some(etcd), manifests, ..Facts::default() };
        check(&asked("1.21.2", vec![("cp1", facts)]))
    }

    fn all(free: u64, tmp_device: u64) -> Vec<Disk> {
        vec![
            disk(TMP, tmp_device, free, 0),
            disk(MANIFESTS, 1, free, 0),
            disk("/backup", 1, free, 0),
            disk(VAR, 1, free, 0),
            disk("/data/etcd", 1, free, 600),
        ]
    }

    #[test]
    fn what_is_written_to_one_file_system_is_added_up() {
        // 1000 for kubeadm, 1000 for the snapshot, 500 for etcd, 1024 for packages.
        assert_eq!(found(500, all(3600, 1)), []);
        let found = found(500, all(3400, 1));
        assert_eq!(ids(&found), [Id::DiskSpace]);
        assert!(found[0].evidence.contains("3524 MB are needed"), "{}", found[0].evidence);
    }

    #[test]
    fn a_mount_in_kubeadms_way_is_told() {
        assert_eq!(ids(&found(10, all(9000, 2))), [Id::KubeadmTmpElsewhere]);
    }

    #[test]
    fn the_controller_needs_room_for_the_snapshot() {
        let member = Member { database: 500 << 20, ..Member::default() };
        let etcd = Some(Etcd { members: vec![member], ..Etcd::default() });
        let mut world = asked("1.21.2", vec![("cp1", Facts { etcd, ..Facts::default() })]);
        world.plan.backup_here = Some(disk("/backups", 1, 400, 0));
        assert_eq!(ids(&check(&world)), [Id::DiskSpace]);
        world.plan.backup_here = Some(disk("/backups", 1, 600, 0));
        assert_eq!(check(&world), []);
    }

    #[test]
    fn a_worker_needs_room_for_packages_only() {
        let facts = Facts {
            disks: vec![disk(TMP, 1, 1500, 0), disk("/backup", 1, 1500, 0), disk(VAR, 1, 1500, 0)],
            ..Facts::default()
        };
        assert_eq!(check(&asked("1.21.2", vec![("w1", facts)])), []);
    }
}
