//! `precheck`: everything that would stop an upgrade, found before the first change.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::kubectl_drain::{NamespacePolicy, policies};
use super::{Action, Context, Error, Failure, Outcome, cluster};
use crate::deadline;
use crate::events::EXPLANATION;
use crate::kubernetes::policy::Then;
use crate::modules::Version;
use crate::modules::args::{Flag, Number, Text, TextList};
use crate::modules::precheck_host::disk;
use crate::playbook::serial;
use crate::precheck::{self, Cluster, Finding, Host, Id, Plan, Report, World};

/// Hosts that are asked at the same time.
const AT_ONCE: usize = 20;
/// Between two looks at what may heal by itself.
const PAUSE: Duration = Duration::from_secs(5);

/// Looks at the cluster and the hosts of the play, and fails when an upgrade would.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Precheck {
    /// The version to upgrade to, with or without a leading v.
    #[serde(alias = "kube_version", alias = "to")]
    version: Text,
    /// Findings that do not count, by their ids.
    #[serde(default)]
    ignore: TextList,
    /// The group of the control planes.
    #[serde(default = "control_planes")]
    control_planes: Text,
    /// The group of the workers; control planes in it do not count as such.
    #[serde(default = "workers")]
    workers: Text,
    /// The version of the packages: exact, or with a star; any package of the version
    /// unless given.
    package_version: Option<Text>,
    /// Where backups go on the hosts.
    #[serde(default = "backup_folder")]
    backup_folder: Text,
    /// Where backups go on the controller.
    backup_dir: Option<String>,
    /// Seconds that nodes and pods have to get well by themselves.
    #[serde(default)]
    settle: Number,
    /// Workers that are drained at the same time, as in the play's keyword serial.
    #[serde(default)]
    serial: TextList,
    /// Pods that nothing starts again are evicted.
    #[serde(default)]
    force: Flag,
    /// Pods that keep data in an emptyDir are evicted.
    #[serde(default)]
    delete_emptydir_data: Flag,
    /// What the drains do about budgets that forbid, as kubectl_drain has it.
    #[serde(default)]
    budget_policy: Then,
    /// The same of single namespaces.
    #[serde(default)]
    budget_policies: BTreeMap<String, NamespacePolicy>,
    /// Days that each certificate has to be valid still.
    #[serde(default = "a_month")]
    certificate_days: Number,
    /// Whether the target's images have to be on the hosts already.
    #[serde(default)]
    require_images: Flag,
    /// Whether those that are not there are pulled, to see that they can be; not in check mode.
    #[serde(default)]
    pull_images: Flag,
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

fn backup_folder() -> Text {
    Text("/var/lib/kup-play/backup".to_owned())
}

fn a_month() -> Number {
    Number(30)
}

impl Action for Precheck {
    const NAME: &'static str = "precheck";
    const ONCE: bool = true;
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let target = Version::parse(&self.version.0).ok_or_else(|| {
            Error::failed(format!("'{}' is no version; give one such as 1.21.2", self.version.0))
        })?;
        let ignore = self.ignored()?;
        let plan = self.plan(context);
        let (hosts, cluster) =
            tokio::join!(self.hosts(context, &plan, target), self.cluster(context, target));
        let mut world = World { target, plan, cluster, hosts, now: Timestamp::now() };
        let deadline = deadline::after(Duration::from_secs(self.settle.0.try_into().unwrap_or(0)));
        let mut report = loop {
            let report = Report::of(&world, precheck::check(&world), &ignore);
            let passing = report.findings.iter().any(may_pass);
            if !passing || Instant::now() + PAUSE > deadline {
                break report;
            }
            context.progress("nodes and pods are given time to get well");
            tokio::time::sleep(PAUSE).await;
            world.cluster = self.cluster(context, target).await;
        };
        let mut pulled = false;
        if self.pull_images.0 && !context.check {
            pulled = pull(context, &mut world, &report).await;
            report = Report::of(&world, precheck::check(&world), &ignore);
        }
        outcome(&report, pulled)
    }
}

/// Whether it may be over in a minute: a node comes up, or pods are being started.
fn may_pass(finding: &Finding) -> bool {
    finding.stops()
        && matches!(finding.id, Id::NodeNotReady | Id::BudgetBlocksDrain | Id::ClusterUnreachable)
}

impl Precheck {
    fn ignored(&self) -> Result<Vec<Id>, Error> {
        let ids = self.ignore.0.iter().map(|name| {
            Id::named(name).ok_or_else(|| {
                Error::failed(format!(
                    "there is no finding '{name}' to ignore: see docs/precheck.md"
                ))
            })
        });
        ids.collect()
    }

    fn plan(&self, context: &Context) -> Plan {
        let hosts = &context.session.hosts;
        let control_planes = hosts.group(&self.control_planes.0);
        let mut workers = hosts.group(&self.workers.0);
        workers.retain(|host| !control_planes.contains(host));
        let sizes: Vec<_> =
            self.serial.0.iter().filter_map(|text| serial::size(text, workers.len())).collect();
        let mut batches: Vec<_> = control_planes.iter().map(|host| vec![host.clone()]).collect();
        batches.extend(serial::batches(&workers, if sizes.is_empty() { &[1] } else { &sizes }));
        let address = |host: &String| {
            let address = hosts.variable(host, "ansible_host")?;
            Some((host.clone(), address.as_str()?.to_owned()))
        };
        Plan {
            addresses: control_planes.iter().chain(&workers).filter_map(address).collect(),
            control_planes,
            workers,
            batches,
            force: self.force.0,
            delete_emptydir_data: self.delete_emptydir_data.0,
            policies: policies(self.budget_policy, Number(0), &self.budget_policies),
            certificate_days: self.certificate_days.0,
            require_images: self.require_images.0,
            backup_here: self.backup_dir.as_deref().and_then(|folder| {
                disk(&std::path::absolute(Path::new(folder)).unwrap_or_else(|_| folder.into()))
            }),
        }
    }

