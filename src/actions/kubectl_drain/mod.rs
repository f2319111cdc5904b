//! `kubectl_drain`: nodes cordoned, drained, and put back, through the API.

mod k8s_drain;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Action, Context, Error, Failure, Outcome, cluster, guard};
use crate::kubernetes::drain::{self, Drained, Options, Undrained};
use crate::kubernetes::policy::{Policies, Policy, Then};
use crate::kubernetes::{Api, node};
use crate::modules::args::{Flag, Number};
pub use k8s_drain::K8sDrain;

/// Cordons a node, drains it, or puts it back to what it was before.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubectlDrain {
    /// The node; the host's own name unless given.
    #[serde(alias = "node")]
    name: Option<String>,
    state: State,
    /// Leave the pods of DaemonSets.
    #[serde(default = "yes")]
    ignore_daemonsets: Flag,
    /// Evict pods whose emptyDir data is lost with them.
    #[serde(default, alias = "delete_local_data")]
    delete_emptydir_data: Flag,
    /// Evict pods that nothing would start again.
    #[serde(default)]
    force: Flag,
    /// Seconds for each pod to end; -1: what the pod says itself.
    #[serde(default = "minus_one")]
    grace_period: Number,
    /// Seconds until the drain is given up; 0: never.
    #[serde(default)]
    timeout: Number,
    /// A label selector: only these pods.
    #[serde(alias = "pod_selectors")]
    pod_selector: Option<String>,
    /// Delete the pods: budgets are not asked.
    #[serde(default)]
    disable_eviction: Flag,
    /// What is done when a budget has forbidden an eviction for `budget_timeout` seconds:
    /// wait on, skip the node (it is put back, and `node_skipped` is true), or force (the
    /// pod is deleted).
    #[serde(default)]
    budget_policy: Then,
    /// Seconds that a budget is waited for before its policy holds.
    #[serde(default)]
    budget_timeout: Number,
    /// Policies of namespaces: `{batch: {policy: force, timeout: 60}}`.
    #[serde(default)]
    budget_policies: BTreeMap<String, NamespacePolicy>,
    /// A kubeconfig on the controller; admin.conf of the first control plane unless given.
    kubeconfig: Option<String>,
    /// A context of that kubeconfig.
    context: Option<String>,
}

/// The policy of one namespace.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamespacePolicy {
    policy: Then,
    /// Seconds; as `budget_timeout` unless given.
    timeout: Option<Number>,
}

/// The policies that arguments name.
pub fn policies(
    policy: Then,
    timeout: Number,
    namespaces: &BTreeMap<String, NamespacePolicy>,
) -> Policies {
    let after = |seconds: Number| Duration::from_secs(u64::try_from(seconds.0).unwrap_or(0));
    let of = |own: &NamespacePolicy| Policy {
        then: own.policy,
        after: after(own.timeout.unwrap_or(timeout)),
    };
    Policies {
        default: Policy { then: policy, after: after(timeout) },
        namespaces: namespaces.iter().map(|(name, own)| (name.clone(), of(own))).collect(),
    }
}

fn yes() -> Flag {
    Flag(true)
}

fn minus_one() -> Number {
    Number(-1)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[serde(alias = "cordon")]
    Cordoned,
    #[default]
    #[serde(alias = "drain")]
    Drained,
    /// Put back to what it was if a run has cordoned it, and else left alone.
    Restored,
    #[serde(alias = "uncordon")]
    Uncordoned,
    /// Takes pods, whatever it was before: what `k8s_drain` is asked for.
    #[serde(skip)]
    Schedulable,
}

impl Action for KubectlDrain {
    const NAME: &'static str = "kubectl_drain";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let (kubeconfig, kube_context) = (self.kubeconfig.as_deref(), self.context.as_deref());
        let api = cluster::lasting(context, kubeconfig, kube_context).await?;
        let cluster = match context.check {
            true => String::new(),
            false => guard::enter(context, kubeconfig, kube_context).await?,
        };
        let name = self.name.clone().unwrap_or_else(|| context.host.clone());
        match self.state {
            State::Restored if !node::is_remembered(&node::get(&api, &name).await?) => {
                Ok(Outcome::default().with("name", name))
            }
            State::Restored | State::Uncordoned | State::Schedulable => {
                if self.state == State::Schedulable && !context.check {
                    node::forget(&api, &name).await?;
                }
                let changed = uncordon(&api, &name, &cluster, context).await?;
                Ok(Outcome::changed(changed).with("name", name))
            }
            State::Cordoned => {
                let changed = cordon(&api, &name, &cluster, context).await?;
                Ok(Outcome::changed(changed).with("name", name))
            }
            State::Drained => self.drain(&api, &name, &cluster, context).await,
        }
    }
}

