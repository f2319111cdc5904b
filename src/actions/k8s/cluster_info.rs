//! `k8s_cluster_info`: the cluster's version, and what its API has.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::actions::{Action, Context, Error, Outcome, cluster};
use crate::kubernetes::discovery;
use crate::modules::args::Flag;

/// Reads the server's version, and the kinds of each version of its API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sClusterInfo {
    /// For playbooks that name it: nothing is kept between two tasks.
    #[serde(default = "Flag::yes", rename = "invalidate_cache")]
    _invalidate_cache: Flag,
    /// A kubeconfig on the controller; admin.conf of the first control plane unless given.
    kubeconfig: Option<String>,
    /// A context of that kubeconfig.
    context: Option<String>,
}

impl Action for K8sClusterInfo {
    const NAME: &'static str = "k8s_cluster_info";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let server = api.get("/version").await?;
        let version =
            json!({"client": env!("CARGO_PKG_VERSION"), "server": {"kubernetes": server}});
        let mut apis = Map::new();
        let mut before = None;
        for (api_version, list) in discovery::versions(&api).await? {
            let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
            // The first of a group is the preferred one.
            let is_preferred = before.as_ref() != Some(&group);
            before = Some(group);
            apis.insert(api_version, Json::Object(kinds(&list, is_preferred)));
        }
        Ok(Outcome::default().with("apis", apis).with("version", version))
    }
}

fn kinds(list: &Json, is_preferred: bool) -> Map<String, Json> {
    let resources = list.get("resources").and_then(Json::as_array).into_iter().flatten();
    let one = |resource: &Json| {
        let of = |key: &str, default: Json| resource.get(key).cloned().unwrap_or(default);
        // pods/log and its like are no objects.
        let name = resource.get("name")?.as_str().filter(|name| !name.contains('/'))?;
        let told = json!({
            "categories": of("categories", json!([])),
            "name": name,
            "namespaced": of("namespaced", json!(false)),
            "preferred": is_preferred,
            "short_names": of("shortNames", json!([])),
            "singular_name": of("singularName", json!("")),
        });
        Some((resource.get("kind")?.as_str()?.to_owned(), told))
    };
    resources.filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_names_and_parts_of_objects_left_out() {
        let list = json!({"resources": [
            {"name": "pods", "kind": "Pod", "singularName": "", "namespaced": true,
             "shortNames": ["po"], "categories": ["all"], "verbs": ["get"]},
            {"name": "pods/log", "kind": "Pod", "namespaced": true, "verbs": ["get"]},
        ]});
        let expected = json!({"Pod": {"categories": ["all"], "name": "pods", "namespaced": true,
            "preferred": true, "short_names": ["po"], "singular_name": ""}});
        assert_eq!(Json::Object(kinds(&list, true)), expected);
    }
}
