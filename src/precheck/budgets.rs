//! PodDisruptionBudgets: the drains of the upgrade, gone through before the first of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::finding::{Finding, Id, few};
use super::owner;
use super::place;
use super::world::{Cluster, World, name, text};
use crate::kubernetes::budget::Budget;
use crate::kubernetes::pod::{self, Kind, Rules};
use crate::kubernetes::policy::Then;

pub fn check(world: &World, cluster: &Cluster) -> Vec<Finding> {
    let mut blocked = BTreeMap::new();
    let mut overlapping = BTreeMap::new();
    let mut nowhere = Vec::new();
    for batch in &world.plan.batches {
        let drained = drained(world, cluster, batch);
        let pods = moved(cluster, &drained);
        let stuck: Vec<_> =
            pods.iter().copied().filter(|pod| !place::exists(cluster, &drained, pod)).collect();
        if !stuck.is_empty() {
            nowhere.push(no_place(&drained, &stuck));
        }
        for pod in &pods {
            let covering: Vec<_> = cluster
                .budgets
                .iter()
                .filter(|b| b.covers(pod) && !b.does_not_count(pod))
                .collect();
            if covering.len() > 1 {
                overlapping.entry(pod::name(pod)).or_insert(covering);
            }
        }
        for (index, budget) in cluster.budgets.iter().enumerate() {
            let counts = |pods: &[&'_ Json]| -> Vec<String> {
                let counted = pods.iter().filter(|p| budget.covers(p) && !budget.does_not_count(p));
                counted.map(|pod| pod::name(pod)).collect()
            };
            let (all, lost) = (counts(&pods), counts(&stuck).len() as i64);
            // A pod that can go elsewhere gives back what its eviction takes.
            if !all.is_empty()
                && (budget.disruptions_allowed <= 0 || lost > budget.disruptions_allowed)
            {
                blocked.entry(index).or_insert_with(|| Blocked {
                    drained: drained.clone(),
                    pods: all,
                    lost,
                });
            }
        }
    }
    let mut found: Vec<_> = blocked
        .into_iter()
        .filter_map(|(index, blocked)| {
            Some(blocked.finding(world, cluster, cluster.budgets.get(index)?))
        })
        .collect();
    found.extend(overlapping.into_iter().map(|(pod, budgets)| {
        let names = budgets.iter().map(|b| format!("{}/{}", b.namespace, b.name));
        let evidence = format!("more than one budget covers it: {}", few(names));
        Finding::error(Id::BudgetsOverlap, pod, evidence).fix(
            "Kubernetes refuses every eviction of such a pod: leave it one budget, by narrowing the \
             selectors of the others",
        )
    }));
    found.extend(nowhere);
    found
}

/// A budget that keeps pods where they are.
struct Blocked {
    /// The nodes of the batch at which it is met first.
    drained: BTreeSet<String>,
    pods: Vec<String>,
    /// Of these no other node takes so many.
    lost: i64,
}

impl Blocked {
    fn finding(&self, world: &World, cluster: &Cluster, budget: &Budget) -> Finding {
        let object = format!("{}/{}", budget.namespace, budget.name);
        let pods = cluster.pods.iter().filter(|pod| self.pods.contains(&pod::name(pod)));
        let owners: BTreeSet<_> = pods.map(|pod| owner::describe(cluster, pod)).collect();
        let mut evidence = format!(
            "{}; the drain of {} would wait for {} of {}",
            budget.describe(),
            few(&self.drained),
            few(&self.pods),
            few(&owners)
        );
        if self.lost > 0 {
            evidence += &format!("; no other node takes {} of them", self.lost);
        }
        let healthy = budget.current_healthy >= budget.desired_healthy;
        let fix = if !healthy {
            format!("get its pods healthy first: kubectl -n {} get pods", budget.namespace)
        } else if self.lost > 0 {
            "make room on another node (uncordon one, or add one), or let the budget allow more"
                .to_owned()
        } else {
            format!(
                "start one more replica than the budget wants ({}), or let it allow a disruption: \
                 kubectl -n {} edit pdb {}",
                budget.desired_healthy + 1,
                budget.namespace,
                budget.name
            )
        };
        let policy = world.plan.policies.of(&budget.namespace).then;
        match policy {
            Then::Wait => {}
            Then::Skip => evidence += "; the policy is to skip the node",
            Then::Force => evidence += "; the policy is to delete the pod all the same",
        }
        Finding::warning(Id::BudgetBlocksDrain, object, evidence)
            .error_if(policy == Then::Wait)
            .fix(fix)
    }
}

/// The nodes of a batch that are drained: those that have the version are left alone.
fn drained(world: &World, cluster: &Cluster, batch: &[String]) -> BTreeSet<String> {
    let target = format!("v{}", world.target);
    let nodes = cluster.nodes.iter().filter(|node| {
        batch.iter().any(|host| host == name(node))
            && text(node, "/status/nodeInfo/kubeletVersion") != target
    });
    nodes.map(|node| name(node).to_owned()).collect()
}

