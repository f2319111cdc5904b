//! Before a run changes a cluster: it takes the cluster's lock, and puts back what runs
//! that died have left behind.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use serde_json::Value as Json;
use tokio::task::JoinHandle;

use super::{Context, Error, Failure, cluster};
use crate::events::Event;
use crate::journal::{self, Journal, Record, State, Store};
use crate::kubernetes::lease::{self, Holder, Taken};
use crate::kubernetes::{Api, ApiError, node};
use crate::report::Events;

/// Between two signs of life; the lock is for 30 seconds.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// An apiserver that is gone at the end does not hold the run up.
const RELEASE: Duration = Duration::from_secs(10);

/// Host modules that change the cluster: the engine takes the lock before they run.
pub const LOCKS: [&str; 2] = ["kubeadm", "static_pods"];

/// Whether a lock of somebody else's may be broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakLock {
    #[default]
    Never,
    /// If its holder gives no sign of life.
    Dead,
    Always,
}

/// What the guard knows of the run.
#[derive(Default)]
pub struct Run {
    pub journal: Option<Arc<Journal>>,
    /// Nodes that this run has left cordoned before it was resumed, by cluster.
    pub left: Vec<(String, String)>,
    pub break_lock: BreakLock,
}

/// The clusters that this run holds.
#[derive(Default)]
pub struct Guard {
    run: Run,
    /// By the kubeconfig and the context that tasks name.
    entered: tokio::sync::Mutex<HashMap<String, String>>,
    held: Mutex<Vec<Held>>,
    /// It was tried in vain to lock the cluster.
    unguarded: AtomicBool,
    /// Why this run may not go on.
    refused: OnceLock<String>,
}

struct Held {
    api: Api,
    identity: String,
    heartbeat: JoinHandle<()>,
}

impl Guard {
    pub fn new(run: Run) -> Self {
        Self { run, ..Self::default() }
    }

    /// Why no task may change anything: somebody else holds the cluster.
    pub fn refused(&self) -> Option<&String> {
        self.refused.get()
    }

    /// A cordon is on disk before it is made.
    pub async fn cordons(&self, cluster: &str, node: &str, before: bool) -> Result<(), Error> {
        let Some(journal) = &self.run.journal else {
            return Ok(());
        };
        let (node, cluster) = (node.to_owned(), cluster.to_owned());
        let record = Record::Cordoned { at: journal::now(), node, cluster, before };
        journal.keep(&record).await.map_err(|error| {
            Error::failed(format!("the journal of the run cannot be written: {error}"))
        })
    }

    /// The playbook has put a node back.
    pub fn uncordoned(&self, cluster: &str, node: &str) {
        put_back(self.run.journal.as_deref(), cluster, node, false);
    }

    /// Puts a node back when the run ends before the playbook does it.
    pub fn undo_cordon(&self, api: &Api, cluster: &str, name: &str, context: &Context) {
        let (api, node, cluster) = (api.clone(), name.to_owned(), cluster.to_owned());
        let journal = self.run.journal.clone();
        context.session.undo.register(what(name), move || {
            async move {
                let uncordoned = node::uncordon(&api, &node, false).await;
                uncordoned.map_err(|error| error.to_string())?;
                put_back(journal.as_deref(), &cluster, &node, true);
                Ok(())
            }
            .boxed()
        });
    }

