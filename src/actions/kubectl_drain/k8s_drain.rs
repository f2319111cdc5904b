//! `k8s_drain`: the same under kubernetes.core's name and arguments.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{KubectlDrain, State};
use crate::actions::{Action, Context, Error, Outcome, cluster};
use crate::kubernetes::node;
use crate::modules::args::{Flag, Number, TextList};

/// Cordons a node, drains it, or makes it schedulable.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sDrain {
    /// The node.
    name: String,
    #[serde(default)]
    state: Wanted,
    /// Label selectors: only the pods that all of them select.
    #[serde(default, alias = "label_selectors")]
    pod_selectors: TextList,
    #[serde(default)]
    delete_options: DeleteOptions,
    /// A kubeconfig on the controller; admin.conf of the first control plane unless given.
    kubeconfig: Option<String>,
    /// A context of that kubeconfig.
    context: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Cordon,
    #[default]
    Drain,
    Uncordon,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteOptions {
    /// Seconds for each pod to end; what the pod says itself unless given.
    terminate_grace_period: Option<Number>,
    /// Evict pods that nothing would start again.
    #[serde(default)]
    force: Flag,
    /// Leave the pods of DaemonSets.
    #[serde(default)]
    ignore_daemonsets: Flag,
    /// Evict pods whose emptyDir data is lost with them.
    #[serde(default)]
    delete_emptydir_data: Flag,
    /// Delete the pods: budgets are not asked.
    #[serde(default)]
    disable_eviction: Flag,
    /// Seconds until the drain is given up; none or 0: never.
    wait_timeout: Option<Number>,
    /// Without an effect: the apiserver tells when a pod has ended.
    #[serde(rename = "wait_sleep")]
    _wait_sleep: Option<Number>,
}

impl Action for K8sDrain {
    const NAME: &'static str = "k8s_drain";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let (kubeconfig, kube_context) = (self.kubeconfig.as_deref(), self.context.as_deref());
        let api = cluster::lasting(context, kubeconfig, kube_context).await?;
        let was_cordoned = node::is_cordoned(&node::get(&api, &self.name).await?);
        let (name, wanted) = (self.name.clone(), self.state);
        let outcome = self.translated().run(context).await?;
        let marked = |word: &str, already: bool| {
            format!("node {name}{} marked {word}.", if already { " already" } else { "" })
        };
        let mut said = match wanted {
            Wanted::Uncordon => marked("schedulable", !was_cordoned),
            Wanted::Cordon | Wanted::Drain => marked("unschedulable", was_cordoned),
        };
        let evicted = ["evicted", "would_evict"].iter().find_map(|key| outcome.result.get(*key));
        match evicted.and_then(Json::as_array).map_or(0, Vec::len) {
            0 => {}
            pods => said += &format!(" {pods} Pod(s) deleted from node."),
        }
        Ok(outcome.with("result", said))
    }
}

impl K8sDrain {
    fn translated(self) -> KubectlDrain {
        let options = self.delete_options;
        KubectlDrain {
            name: Some(self.name),
            state: match self.state {
                Wanted::Cordon => State::Cordoned,
                Wanted::Drain => State::Drained,
                Wanted::Uncordon => State::Schedulable,
            },
            ignore_daemonsets: options.ignore_daemonsets,
            delete_emptydir_data: options.delete_emptydir_data,
            force: options.force,
            grace_period: options.terminate_grace_period.unwrap_or_else(super::minus_one),
            timeout: options.wait_timeout.unwrap_or_default(),
            pod_selector: Some(self.pod_selectors.0.join(",")).filter(|text| !text.is_empty()),
            disable_eviction: options.disable_eviction,
            kubeconfig: self.kubeconfig,
            context: self.context,
            ..KubectlDrain::default()
        }
    }
}
