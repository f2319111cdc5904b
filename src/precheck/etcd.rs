//! etcd: healthy, with a quorum that stands the loss of the next node.

use super::finding::{Finding, Id, few};
use super::world::World;
use crate::modules::Version;
use crate::modules::precheck_host::{Etcd, Facts, Member};

/// etcd 3.6 comes with this minor.
const MINOR_OF_3_6: u32 = 34;
/// Older members become zombies when they are upgraded to 3.6.
const SAFE_FOR_3_6: Version = Version { major: 3, minor: 5, patch: 26 };

pub fn check(world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    for (host, facts) in world.facts() {
        if let Some(error) = facts.etcd.as_ref().and_then(|etcd| etcd.error.as_ref()) {
            found.push(
                Finding::error(
                    Id::EtcdUnreachable,
                    host,
                    format!("its member cannot be asked: {error}"),
                )
                .fix("crictl ps -a | grep etcd there, and the container's log"),
            );
        }
    }
    found.extend(without(world));
    // One member's view is enough; that of the first which answers.
    let view =
        world.facts().find_map(|(_, facts)| facts.etcd.as_ref().filter(|e| e.error.is_none()));
    if let Some(etcd) = view {
        found.extend(members(world, etcd));
        found.extend(quorum(etcd));
        found.extend(etcd.alarms.iter().map(|alarm| {
            Finding::error(Id::EtcdAlarm, "etcd", alarm).fix(
                "NOSPACE: compact, etcdctl defrag, then alarm disarm; CORRUPT: replace the member",
            )
        }));
    }
    found
}

/// The control planes without a member: some, or all.
fn without(world: &World) -> Vec<Finding> {
    let planes = || world.facts().filter(|(host, _)| world.plan.is_control_plane(host));
    let has = |facts: &Facts| facts.etcd.is_some();
    if planes().any(|(_, facts)| has(facts)) {
        let missing = planes().filter(|(_, facts)| !has(facts));
        return missing
            .map(|(host, _)| {
                let evidence = "it has no static pod of etcd, as other control planes have";
                Finding::error(Id::EtcdMemberMissing, host, evidence)
                    .fix("put etcd's manifest back, or remove the member and join the host anew")
            })
            .collect();
    }
    if planes().next().is_none() {
        return Vec::new();
    }
    let evidence = "no control plane has a member: its health, quorum and size are not looked at, \
                    and backup.yml takes no snapshot of it";
    vec![
        Finding::warning(Id::EtcdExternal, "etcd", evidence)
            .fix("see to them by its own means, and run with --skip-tags backup"),
    ]
}

fn members(world: &World, etcd: &Etcd) -> Vec<Finding> {
    let mut found = Vec::new();
    for member in &etcd.members {
        let name = called(member);
        if !member.healthy {
            let evidence = format!("the member is not healthy: {}", member.error);
            found.push(
                Finding::error(Id::EtcdMemberUnhealthy, &name, evidence)
                    .fix("repair it before an upgrade takes another one down"),
            );
        }
        if member.learner {
            found.push(
                Finding::error(Id::EtcdLearner, &name, "it does not vote yet")
                    .fix("wait until it has caught up and promote it, or remove it"),
            );
        }
        if !member.name.is_empty() && !world.plan.is_control_plane(&member.name) {
            let evidence = "no control plane of the inventory has the member's name";
            found.push(
                Finding::warning(Id::EtcdMemberUnknown, &name, evidence)
                    .fix("etcdctl member remove, if it is what is left of a host that is gone"),
            );
        }
        if etcd.quota > 0 && member.database > etcd.quota / 5 * 4 {
            let evidence = format!(
                "its database has {} MB, its quota is {} MB",
                member.database >> 20,
                etcd.quota >> 20
            );
            found.push(
                Finding::warning(Id::EtcdDatabaseLarge, &name, evidence)
                    .fix("compact and defragment it, or raise --quota-backend-bytes"),
            );
        }
        found.extend(gate(world, member));
    }
    found
}

fn gate(world: &World, member: &Member) -> Option<Finding> {
    let version = Version::parse(&member.version)?;
    if world.target.minor < MINOR_OF_3_6 || version >= SAFE_FOR_3_6 {
        return None;
    }
    let evidence = format!(
        "the member runs etcd {version}; v{} brings etcd 3.6, which is safe only from {SAFE_FOR_3_6} on",
        world.target
    );
    Some(
        Finding::error(Id::EtcdVersionGate, called(member), evidence)
            .fix("upgrade to the newest patch of the present minor first: it brings a newer 3.5"),
    )
}

