//! Upgrades of real clusters that are killed again and again. `make chaos` kills many times,
//! `make test` a few. Needs root and `tests/lab/lab build`.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use support::Lab;
use support::kills::Killer;
use support::objects;

const NEW: &str = "v1.21.2";
/// So many at most in one upgrade; then the cluster is set up anew.
const KILLS_OF_ONE: usize = 10;
/// What an upgrade takes, more or less.
const UPGRADE: Duration = Duration::from_secs(180);
const UPGRADE_OF_THREE: Duration = Duration::from_secs(270);
/// And a restore.
const RESTORE: Duration = Duration::from_secs(100);

/// KUP_CHAOS_KILLS, or a few.
fn wanted() -> usize {
    let kills = std::env::var("KUP_CHAOS_KILLS");
    kills.map_or(3, |kills| kills.parse().expect("KUP_CHAOS_KILLS is a number"))
}

/// What `kubeadm upgrade` itself makes or changes.
fn is_kubeadms(key: &str) -> bool {
    ["kubeadm", "kubelet-config", "kube-proxy"].iter().any(|part| key.contains(part))
}

/// However often it was broken off, there is one folder with all that a way back needs.
fn is_one_whole_backup(backups: &Path, hosts: &[String]) {
    let folders: Vec<_> = fs::read_dir(backups).expect("backups").flatten().collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    let states = hosts.iter().map(|host| format!("{host}/state.tar.gz"));
    let of_cluster = ["etcd-snapshot.db", "etcd-snapshot.db.sha256", "resources/cluster.json"];
    for part in states.chain(of_cluster.map(str::to_owned)) {
        assert!(folders[0].path().join(&part).is_file(), "the backup has no {part}");
    }
}

#[test]
fn upgrades_that_are_killed_at_random_moments_are_completed_by_resume() {
    kill_upgrades("chaos", 1, UPGRADE, wanted());
}

#[test]
#[ignore = "takes long: make chaos"]
fn upgrades_of_three_control_planes_that_are_killed_at_random_moments_are_completed_by_resume() {
    kill_upgrades("ha", 3, UPGRADE_OF_THREE, wanted().div_ceil(2));
}

/// Upgrades clusters of two workers until so many runs were killed, and looks at each after it.
fn kill_upgrades(name: &'static str, control_planes: usize, duration: Duration, wanted: usize) {
    let mut killer = Killer::new();
    let began = Instant::now();
    let mut upgrades = Vec::new();
    while killer.count() < wanted {
        // A run that is over before its moment came has fewer kills than were meant.
        assert!(upgrades.len() < 2 * wanted.div_ceil(KILLS_OF_ONE) + 2, "too few were killed");
        let lab = Lab::fresh(name, control_planes, 2);
        lab.start_app();
        lab.open_shop();
        let hosts = lab.hosts();
        let before = lab.objects();
        let backups = killer.runs.folder().join(format!("backups-{}", upgrades.len()));
        let root = format!("backup_root={}", backups.display());
        let inventory = lab.inventory();
        let upgrade = [
            "playbooks/upgrade.yml",
            "-i",
            &inventory,
            "-e",
            "kube_version=1.21.2",
            "-e",
            "drain_force=true",
            "-e",
            &root,
        ];
        let kills = KILLS_OF_ONE.min(wanted - killer.count());
        let took = killer.run(&upgrade, kills, duration);
        println!("upgrade {}: complete after {} s", upgrades.len() + 1, took.as_secs());
        upgrades.push(took.as_secs());

        assert_eq!(lab.versions(), vec![NEW; hosts.len()]);
        assert_eq!(lab.cordoned(), Vec::<String>::new());
        assert_eq!(lab.memories(), "", "a node remembers that a run had cordoned it");
        assert_eq!(lab.lease(), "", "the lock is given up");
        is_one_whole_backup(&backups, &hosts);
        for app in [["default", "app"], ["shop", "web"]] {
            let deployment = format!("deployment/{}", app[1]);
            lab.kubectl(&["-n", app[0], "rollout", "status", &deployment, "--timeout=180s"]);
        }
        for host in &hosts {
            let held = lab.ssh(host, "apt-mark showhold; dpkg --audit");
            let held: BTreeSet<_> = held.split_whitespace().collect();
            assert_eq!(held, BTreeSet::from(["kubeadm", "kubectl", "kubelet"]), "{host}");
            lab.ssh(host, "! pgrep -f '[k]ubeadm upgrade'");
        }
        let after = lab.objects();
        let differences = objects::difference(&before, &after);
        let others: Vec<_> = differences.iter().filter(|line| !is_kubeadms(line)).collect();
        assert!(others.is_empty(), "the objects differ: {others:#?}");
    }
    println!(
        "{} kills in {} upgrades, {upgrades:?} s each, {} s in all; by play: {:#?}",
        killer.count(),
        upgrades.len(),
        began.elapsed().as_secs(),
        killer.kills
    );
}

#[test]
fn a_restore_of_etcd_that_is_killed_at_random_moments_is_completed_by_resume() {
    let mut killer = Killer::new();
    let kills = wanted().div_ceil(5);
    let lab = Lab::fresh("chaos", 1, 2);
    lab.open_shop();
    let before = lab.objects();
    let inventory = lab.inventory();
    let folder = killer.runs.folder().to_owned();
    let backups = format!("backup_root={}", folder.display());
    killer.runs.must(&["playbooks/backup.yml", "-i", &inventory, "-e", &backups]);
    lab.kubectl(&["-n", "shop", "create", "configmap", "later", "--from-literal=a=b"]);
    lab.kubectl(&["-n", "shop", "delete", "deployment", "web"]);

    let snapshot = support::find_file(&folder, "etcd-snapshot.db").expect("a snapshot");
    let snapshot = format!("restore_snapshot={}", snapshot.display());
    let yes = "restore_confirm=true";
    let restore = ["playbooks/restore-etcd.yml", "-i", &inventory, "-e", &snapshot, "-e", yes];
    let took = killer.run(&restore, kills, RESTORE);
    println!("{} kills, {} s; by play: {:#?}", killer.count(), took.as_secs(), killer.kills);
    lab.kubectl(&["-n", "shop", "rollout", "status", "deployment/web", "--timeout=180s"]);
    lab.assert_objects(&before);
    assert_eq!(lab.lease(), "", "the lock is given up");
    let folders = "/var/lib/etcd.restoring /etc/kubernetes/manifests.stopped";
    let left = lab.ssh("cp1", &format!("find {folders} -type f 2>/dev/null || true"));
    assert_eq!(left.trim(), "", "something is left of the restore");
}
