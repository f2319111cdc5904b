//! `cluster:KUBECONFIG`: the nodes of a cluster as hosts.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::load::Reader;
use super::reading::plain;
use crate::kubernetes::{Api, ApiError, Source, connect, is_ready, node};
use crate::source::Error;
use crate::template::{Variable, from_json};

/// How long an API that does not answer is asked again. A run begins with this: nobody waits
/// for an apiserver that restarts.
const PATIENCE: Duration = Duration::from_secs(15);

const CONTROL_PLANE: &str = "kube_control_plane";
const WORKER: &str = "kube_node";
const CLUSTER: &str = "k8s_cluster";

/// The older name is that of clusters before 1.17.
const ZONE: [&str; 2] = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];
const REGION: [&str; 2] =
    ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"];

/// What `cluster:KUBECONFIG?context=NAME` says.
pub struct Cluster<'a> {
    kubeconfig: Option<PathBuf>,
    options: Option<&'a str>,
}

/// The cluster of a source, if it is one.
pub fn named_by(source: &str) -> Option<Cluster<'_>> {
    let rest = source.strip_prefix("cluster:")?;
    let (path, options) = match rest.rsplit_once('?') {
        Some((path, options)) => (path, Some(options)),
        None => (rest, None),
    };
    let kubeconfig = (!path.is_empty()).then(|| crate::actions::files::expand_home(path));
    Some(Cluster { kubeconfig, options })
}

impl Cluster<'_> {
    fn context(&self) -> Result<Option<String>, Error> {
        let Some(options) = self.options else {
            return Ok(None);
        };
        match options.split_once('=') {
            Some(("context", name)) if !name.is_empty() => Ok(Some(name.to_owned())),
            _ => Err(Error::new(format!("'?{options}' is no option of a cluster")).with_help(
                "a cluster is written cluster:KUBECONFIG?context=NAME; KUBECONFIG and ?context=NAME \
                 may be left out",
            )),
        }
    }

    fn source(&self) -> Result<Source, Error> {
        let context = self.context()?;
        Ok(match &self.kubeconfig {
            Some(path) => Source::File { path: path.clone(), context },
            None => Source::Environment { context },
        })
    }

    fn failed(&self, error: &ApiError) -> Error {
        let place = match &self.kubeconfig {
            Some(path) => format!(" --kubeconfig {}", path.display()),
            None => String::new(),
        };
        let kubectl = format!("kubectl{place}");
        let help = match error {
            ApiError::Status { code: 401, .. } => {
                "the credentials of the kubeconfig are not accepted: they may have expired"
                    .to_owned()
            }
            ApiError::Status { code: 403, .. } => format!(
                "the kubeconfig's user needs the right to list nodes: '{kubectl} auth can-i list \
                 nodes' says whether it has it"
            ),
            ApiError::Unreachable(_) => {
                format!(
                    "'{kubectl} get nodes' has to work from here; is the server's address right?"
                )
            }
            _ => {
                "a cluster is written cluster:KUBECONFIG?context=NAME; without a KUBECONFIG it is \
                  $KUBECONFIG or ~/.kube/config"
                    .to_owned()
            }
        };
        Error::new(format!("the nodes of the cluster cannot be read: {error}")).with_help(help)
    }
}

/// Adds the nodes, in the order of their names.
pub fn read(reader: &mut Reader<'_>, cluster: &Cluster<'_>) -> Result<(), Error> {
    let source = cluster.source()?;
    // On a thread of its own: the inventory is read before there is a runtime, and anew within one.
    let nodes = thread::scope(|scope| scope.spawn(|| nodes(&source)).join());
    let nodes = nodes
        .unwrap_or_else(|_| Err(ApiError::Other("reading them was broken off".to_owned())))
        .map_err(|error| cluster.failed(&error))?;
    reader.room_for(nodes.len()).map_err(Error::new)?;
    for group in [CONTROL_PLANE, WORKER] {
        reader.inventory.declare_group(CLUSTER);
        reader.inventory.declare_child(CLUSTER, group).map_err(Error::new)?;
    }
    for node in &nodes {
        add(reader, node)?;
    }
    Ok(())
}

