//! Which case it is, and what each host gets back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificates;
use super::storage;
use super::world::{Backup, Host, World};
use crate::kubernetes::export::Cluster;
use crate::modules::Version;
use crate::modules::host_state::Record;

/// Between the first host's state and the snapshot of one backup.
const LAG: SignedDuration = SignedDuration::from_hours(1);
const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// How far the upgrade had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Case {
    /// Everything is as it was.
    #[default]
    #[serde(rename = "nothing")]
    Nothing,
    /// No control plane is upgraded yet.
    A,
    /// Control planes are upgraded, and the apiservers of before can read what is stored.
    B,
    /// etcd has to be what it was too.
    C,
}

/// The way back.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    pub case: Case,
    /// The version to go back to, without a leading v.
    pub version: String,
    /// Why it is this case.
    pub reasons: Vec<String>,
    /// What will be done, in order.
    pub steps: Vec<String>,
    pub hosts: BTreeMap<String, Back>,
    /// Whether the API answers.
    pub api: bool,
    /// The backup on the controller.
    pub backup: Option<PathBuf>,
    pub resources: Option<PathBuf>,
    pub snapshot: Option<PathBuf>,
    /// When that backup was made; RFC 3339.
    pub taken: String,
}

/// What a host gets back.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Back {
    /// The saved state's folder on the host; empty if nothing has to be put back.
    pub state: String,
    /// When it was saved.
    pub saved_at: String,
    /// The saved versions of all packages.
    pub packages: BTreeMap<String, String>,
    /// Packages that have another version now: what they have, and what they get.
    pub changes: BTreeMap<String, (String, String)>,
    /// The kubelet is one of them, so that the node has to be drained.
    pub kubelet: bool,
    /// Tags of the static pods' images as they were saved.
    pub components: BTreeMap<String, String>,
    /// Static pods that run another one now: what they run, and what they get.
    pub pods: BTreeMap<String, (String, String)>,
    /// Files that are not put back, as the saved certificates in them are over.
    pub keep: Vec<String>,
}

