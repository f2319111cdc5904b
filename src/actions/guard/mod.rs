//! Before a run changes a cluster: it takes the cluster's lock, and puts back what runs
//! that died have left behind.

mod again;
mod file;
mod left;
mod lock;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use again::enter_again;
use futures::FutureExt;
use serde_json::{Map, Value as Json};
use tokio::sync::watch;

use super::{Context, Error, Failure, cluster};
use crate::events::Event;
use crate::journal::{self, Access, Journal, Record};
use crate::kubernetes::{Api, node};
use crate::report::Events;
use again::Had;
use lock::{Held, Parts};

const LOST: &str = "the lock of the cluster is not this run's any more: somebody has broken it, and \
    may be changing the cluster (`kubectl -n kube-system get lease kup-play -o yaml` says who); \
    nodes that this run has cordoned are left to that one; when it has ended, resume this run";

/// Host modules that change the cluster.
pub const LOCKS: [&str; 3] = ["host_state", "kubeadm", "static_pods"];

/// Whether the engine takes the lock before one of them runs with these arguments.
pub fn locks(module: &str, arguments: &Map<String, Json>) -> bool {
    let restores = || arguments.get("state").and_then(Json::as_str) == Some("restored");
    LOCKS.contains(&module) && (module != "host_state" || restores())
}

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
    /// Clusters whose lock this run had before it was resumed.
    pub had: Vec<Access>,
}

/// The clusters that this run holds.
#[derive(Default)]
pub struct Guard {
    run: Run,
    /// Their uids, by what tasks call them.
    entered: tokio::sync::Mutex<HashMap<Access, String>>,
    held: Mutex<Vec<Held>>,
    /// Locks that a task was about to take when it was interrupted.
    attempts: Mutex<Vec<Arc<Parts>>>,
    /// The API did not answer when the cluster was to be locked.
    without_api: tokio::sync::Mutex<bool>,
    had: tokio::sync::Mutex<Had>,
    /// Why this run may not go on.
    refused: watch::Sender<Option<String>>,
}

impl Guard {
    pub fn new(run: Run) -> Self {
        let had = Had::of(run.had.clone());
        Self { run, had: had.into(), ..Self::default() }
    }

    /// Why no task may change anything: somebody else holds the cluster.
    pub fn refused(&self) -> Option<String> {
        self.refused.borrow().clone()
    }

    /// Returns when that is so.
    pub async fn wait_refused(&self) {
        // The sender lives as long as self, so an error cannot come.
        let _ = self.refused.subscribe().wait_for(Option::is_some).await;
    }

    /// Whether a lock that this run had is somebody else's now.
    pub fn has_lost(&self) -> bool {
        self.refused().is_some_and(|why| why == LOST)
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
    pub async fn leave(&self, events: &Events) {
        again::settle(self).await;
        let attempts = std::mem::take(&mut *self.attempts());
        for attempt in attempts {
            // What was not taken yet needs not be given up.
            let _ = attempt.release().await;
        }
        let held = std::mem::take(&mut *self.held());
        for held in held {
            if let Err(why) = held.release().await {
                let text = format!(
                    "the lock of the cluster could not be given up ({why}): runs of other \
                     operators need --break-lock, unless one of yours comes first"
                );
                self.note(events, text);
            }
        }
    }

    async fn has_entered(&self, access: &Access) -> bool {
        self.entered.lock().await.contains_key(access)
    }

    /// A lock that was taken, in the place of one by the file alone.
    fn keep(&self, held: Held, access: Access) {
        if let Some(journal) = &self.run.journal {
            journal.put(&Record::Locked { at: journal::now(), access });
        }
        let mut all = self.held();
        all.retain(|held| !held.is_without_api());
        all.push(held);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Parts>>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
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
    let named = |name: Option<&str>| name.map(str::to_owned);
    let access = Access { kubeconfig: named(kubeconfig), context: named(kube_context) };
    let mut entered = guard.entered.lock().await;
    if let Some(uid) = entered.get(&access) {
        return Ok(uid.clone());
    }
    let api = cluster::lasting(context, kubeconfig, kube_context).await?;
    let namespace = api.get("/api/v1/namespaces/kube-system").await?;
    let uid = namespace.pointer("/metadata/uid").and_then(Json::as_str).unwrap_or_default();
    if !entered.values().any(|known| known == uid) {
        // What was locked without the API is locked with it too from here on.
        let taken = lock::take(guard, Ok(&api), context).await?;
        let from = taken.as_ref().and_then(|held| held.from.clone());
        if let Some(held) = taken {
            guard.keep(held, access.clone());
        }
        left::put_back(guard, &api, uid, context).await;
        if let Some(holder) = from {
            left::put_back_of(&holder, guard, &api, context).await;
        }
    }
    entered.insert(access, uid.to_owned());
    Ok(uid.to_owned())
}

/// As [`enter`], before a host module changes the cluster that the inventory names. Such
/// a module also works where there is no API to ask (a cluster that is being made or
/// mended): the file on the first control plane is the lock then, and only a lock that
/// somebody else holds stops it.
pub async fn enter_if_known(context: &Context) -> Result<(), Failure> {
    let guard = &context.session.guard;
    let access = Access::default();
    // Held meanwhile, so that nobody goes on before the lock is taken.
    let mut without_api = guard.without_api.lock().await;
    if *without_api || guard.has_entered(&access).await {
        return Ok(());
    }
    *without_api = !enter_or_lock_file(context, &access).await?;
    Ok(())
}

/// False if the API does not answer: the cluster is locked by the file alone then, or not at
/// all, which is told.
async fn enter_or_lock_file(context: &Context, access: &Access) -> Result<bool, Failure> {
    let guard = &context.session.guard;
    let (kubeconfig, kube_context) = (access.kubeconfig.as_deref(), access.context.as_deref());
    let why = match cluster::is_up(context, kubeconfig, kube_context).await {
        Ok(()) => match enter(context, kubeconfig, kube_context).await {
            Ok(_) => return Ok(true),
            Err(error) => error.message(),
        },
        Err(error) => error.message(),
    };
    if let Some(text) = guard.refused() {
        return Err(Failure::new(text));
    }
    let held = lock::take(guard, Err(why.clone()), context).await;
    if let Some(held) = held.map_err(|error| Failure::new(error.message()))? {
        let text = format!("the cluster is locked by a file on its first control plane: {why}");
        guard.note(&context.session.events, text);
        guard.keep(held, access.clone());
    }
    Ok(false)
}