fn nodes(source: &Source) -> Result<Vec<Json>, ApiError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ApiError::Other(error.to_string()))?;
    runtime.block_on(async {
        let api: Api = connect(source).await?.with_patience(PATIENCE);
        api.list("/api/v1/nodes", "").await
    })
}

fn add(reader: &mut Reader<'_>, node: &Json) -> Result<(), Error> {
    let name = text(node, "/metadata/name").unwrap_or_default();
    if name.is_empty() {
        return Err(Error::new("the API lists a node without a name"));
    }
    let groups = groups(node);
    for group in &groups {
        reader.inventory.declare_host(name, group, None);
    }
    let variables = variables(node);
    if !variables.contains_key("ansible_host") {
        reader.warnings.push(format!(
            "the node {name} has neither an InternalIP nor an ExternalIP: it is reached by its name"
        ));
    }
    for (variable, value) in &variables {
        let value = Variable::Data(from_json(value));
        reader.inventory.set_host_variable(name, variable, value);
    }
    Ok(())
}

/// The groups of a node: control plane or worker, and one for each role, for its zone, its
/// region and its labels without a prefix, which are the operator's own.
fn groups(node: &Json) -> Vec<String> {
    let first = if node::is_control_plane(node) { CONTROL_PLANE } else { WORKER };
    let mut groups = vec![first.to_owned()];
    groups.extend(node::roles(node).iter().map(|role| format!("role_{role}")));
    groups.extend(label(node, ZONE).map(|zone| format!("zone_{zone}")));
    groups.extend(label(node, REGION).map(|region| format!("region_{region}")));
    let labels = labels(node).filter(|(name, _)| !name.contains('/'));
    groups.extend(labels.map(|(name, value)| match value {
        "" => format!("label_{name}"),
        value => format!("label_{name}_{value}"),
    }));
    groups.iter().map(|name| plain(name).into_owned()).collect()
}

fn variables(node: &Json) -> Map<String, Json> {
    let info = |key: &str| text(node, &format!("/status/nodeInfo/{key}"));
    let labels: Map<_, _> =
        labels(node).map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let taints = node.pointer("/spec/taints").cloned().unwrap_or_else(|| json!([]));
    let mut variables = Map::new();
    let mut set = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            variables.insert(name.to_owned(), value);
        }
    };
    set("ansible_host", address(node).map(|address| json!(address)));
    set("node_kubelet_version", info("kubeletVersion").map(|text| json!(text)));
    set("node_container_runtime", info("containerRuntimeVersion").map(|text| json!(text)));
    set("node_os_image", info("osImage").map(|text| json!(text)));
    set("node_operating_system", info("operatingSystem").map(|text| json!(text)));
    set("node_kernel_version", info("kernelVersion").map(|text| json!(text)));
    set("node_architecture", info("architecture").map(|text| json!(text)));
    set("node_roles", Some(json!(node::roles(node))));
    set("node_labels", Some(Json::Object(labels)));
    set("node_taints", Some(taints));
    set("node_zone", label(node, ZONE).map(|zone| json!(zone)));
    set("node_region", label(node, REGION).map(|region| json!(region)));
    set("node_cordoned", Some(json!(node::is_cordoned(node))));
    set("node_ready", Some(json!(is_ready(node))));
    variables
}

fn text<'a>(node: &'a Json, path: &str) -> Option<&'a str> {
    node.pointer(path)?.as_str()
}

fn labels(node: &Json) -> impl Iterator<Item = (&str, &str)> {
    let labels = node.pointer("/metadata/labels").and_then(Json::as_object).into_iter().flatten();
    labels.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

/// The value of the first of these labels that the node has.
fn label<'a>(node: &'a Json, names: [&str; 2]) -> Option<&'a str> {
    let find = |wanted: &str| labels(node).find(|(name, _)| *name == wanted);
    names.into_iter().find_map(find).map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// Where a host is reached: inside of the cluster's network, or else from outside.
