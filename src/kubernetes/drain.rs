//! Drains: evictions side by side, patient with budgets, honest about what is left.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::api::encode;
use super::budget::{self, Budget};
use super::discovery::Resource;
use super::leaving::{self, Leaving};
use super::pod::{self, Kind, Rules};
use super::policy::{self, Policies, Then};
use super::refusals::Refusals;
use super::{Api, ApiError};
use crate::deadline;

/// Between two tries of an eviction that a budget forbids, unless the server says.
const RETRY: Duration = Duration::from_secs(5);
/// Before the first look at what keeps pods: an eviction that nothing forbids is granted by then.
const SOON: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// What is said of a pod that nothing keeps.
pub const ENDING: &str = "is ending";

/// How to drain.
#[derive(Clone, Debug)]
pub struct Options {
    pub ignore_daemonsets: bool,
    pub delete_emptydir_data: bool,
    /// Evict pods without a controller too.
    pub force: bool,
    /// Seconds for a pod to end; none: what the pod says itself.
    pub grace_period: Option<i64>,
    /// None: no limit.
    pub timeout: Option<Duration>,
    /// A label selector: only these pods.
    pub pod_selector: Option<String>,
    /// Delete instead of evicting: budgets are not asked.
    pub disable_eviction: bool,
    /// What is done about budgets that forbid evictions.
    pub policies: Policies,
}

/// What came of a drain.
#[derive(Debug, Default, Serialize)]
pub struct Drained {
    pub evicted: Vec<String>,
    /// Pods that are still there, each with what keeps it.
    pub left: BTreeMap<String, String>,
    /// Pods that could not be looked at for eviction without an option.
    pub refused: BTreeMap<String, String>,
    /// Pods that were deleted against their budgets.
    pub forced: Vec<String>,
}

/// Why a drain did not end.
#[derive(Debug)]
pub enum Undrained {
    Api(ApiError),
    /// Pods that need an option to go; nothing was evicted.
    Refused(Drained),
    /// The time was over.
    Timeout(Drained),
    /// A budget's policy says that the node is to be left as it is.
    Skipped(Drained),
}

