//! Upgrades of real clusters that are killed again and again. `make chaos` kills many times,
//! `make test` a few. Needs root and `tests/lab/lab build`.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use support::Lab;
use support::kills::Killer;
use support::objects;

const NEW: &str = "v1.21.2";
/// So many at most in one upgrade; then the cluster is set up anew.
const KILLS_OF_ONE: usize = 10;
/// What an upgrade takes, more or less.
const UPGRADE: Duration = Duration::from_secs(180);

/// KUP_CHAOS_KILLS, or a few.
fn wanted() -> usize {
    let kills = std::env::var("KUP_CHAOS_KILLS");
    kills.map_or(3, |kills| kills.parse().expect("KUP_CHAOS_KILLS is a number"))
}

/// What `kubeadm upgrade` itself makes or changes.
fn is_kubeadms(key: &str) -> bool {
    ["kubeadm", "kubelet-config", "kube-proxy"].iter().any(|part| key.contains(part))
}

#[test]
fn upgrades_that_are_killed_at_random_moments_are_completed_by_resume() {
    let mut killer = Killer::new();
    let (wanted, began) = (wanted(), Instant::now());
    let mut upgrades = Vec::new();
    while killer.count() < wanted {
        // A run that is over before its moment came has fewer kills than were meant.
        assert!(upgrades.len() < 2 * wanted.div_ceil(KILLS_OF_ONE) + 2, "too few were killed");
        let lab = Lab::fresh("chaos", 1, 2);
        lab.start_app();
        lab.apply(include_str!("data/shop.yaml"));
        lab.kubectl(&["-n", "shop", "rollout", "status", "deployment/web", "--timeout=180s"]);
        lab.wait_until("the claim is bound", |lab| {
            lab.kubectl(&["-n", "shop", "get", "pvc", "data"]).contains("Bound")
        });
        let before = lab.objects();
        let backups = format!("backup_root={}/backups", killer.folder().display());
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
            &backups,
        ];
        let kills = KILLS_OF_ONE.min(wanted - killer.count());
        let took = killer.run(&upgrade, kills, UPGRADE);
        println!("upgrade {}: complete after {} s", upgrades.len() + 1, took.as_secs());
        upgrades.push(took.as_secs());

        assert_eq!(lab.versions(), vec![NEW; 3]);
        assert_eq!(lab.cordoned(), Vec::<String>::new());
        assert_eq!(lab.memories(), "", "a node remembers that a run had cordoned it");
        assert_eq!(lab.lease(), "", "the lock is given up");
        for app in [["default", "app"], ["shop", "web"]] {
            let deployment = format!("deployment/{}", app[1]);
            lab.kubectl(&["-n", app[0], "rollout", "status", &deployment, "--timeout=180s"]);
        }
        for host in lab.hosts() {
            let held = lab.ssh(&host, "apt-mark showhold; dpkg --audit");
            let held: BTreeSet<_> = held.split_whitespace().collect();
            assert_eq!(held, BTreeSet::from(["kubeadm", "kubectl", "kubelet"]), "{host}");
            lab.ssh(&host, "! pgrep -f '[k]ubeadm upgrade'");
        }
        let after = lab.objects();
        let differences = objects::difference(&before, &after);
        let others: Vec<_> = differences.iter().filter(|line| !is_kubeadms(line)).collect();
        assert!(others.is_empty(), "the objects differ: {others:#?}");
    }
    println!("{} kills in {} upgrades, {upgrades:?} s each, {} s in all; by play: {:#?}",
        killer.count(), upgrades.len(), began.elapsed().as_secs(), killer.kills);
}