fn quorum(etcd: &Etcd) -> Option<Finding> {
    let voters: Vec<_> = etcd.members.iter().filter(|member| !member.learner).collect();
    let healthy = voters.iter().filter(|member| member.healthy).count();
    let (all, quorum) = (voters.len(), voters.len() / 2 + 1);
    // One member, or two, cannot stand a loss: then nothing but its return helps.
    if all >= 3 && healthy.saturating_sub(1) < quorum {
        let down = voters.iter().filter(|member| !member.healthy).map(|member| called(member));
        let evidence = format!(
            "{healthy} of {all} members are healthy; when the next control plane goes down {} are \
             left, and {quorum} are needed (down: {})",
            healthy.saturating_sub(1),
            few(down)
        );
        return Some(
            Finding::error(Id::EtcdQuorumAtRisk, "etcd", evidence)
                .fix("repair the members that are down first"),
        );
    }
    let even = all > 0 && all % 2 == 0;
    even.then(|| {
        let evidence = format!(
            "{all} members stand the loss of {}, no more than {} would",
            (all - 1) / 2,
            all - 1
        );
        Finding::warning(Id::EtcdEvenMembers, "etcd", evidence).fix(if all == 2 {
            "while either control plane restarts the cluster cannot write: add a third member"
        } else {
            "add a member, or remove one"
        })
    })
}

fn called(member: &Member) -> String {
    match member.name.as_str() {
        "" => format!("etcd member at {}", member.endpoint),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::testing::{asked, ids};

    fn member(name: &str, healthy: bool, version: &str) -> Member {
        let (name, version) = (name.to_owned(), version.to_owned());
        Member { name, healthy, version, database: 1 << 20, ..Member::default() }
    }

    fn found(target: &str, members: Vec<Member>) -> Vec<Id> {
        let etcd = Etcd { members, quota: 2 << 30, ..Etcd::default() };
        let facts = || Facts { etcd: Some(etcd.clone()), ..Facts::default() };
        ids(&check(&asked(target, vec![("a", facts()), ("b", facts()), ("c", facts())])))
    }

    #[test]
    fn three_healthy_members_stand_the_loss_of_one() {
        let all = ["a", "b", "c"].map(|name| member(name, true, "3.4.13")).to_vec();
        assert_eq!(found("1.21.2", all), []);
    }

    #[test]
    fn with_one_of_three_down_the_next_node_takes_the_quorum() {
        let members =
            vec![member("a", true, "3.4.13"), member("b", false, ""), member("c", true, "3.4.13")];
        assert_eq!(found("1.21.2", members), [Id::EtcdMemberUnhealthy, Id::EtcdQuorumAtRisk]);
    }

    #[test]
    fn five_members_stand_two() {
        let mut members: Vec<_> =
            ["a", "b", "c", "d", "e"].iter().map(|name| member(name, true, "3.5.9")).collect();
        members[1].healthy = false;
        let ids = found("1.29.0", members);
        assert!(!ids.contains(&Id::EtcdQuorumAtRisk) && ids.contains(&Id::EtcdMemberUnhealthy));
        assert!(ids.contains(&Id::EtcdMemberUnknown), "d and e are not in the inventory");
    }

    #[test]
    fn an_even_number_is_told() {
        let two = ["a", "b"].map(|name| member(name, true, "3.4.13")).to_vec();
        assert_eq!(found("1.21.2", two), [Id::EtcdEvenMembers]);
    }

    #[test]
    fn etcd_3_6_wants_3_5_26() {
        let at = |version: &str| found("1.34.1", vec![member("a", true, version)]);
        assert_eq!(at("3.5.24"), [Id::EtcdVersionGate]);
        assert_eq!(at("3.5.26"), []);
        assert_eq!(found("1.33.5", vec![member("a", true, "3.5.24")]), []);
    }

    #[test]
    fn alarms_learners_and_large_databases_are_told() {
        let mut large = member("a", true, "3.4.13");
        (large.database, large.learner) = (2 << 30, true);
        let etcd = Etcd {
            members: vec![large],
            alarms: vec!["NOSPACE of member b".to_owned()],
            quota: 2 << 30,
            error: None,
        };
        let facts = Facts { etcd: Some(etcd), ..Facts::default() };
        let ids = ids(&check(&asked("1.21.2", vec![("a", facts)])));
        assert_eq!(ids, [Id::EtcdLearner, Id::EtcdDatabaseLarge, Id::EtcdAlarm]);
    }

    #[test]
    fn control_planes_without_a_member_are_told() {
        let with = || Facts { etcd: Some(Etcd::default()), ..Facts::default() };
        let found = |hosts| ids(&check(&asked("1.21.2", hosts)));
        assert_eq!(found(vec![("a", with()), ("b", Facts::default())]), [Id::EtcdMemberMissing]);
        assert_eq!(
            found(vec![("a", Facts::default()), ("b", Facts::default())]),
            [Id::EtcdExternal]
        );
    }

    #[test]
    fn a_member_that_does_not_answer_is_told() {
        let etcd = Etcd { error: Some("refused".to_owned()), ..Etcd::default() };
        let facts = Facts { etcd: Some(etcd), ..Facts::default() };
        assert_eq!(ids(&check(&asked("1.21.2", vec![("a", facts)]))), [Id::EtcdUnreachable]);
    }
}
