//! `upgrade_guard`: holds the batch back until its nodes may go down.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Action, Context, Error, Failure, Outcome, cluster, guard};
use crate::deadline;
use crate::kubernetes::{Api, is_ready, node};
use crate::modules::Version;
use crate::modules::args::{Number, Text};
use crate::modules::precheck_host::Etcd;
use crate::playbook::serial;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(3);
const APISERVERS: &str = "/api/v1/namespaces/kube-system/pods";
const ADDRESS: &str = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint";

/// Waits until the hosts of the batch may go down, and fails when that does not come.
///
/// A control plane may when every member of etcd and every apiserver, asked at its own
/// address, is well; workers may as long as no more than `max_unavailable` are away. No
/// kubelet gets a version that an apiserver does not have yet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeGuard {
    /// How many workers may be away at the same time, those of the batch included: a number
    /// or a share of all of them (`25%`). Without it the batch may be, and no other worker.
    max_unavailable: Option<Text>,
    /// The group of the control planes.
    #[serde(default = "control_planes")]
    control_planes: Text,
    /// The group of the workers; control planes in it do not count as such.
    #[serde(default = "workers")]
    workers: Text,
    /// The version that the kubelets of the batch get; no apiserver may be older.
    kubelet_version: Option<Text>,
    /// Seconds to wait.
    #[serde(default = "five_minutes")]
    timeout: Number,
    /// A kubeconfig on the controller; admin.conf of the first control plane unless given.
    kubeconfig: Option<String>,
    /// A context of that kubeconfig.
    context: Option<String>,
}

fn control_planes() -> Text {
    Text("kube_control_plane".to_owned())
}

fn workers() -> Text {
    Text("kube_node".to_owned())
}

fn five_minutes() -> Number {
    Number(300)
}