/// Cordons; from now on an early end of the run puts the node back.
async fn cordon(api: &Api, name: &str, cluster: &str, context: &Context) -> Result<bool, Error> {
    if !context.check {
        let guard = &context.session.guard;
        let before = node::is_cordoned(&node::get(api, name).await?);
        guard.cordons(cluster, name, before).await?;
        guard.undo_cordon(api, cluster, name, context);
    }
    let (api, name, check) = (api.clone(), name.to_owned(), context.check);
    let (tell, told) = tokio::sync::oneshot::channel();
    // Broken off in the middle it might be made after it was put back.
    context.session.undo.wait_for(tokio::spawn(async move {
        let _ = tell.send(node::cordon(&api, &name, check).await);
    }));
    match told.await {
        Ok(cordoned) => Ok(cordoned?),
        Err(_) => Err(Error::failed("the node was not cordoned: its task ended early")),
    }
}

/// Puts the node back to what it was.
async fn uncordon(api: &Api, name: &str, cluster: &str, context: &Context) -> Result<bool, Error> {
    let changed = node::uncordon(api, name, context.check).await?;
    if !context.check {
        context.session.undo.done(&guard::what(name));
        context.session.guard.uncordoned(cluster, name);
    }
    Ok(changed)
}

impl KubectlDrain {
    fn options(&self) -> Options {
        Options {
            ignore_daemonsets: self.ignore_daemonsets.0,
            delete_emptydir_data: self.delete_emptydir_data.0,
            force: self.force.0,
            grace_period: Some(self.grace_period.0).filter(|seconds| *seconds >= 0),
            timeout: u64::try_from(self.timeout.0)
                .ok()
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            pod_selector: self.pod_selector.clone(),
            disable_eviction: self.disable_eviction.0,
            policies: policies(self.budget_policy, self.budget_timeout, &self.budget_policies),
        }
    }

    async fn drain(
        &self,
        api: &Api,
        name: &str,
        cluster: &str,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let options = self.options();
        // Pods that may not go are found before the node is cordoned.
        let plan = drain::plan(api, name, &options).await.map_err(|e| self.undrained(name, e))?;
        if context.check {
            let cordons = node::cordon(api, name, true).await?;
            let changed = cordons || !plan.evicted.is_empty() || !plan.left.is_empty();
            return Ok(Outcome::changed(changed)
                .with("name", name)
                .with("would_evict", json!(plan.evicted))
                .with("blocked", json!(plan.left)));
        }
        let cordoned = cordon(api, name, cluster, context).await?;
        let said = Mutex::new(String::new());
        let progress = |left: &BTreeMap<String, String>| tell(context, name, left, &said);
        let drained = match drain::drain(api, name, &options, &progress).await {
            Ok(drained) => drained,
            Err(Undrained::Skipped(skipped)) => {
                uncordon(api, name, cluster, context).await?;
                return Ok(self.skipped(name, &skipped));
            }
            Err(error) => return Err(self.undrained(name, error)),
        };
        Ok(Outcome::changed(cordoned || !drained.evicted.is_empty())
            .with("name", name)
            .with("node_skipped", false)
            .with("forced", json!(drained.forced))
            .with("evicted", json!(drained.evicted)))
    }

    /// The node is as it was, but for the pods that had gone already.
    fn skipped(&self, name: &str, drained: &Drained) -> Outcome {
        let blocking: Vec<_> =
            drained.left.iter().filter(|(_, why)| why.contains("PodDisruptionBudget")).collect();
        let why: Vec<_> = blocking.iter().map(|(pod, why)| format!("{pod} {why}")).collect();
        Outcome::changed(!drained.evicted.is_empty())
            .with("name", name)
            .with("node_skipped", true)
            .with("msg", format!("node {name} is left as it is: {}", why.join("; ")))
            .with("left", json!(drained.left))
            .with("forced", json!(drained.forced))
            .with("evicted", json!(drained.evicted))
    }

    fn undrained(&self, name: &str, error: Undrained) -> Error {
        let list = |pods: &BTreeMap<String, String>| {
            pods.iter().map(|(pod, why)| format!("{pod} {why}")).collect::<Vec<_>>().join("; ")
        };
        match error {
            Undrained::Api(error) => error.into(),
            Undrained::Refused(Drained { refused, .. }) => {
                let msg = format!("node {name} cannot be drained: {}", list(&refused));
                Failure::new(msg).with("refused", json!(refused)).into()
            }
            Undrained::Timeout(Drained { left, evicted, .. })
            | Undrained::Skipped(Drained { left, evicted, .. }) => {
                let msg = format!(
                    "node {name} was not drained in {} seconds: {}",
                    self.timeout.0,
                    list(&left)
                );
                let failure = Failure { msg, changed: true, ..Failure::default() };
                failure.with("left", json!(left)).with("evicted", json!(evicted)).into()
            }
        }
    }
}

/// Says which pods are left, once for each change.
fn tell(context: &Context, node: &str, left: &BTreeMap<String, String>, said: &Mutex<String>) {
    let pods: Vec<_> = left.iter().map(|(pod, why)| format!("{pod} {why}")).collect();
    let text = match pods.as_slice() {
        [] => format!("{node} is drained"),
        some => format!("{} pods left on {node}: {}", some.len(), some.join("; ")),
    };
    let mut said = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if *said != text {
        // A log without -v has to say what it waits for.
        match left.values().any(|why| why != drain::ENDING) {
            true => context.urgent(text.clone()),
            false => context.progress(text.clone()),
        }
        *said = text;
    }
}