impl From<ApiError> for Undrained {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// The pods that a drain would evict, and the budget that would forbid each now.
pub async fn plan(api: &Api, node: &str, options: &Options) -> Result<Drained, Undrained> {
    let pods = evictable(api, node, options).await?;
    let mut budgets = budget::all(api).await?;
    let mut plan = Drained::default();
    for pod in &pods {
        let name = pod::name(pod);
        let covering = budgets.iter_mut().find(|budget| budget.covers(pod));
        match covering {
            Some(budget) if budget.disruptions_allowed <= 0 && !options.disable_eviction => {
                plan.left.insert(name, budget.describe());
            }
            covering => {
                // Each eviction uses up what the budget allows at one time.
                if let Some(budget) = covering {
                    budget.disruptions_allowed -= 1;
                }
                plan.evicted.push(name);
            }
        }
    }
    Ok(plan)
}

/// Evicts the pods of a node and waits until they are gone. `progress` is told which
/// pods are left and what keeps them.
pub async fn drain(
    api: &Api,
    node: &str,
    options: &Options,
    progress: &(dyn Fn(&BTreeMap<String, String>) + Sync),
) -> Result<Drained, Undrained> {
    let pods = evictable(api, node, options).await?;
    let deadline = options.timeout.map(deadline::after);
    let version = eviction_version(api).await?;
    let mut budgets = budget::all(api).await?;
    let refusals = Refusals::default();
    let asking = Asking { api, options, version, deadline, refusals: &refusals };
    let mut left: BTreeMap<String, String> =
        pods.iter().map(|pod| (pod::name(pod), ENDING.to_owned())).collect();
    let evicted: Vec<_> = left.keys().cloned().collect();
    progress(&left);
    let mut requests: FuturesUnordered<_> =
        pods.iter().map(|pod| evict(&asking, pod, clock_of(&budgets, pod))).collect();
    let mut leaving = Leaving::of(api, node);
    let mut looking = std::pin::pin!(look(api, SOON, true));
    let mut sent: HashSet<String> = HashSet::new();
    let mut forced = Vec::new();
    while !left.is_empty() {
        tokio::select! {
            Some(done) = requests.next() => match done? {
                Asked::Granted(name) => { sent.insert(name); }
                Asked::Forced(name) => {
                    forced.push(name.clone());
                    sent.insert(name);
                }
                Asked::GivenUp => {
                    // A node is not skipped without a word of what the budget says now.
                    tokio::select! {
                        now = look(api, Duration::ZERO, true) => budgets = now.unwrap_or(budgets),
                        () = wait_for(deadline) => {}
                    }
                    explain(&pods, &sent, &budgets, &refusals, &leaving, &mut left);
                    let evicted: Vec<_> = sent.into_iter().collect();
                    left.retain(|name, _| !evicted.contains(name));
                    return Err(Undrained::Skipped(Drained { evicted, left, forced, ..Drained::default() }));
                }
            },
            changed = leaving.change() => {
                changed?;
                let before = left.len();
                for name in pods.iter().filter(|pod| !leaving.holds(pod)).map(pod::name) {
                    left.remove(&name);
                    refusals.gone(&name);
                }
                if left.len() != before {
                    progress(&left);
                }
            }
            now = &mut looking => {
                budgets = now.unwrap_or(budgets);
                explain(&pods, &sent, &budgets, &refusals, &leaving, &mut left);
                progress(&left);
                looking.set(look(api, LOOK, sent.len() < pods.len()));
            }
            () = wait_for(deadline) => {
                explain(&pods, &sent, &budgets, &refusals, &leaving, &mut left);
                let evicted = evicted.into_iter().filter(|name| !left.contains_key(name)).collect();
                return Err(Undrained::Timeout(Drained {
                    evicted,
                    left,
                    forced,
                    ..Drained::default()
                }));
            }
        }
    }
    progress(&left);
    Ok(Drained { evicted, forced, ..Drained::default() })
}

async fn evictable(api: &Api, node: &str, options: &Options) -> Result<Vec<Json>, Undrained> {
    let mut query = leaving::on(node);
    if let Some(selector) = &options.pod_selector {
        query += &format!("&labelSelector={}", encode(selector));
    }
    let rules = Rules {
        ignore_daemonsets: options.ignore_daemonsets,
        delete_emptydir_data: options.delete_emptydir_data,
        force: options.force,
    };
    let mut pods = Vec::new();
    let mut refused = BTreeMap::new();
    for pod in api.list("/api/v1/pods", &query).await? {
        match pod::classify(&pod, rules) {
            Kind::Evictable => pods.push(pod),
            Kind::Stays => {}
            Kind::Refused { why, option } => {
                refused.insert(pod::name(&pod), format!("{why} ({option} permits it)"));
            }
        }
    }
    if refused.is_empty() {
        return Ok(pods);
    }
    Err(Undrained::Refused(Drained { refused, ..Drained::default() }))
}

/// policy/v1 evictions are taken from 1.22 on; the server's own list of what a pod
/// can do says which it takes.
async fn eviction_version(api: &Api) -> Result<String, ApiError> {
    let core = api.get("/api/v1").await?;
    let resources = core.get("resources").and_then(Json::as_array).into_iter().flatten();
    let eviction = resources
        .filter(|resource| resource.get("name").and_then(Json::as_str) == Some("pods/eviction"))
        .find_map(|resource| resource.get("version").and_then(Json::as_str));
    Ok(format!("policy/{}", eviction.unwrap_or("v1beta1")))
}

/// What came of asking for an eviction.
enum Asked {
    Granted(String),
    /// Deleted against its budget, as the policy says.
    Forced(String),
    /// The policy says that the node is to be left.
    GivenUp,
}

/// What the evictions of a drain have in common.
struct Asking<'a> {
    api: &'a Api,
    options: &'a Options,
    /// Of the API's evictions.
    version: String,
    deadline: Option<Instant>,
    refusals: &'a Refusals,
}

/// Whose refusals of a pod are counted together: its budget's. One that was made meanwhile is
/// not known, and each of its pods counts for itself.
fn clock_of(budgets: &[Budget], pod: &Json) -> String {
    let budget = budgets.iter().find(|budget| budget.covers(pod));
    budget.map_or_else(|| pod::uid(pod), |it| format!("{}/{}", it.namespace, it.name))
}