impl Action for UpgradeGuard {
    const NAME: &'static str = "upgrade_guard";
    const ONCE: bool = true;
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let hosts = &context.session.hosts;
        let planes = hosts.group(&self.control_planes.0);
        let mut workers = hosts.group(&self.workers.0);
        workers.retain(|host| !planes.contains(host));
        let batch = cluster::hosts_in(context, "ansible_play_batch");
        let limit = self.limit(workers.len())?;
        let kubelet = self.kubelet_version()?;
        let down: Vec<_> = batch.iter().filter(|host| planes.contains(host)).cloned().collect();
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        if !context.check {
            // What comes next changes hosts: from here on no other run may.
            let (kubeconfig, name) = (self.kubeconfig.as_deref(), self.context.as_deref());
            guard::enter(context, kubeconfig, name).await?;
        }
        let seconds = u64::try_from(self.timeout.0).unwrap_or(0);
        let deadline = deadline::after(Duration::from_secs(seconds));
        loop {
            let mut reasons = Vec::new();
            if down.len() > 1 {
                return Err(Error::failed(format!(
                    "control planes go down one after the other: the batch has {}",
                    down.join(", ")
                )));
            }
            if let Some(plane) = down.first() {
                reasons.extend(etcd(context, plane).await);
                let others = planes.iter().filter(|host| *host != plane);
                reasons.extend(apiservers(context, &api, others).await);
            }
            // In check mode the apiservers were not upgraded.
            if let Some(kubelet) = kubelet.filter(|_| !context.check) {
                reasons.extend(older(&api, kubelet).await);
            }
            if batch.iter().any(|host| workers.contains(host)) {
                let nodes = api.list("/api/v1/nodes", "").await?;
                reasons.extend(too_many(&nodes, &workers, &batch, limit));
            }
            if reasons.is_empty() {
                return Ok(Outcome::default());
            }
            if Instant::now() + PAUSE > deadline {
                let msg = format!(
                    "{} may not go down, and did not come to it in {seconds} seconds: {}",
                    batch.join(", "),
                    reasons.join("; ")
                );
                return Err(Failure::new(msg).with("reasons", json!(reasons)).into());
            }
            context.progress(format!(
                "{} may not go down yet: {}",
                batch.join(", "),
                reasons.join("; ")
            ));
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl UpgradeGuard {
    fn kubelet_version(&self) -> Result<Option<Version>, Error> {
        let Some(Text(text)) = self.kubelet_version.as_ref().filter(|text| !text.0.is_empty())
        else {
            return Ok(None);
        };
        Version::parse(text).map(Some).ok_or_else(|| {
            Error::failed(format!("kubelet_version is a version such as 1.21.2, not '{text}'"))
        })
    }

    fn limit(&self, workers: usize) -> Result<Option<usize>, Error> {
        let Some(text) = self.max_unavailable.as_ref().filter(|text| !text.0.is_empty()) else {
            return Ok(None);
        };
        serial::size(&text.0, workers).map(Some).ok_or_else(|| {
            let text = &text.0;
            Error::failed(format!("max_unavailable is a number or a share (25%), not '{text}'"))
        })
    }
}

/// Why etcd does not stand the loss of this host's member.
async fn etcd(context: &Context, plane: &str) -> Vec<String> {
    let ask = async {
        let remote = cluster::remote(context, plane)?;
        let result = remote.call(context.request("etcd_status", Map::new()), Vec::new()).await?;
        let found = super::outcome(result)?.result.shift_remove("etcd").unwrap_or_default();
        serde_json::from_value::<Option<Etcd>>(found)
            .map_err(|error| Error::failed(format!("its answer cannot be read: {error}")))
    };
    match ask.await {
        // etcd is elsewhere: the apiservers' readiness tells of it.
        Ok(None) => Vec::new(),
        Ok(Some(etcd)) => ills(&etcd),
        Err(Error::Failed(Failure { msg, .. }) | Error::Unreachable(msg)) => {
            vec![format!("{plane} cannot be asked after etcd: {msg}")]
        }
    }
}

/// When every member is well, three or more stand the loss of one.
fn ills(etcd: &Etcd) -> Vec<String> {
    let mut reasons: Vec<_> =
        etcd.error.iter().map(|error| format!("etcd cannot be asked: {error}")).collect();
    if etcd.error.is_none() && etcd.members.is_empty() {
        reasons.push("etcd names no members".to_owned());
    }
    for member in &etcd.members {
        if !member.healthy {
            reasons.push(format!("etcd member {} is not healthy: {}", member.name, member.error));
        } else if member.learner {
            reasons.push(format!("etcd member {} does not vote yet", member.name));
        }
    }
    reasons.extend(etcd.alarms.iter().map(|alarm| format!("etcd has the alarm {alarm}")));
    reasons
}

/// The apiservers that are not ready, each asked at its own address, and the control planes
/// that have none.
async fn apiservers(
    context: &Context,
    api: &Api,
    needed: impl Iterator<Item = &String>,
) -> Vec<String> {
    let pods = match pods(api).await {
        Ok(pods) => pods,
        Err(why) => return vec![why],
    };
    let nodes: Vec<_> = pods.iter().filter_map(node_of).collect();
    let mut reasons: Vec<_> = needed
        .filter(|host| !nodes.contains(&host.as_str()))
        .map(|host| format!("no apiserver runs on {host}"))
        .collect();
    let asked = pods.iter().map(|pod| async move {
        let node = node_of(pod).unwrap_or("a node that its pod does not name");
        let Some((address, port)) = address(pod) else {
            return Some(format!("the address of the apiserver of {node} cannot be read"));
        };
        let why = ready(context, node, &address, port).await.err()?;
        Some(format!("the apiserver of {node} is not ready: {why}"))
    });
    reasons.extend(futures::future::join_all(asked).await.into_iter().flatten());
    reasons
}

async fn pods(api: &Api) -> Result<Vec<Json>, String> {
    let pods = api.list(APISERVERS, "labelSelector=component%3Dkube-apiserver").await;
    pods.map_err(|error| format!("the apiservers cannot be listed: {error}"))
}

fn node_of(pod: &Json) -> Option<&str> {
    pod.pointer("/spec/nodeName").and_then(Json::as_str)
}

/// The apiservers that kubelets of that version would be ahead of: those must not be newer
/// (kubernetes.io, Version Skew Policy). What their images do not tell is not held against them.
async fn older(api: &Api, kubelet: Version) -> Vec<String> {
    match pods(api).await {
        Ok(pods) => pods.iter().filter_map(|pod| is_older(pod, kubelet)).collect(),
        Err(why) => vec![why],
    }
}

fn is_older(pod: &Json, kubelet: Version) -> Option<String> {
    let image = pod.pointer("/spec/containers/0/image").and_then(Json::as_str)?;
    let (_, tag) = image.split('@').next()?.rsplit_once(':')?;
    let version = Version::parse(tag).filter(|version| *version < kubelet)?;
    let node = node_of(pod)?;
    Some(format!("the apiserver of {node} is {version}, and no kubelet may be newer"))
}

async fn ready(context: &Context, node: &str, address: &str, port: u16) -> Result<(), String> {
    let api =
        cluster::apiserver(context, node, address, port).await.map_err(|error| match error {
            Error::Failed(Failure { msg, .. }) | Error::Unreachable(msg) => msg,
        })?;
    api.text("/readyz").await.map(drop).map_err(|error| error.to_string())
}

/// Where an apiserver listens, by its static pod.
fn address(pod: &Json) -> Option<(String, u16)> {
    let named = pod.pointer("/metadata/annotations").and_then(|all| all.get(ADDRESS)?.as_str());
    match named.and_then(|named| named.rsplit_once(':')) {
        Some((host, port)) => Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?)),
        None => Some((pod.pointer("/status/hostIP")?.as_str()?.to_owned(), 6443)),
    }
}

