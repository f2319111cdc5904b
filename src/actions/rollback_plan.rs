//! `rollback_plan`: how far an upgrade has come, and the steps that lead back.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Action, Context, Error, Failure, Outcome, cluster, files};
use crate::events::EXPLANATION;
use crate::kubernetes::Api;
use crate::kubernetes::export::{self, CLUSTER, Cluster};
use crate::modules::Version;
use crate::modules::args::Text;
use crate::modules::precheck_host::Etcd;
use crate::rollback::{Backup, Case, Host, Plan, World};

/// Hosts that are asked at the same time.
const AT_ONCE: usize = 20;
/// How often an API that does not answer is asked, and how long apart.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_secs(3);

/// Reads the saved states, the hosts and the cluster, and says which case it is and what
/// has to be done. It changes nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackPlan {
    /// The group of the control planes.
    #[serde(default = "control_planes")]
    control_planes: Text,
    /// The group of the workers; control planes in it do not count as such.
    #[serde(default = "workers")]
    workers: Text,
    /// Where hosts keep their saved states.
    #[serde(default = "folder")]
    folder: Text,
    /// The folder of backups on the controller, one folder each.
    backups: String,
    /// One of them; the newest that fits unless given.
    backup: Option<String>,
    /// The version to go back to; the newest saved one that is older than what the cluster
    /// has come to unless given.
    version: Option<Text>,
    /// C asks for a restore of etcd though nothing else calls for it.
    case: Option<Case>,
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

fn folder() -> Text {
    Text("/var/lib/kup-play/backup".to_owned())
}

impl Action for RollbackPlan {
    const NAME: &'static str = "rollback_plan";
    const ONCE: bool = true;
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let given = self.version.as_ref().map(|text| text.0.as_str()).filter(|t| !t.is_empty());
        let wanted = given.map(|text| {
            Version::parse(text).ok_or_else(|| {
                Error::failed(format!("'{text}' is no version; give one such as 1.20.2"))
            })
        });
        let inventory = &context.session.hosts;
        let of_play = cluster::hosts_in(context, "ansible_play_hosts_all");
        let mut control_planes = inventory.group(&self.control_planes.0);
        let mut workers = inventory.group(&self.workers.0);
        workers.retain(|host| !control_planes.contains(host) && of_play.contains(host));
        control_planes.retain(|host| of_play.contains(host));
        let all = control_planes.iter().chain(&workers).cloned().collect();
        let (hosts, cluster) = tokio::join!(self.hosts(context, all), self.cluster(context));
        let world = World {
            control_planes,
            workers,
            hosts,
            cluster,
            backups: self.backups()?,
            named: self.named().is_some(),
            wanted: wanted.transpose()?,
            case: self.case,
            time: Timestamp::now(),
        };
        outcome(Plan::of(&world), &world)
    }
}

impl RollbackPlan {
    async fn hosts(
        &self,
        context: &Context,
        names: Vec<String>,
    ) -> BTreeMap<String, Result<Host, String>> {
        let asked = names.into_iter().map(|name| async move {
            let host = self.host(context, &name).await.map_err(|error| message(&error));
            (name, host)
        });
        stream::iter(asked).buffer_unordered(AT_ONCE).collect().await
    }

    async fn host(&self, context: &Context, name: &str) -> Result<Host, Error> {
        let remote = cluster::remote(context, name)?;
        let arguments = Map::from_iter([
            ("state".to_owned(), json!("listed")),
            ("folder".to_owned(), json!(self.folder.0)),
        ]);
        let mut state = ask(&remote, context.request("host_state", arguments)).await?;
        let etcd = ask(&remote, context.request("etcd_status", Map::new())).await;
        // A member that cannot be asked is one of the things that there is a way back from.
        let etcd = etcd.ok().and_then(|mut found| found.shift_remove("etcd"));
        let mut part = |key: &str| state.shift_remove(key).unwrap_or_default();
        let unread = |error: serde_json::Error| Error::failed(format!("its answer: {error}"));
        Ok(Host {
            now: serde_json::from_value(part("now")).map_err(unread)?,
            certificates: serde_json::from_value(part("certificates")).map_err(unread)?,
            saved: serde_json::from_value(part("saved")).map_err(unread)?,
            etcd: etcd.and_then(|etcd| serde_json::from_value::<Option<Etcd>>(etcd).ok()?),
        })
    }

    async fn cluster(&self, context: &Context) -> Result<Cluster, String> {
        let (kubeconfig, kube_context) = (self.kubeconfig.as_deref(), self.context.as_deref());
        let api = cluster::of(context, kubeconfig, kube_context).await;
        let api = api.map_err(|error| message(&error))?;
        answers(&api).await?;
        export::cluster(&api).await.map_err(|error| error.to_string())
    }

    fn named(&self) -> Option<&str> {
        self.backup.as_deref().filter(|named| !named.is_empty())
    }

    /// The one that is named, or all.
    fn backups(&self) -> Result<Vec<Backup>, Error> {
        if let Some(named) = self.named() {
            let folder = files::expand_home(named);
            let found = read(&folder).ok_or_else(|| {
                Error::failed(format!(
                    "{} is no backup: it has no resources/{CLUSTER}",
                    folder.display()
                ))
            })?;
            return Ok(vec![found]);
        }
        let folder = files::expand_home(&self.backups);
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        Ok(entries.filter_map(|entry| read(&entry.path())).collect())
    }
}

/// Asked without the patience that other requests have: that it does not answer is known
/// soon.
async fn answers(api: &Api) -> Result<(), String> {
    let mut said = String::new();
    for _ in 0..TRIES {
        match api.text("/readyz").await {
            Ok(_) => return Ok(()),
            Err(error) => said = error.to_string(),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(said)
}

async fn ask(
    remote: &super::Remote,
    request: crate::agent::protocol::Request,
) -> Result<Map<String, Json>, Error> {
    let result = remote.call(request, Vec::new()).await?;
    Ok(super::outcome(result)?.result)
}

fn read(folder: &Path) -> Option<Backup> {
    let text = std::fs::read(folder.join("resources").join(CLUSTER)).ok()?;
    let snapshot = folder.join("etcd-snapshot.db");
    Some(Backup {
        folder: folder.to_owned(),
        cluster: serde_json::from_slice(&text).ok()?,
        snapshot: snapshot.is_file().then_some(snapshot),
    })
}

fn message(error: &Error) -> String {
    match error {
        Error::Failed(failure) => failure.msg.clone(),
        Error::Unreachable(msg) => msg.clone(),
    }
}

fn outcome(plan: Result<Plan, Vec<String>>, world: &World) -> Result<Outcome, Error> {
    let plan = plan.map_err(|problems| {
        let told = format!("there is no way back yet:\n  {}", problems.join("\n  "));
        let msg = format!("there is no way back yet: {}", problems.join("; "));
        Failure::new(msg).with("problems", json!(problems)).with(EXPLANATION, told)
    })?;
    let mut reasons = plan.reasons.clone();
    if let Err(why) = &world.cluster {
        reasons.push(format!("the API does not answer: {why}"));
    }
    let word = match plan.case {
        Case::Nothing => "nothing to roll back".to_owned(),
        case => format!("case {case:?}, back to {}", plan.version),
    };
    let result = serde_json::to_value(&plan).map_err(|error| Error::failed(error.to_string()))?;
    let Json::Object(result) = result else {
        return Err(Error::failed("the plan is no mapping"));
    };
    let outcome = Outcome { result, ..Outcome::default() };
    Ok(outcome
        .with("reasons", json!(reasons))
        .with("msg", format!("{word}: {}", reasons.join("; "))))
}
