//! Hosts: reached, with clocks that agree, without swap, and with nothing foreign among the
//! static pods.

use super::finding::{Finding, Id, Severity, few};
use super::world::{Host, World};
use crate::modules::precheck_host::Facts;

/// Seconds from which clocks trouble etcd's and leases' readers, and those from which
/// certificates and tokens fail.
const SKEW: f64 = 2.0;
const GREAT_SKEW: f64 = 30.0;
const COMPONENTS: [&str; 4] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

pub fn check(world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, host) in &world.hosts {
        if let Host::Unreachable(why) = host {
            found.push(
                Finding::error(Id::HostUnreachable, name, why)
                    .fix("ssh and become have to work on every host of the upgrade"),
            );
        }
    }
    found.extend(clocks(world));
    for (host, facts) in world.facts() {
        found.extend(swap(host, facts));
        found.extend(foreign(host, facts));
        if world.plan.is_control_plane(host) {
            found.extend(missing(host, facts));
            found.extend(edited(host, facts));
        }
        if !facts.unread.is_empty() {
            let evidence = format!("not all could be looked at: {}", few(&facts.unread));
            found.push(Finding::warning(Id::ApiNotRead, host, evidence));
        }
    }
    found
}

fn swap(host: &str, facts: &Facts) -> Option<Finding> {
    if facts.swap.is_empty() {
        return None;
    }
    let evidence = format!("swap is on: {}", few(&facts.swap));
    let finding = Finding::error(Id::SwapActive, host, evidence);
    Some(match facts.fail_swap_on {
        true => finding.fix(
            "the kubelet will not start again (failSwapOn): swapoff -a, and out of /etc/fstab",
        ),
        false => Finding { severity: Severity::Info, ..finding }
            .fix("nothing: the kubelet is told to live with it (failSwapOn: false)"),
    })
}

/// How far a host's clock is before or behind the controller's, at least and at most.
fn offset(host: &Host) -> Option<(f64, f64)> {
    match host {
        Host::Asked { facts, between: (before, after) } if *after > 0.0 => {
            Some((facts.clock - (after - facts.took), facts.clock - before))
        }
        _ => None,
    }
}

/// The clocks against the one in the middle; what the way there and back hides is no skew.
fn clocks(world: &World) -> Vec<Finding> {
    let offsets: Vec<_> =
        world.hosts.iter().filter_map(|(name, host)| Some((name, offset(host)?))).collect();
    let mut middles: Vec<_> = offsets.iter().map(|(_, (low, high))| (low + high) / 2.0).collect();
    middles.sort_by(f64::total_cmp);
    let Some(median) = middles.get(middles.len() / 2).copied() else {
        return Vec::new();
    };
    let findings = offsets.into_iter().filter_map(|(host, (low, high))| {
        let (skew, word) =
            if low > median { (low - median, "ahead of") } else { (median - high, "behind") };
        (skew >= SKEW).then(|| {
            let evidence = format!("its clock is {skew:.1} seconds {word} the others'");
            Finding::warning(Id::ClockSkew, host, evidence)
                .error_if(skew >= GREAT_SKEW)
                .fix("let NTP set it: timedatectl set-ntp true; chronyc makestep")
        })
    });
    findings.collect()
}

fn foreign(host: &str, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for manifest in &facts.manifests {
        let pod = manifest.pod.as_deref();
        let own = pod
            .is_some_and(|pod| COMPONENTS.contains(&pod) && manifest.file == format!("{pod}.yaml"));
        if own {
            continue;
        }
        let copy = COMPONENTS
            .iter()
            .find(|name| pod == Some(**name) || manifest.file.starts_with(&format!("{name}.yaml")));
        let (evidence, fix) = match (copy, pod) {
            (Some(name), _) => (
                format!("the kubelet reads it beside {name}.yaml, and may run it in its place"),
                "move it out of the folder; backups never belong there",
            ),
            (None, Some(pod)) => (
                format!(
                    "it is the static pod {pod}, which is not kubeadm's: the upgrade leaves it alone"
                ),
                "see that it works with the new version; ignore this finding if it does",
            ),
            (None, None) => (
                "the kubelet reads it, and finds no pod in it".to_owned(),
                "move it out of the folder",
            ),
        };
        let finding =
            Finding::warning(Id::ForeignManifest, format!("{host}:{}", manifest.file), evidence);
        found.push(finding.error_if(copy.is_some()).fix(fix));
    }
    found
}