/// Whether more workers would be away than may be: those that are not Ready, those that a
/// run has cordoned, and the batch. Without a limit `serial` is what the operator allowed:
/// one that is away beside it is a failure that must not be added to.
fn too_many(
    nodes: &[Json],
    workers: &[String],
    batch: &[String],
    limit: Option<usize>,
) -> Option<String> {
    let name = |node: &Json| node.pointer("/metadata/name")?.as_str().map(str::to_owned);
    let going = batch.iter().filter(|host| workers.contains(host)).count();
    let away: Vec<_> = nodes
        .iter()
        .filter(|node| !is_ready(node) || node::is_remembered(node))
        .filter_map(name)
        .filter(|node| workers.contains(node) && !batch.contains(node))
        .collect();
    if going == 0 || going + away.len() <= limit.unwrap_or(going) {
        return None;
    }
    let already = away.join(", ");
    Some(match limit {
        None => format!(
            "{already} away already, and without max_unavailable no worker but the batch may be"
        ),
        Some(limit) if away.is_empty() => {
            format!("no more than {limit} workers may be away, the batch has {going}")
        }
        Some(limit) => format!(
            "no more than {limit} workers may be away, the batch has {going} and {already} away already"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::precheck_host::Member;

    fn node(name: &str, ready: &str) -> Json {
        json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn workers_that_are_away_count_with_those_of_the_batch() {
        let workers = names(&["w1", "w2", "w3"]);
        let nodes =
            [node("cp1", "False"), node("w1", "True"), node("w2", "Unknown"), node("w3", "True")];
        let refused =
            |batch: &[&str], limit| too_many(&nodes, &workers, &names(batch), Some(limit));
        assert_eq!(refused(&["w1"], 2), None);
        let why = refused(&["w1"], 1).expect("too many");
        assert!(why.contains("w2 away already"), "{why}");
        assert_eq!(refused(&["w2"], 1), None, "who is away may be repaired");
        assert!(refused(&["w1", "w3"], 2).is_some());
        assert_eq!(refused(&["cp1"], 0), None, "control planes are no workers");
    }

    #[test]
    fn without_a_limit_a_batch_of_any_size_may_go_down_while_no_other_worker_is_away() {
        let workers = names(&["w1", "w2", "w3", "w4"]);
        let mut nodes = vec![node("cp1", "False"), node("w1", "True"), node("w2", "True")];
        nodes.extend([node("w3", "True"), node("w4", "False")]);
        let refused = |nodes: &[Json], batch: &[&str]| {
            too_many(nodes, &workers, &names(batch), None).unwrap_or_default()
        };
        assert!(refused(&nodes, &["w1", "w2"]).starts_with("w4 away already"));
        assert_eq!(refused(&nodes, &["w3", "w4"]), "", "who is away may be repaired");
        assert_eq!(refused(&nodes, &["cp1"]), "", "control planes are no workers");
        nodes[4] = node("w4", "True");
        assert_eq!(refused(&nodes, &["w1", "w2", "w3"]), "");
        nodes[3]["metadata"]["annotations"] = json!({node::CORDONED_BEFORE: "false"});
        assert!(refused(&nodes, &["w1"]).contains("w3 away"), "a run works on it");
    }

    #[test]
    fn one_member_that_is_not_well_holds_all_control_planes_up() {
        let member =
            |name: &str, healthy| Member { name: name.to_owned(), healthy, ..Member::default() };
        let mut etcd =
            Etcd { members: vec![member("a", true), member("b", true)], ..Etcd::default() };
        assert!(ills(&etcd).is_empty());
        etcd.members.push(member("c", false));
        etcd.alarms.push("NOSPACE of member b".to_owned());
        assert_eq!(ills(&etcd).len(), 2);
    }

    #[test]
    fn an_apiserver_is_where_its_pod_says() {
        let pod = json!({"metadata": {"annotations": {ADDRESS: "[fd00::1]:8443"}}, "spec": {"nodeName": "cp1"}});
        assert_eq!(address(&pod), Some(("fd00::1".to_owned(), 8443)));
        let plain = json!({"spec": {"nodeName": "cp1"}, "status": {"hostIP": "10.0.0.1"}});
        assert_eq!(address(&plain), Some(("10.0.0.1".to_owned(), 6443)));
    }

    #[test]
    fn no_kubelet_gets_ahead_of_an_apiserver() {
        let kubelet = Version::parse("1.21.2").expect("a version");
        let refused = |image: &str| {
            let containers = json!([{"image": image}]);
            is_older(&json!({"spec": {"nodeName": "cp2", "containers": containers}}), kubelet)
        };
        let why = refused("k8s.gcr.io/kube-apiserver:v1.20.2").expect("a reason");
        assert!(why.contains("cp2 is 1.20.2"), "{why}");
        assert!(refused("registry:5000/kube-apiserver:v1.21.1@sha256:00").is_some());
        assert_eq!(refused("k8s.gcr.io/kube-apiserver:v1.21.2"), None);
        assert_eq!(refused("registry:5000/kube-apiserver@sha256:00"), None);
    }
}
