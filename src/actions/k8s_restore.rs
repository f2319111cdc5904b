//! `k8s_restore`: objects that `k8s_export` saved put back into the cluster.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Action, Context, Error, Failure, Outcome, cluster, files, guard};
use crate::kubernetes::restore::{self, Done, Options, Put};
use crate::modules::Diff;
use crate::modules::args::{Flag, TextList};
use crate::modules::glob;

/// Applies the objects of an export in the order in which they need each other: first
/// definitions of kinds and namespaces, workloads late, webhooks last. What the cluster
/// makes by itself is left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sRestore {
    /// The folder of the export, on the controller.
    src: String,
    /// Only these objects: patterns of `NAMESPACE/KIND.GROUP/NAME`, as the export's files
    /// are called (`shop/*`, `kube-system/configmaps/kubeadm-config`).
    #[serde(default)]
    include: TextList,
    /// Not these.
    #[serde(default)]
    exclude: TextList,
    /// Objects become what was saved and nothing else; what others have added to them since
    /// stays otherwise (server-side apply).
    #[serde(default)]
    replace: Flag,
    /// Delete objects that `include` names and that were not saved.
    #[serde(default)]
    prune: Flag,
    kubeconfig: Option<String>,
    context: Option<String>,
}

impl Action for K8sRestore {
    const NAME: &'static str = "k8s_restore";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        if self.prune.0 && self.include.0.is_empty() {
            return Err(Error::failed(
                "prune without include would delete whatever was made since the export: name \
                 what is meant",
            ));
        }
        let (kubeconfig, kube_context) = (self.kubeconfig.as_deref(), self.context.as_deref());
        let api = cluster::of(context, kubeconfig, kube_context).await?;
        if !context.check {
            guard::enter(context, kubeconfig, kube_context).await?;
        }
        let named =
            |list: &TextList, name: &str| list.0.iter().any(|pattern| glob::matches(pattern, name));
        let wanted = |name: &str| {
            (self.include.0.is_empty() || named(&self.include, name)) && !named(&self.exclude, name)
        };
        let options = Options {
            wanted: &wanted,
            replace: self.replace.0,
            prune: self.prune.0,
            dry: context.check,
        };
        let put = restore::restore(&api, &files::expand_home(&self.src), &options).await?;
        outcome(&put, context.diff)
    }
}

/// Objects that could not be put back fail the task when the others are.
fn outcome(put: &[Put], shows: bool) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    let (mut changed, mut unchanged) = (Vec::new(), 0);
    let mut left_out: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut failed = Vec::new();
    for Put { name, done } in put {
        match done {
            Done::Unchanged => unchanged += 1,
            Done::LeftOut(why) => left_out.entry(why).or_default().push(name),
            Done::Failed(why) => failed.push(format!("{name}: {why}")),
            Done::Changed(before, after) => {
                changed.push(name.clone());
                if shows {
                    let text =
                        |object: &Option<Json>| object.as_ref().map(shown).unwrap_or_default();
                    outcome = outcome.with_diff(Diff {
                        before_header: name.clone(),
                        after_header: name.clone(),
                        before: text(before).into(),
                        after: text(after).into(),
                        ..Diff::default()
                    });
                }
            }
        }
    }
    outcome.changed = !changed.is_empty();
    let outcome = outcome.with("restored", json!(changed)).with("unchanged", unchanged);
    if failed.is_empty() {
        return Ok(outcome.with("left_out", json!(left_out)));
    }
    let msg = format!("{} objects could not be put back: {}", failed.len(), failed.join("; "));
    let Outcome { changed, result, .. } = outcome;
    Err(Failure { msg, changed, result }.with("failures", json!(failed)).into())
}

/// An object as a diff has it: what Secrets hold is not shown.
fn shown(object: &Json) -> String {
    let mut object = object.clone();
    if object.get("kind").and_then(Json::as_str) == Some("Secret") {
        for key in ["data", "stringData"] {
            let values = object.get_mut(key).and_then(Json::as_object_mut);
            for value in values.into_iter().flat_map(|values| values.values_mut()) {
                *value = json!("(not shown)");
            }
        }
        if let Some(annotations) = object.pointer_mut("/metadata/annotations")
            && let Some(map) = annotations.as_object_mut()
        {
            map.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    serde_yaml::to_string(&object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_and_a_failure_names_its_object() {
        let secret =
            json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"key": "aHVudGVy"}});
        let put = |done: Done| Put { name: "a/secrets/s".to_owned(), done };
        let shown = outcome(&[put(Done::Changed(None, Some(secret)))], true).expect("an outcome");
        assert!(shown.changed && !shown.diff[0].after.to_string().contains("aHVudGVy"));
        let failed = outcome(&[put(Done::Failed("no".to_owned()))], true).expect_err("failed");
        let Error::Failed(failure) = failed else { panic!("{failed:?}") };
        assert!(failure.msg.contains("a/secrets/s: no"), "{}", failure.msg);
    }
}