fn missing(host: &str, facts: &Facts) -> Option<Finding> {
    let has = |name: &str| facts.manifests.iter().any(|m| m.file == format!("{name}.yaml"));
    // etcd may well be elsewhere.
    let missing: Vec<_> = COMPONENTS.into_iter().skip(1).filter(|name| !has(name)).collect();
    (!missing.is_empty()).then(|| {
        let evidence = format!("the folder of manifests has no {}", few(missing));
        Finding::error(Id::ManifestMissing, host, evidence)
            .fix("kubeadm upgrades static pods only: restore it, or take the host out of the group")
    })
}

fn edited(host: &str, facts: &Facts) -> Option<Finding> {
    (!facts.edited.is_empty()).then(|| {
        let evidence = format!(
            "kubeadm would write its manifests without what was edited in them (-) and with what \
             is not there (+): {}",
            few(&facts.edited)
        );
        Finding::warning(Id::ManifestEdited, host, evidence).fix(
            "put it into the ClusterConfiguration (extraArgs, extraVolumes), or into a folder of \
             kubeadm's patches that the upgrade is given: the upgrade writes these files anew",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::precheck_host::Manifest;
    use crate::precheck::testing::{asked, ids, world};

    fn manifest(file: &str, pod: Option<&str>) -> Manifest {
        Manifest { file: file.to_owned(), pod: pod.map(str::to_owned) }
    }

    fn healthy() -> Facts {
        let manifests =
            COMPONENTS.map(|name| manifest(&format!("{name}.yaml"), Some(name))).to_vec();
        Facts { manifests, fail_swap_on: true, ..Facts::default() }
    }

    fn found(change: impl Fn(&mut Facts)) -> Vec<Finding> {
        let mut facts = healthy();
        change(&mut facts);
        check(&asked("1.21.2", vec![("cp1", facts)]))
    }

    #[test]
    fn a_host_as_kubeadm_makes_it_gives_nothing() {
        assert_eq!(found(|_| ()), []);
    }

    #[test]
    fn copies_among_the_manifests_stop_the_upgrade_and_others_are_told() {
        let found = found(|facts| {
            facts.manifests.extend([
                manifest("etcd.yaml.backup", Some("etcd")),
                manifest("haproxy.yaml", Some("haproxy")),
                manifest("notes.txt", None),
            ]);
        });
        assert_eq!(ids(&found), [Id::ForeignManifest; 3]);
        assert_eq!(found.iter().map(Finding::stops).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(found[0].object, "cp1:etcd.yaml.backup");
    }

    #[test]
    fn a_control_plane_without_its_manifests_is_none() {
        let found = found(|facts| facts.manifests.retain(|m| m.file != "kube-scheduler.yaml"));
        assert_eq!(ids(&found), [Id::ManifestMissing]);
    }

    #[test]
    fn swap_matters_when_the_kubelet_says_so() {
        let on = |fail| found(move |f| (f.swap, f.fail_swap_on) = (vec!["/swap".to_owned()], fail));
        assert!(ids(&on(true)) == [Id::SwapActive] && on(true)[0].stops());
        assert!(!on(false)[0].stops());
    }

    #[test]
    fn clocks_are_compared_with_each_other_and_slow_ways_are_no_skew() {
        let mut world = world("1.21.2", &[], &["a", "b", "c", "d"]);
        let mut host = |name: &str, clock: f64, took: f64, between: (f64, f64)| {
            let facts = Box::new(Facts { clock, took, ..Facts::default() });
            world.hosts.insert(name.to_owned(), Host::Asked { facts, between });
        };
        host("a", 1000.1, 1.0, (1000.0, 1001.2));
        host("b", 1000.1, 1.0, (1000.0, 1001.2));
        // Ten seconds on the way, in one direction or the other: nobody knows.
        host("c", 1005.0, 1.0, (1000.0, 1011.0));
        host("d", 960.0, 1.0, (1000.0, 1001.2));
        let found = check(&world);
        assert_eq!(ids(&found), [Id::ClockSkew]);
        assert!(found[0].object == "d" && found[0].stops() && found[0].evidence.contains("behind"));
    }
}