    /// Gives all clusters up.
    pub async fn leave(&self) {
        let held = std::mem::take(&mut *self.held());
        for Held { api, identity, heartbeat } in held {
            heartbeat.abort();
            // It runs out by itself if it cannot be given up.
            let _ = tokio::time::timeout(RELEASE, lease::release(&api, &identity)).await;
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, events: &Events, text: String) {
        if let Some(journal) = &self.run.journal {
            journal.put(&Record::Note { at: journal::now(), text: text.clone() });
        }
        events.emit(Event::Warning { text });
    }

    fn identity(&self) -> String {
        let run = self.run.journal.as_ref().map_or("(no journal)", |journal| journal.id());
        format!("{} {run} {}", journal::operator(), std::process::id())
    }
}

/// What undo calls a node.
pub fn what(node: &str) -> String {
    format!("node {node}")
}

fn put_back(journal: Option<&Journal>, cluster: &str, node: &str, early: bool) {
    if let Some(journal) = journal {
        let (node, cluster) = (node.to_owned(), cluster.to_owned());
        journal.put(&Record::Uncordoned { at: journal::now(), node, cluster, early });
    }
}

/// The cluster's own name for itself: the uid of kube-system. Its lock is held from here
/// on until the end of the run.
pub async fn enter(
    context: &Context,
    kubeconfig: Option<&str>,
    kube_context: Option<&str>,
) -> Result<String, Error> {
    let guard = &context.session.guard;
    let key = format!("{kubeconfig:?} {kube_context:?}");
    let mut entered = guard.entered.lock().await;
    if let Some(uid) = entered.get(&key) {
        return Ok(uid.clone());
    }
    let api = cluster::of(context, kubeconfig, kube_context).await?;
    let namespace = api.get("/api/v1/namespaces/kube-system").await?;
    let uid = namespace.pointer("/metadata/uid").and_then(Json::as_str).unwrap_or_default();
    if !entered.values().any(|known| known == uid) {
        lock(guard, &api, context).await?;
        put_left_back(guard, &api, uid, context).await;
    }
    entered.insert(key, uid.to_owned());
    Ok(uid.to_owned())
}

async fn lock(guard: &Guard, api: &Api, context: &Context) -> Result<(), Error> {
    let identity = guard.identity();
    let events = &context.session.events;
    let break_lock = guard.run.break_lock;
    let may_take = |holder: &Holder| match break_lock {
        _ if is_dead_here(holder, guard.run.journal.as_deref()) => true,
        BreakLock::Never => false,
        BreakLock::Dead => !holder.alive,
        BreakLock::Always => true,
    };
    match lease::take(api, &identity, may_take).await {
        Ok(Taken::Yes) => {}
        Ok(Taken::From(holder)) => {
            let how = if holder.alive { "by force" } else { "as it gave no sign of life" };
            let text = format!(
                "the lock of the cluster was taken from {}, which had it since {}, {how}",
                holder.identity, holder.since
            );
            guard.note(events, text);
        }
        Ok(Taken::No(holder)) => {
            let text = refusal(&holder);
            let _ = guard.refused.set(text.clone());
            return Err(Failure::new(text).into());
        }
        Err(ApiError::Status { code: 403, message, .. }) => {
            guard.note(events, format!("the cluster cannot be locked: {message}"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    let heartbeat = tokio::spawn(beat(api.clone(), identity.clone(), events.clone()));
    guard.held().push(Held { api: api.clone(), identity, heartbeat });
    Ok(())
}

fn refusal(holder: &Holder) -> String {
    let Holder { identity, since, alive } = holder;
    let then = if *alive {
        "it gives signs of life: wait until it has ended; --break-lock=always takes the lock from it"
    } else {
        "it gives no sign of life; --break-lock takes the lock from it"
    };
    format!("another run changes this cluster: {identity}, since {since}; {then}")
}

/// Whether the holder is a run of this machine of which its journal says that it is gone:
/// one that was killed, or this very run before it was resumed.
fn is_dead_here(holder: &Holder, own: Option<&Journal>) -> bool {
    let mut words = holder.identity.split(' ');
    let (Some(operator), Some(id)) = (words.next(), words.next()) else {
        return false;
    };
    if operator != journal::operator() {
        return false;
    }
    if own.is_some_and(|own| own.id() == id) {
        return true;
    }
    let runs = Store::find().and_then(|store| store.runs()).unwrap_or_default();
    runs.iter().any(|run| run.id == id && run.state != State::Running)
}

async fn beat(api: Api, identity: String, events: Events) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        // An apiserver that does not answer is asked again at the next beat.
        if let Ok(false) = lease::renew(&api, &identity).await {
            let text = "the lock of the cluster is not this run's any more: somebody has broken it";
            events.emit(Event::Warning { text: text.to_owned() });
            return;
        }
    }
}

/// Nodes that runs have left cordoned which did not come to their end: journal and node
/// agree, so they are put back to what they were.
async fn put_left_back(guard: &Guard, api: &Api, uid: &str, context: &Context) {
    for (_, node) in guard.run.left.iter().filter(|(cluster, _)| cluster == uid) {
        // This run goes on with them; if it does not come to that they are put back.
        guard.undo_cordon(api, uid, node, context);
    }
    let runs = Store::find().and_then(|store| Ok((store.runs()?, store)));
    let Ok((runs, store)) = runs else { return };
    for run in runs {
        if !matches!(run.state, State::Dead | State::Failed | State::Interrupted) {
            continue;
        }
        for (cluster, name) in run.history.cordons.keys().filter(|(cluster, _)| cluster == uid) {
            let text = match left_by(api, name).await {
                Ok(true) => format!(
                    "run {} had left node {name} cordoned: it was put back to what it was",
                    run.id
                ),
                Ok(false) => continue,
                Err(error) => format!(
                    "run {} had left node {name} cordoned, and it could not be put back: {error}",
                    run.id
                ),
            };
            guard.note(&context.session.events, text);
            if let Ok(recording) = store.reopen(&run.id) {
                put_back(Some(&recording.journal), cluster, name, true);
            }
        }
    }
}

/// Puts a node back if its own memory says that it was cordoned by a run.
async fn left_by(api: &Api, name: &str) -> Result<bool, ApiError> {
    let node = node::get(api, name).await?;
    if !node::is_remembered(&node) {
        return Ok(false);
    }
    node::uncordon(api, name, false).await.map(|_| true)
}

/// As [`enter`], before a host module changes the cluster that the inventory names. Such
/// a module also works where there is no API to ask (a cluster that is being made or
/// mended), so only a lock that somebody else holds stops it.
pub async fn enter_if_known(context: &Context) -> Result<(), Failure> {
    let guard = &context.session.guard;
    if guard.unguarded.load(Ordering::Relaxed) {
        return Ok(());
    }
    if let Err(error) = enter(context, None, None).await {
        if let Some(text) = guard.refused() {
            return Err(Failure::new(text.clone()));
        }
        if !guard.unguarded.swap(true, Ordering::Relaxed) {
            let (Error::Failed(Failure { msg: error, .. }) | Error::Unreachable(error)) = error;
            let text = format!("the cluster is not locked against other runs: {error}");
            guard.note(&context.session.events, text);
        }
    }
    Ok(())
}
