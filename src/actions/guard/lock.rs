//! The lock of a cluster: the Lease in it, and the file on its first control plane. Both
//! are taken where they can be had, and one is enough to keep others out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::file::LockFile;
use super::{BreakLock, Guard, LOST};
use crate::actions::{Context, Error, Failure};
use crate::journal::{self, Journal, State, Store};
use crate::kubernetes::lease::{self, Holder, Renewed, Taken};
use crate::kubernetes::{Api, ApiError};
use crate::report::Events;

/// Between two signs of life; the lock is for 30 seconds.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// What does not answer at the end does not hold the run up.
pub const RELEASE: Duration = Duration::from_secs(10);

/// A lock that this run holds.
pub struct Held {
    /// Who had it, and lost it to this run.
    pub from: Option<Holder>,
    parts: Arc<Parts>,
    heartbeat: JoinHandle<()>,
}

/// Where it is held.
pub struct Parts {
    identity: String,
    api: Option<Api>,
    file: Option<LockFile>,
}

impl Held {
    /// Gives it up; or why it is still there, and gives no sign of life any more.
    pub async fn release(self) -> Result<(), String> {
        self.heartbeat.abort();
        self.parts.release().await
    }

    /// Whether it is held by the file alone, as the API did not answer.
    pub fn is_without_api(&self) -> bool {
        self.parts.api.is_none()
    }
}

impl Parts {
    /// Gives up what is held of it.
    pub async fn release(&self) -> Result<(), String> {
        let Self { identity, api, file } = self;
        let late = |_| format!("there was no answer in {} seconds", RELEASE.as_secs());
        let lease = async {
            let Some(api) = api else { return Ok(()) };
            let released = timeout(RELEASE, lease::release(api, identity)).await;
            released.map_err(late)?.map_err(|error| error.to_string())
        };
        let file = async {
            let Some(file) = file else { return Ok(()) };
            let released = timeout(RELEASE, file.release(identity)).await;
            released.map_err(late)?.map_err(Error::message)
        };
        let (lease, file) = tokio::join!(lease, file);
        lease.and(file)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

/// Takes the lock, by the file alone if there is a reason why the API is not asked; none if
/// it is nowhere to be had, which is told.
pub async fn take(
    guard: &Guard,
    api: Result<&Api, String>,
    context: &Context,
) -> Result<Option<Held>, Error> {
    let all = Parts {
        identity: guard.identity(),
        api: api.as_ref().ok().map(|api| (*api).clone()),
        file: LockFile::of(context),
    };
    let attempt = Arc::new(all);
    guard.attempts().push(attempt.clone());
    // If it is dropped here, the attempt stays, and is given up at the end of the run.
    let taken = try_to_take(guard, api, context).await;
    guard.attempts().retain(|known| !Arc::ptr_eq(known, &attempt));
    taken
}

async fn try_to_take(
    guard: &Guard,
    api: Result<&Api, String>,
    context: &Context,
) -> Result<Option<Held>, Error> {
    let identity = guard.identity();
    let events = &context.session.events;
    let own = guard.run.journal.as_deref();
    let may_take = |holder: &Holder| match guard.run.break_lock {
        _ if is_dead_here(holder, own) => true,
        BreakLock::Never => false,
        BreakLock::Dead => !holder.alive,
        BreakLock::Always => true,
    };
    let mut why_not = Vec::new();
    let mut from = None;
    let mut file = LockFile::of(context);
    if let Some(there) = &file {
        match there.take(&identity, may_take).await {
            Ok(taken) => from = settle(guard, taken, events)?,
            Err(error) => {
                why_not.push(error.message());
                file = None;
            }
        }
    }
    let leased = match api {
        Ok(api) => match by_lease(guard, api, &identity, may_take, events).await {
            Ok(Ok(holder)) => {
                from = holder.or(from);
                Some(api.clone())
            }
            Ok(Err(why)) => {
                why_not.push(why);
                None
            }
            Err(error) => {
                if let Some(file) = file {
                    let _ = timeout(RELEASE, file.release(&identity)).await;
                }
                return Err(error);
            }
        },
        Err(why) => {
            why_not.push(why);
            None
        }
    };
    if leased.is_none() && file.is_none() {
        guard.note(events, format!("the cluster cannot be locked: {}", why_not.join("; ")));
        return Ok(None);
    }
    let parts = Arc::new(Parts { identity, api: leased, file });
    let heartbeat = tokio::spawn(beat(parts.clone(), guard.refused.clone()));
    Ok(Some(Held { from, parts, heartbeat }))
}

/// Whom it was taken from, if from somebody; or why it cannot be had.
async fn by_lease(
    guard: &Guard,
    api: &Api,
    identity: &str,
    may_take: impl Fn(&Holder) -> bool,
    events: &Events,
) -> Result<Result<Option<Holder>, String>, Error> {
    match lease::take(api, identity, may_take).await {
        Ok(taken) => settle(guard, taken, events).map(Ok),
        Err(ApiError::Status { code: 403, message, .. }) => Ok(Err(message)),
        Err(error) => Err(error.into()),
    }
}

/// What came of it is noted, or is the end of the run; whom it was taken from.
fn settle(guard: &Guard, taken: Taken, events: &Events) -> Result<Option<Holder>, Error> {
    match taken {
        Taken::Yes => Ok(None),
        Taken::From(holder) => {
            let how = if holder.alive { "by force" } else { "as it gave no sign of life" };
            let text = format!(
                "the lock of the cluster was taken from {}, which had it since {}, {how}",
                holder.identity, holder.since
            );
            guard.note(events, text);
            Ok(Some(holder))
        }
        Taken::No(holder) => {
            let text = refusal(&holder);
            guard.refused.send_replace(Some(text.clone()));
            Err(Failure::new(text).into())
        }
    }
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

/// Gives signs of life; when somebody else has the lock, this run is refused the cluster.
async fn beat(parts: Arc<Parts>, refused: watch::Sender<Option<String>>) {
    let Parts { identity, api, file } = &*parts;
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        // What does not answer in time is asked again at the next beat.
        let in_file = async { timeout(HEARTBEAT, file.as_ref()?.renew(identity)).await.ok()?.ok() };
        let in_lease =
            async { timeout(HEARTBEAT, lease::renew(api.as_ref()?, identity)).await.ok()?.ok() };
        let lost = match tokio::join!(in_file, in_lease) {
            // A restore of etcd brings back the Lease of another time: who has the file has
            // the lock.
            (Some(true), Some(Renewed::Lost)) => {
                if let Some(api) = api {
                    let _ = timeout(HEARTBEAT, lease::take(api, identity, |_| true)).await;
                }
                false
            }
            (Some(false), _) | (None, Some(Renewed::Lost)) => true,
            _ => false,
        };
        if lost {
            refused.send_replace(Some(LOST.to_owned()));
            return;
        }
    }
}