impl Plan {
    /// The plan; or everything that is in the way of one.
    pub fn of(world: &World) -> Result<Self, Vec<String>> {
        let mut problems: Vec<_> = world
            .hosts
            .iter()
            .filter_map(|(name, host)| {
                host.as_ref().err().map(|why| format!("{name} cannot be asked: {why}"))
            })
            .collect();
        let Some(version) = world.wanted.or_else(|| version_before(world)) else {
            problems.push("no host has a saved state: backup.yml saves them".to_owned());
            return Err(problems);
        };
        let mut hosts = BTreeMap::new();
        for (name, host) in world.answered() {
            match back(host, version) {
                Ok(back) => drop(hosts.insert(name.to_owned(), back)),
                Err(why) => problems.push(format!("{name} {why}")),
            }
        }
        let mut plan = Self {
            version: version.to_string(),
            api: world.cluster.is_ok(),
            hosts,
            ..Self::default()
        };
        let backup = backup(world, version);
        plan.decide(world, version, backup);
        if let Some(backup) = backup {
            plan.backup = Some(backup.folder.clone());
            plan.resources = Some(backup.folder.join("resources"));
            plan.snapshot = backup.snapshot.clone();
            plan.taken.clone_from(&backup.cluster.at);
        }
        if plan.case == Case::C && plan.snapshot.is_none() {
            problems.push(format!(
                "case C restores etcd, and no backup of this cluster at {version} with a snapshot \
                 was found: {}",
                plan.reasons.join("; ")
            ));
        }
        if plan.case == Case::C {
            problems.extend(older_than_states(world, &plan));
            problems.extend(cannot_be_told_apart(world, version));
        }
        let case = plan.case;
        for (name, host) in world.planes() {
            let back = plan.hosts.get_mut(name);
            if let Some(back) = back.filter(|back| case == Case::C || !back.pods.is_empty())
                && let Some(saved) = host.saved.iter().find(|saved| saved.path == back.state)
            {
                match certificates::kept(host, saved, world.time) {
                    Ok(keep) => back.keep = keep,
                    Err(why) => problems.extend(why.iter().map(|why| format!("{name}: {why}"))),
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        plan.steps = super::steps::of(world, &plan);
        Ok(plan)
    }

    fn decide(&mut self, world: &World, version: Version, backup: Option<&Backup>) {
        let upgraded: Vec<_> = self
            .hosts
            .iter()
            .filter(|(_, back)| COMPONENTS.iter().any(|name| back.pods.contains_key(*name)))
            .map(|(name, _)| name.clone())
            .collect();
        let restores = reasons_to_restore(world, self, version, backup);
        let any_change =
            self.hosts.values().any(|back| !back.changes.is_empty() || !back.pods.is_empty());
        let case = match (restores.is_empty(), upgraded.is_empty(), any_change) {
            (false, _, _) => Case::C,
            (true, false, _) => Case::B,
            (true, true, true) => Case::A,
            (true, true, false) => Case::Nothing,
        };
        self.reasons = restores;
        // A milder case than the facts allow is not to be had; a restore always is.
        self.case = match world.case {
            Some(Case::C) => {
                self.reasons.insert(0, "the operator asks for case C".to_owned());
                Case::C
            }
            _ => case,
        };
        self.reasons.extend(match self.case {
            Case::Nothing => vec![format!("every host has {version}")],
            Case::A => vec![format!("every apiserver still runs {version}")],
            Case::B => vec![
                format!("upgraded control planes: {}", upgraded.join(", ")),
                format!("what is stored can be read by {version}"),
            ],
            Case::C => Vec::new(),
        });
    }
}

/// The newest state that is older than what the cluster has come to; what it has itself
/// when there is no older one.
fn version_before(world: &World) -> Option<Version> {
    let reached = world.answered().flat_map(|(_, host)| seen(host)).max();
    let saved = || world.answered().flat_map(|(_, host)| &host.saved);
    let of = |record: &Record| Version::parse(&record.version);
    let older = saved().filter(|record| of(record) < reached).max_by(|a, b| a.at.cmp(&b.at));
    let newest = || saved().max_by(|a, b| a.at.cmp(&b.at));
    older.or_else(newest).and_then(of)
}

/// The versions of Kubernetes that a host has.
fn seen(host: &Host) -> Vec<Version> {
    let now = &host.now;
    let tags = now.components.iter().filter(|(name, _)| name.as_str() != "etcd");
    let texts = tags.map(|(_, tag)| tag).chain(&now.kubelet).chain(&now.kubeadm);
    texts.filter_map(|text| Version::parse(text)).collect()
}

fn back(host: &Host, version: Version) -> Result<Back, String> {
    let wanted = version.to_string();
    let Some(record) = host.saved.iter().rev().find(|record| record.version == wanted) else {
        if host.now.whole() == Some(version) {
            return Ok(Back::default());
        }
        let saved: Vec<_> = host.saved.iter().map(|record| record.version.as_str()).collect();
        return Err(match saved.as_slice() {
            [] => format!("has no saved state of {version}, nor of any other version"),
            some => format!("has no saved state of {version}, only of {}", some.join(", ")),
        });
    };
    let differ = |now: &BTreeMap<String, String>, then: &BTreeMap<String, String>| {
        let changed = then.iter().filter(|(name, was)| now.get(*name) != Some(was));
        let pair = |(name, was): (&String, &String)| {
            let is = now.get(name).cloned().unwrap_or_else(|| "nothing".to_owned());
            (name.clone(), (is, was.clone()))
        };
        changed.map(pair).collect::<BTreeMap<_, _>>()
    };
    let changes = differ(&host.now.packages, &record.host.packages);
    Ok(Back {
        state: record.path.clone(),
        saved_at: record.at.clone(),
        kubelet: changes.contains_key("kubelet") || host.now.kubelet != record.host.kubelet,
        packages: record.host.packages.clone(),
        pods: differ(&host.now.components, &record.host.components),
        components: record.host.components.clone(),
        changes,
        keep: Vec::new(),
    })
}

/// The newest backup of this very cluster at that version.
fn backup(world: &World, version: Version) -> Option<&Backup> {
    fitting(world, version).max_by(|a, b| a.cluster.at.cmp(&b.cluster.at))
}

/// Those of a cluster in the middle of an upgrade do not fit: an apiserver of the next version
/// may have written what they hold.
fn fitting(world: &World, version: Version) -> impl Iterator<Item = &Backup> {
    let is_of_cluster = |backup: &Backup| match &world.cluster {
        Ok(now) => backup.cluster.uid == now.uid,
        // While the API does not say, the control planes have to be the same.
        Err(_) => world.control_planes.iter().all(|host| backup.cluster.nodes.contains(host)),
    };
    let is_version = move |text: &String| Version::parse(text) == Some(version);
    world.backups.iter().filter(move |backup| {
        let Cluster { version, apiservers, .. } = &backup.cluster;
        is_version(version) && apiservers.iter().all(is_version) && is_of_cluster(backup)
    })
}

/// The hosts' states are saved just before the snapshot is, and those of upgraded hosts not
/// again: where they are newer, the backup that belongs to them is elsewhere, and this one
/// loses more than the operator thinks.
fn older_than_states(world: &World, plan: &Plan) -> Option<String> {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let upgraded = plan.hosts.values().filter(|back| !back.pods.is_empty());
    let states = upgraded.filter_map(|back| time(&back.saved_at)).max()?;
    let taken = time(&plan.taken)?;
    let lag = states.duration_since(taken);
    (!world.named && lag > LAG).then(|| {
        format!(
            "the newest backup that fits ({}) is of {taken}, and states of hosts were saved at \
             {states}: a newer backup is elsewhere, or name this one with rollback_backup",
            plan.backup.as_ref().map_or("none".to_owned(), |folder| folder.display().to_string())
        )
    })
}

/// Clusters whose control planes have the same names, of which the API does not say which it is.
fn cannot_be_told_apart(world: &World, version: Version) -> Option<String> {
    let uids: BTreeSet<_> = fitting(world, version).map(|backup| &backup.cluster.uid).collect();
    (world.cluster.is_err() && uids.len() > 1).then(|| {
        format!(
            "the API does not say which cluster this is, and backups of {} clusters with control \
             planes of these names are there: name the one to restore with rollback_backup",
            uids.len()
        )
    })
}

/// Why the apiservers of before could not go on with the store as it is.
fn reasons_to_restore(
    world: &World,
    plan: &Plan,
    version: Version,
    backup: Option<&Backup>,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let stopped = world.planes().filter(|(_, host)| !host.now.stopped.is_empty());
    reasons.extend(stopped.map(|(name, host)| {
        format!(
            "a restore has not come to its end: {name} has {} stopped",
            host.now.stopped.join(", ")
        )
    }));
    reasons.extend(etcd_upgraded(world, plan));
    let alarms: BTreeSet<_> = world
        .planes()
        .filter_map(|(_, host)| host.etcd.as_ref())
        .flat_map(|etcd| etcd.alarms.iter().filter(|alarm| alarm.contains("CORRUPT")))
        .collect();
    reasons.extend(alarms.into_iter().map(|alarm| format!("etcd has the alarm {alarm}")));
    let apiservers = world
        .planes()
        .filter_map(|(_, host)| Version::parse(host.now.components.get("kube-apiserver")?));
    let newest = apiservers.max();
    if let Some(newest) = newest
        && (newest.major, newest.minor) > (version.major, version.minor + 1)
    {
        reasons.push(format!(
            "{newest} is more than one minor ahead of {version}, which does not read what it stores"
        ));
    }
    if let (Ok(now), Some(backup)) = (&world.cluster, backup)
        && newest > Some(version)
    {
        let unreadable = storage::unreadable(&backup.cluster.served, &now.served);
        if !unreadable.is_empty() {
            reasons.push(format!(
                "stored in versions that {version} does not know: {}",
                unreadable.join(", ")
            ));
        }
    }
    reasons
}

/// etcd's data are of its newest minor once all members have it; while one is left behind
/// they are not, and the others may go back.
fn etcd_upgraded(world: &World, plan: &Plan) -> Option<String> {
    let minor = |text: &str| Version::parse(text).map(|version| (version.major, version.minor));
    let saved = plan.hosts.values().filter_map(|back| minor(back.components.get("etcd")?)).max()?;
    // The members themselves know better than their manifests.
    let members: Vec<_> = world
        .planes()
        .filter_map(|(_, host)| host.etcd.as_ref())
        .find_map(|etcd| {
            let known = etcd.members.iter().map(|member| minor(&member.version));
            known.collect::<Option<Vec<_>>>().filter(|known| !known.is_empty())
        })
        .unwrap_or_else(|| {
            let tags = world.planes().filter_map(|(_, host)| host.now.components.get("etcd"));
            tags.filter_map(|tag| minor(tag)).collect()
        });
    let oldest = members.into_iter().min()?;
    (oldest > saved).then(|| {
        format!(
            "etcd's data are of {}.{} now, and were of {}.{}",
            oldest.0, oldest.1, saved.0, saved.1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{host, upgraded, world};
    use super::*;

    fn plan(world: &World) -> Plan {
        Plan::of(world).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    #[test]
    fn a_cluster_that_was_not_touched_needs_nothing() {
        let plan = plan(&world(&[("cp1", host()), ("w1", host())]));
        assert_eq!((plan.case, plan.version.as_str()), (Case::Nothing, "1.20.2"));
        assert!(plan.steps.is_empty());
    }

    #[test]
    fn a_newer_kubeadm_alone_is_case_a() {
        let mut changed = host();
        changed.now.kubeadm = Some("1.21.2".to_owned());
        changed.now.packages.insert("kubeadm".to_owned(), "1.21.2-00".to_owned());
        let plan = plan(&world(&[("cp1", changed), ("w1", host())]));
        assert_eq!((plan.case, plan.version.as_str()), (Case::A, "1.20.2"));
        let back = &plan.hosts["cp1"];
        assert!(!back.kubelet && back.pods.is_empty());
        assert_eq!(back.changes["kubeadm"], ("1.21.2-00".to_owned(), "1.20.2-00".to_owned()));
    }

    #[test]
    fn upgraded_apiservers_over_the_same_etcd_are_case_b() {
        let plan = plan(&world(&[("cp1", upgraded("3.4.13-0")), ("w1", host())]));
        assert_eq!(plan.case, Case::B);
        assert!(plan.hosts["cp1"].pods.contains_key("kube-apiserver"));
        assert_eq!(plan.hosts["w1"].changes.len(), 0);
    }

    #[test]
    fn data_of_a_newer_etcd_are_case_c_once_every_member_has_it() {
        let both = [("cp1", upgraded("3.5.1-0")), ("cp2", upgraded("3.5.1-0"))];
        assert_eq!(plan(&world(&both)).case, Case::C);
        let one = [("cp1", upgraded("3.5.1-0")), ("cp2", host())];
        assert_eq!(plan(&world(&one)).case, Case::B);
    }

    #[test]
    fn a_backup_that_is_older_than_the_states_of_hosts_is_restored_only_when_it_is_named() {
        let mut late = upgraded("3.5.1-0");
        late.saved[0].at = "2024-06-01T10:00:00Z".to_owned();
        let mut world = world(&[("cp1", late)]);
        let problems = Plan::of(&world).expect_err("a newer one is elsewhere");
        assert!(problems[0].contains("a newer backup is elsewhere"), "{problems:?}");
        world.named = true;
        assert_eq!(plan(&world).case, Case::C);
    }

    #[test]
    fn a_restore_that_was_broken_off_is_done_again() {
        let mut stopped = host();
        stopped.now.stopped = vec!["etcd".to_owned()];
        assert_eq!(plan(&world(&[("cp1", stopped)])).case, Case::C);
    }

    #[test]
    fn a_kind_that_is_stored_in_an_unknown_version_is_case_c() {
        let mut world = world(&[("cp1", upgraded("3.4.13-0"))]);
        let served = |version: &str, storage: Option<&str>| crate::kubernetes::discovery::Served {
            group: "batch".to_owned(),
            version: version.to_owned(),
            kind: "CronJob".to_owned(),
            plural: "cronjobs".to_owned(),
            storage: storage.map(str::to_owned),
        };
        world.backups[0].cluster.served = vec![served("v1beta1", None)];
        if let Ok(now) = &mut world.cluster {
            now.served = vec![served("v1", Some("another"))];
        }
        let plan = plan(&world);
        assert_eq!(plan.case, Case::C);
        assert!(plan.reasons[0].contains("cronjobs.batch"), "{:?}", plan.reasons);
    }

    #[test]
    fn a_restore_without_a_snapshot_of_this_cluster_is_refused() {
        let mut world = world(&[("cp1", upgraded("3.5.1-0"))]);
        world.backups[0].cluster.uid = "another".to_owned();
        let problems = Plan::of(&world).expect_err("refused");
        assert!(problems[0].contains("no backup of this cluster"), "{problems:?}");
        world.cluster = Err("it does not answer".to_owned());
        assert_eq!(plan(&world).case, Case::C, "its control planes are known by their names");
        let mut of_another = world.backups[0].clone();
        of_another.cluster.uid = "a third".to_owned();
        world.backups.push(of_another);
        let problems = Plan::of(&world).expect_err("refused");
        assert!(problems[0].contains("name the one to restore"), "{problems:?}");
        world.backups.pop();
        world.backups[0].cluster.nodes = vec!["other1".to_owned()];
        assert!(Plan::of(&world).is_err());
    }

    #[test]
    fn a_backup_that_was_made_in_the_middle_of_an_upgrade_is_not_gone_back_to() {
        let mut world = world(&[("cp1", upgraded("3.5.1-0"))]);
        let mut later = world.backups[0].clone();
        later.folder = "/backups/2".into();
        later.cluster.at = "2099-01-01T00:00:00Z".to_owned();
        later.cluster.apiservers = vec!["v1.20.2".to_owned(), "v1.21.2".to_owned()];
        let whole = world.backups[0].folder.clone();
        world.backups.push(later);
        assert_eq!(plan(&world).backup, Some(whole));
    }

    #[test]
    fn hosts_that_have_no_way_back_are_all_named() {
        let mut without = upgraded("3.4.13-0");
        without.saved.clear();
        let mut world = world(&[("cp1", upgraded("3.4.13-0")), ("cp2", without)]);
        world.hosts.insert("w1".to_owned(), Err("no route".to_owned()));
        let problems = Plan::of(&world).expect_err("refused");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("no saved state of 1.20.2")));
    }

    #[test]
    fn the_operator_may_ask_for_more_than_is_needed_but_not_for_less() {
        let mut world = world(&[("cp1", upgraded("3.4.13-0"))]);
        world.case = Some(Case::C);
        assert_eq!(plan(&world).case, Case::C);
        world.hosts.insert("cp1".to_owned(), Ok(upgraded("3.5.1-0")));
        world.case = Some(Case::A);
        assert_eq!(plan(&world).case, Case::C);
        world.wanted = Version::parse("1.19.0");
        assert!(Plan::of(&world).is_err(), "there is no state of it");
    }
}