    /// All hosts of the play that the upgrade is for, asked side by side.
    async fn hosts(
        &self,
        context: &Context,
        plan: &Plan,
        target: Version,
    ) -> BTreeMap<String, Host> {
        let all = plan.control_planes.iter().chain(&plan.workers);
        let of_play = cluster::hosts_in(context, "ansible_play_hosts_all");
        let named: Vec<_> = all.filter(|host| of_play.contains(host)).cloned().collect();
        let version = self.package_version.clone();
        let version = version.map_or_else(|| format!("{target}-*"), |version| version.0);
        let arguments = Map::from_iter([
            ("package_version".to_owned(), json!(version)),
            ("backup_folder".to_owned(), json!(self.backup_folder.0)),
        ]);
        let asked = named.into_iter().map(|host| {
            let arguments = arguments.clone();
            async move {
                let asked = ask(context, &host, arguments).await;
                let unreachable = |error| Host::Unreachable(message(&error));
                (host, asked.unwrap_or_else(unreachable))
            }
        });
        stream::iter(asked).buffer_unordered(AT_ONCE).collect().await
    }

    async fn cluster(&self, context: &Context, target: Version) -> Result<Cluster, String> {
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref())
            .await
            .map_err(|error| message(&error))?;
        precheck::collect(&api, target.minor).await.map_err(|error| error.to_string())
    }
}

/// What the host's half says, and the controller's clock around it.
async fn ask(context: &Context, host: &str, arguments: Map<String, Json>) -> Result<Host, Error> {
    let remote = cluster::remote(context, host)?;
    let request = context.request("precheck_host", arguments);
    // Connected before the clock is looked at.
    let agent = remote.pool.agent(&remote.endpoint, remote.become_.as_ref()).await?;
    let before = now();
    let result = agent.call(request, Vec::new()).await?.result;
    let after = now();
    let result = super::outcome(result)?.result;
    let facts = serde_json::from_value(Json::Object(result))
        .map_err(|error| Error::failed(format!("the host's answer cannot be read: {error}")))?;
    Ok(Host::Asked { facts: Box::new(facts), between: (before, after) })
}

/// Pulls on every host what it does not have of the target's images, unless its disk is too
/// small already; whether one came.
async fn pull(context: &Context, world: &mut World, report: &Report) -> bool {
    let is_full = |host: &str| {
        let of_host = |object: &str| object.split(':').next() == Some(host);
        let mut findings = report.findings.iter();
        findings.any(|finding| finding.id == Id::DiskSpace && of_host(&finding.object))
    };
    let with_room = world.facts().filter(|(host, _)| !is_full(host));
    let wanted: Vec<_> = with_room
        .map(|(host, facts)| (host.to_owned(), precheck::missing_images(world, host, facts)))
        .filter(|(_, images)| !images.is_empty())
        .collect();
    context.progress("images that are not on the hosts are pulled");
    let answers = wanted.into_iter().map(|(host, images)| async move {
        let answer = pull_on(context, &host, &images).await;
        // A host that could not try has none of them.
        let none = |error| {
            let why = message(&error);
            (Vec::new(), images.iter().map(|image| (image.clone(), why.clone())).collect())
        };
        (host, answer.unwrap_or_else(none))
    });
    let answers: Vec<_> = stream::iter(answers).buffer_unordered(AT_ONCE).collect().await;
    let mut any = false;
    for (host, (pulled, refused)) in answers {
        any |= !pulled.is_empty();
        if let Some(facts) = world.facts_mut(&host) {
            facts.images.get_or_insert_default().extend(pulled);
            facts.refused_images = refused;
        }
    }
    any
}

/// The images that came, and those that did not, each with why.
async fn pull_on(
    context: &Context,
    host: &str,
    images: &[String],
) -> Result<(Vec<String>, BTreeMap<String, String>), Error> {
    let arguments = Map::from_iter([("images".to_owned(), json!(images))]);
    let remote = cluster::remote(context, host)?;
    let result = remote.call(context.request("image_pull", arguments), Vec::new()).await?;
    let mut result = super::outcome(result)?.result;
    let mut take = |key: &str| result.shift_remove(key).unwrap_or_default();
    let (pulled, refused) = (take("pulled"), take("refused"));
    serde_json::from_value(json!([pulled, refused]))
        .map_err(|error| Error::failed(format!("the host's answer cannot be read: {error}")))
}

/// Seconds since 1970.
fn now() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}

fn message(error: &Error) -> String {
    match error {
        Error::Failed(failure) => failure.msg.clone(),
        Error::Unreachable(msg) => msg.clone(),
    }
}

/// Findings that stop the upgrade fail the task.
fn outcome(report: &Report, changed: bool) -> Result<Outcome, Error> {
    let result = serde_json::to_value(report).map_err(|error| Error::failed(error.to_string()))?;
    let Json::Object(result) = result else {
        return Err(Error::failed("the report is no mapping"));
    };
    if report.errors == 0 {
        let outcome = Outcome { result, changed, ..Outcome::default() };
        let lines: Vec<_> = report.findings.iter().map(Finding::line).collect();
        return Ok(outcome.with("msg", report.counts()).with("lines", lines));
    }
    let told = format!("the upgrade must not begin\n{}", report.stopping(100));
    let msg = format!("the upgrade must not begin: {}", report.counts());
    Err(Failure { msg, changed, result }.with(EXPLANATION, told).into())
}