fn address(node: &Json) -> Option<&str> {
    let addresses = node.pointer("/status/addresses")?.as_array()?;
    let of_kind = |kind: &str| {
        let mut found = addresses.iter().filter(|address| text(address, "/type") == Some(kind));
        found.find_map(|address| text(address, "/address").filter(|text| !text.is_empty()))
    };
    of_kind("InternalIP").or_else(|| of_kind("ExternalIP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kubeadm 1.20 makes it, with an operator's labels and a cloud's addresses.
    fn worker() -> Json {
        json!({
            "metadata": {"name": "w1", "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "failure-domain.beta.kubernetes.io/region": "eu-west",
                "topology.kubernetes.io/zone": "eu-west-1a",
                "node-role.kubernetes.io/ingress": "",
                "acme.io/team": "a",
                "pool": "gpu.a100",
                "spot": "",
            }},
            "spec": {"unschedulable": true, "taints": [{"key": "dedicated", "effect": "NoSchedule"}]},
            "status": {
                "addresses": [
                    {"type": "Hostname", "address": "w1"},
                    {"type": "ExternalIP", "address": "203.0.113.21"},
                    {"type": "InternalIP", "address": "10.0.0.21"},
                    {"type": "InternalIP", "address": "fd00::21"},
                ],
                "conditions": [{"type": "Ready", "status": "True"}],
                "nodeInfo": {"kubeletVersion": "v1.20.2", "architecture": "amd64"},
            },
        })
    }

    #[test]
    fn groups_are_for_roles_zones_regions_and_the_operators_labels() {
        let mut node = worker();
        assert_eq!(
            groups(&node),
            [
                "kube_node",
                "role_ingress",
                "zone_eu_west_1a",
                "region_eu_west",
                "label_pool_gpu_a100",
                "label_spot"
            ]
        );
        node["metadata"]["labels"] = json!({"node-role.kubernetes.io/master": ""});
        assert_eq!(groups(&node), ["kube_control_plane", "role_master"]);
        assert_eq!(groups(&json!({})), ["kube_node"]);
    }

    #[test]
    fn variables_tell_what_the_node_says() {
        let variables = variables(&worker());
        let of = |name: &str| variables.get(name).cloned().unwrap_or_default();
        assert_eq!(of("ansible_host"), "10.0.0.21");
        assert_eq!(of("node_kubelet_version"), "v1.20.2");
        assert_eq!(of("node_roles"), json!(["ingress"]));
        assert_eq!(of("node_labels")["acme.io/team"], "a");
        assert_eq!(of("node_taints")[0]["key"], "dedicated");
        assert_eq!((of("node_zone"), of("node_region")), (json!("eu-west-1a"), json!("eu-west")));
        assert_eq!((of("node_cordoned"), of("node_ready")), (json!(true), json!(true)));
        assert!(!variables.contains_key("node_os_image"));
    }

    #[test]
    fn a_host_is_reached_inside_of_the_network_or_else_from_outside() {
        let mut node = worker();
        node["status"]["addresses"] = json!([{"type": "ExternalIP", "address": "203.0.113.21"}]);
        assert_eq!(address(&node), Some("203.0.113.21"));
        node["status"]["addresses"] = json!([{"type": "Hostname", "address": "w1"}]);
        assert_eq!(address(&node), None);
    }

    #[test]
    fn a_source_names_a_kubeconfig_and_a_context() {
        let of = |source: &str| {
            let cluster = named_by(source).expect("a cluster");
            let context = cluster.context().expect("right options");
            (cluster.kubeconfig.map(|path| path.display().to_string()), context)
        };
        assert_eq!(of("cluster:"), (None, None));
        assert_eq!(of("cluster:/k,1/conf"), (Some("/k,1/conf".to_owned()), None));
        let both = (Some("admin.conf".to_owned()), Some("a@b".to_owned()));
        assert_eq!(of("cluster:admin.conf?context=a@b"), both);
        assert_eq!(of("cluster:?context=arn:aws:x/y").1, Some("arn:aws:x/y".to_owned()));
        for wrong in ["cluster:?contxt=a", "cluster:?context=", "cluster:x?"] {
            let cluster = named_by(wrong).expect("a cluster");
            let error = cluster.context().expect_err(wrong).to_string();
            assert!(error.contains("cluster:KUBECONFIG?context=NAME"), "{error}");
        }
        assert!(named_by("clusters").is_none());
    }
}
