//! The plan in words.

use std::collections::BTreeMap;

use super::plan::{Back, Case, Plan};
use super::world::World;

/// What will be done, in order: kubelets go down before apiservers, for a kubelet must not
/// be newer than its apiserver.
pub fn of(world: &World, plan: &Plan) -> Vec<String> {
    let mut steps = Vec::new();
    if plan.case == Case::Nothing {
        return steps;
    }
    let back = |host: &String| plan.hosts.get(host);
    let workers = world.workers.iter();
    let planes = || world.control_planes.iter().rev();
    for host in workers.chain(planes()) {
        if let Some(back) = back(host)
            && (!back.changes.is_empty() || back.kubelet)
        {
            steps.push(packages(host, back, plan.api));
        }
    }
    if matches!(plan.case, Case::A | Case::B) {
        for host in planes() {
            if let Some(back) = back(host).filter(|back| !back.pods.is_empty()) {
                let pods = changes(&back.pods);
                let state = &back.state;
                steps.push(format!("{host}: {pods}, certificates and kubeconfigs of {state}"));
                steps.extend(kept(host, back));
            }
        }
    }
    match plan.case {
        Case::B => {
            steps.push(match &plan.resources {
                Some(folder) => format!(
                    "the ConfigMaps of kubeadm, kubelet, kube-proxy and CoreDNS, and the objects \
                     of kube-proxy and CoreDNS, as they are in {}",
                    folder.display()
                ),
                None => {
                    "the ConfigMaps of kubeadm, kubelet, kube-proxy and CoreDNS stay: there is \
                         no export of this cluster at that version"
                        .to_owned()
                }
            });
        }
        Case::C => steps.extend(restore(world, plan)),
        Case::A | Case::Nothing => {}
    }
    steps.push(format!("proved: every node is Ready with {}", plan.version));
    steps
}

fn restore(world: &World, plan: &Plan) -> Vec<String> {
    let all = world.control_planes.join(", ");
    let snapshot = plan.snapshot.as_ref().map(|path| path.display().to_string());
    let taken = &plan.taken;
    let kept = plan.hosts.iter().filter_map(|(host, back)| kept(host, back));
    let begin = [
        format!("{all}: apiservers, controller managers and schedulers stopped, then etcd"),
        format!("{all}: manifests, certificates and kubeconfigs of the saved states"),
    ];
    let end = [
        format!(
            "{all}: {} restored on every member, the data of now kept beside; what was written \
             since {taken} is lost",
            snapshot.unwrap_or_default()
        ),
        format!("{all}: etcd started, all members at one revision; then the rest"),
        "every kubelet restarted; a write proved".to_owned(),
    ];
    begin.into_iter().chain(kept).chain(end).collect()
}

/// What stays as it is, because the saved one would not be accepted for long.
fn kept(host: &str, back: &Back) -> Option<String> {
    (!back.keep.is_empty()).then(|| {
        format!(
            "{host}: the renewed {} stay, as the saved ones are over or soon are",
            back.keep.join(", ")
        )
    })
}

fn packages(host: &str, back: &Back, api: bool) -> String {
    let packages = changes(&back.changes);
    match (back.kubelet, api) {
        (true, true) => {
            format!("{host}: drained; {packages}; kubelet restarted; put back to what it was")
        }
        (true, false) => {
            format!(
                "{host}: {packages}; kubelet restarted, without a drain as the API does not answer"
            )
        }
        (false, _) => format!("{host}: {packages}"),
    }
}

/// `kubeadm 1.21.2-00 -> 1.20.2-00, …`
fn changes(changes: &BTreeMap<String, (String, String)>) -> String {
    let words: Vec<_> =
        changes.iter().map(|(name, (now, then))| format!("{name} {now} -> {then}")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{host, upgraded, world};
    use super::*;

    #[test]
    fn kubelets_go_down_before_apiservers_and_the_last_control_plane_first() {
        let all = ["cp1", "cp2", "w1"].map(|name| (name, upgraded("3.4.13-0")));
        let plan = Plan::of(&world(&all)).expect("a plan");
        let begins: Vec<_> =
            plan.steps.iter().map(|step| step.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(
            begins,
            ["w1:", "cp2:", "cp1:", "cp2:", "cp1:", "the", "proved:"],
            "{:#?}",
            plan.steps
        );
        assert!(
            plan.steps[0].contains("drained; kubeadm 1.21.2-00 -> 1.20.2-00"),
            "{}",
            plan.steps[0]
        );
    }

    #[test]
    fn etcd_that_alone_was_upgraded_goes_back_and_is_told() {
        let mut half = upgraded("3.5.1-0");
        let etcd = half.now.components["etcd"].clone();
        half.now.components = host().now.components;
        half.now.components.insert("etcd".to_owned(), etcd);
        let plan = Plan::of(&world(&[("cp1", half), ("cp2", host())])).expect("a plan");
        assert_eq!(plan.case, Case::A);
        let told = |text: &str| plan.steps.iter().any(|step| step.starts_with(text));
        assert!(told("cp1: etcd 3.5.1-0 -> 3.4.13-0, certificates"), "{:#?}", plan.steps);
    }

    #[test]
    fn a_restore_stops_everything_first_and_says_what_is_lost() {
        let plan = Plan::of(&world(&[("cp1", upgraded("3.5.1-0"))])).expect("a plan");
        assert!(
            plan.steps.iter().any(|step| step.contains("written since 2024-05-01T10:05")),
            "{:#?}",
            plan.steps
        );
    }
}
