//! What has to be undone when a run ends before it should: a node that it
//! cordoned must not stay so because of a failed task or a Ctrl-C.

use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use indexmap::IndexMap;
use tokio::task::JoinHandle;

use crate::events::Event;
use crate::report::Events;

type Step = Box<dyn FnOnce() -> BoxFuture<'static, Result<(), String>> + Send>;

/// The steps that would undo what is under way, by what they are about.
#[derive(Default)]
pub struct Undo {
    steps: Mutex<IndexMap<String, Step>>,
    under_way: Mutex<Vec<JoinHandle<()>>>,
}

impl Undo {
    /// From now on `step` is due, until [`Undo::done`] is said of the same thing.
    /// What is due already stays as it is: it remembers the older state.
    pub fn register(
        &self,
        what: impl Into<String>,
        step: impl FnOnce() -> BoxFuture<'static, Result<(), String>> + Send + 'static,
    ) {
        self.steps().entry(what.into()).or_insert_with(|| Box::new(step));
    }

    /// A change that goes on when its task is interrupted: what puts it back comes after it.
    pub fn wait_for(&self, change: JoinHandle<()>) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }

    /// The playbook itself has put it right.
    pub fn done(&self, what: &str) {
        self.steps().shift_remove(what);
    }

    /// Nothing is due any more: the run ended as its playbook wants.
    pub fn forget(&self) {
        self.steps().clear();
    }

    /// Runs what is due, the newest first, and says what came of it.
    pub async fn run(&self, events: &Events) {
        let under_way =
            std::mem::take(&mut *self.under_way.lock().unwrap_or_else(PoisonError::into_inner));
        // It has told its task what came of it.
        let _ = futures::future::join_all(under_way).await;
        loop {
            let Some((what, step)) = self.steps().pop() else {
                return;
            };
            let text = match step().await {
                Ok(()) => format!("the run ended early: {what} was put back to what it was"),
                Err(error) => {
                    format!("the run ended early and {what} could not be put back: {error}")
                }
            };
            events.emit(Event::Warning { text });
        }
    }

    fn steps(&self) -> std::sync::MutexGuard<'_, IndexMap<String, Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