/// The pods that would be evicted.
fn moved<'a>(cluster: &'a Cluster, drained: &BTreeSet<String>) -> Vec<&'a Json> {
    let rules = Rules { ignore_daemonsets: true, delete_emptydir_data: true, force: true };
    let pods = cluster.pods.iter().filter(|pod| drained.contains(text(pod, "/spec/nodeName")));
    pods.filter(|pod| pod::classify(pod, rules) == Kind::Evictable && !is_over(pod)).collect()
}

fn is_over(pod: &Json) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
        || pod.pointer("/metadata/deletionTimestamp").is_some()
}

fn no_place(drained: &BTreeSet<String>, pods: &[&Json]) -> Finding {
    let evidence = format!(
        "while it is drained no other node takes {}: they wait, Pending, until it is back",
        few(pods.iter().map(|pod| pod::name(pod)))
    );
    Finding::warning(Id::PodNoPlace, few(drained), evidence).fix(
        "add or uncordon a node that their taints and selectors fit, or plan for their absence",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::budget;
    use crate::precheck::testing::{cluster, ids, node, pod, world};
    use serde_json::json;

    fn budget(name: &str, allowed: i64, healthy: i64, desired: i64) -> Budget {
        let object = json!({
            "metadata": {"namespace": "default", "name": name},
            "spec": {"selector": {"matchLabels": {"app": "app"}}},
            "status": {"disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired},
        });
        budget::read(&object).expect("a budget")
    }

    fn three_nodes(budgets: Vec<Budget>) -> Cluster {
        let mut cluster = cluster();
        cluster.nodes = ["cp1", "w1", "w2"].map(|name| node(name, "v1.20.2")).to_vec();
        cluster.pods = vec![pod("app-1-a", "w1"), pod("app-1-b", "w1"), pod("app-1-c", "w2")];
        cluster.controllers = vec![
            json!({"kind": "ReplicaSet", "metadata": {"namespace": "default", "name": "app-1",
                "ownerReferences": [{"kind": "Deployment", "name": "app", "controller": true}]},
                "spec": {"replicas": 3}}),
            json!({"kind": "Deployment", "metadata": {"namespace": "default", "name": "app"},
                "spec": {"replicas": 3}}),
        ];
        cluster.budgets = budgets;
        cluster
    }

    fn found(cluster: &Cluster) -> Vec<Finding> {
        check(&world("1.21.2", &["cp1"], &["w1", "w2"]), cluster)
    }

    #[test]
    fn a_budget_that_allows_one_at_a_time_lets_all_pods_move() {
        assert_eq!(found(&three_nodes(vec![budget("app", 1, 3, 2)])), []);
    }

    #[test]
    fn a_budget_that_never_allows_is_told_with_owner_and_replicas() {
        let found = found(&three_nodes(vec![budget("app", 0, 3, 3)]));
        assert_eq!(ids(&found), [Id::BudgetBlocksDrain]);
        let evidence = &found[0].evidence;
        assert!(evidence.contains("the drain of w1 would wait for default/app-1-a"), "{evidence}");
        assert!(evidence.contains("Deployment default/app (3 replicas)"), "{evidence}");
        assert!(found[0].fix.contains("(4)"));
    }

    #[test]
    fn pods_that_are_not_well_are_the_reason_first() {
        let found = found(&three_nodes(vec![budget("app", 0, 1, 2)]));
        assert!(found[0].fix.contains("healthy first"));
    }

    #[test]
    fn without_another_node_evictions_use_the_budget_up() {
        let mut cluster = three_nodes(vec![budget("app", 1, 3, 2)]);
        for node in &mut cluster.nodes {
            if name(node) != "w1" {
                node["spec"]["unschedulable"] = json!(true);
            }
        }
        let found = found(&cluster);
        assert_eq!(ids(&found), [Id::BudgetBlocksDrain, Id::PodNoPlace]);
        assert!(found[0].evidence.contains("no other node takes 2 of them"));
    }

    #[test]
    fn two_budgets_for_one_pod_refuse_every_eviction() {
        let cluster = three_nodes(vec![budget("a", 1, 3, 2), budget("b", 1, 3, 2)]);
        assert_eq!(ids(&found(&cluster)), [Id::BudgetsOverlap; 3]);
    }

    #[test]
    fn nodes_that_have_the_version_are_not_drained() {
        let mut cluster = three_nodes(vec![budget("app", 0, 3, 3)]);
        cluster.nodes = ["cp1", "w1", "w2"].map(|name| node(name, "v1.21.2")).to_vec();
        assert_eq!(found(&cluster), []);
    }

    #[test]
    fn a_pod_that_is_not_ready_does_not_count_while_enough_are() {
        let mut cluster = three_nodes(vec![budget("app", 0, 2, 2)]);
        cluster.pods = vec![pod("app-1-a", "w1")];
        cluster.pods[0]["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
        assert_eq!(found(&cluster), []);
    }

    #[test]
    fn where_the_drain_policy_deals_with_budgets_it_is_a_warning() {
        let mut world = world("1.21.2", &["cp1"], &["w1", "w2"]);
        world.plan.policies.default.then = Then::Skip;
        let found = check(&world, &three_nodes(vec![budget("app", 0, 3, 3)]));
        assert!(ids(&found) == [Id::BudgetBlocksDrain] && !found[0].stops());
    }
}