/// Asks until the pod may go, or its namespace's policy says what else is to be done.
async fn evict(asking: &Asking<'_>, pod: &Json, budget: String) -> Result<Asked, ApiError> {
    let Asking { api, options, version, deadline, refusals } = asking;
    let name = pod::name(pod);
    let (namespace, short) = name.split_once('/').unwrap_or(("", &name));
    let policy = options.policies.of(namespace);
    let mut delete = json!({"preconditions": {"uid": pod::uid(pod)}});
    if let Some(seconds) = options.grace_period {
        delete["gracePeriodSeconds"] = json!(seconds);
    }
    let path = Resource::pods().path(Some(namespace), Some(short));
    let mut forces = false;
    loop {
        let answer = if options.disable_eviction || forces {
            api.delete(&path, &delete).await.map(drop)
        } else {
            let body = json!({
                "apiVersion": version, "kind": "Eviction",
                "metadata": {"name": short, "namespace": namespace},
                "deleteOptions": delete,
            });
            api.post(&format!("{path}/eviction"), &body).await.map(drop)
        };
        let error = match answer {
            Ok(()) if forces => return Ok(Asked::Forced(name)),
            Ok(()) => {
                refusals.granted(&budget);
                return Ok(Asked::Granted(name));
            }
            Err(error) => error,
        };
        refusals.note(&name, &error);
        let is_budget = policy::is_of_budget(&error);
        let mut pause = match error {
            ApiError::Status { code: 404, .. } => return Ok(Asked::Granted(name)),
            // Another pod of that name (the precondition), unless something else is in conflict.
            ApiError::Status { code: 409, .. } => match api.get_opt(&path).await {
                Ok(Some(there)) if pod::uid(&there) == pod::uid(pod) => RETRY,
                Ok(_) => return Ok(Asked::Granted(name)),
                Err(_) => RETRY,
            },
            ApiError::Status { code: 429 | 500 | 502 | 503 | 504, retry_after, .. } => {
                retry_after.unwrap_or(RETRY)
            }
            ApiError::Status { code: 403, reason, message, .. }
                if reason == "Forbidden" && message.contains("being terminated") =>
            {
                RETRY
            }
            ApiError::Unreachable(_) => RETRY,
            error => return Err(error),
        };
        if is_budget {
            let left = refusals.left(&budget, policy.after);
            match policy.then {
                Then::Wait => {}
                Then::Skip | Then::Force if !left.is_zero() => pause = pause.min(left),
                Then::Skip => return Ok(Asked::GivenUp),
                Then::Force if refusals.may_force(&budget, &name) => {
                    forces = true;
                    continue;
                }
                Then::Force => {}
            }
        }
        if deadline.is_some_and(|deadline| Instant::now() + pause > deadline) {
            // The caller's clock ends it; no further request is worth sending.
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(pause).await;
    }
}

async fn wait_for(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Waits until it is time to say what keeps the pods; the budgets if they are asked and answer.
async fn look(api: &Api, after: Duration, asks: bool) -> Option<Vec<Budget>> {
    tokio::time::sleep(after).await;
    if !asks {
        return None;
    }
    // Without much patience, as it is looked again.
    budget::all(&api.clone().with_patience(LOOK)).await.ok()
}

/// Says of each pod that is left what keeps it.
fn explain(
    pods: &[Json],
    sent: &HashSet<String>,
    budgets: &[Budget],
    refusals: &Refusals,
    leaving: &Leaving<'_>,
    left: &mut BTreeMap<String, String>,
) {
    for pod in pods {
        let name = pod::name(pod);
        if let Some(why) = left.get_mut(&name) {
            let found = match sent.contains(&name) {
                true => leaving.now(pod).and_then(overdue),
                false => kept(pod, budgets, refusals.last(&name)),
            };
            *why = found.unwrap_or_else(|| ENDING.to_owned());
        }
    }
}

/// Why a pod was not let go; `last` is what was said when its eviction was last asked for.
fn kept(pod: &Json, budgets: &[Budget], last: Option<ApiError>) -> Option<String> {
    if let Some(error) = last.as_ref().filter(|error| !policy::is_of_budget(error)) {
        return Some(format!("is not evicted: {error}"));
    }
    let covering: Vec<_> = budgets.iter().filter(|budget| budget.covers(pod)).collect();
    let forbidding = covering.iter().find(|budget| budget.disruptions_allowed <= 0);
    match (covering.as_slice(), last) {
        ([one, other, ..], Some(error)) => Some(format!(
            "is covered by PodDisruptionBudget {} and {}, of which the selectors must not overlap: \
             {error}",
            one.name, other.name
        )),
        (_, last) => forbidding
            .map(|budget| budget.describe())
            .or_else(|| Some(format!("is kept by a PodDisruptionBudget: {}", last?))),
    }
}

/// What is known of a pod that was let go and is there longer than it was given to end.
fn overdue(pod: &Json) -> Option<String> {
    let due = pod.pointer("/metadata/deletionTimestamp")?.as_str()?;
    if due.parse::<jiff::Timestamp>().ok()? > jiff::Timestamp::now() {
        return None;
    }
    let finalizers = pod.pointer("/metadata/finalizers").and_then(Json::as_array);
    let finalizers = finalizers.into_iter().flatten().filter_map(Json::as_str);
    let finalizers: Vec<_> = finalizers.collect();
    let keeps = match finalizers.is_empty() {
        true => "its node's kubelet does not say that it has".to_owned(),
        false => format!("it has the finalizers {}", finalizers.join(", ")),
    };
    Some(format!("was to have ended by {due}: {keeps}"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::policy::Policy;
    use super::super::testing::{Answer, api, list, refusal};
    use super::*;

    /// How long a pod takes to end.
    const GRACE: Duration = Duration::from_secs(1);

    /// What was asked of the cluster, and the pods that were let go or deleted, with when.
    #[derive(Default)]
    struct Seen {
        asked: Vec<String>,
        gone: BTreeMap<String, Instant>,
        deleted_side_by_side: usize,
        /// Budgets cannot be listed any more.
        budgets_are_away: bool,
    }

    /// The node n1 with these pods, which are under one budget. Evictions are answered by the
    /// pod and how often its own was asked for.
    fn cluster(
        pods: Vec<Json>,
        eviction: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
    ) -> (Api, Arc<Mutex<Seen>>) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let seen_here = seen.clone();
        let api = api(move |what, _| {
            let mut seen = seen_here.lock().expect("not poisoned");
            seen.asked.push(what.to_owned());
            let ends = |seen: &Seen, name: &str| {
                seen.gone.get(name).is_some_and(|since| since.elapsed() > GRACE)
            };
            let there = |seen: &Seen| -> Vec<Json> {
                let is_there = |pod: &&Json| {
                    !ends(seen, &pod::name(pod)) || pod.pointer("/metadata/finalizers").is_some()
                };
                pods.iter().filter(is_there).cloned().collect()
            };
            let (path, query) = what.split_once('?').unwrap_or((what, ""));
            let short = path.trim_end_matches("/eviction").rsplit('/').next().unwrap_or_default();
            let name = format!("a/{short}");
            match path {
                "GET /api/v1" => {
                    let eviction = json!({"name": "pods/eviction", "version": "v1"});
                    Some((200, json!({"resources": [eviction]})))
                }
                "GET /apis/policy/v1" => Some((200, json!({}))),
                "GET /apis/policy/v1/poddisruptionbudgets" if seen.budgets_are_away => None,
                "GET /apis/policy/v1/poddisruptionbudgets" => list(&["app", "two"].map(|label| {
                    json!({
                        "metadata": {"namespace": "a", "name": label},
                        "spec": {"selector": {"matchLabels": {label: "web"}}},
                    })
                })),
                // Watches are not offered: the pods are listed each second.
                "GET /api/v1/pods" if query.contains("watch=1") => refusal(410, "no watch"),
                "GET /api/v1/pods" => list(&there(&seen)),
                path if path.starts_with("GET ") => {
                    Some((200, there(&seen).into_iter().find(|pod| pod::name(pod) == name)?))
                }
                path if path.starts_with("POST ") => {
                    let times = seen.asked.iter().filter(|asked| *asked == what).count();
                    let answer = eviction(short, times);
                    if answer.as_ref().is_some_and(|(code, _)| *code == 201) {
                        seen.gone.insert(name, Instant::now());
                    }
                    answer
                }
                _ => {
                    let ending = seen.gone.keys().filter(|gone| !ends(&seen, gone)).count();
                    seen.deleted_side_by_side = seen.deleted_side_by_side.max(ending + 1);
                    seen.gone.insert(name, Instant::now());
                    Some((200, json!({})))
                }
            }
        });
        (api, seen)
    }

    fn pod(name: &str) -> Json {
        json!({
            "metadata": {
                "namespace": "a", "name": name, "uid": name, "labels": {"app": "web"},
                "ownerReferences": [{"kind": "ReplicaSet", "controller": true}],
            },
            "status": {"phase": "Running"},
        })
    }

    fn options(then: Then, after: u64, timeout: u64) -> Options {
        let default = Policy { then, after: Duration::from_secs(after) };
        Options {
            ignore_daemonsets: true,
            delete_emptydir_data: true,
            force: false,
            grace_period: None,
            timeout: Some(Duration::from_secs(timeout)),
            pod_selector: None,
            disable_eviction: false,
            policies: Policies { default, ..Policies::default() },
        }
    }

    fn granted() -> Answer {
        Some((201, json!({})))
    }

    /// As a budget refuses; to be asked again after a second.
    fn refused() -> Answer {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        Some((429, json!({"message": message, "details": {"retryAfterSeconds": 1}})))
    }

    fn asked(seen: &Mutex<Seen>, part: &str) -> usize {
        let seen = seen.lock().expect("not poisoned");
        seen.asked.iter().filter(|asked| asked.contains(part)).count()
    }

    #[tokio::test]
    async fn the_clock_of_a_budget_does_not_run_while_the_api_is_away() {
        // Away for longer than the budget is waited for.
        let answer = |_: &str, times| if times == 1 { None } else { refused() };
        let (api, seen) = cluster(vec![pod("p1")], answer);
        let drained = drain(&api, "n1", &options(Then::Skip, 3, 60), &|_| {}).await;
        assert!(matches!(drained, Err(Undrained::Skipped(_))), "{drained:?}");
        // Once in vain, and then for three seconds.
        assert!(asked(&seen, "eviction") > 3, "skipped at the first refusal");
    }

    #[tokio::test]
    async fn a_budget_that_lets_pods_go_one_by_one_is_not_forced() {
        // The next one may go when the one before has been replaced.
        let answer = |pod: &str, times| match (pod, times) {
            ("p1", _) | ("p2", 3..) | ("p3", 5..) => granted(),
            _ => refused(),
        };
        let (api, _) = cluster(["p1", "p2", "p3"].map(pod).into(), answer);
        let drained = drain(&api, "n1", &options(Then::Force, 3, 60), &|_| {}).await;
        let drained = drained.expect("drained");
        assert_eq!((drained.evicted.len(), drained.forced.len()), (3, 0), "{drained:?}");
    }

    #[tokio::test]
    async fn pods_of_one_budget_are_forced_one_after_the_other() {
        let (api, seen) = cluster(["p1", "p2", "p3"].map(pod).into(), |_, _| refused());
        let drained = drain(&api, "n1", &options(Then::Force, 0, 60), &|_| {}).await;
        assert_eq!(drained.expect("drained").forced.len(), 3);
        assert_eq!(seen.lock().expect("not poisoned").deleted_side_by_side, 1);
    }

    #[tokio::test]
    async fn a_drain_ends_in_time_although_its_budgets_cannot_be_looked_at() {
        let (api, seen) = cluster(vec![pod("p1")], |_, _| refused());
        let options = options(Then::Wait, 0, 3);
        let away = |_: &BTreeMap<String, String>| {
            seen.lock().expect("not poisoned").budgets_are_away = true
        };
        let began = Instant::now();
        let drained = drain(&api, "n1", &options, &away).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let Err(Undrained::Timeout(drained)) = drained else { panic!("{drained:?}") };
        let why = drained.left.get("a/p1").expect("it is left");
        assert!(why.starts_with("PodDisruptionBudget a/app allows 0"), "{why}");
    }

    #[tokio::test]
    async fn of_each_pod_that_is_left_is_said_what_keeps_it() {
        let mut two_budgets = pod("two");
        two_budgets["metadata"]["labels"]["two"] = json!("web");
        let mut held = pod("held");
        held["metadata"]["deletionTimestamp"] = json!("2020-01-01T00:00:00Z");
        held["metadata"]["finalizers"] = json!(["example.com/keep"]);
        let mut silent = held.clone();
        silent["metadata"]["finalizers"] = json!([]);
        silent["metadata"]["name"] = json!("silent");
        silent["metadata"]["uid"] = json!("silent");
        let pods = vec![two_budgets, held, silent, pod("webhook"), pod("conflict"), pod("away")];
        let answer = |pod: &str, _| match pod {
            "two" => refusal(500, "This pod has more than one PodDisruptionBudget"),
            "webhook" => refusal(500, "failed calling webhook \"a.b\": no endpoints"),
            "conflict" => refusal(409, "the object has been modified"),
            "away" => None,
            _ => granted(),
        };
        let (api, _) = cluster(pods, answer);
        let drained = drain(&api, "n1", &options(Then::Wait, 0, 3), &|_| {}).await;
        let Err(Undrained::Timeout(drained)) = drained else { panic!("{drained:?}") };
        let expected = [
            ("away", "is not evicted: the Kubernetes API cannot be reached"),
            ("conflict", "is not evicted: the object has been modified (409)"),
            (
                "held",
                "was to have ended by 2020-01-01T00:00:00Z: it has the finalizers example.com/keep",
            ),
            ("silent", "was to have ended by 2020-01-01T00:00:00Z: its node's kubelet"),
            ("two", "is covered by PodDisruptionBudget app and two, of which the selectors must"),
            ("webhook", "is not evicted: failed calling webhook \"a.b\": no endpoints (500)"),
        ];
        assert_eq!(drained.left.len(), expected.len(), "{:?}", drained.left);
        for (pod, begins) in expected {
            let why = &drained.left[&format!("a/{pod}")];
            assert!(why.starts_with(begins), "{pod}: {why}");
        }
    }
}
