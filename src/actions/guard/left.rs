//! Nodes that runs have left cordoned which did not come to their end.

use jiff::{SignedDuration, Timestamp};

use super::{Context, Guard, put_back as note_put_back};
use crate::journal::{State, Store};
use crate::kubernetes::lease::Holder;
use crate::kubernetes::{Api, ApiError, node};

/// How far the clock that times cordons may be ahead of this machine's.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// How long before its lock a holder's cordon may seem to be: times of taints are whole
/// seconds, and of the cluster's own clock.
const BEFORE: SignedDuration = SignedDuration::from_mins(1);

/// What became of a node.
enum Left {
    PutBack,
    /// Somebody has cordoned it anew.
    Kept,
    /// No run has cordoned it, or it was put back.
    Alone,
}

/// Those of runs whose journals are here: journal and node agree, so they are put back to
/// what they were.
pub async fn put_back(guard: &Guard, api: &Api, uid: &str, context: &Context) {
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
        let cordons = run.history.cordons.iter().filter(|((cluster, _), _)| cluster == uid);
        for ((cluster, name), at) in cordons {
            let left = left_by(api, name, at).await;
            if matches!(left, Ok(Left::Alone)) {
                continue;
            }
            guard.note(&context.session.events, told(&format!("run {}", run.id), name, left));
            if let Ok(recording) = store.reopen(&run.id) {
                note_put_back(Some(&recording.journal), cluster, name, true);
            }
        }
    }
}

/// What is said of a node that somebody has left cordoned.
fn told(who: &str, node: &str, left: Result<Left, ApiError>) -> String {
    let what = match left {
        Ok(Left::PutBack | Left::Alone) => ": it was put back to what it was".to_owned(),
        Ok(Left::Kept) => ", and somebody has cordoned it since then: it stays cordoned".to_owned(),
        Err(error) => format!(", and it could not be put back: {error}"),
    };
    format!("{who} had left node {node} cordoned{what}")
}

/// Puts a node back if its own memory says that a run has cordoned it, unless it was cordoned
/// again a good while after that run did.
async fn left_by(api: &Api, name: &str, at: &str) -> Result<Left, ApiError> {
    let node = node::get(api, name).await?;
    if !node::is_remembered(&node) {
        return Ok(Left::Alone);
    }
    let by_run = at.parse::<Timestamp>().ok();
    if let (Some(now), Some(by_run)) = (node::cordoned_at(&node), by_run)
        && now.duration_since(by_run) > SKEW
    {
        node::forget(api, name).await?;
        return Ok(Left::Kept);
    }
    node::uncordon(api, name, false).await.map(|_| Left::PutBack)
}

/// Those of a run whose lock was taken from it, wherever its journal is: the nodes say
/// themselves what they were, and when they were cordoned. One that was cordoned before that
/// run had the lock was left so by a run that came to its end.
pub async fn put_back_of(holder: &Holder, guard: &Guard, api: &Api, context: &Context) {
    let events = &context.session.events;
    let nodes = match api.list("/api/v1/nodes", "").await {
        Ok(nodes) => nodes,
        Err(error) => {
            let text = format!(
                "nodes that {} has left cordoned could not be looked for: {error}",
                holder.identity
            );
            return guard.note(events, text);
        }
    };
    let since = holder.since.parse::<Timestamp>().ok();
    let name = |node| serde_json::Value::pointer(node, "/metadata/name")?.as_str();
    for node in nodes.iter().filter(|node| node::is_remembered(node)) {
        let Some(name) = name(node) else { continue };
        let own = guard.run.left.iter().any(|(_, left)| left == name);
        let by_holder = node::cordoned_at(node)
            .zip(since)
            .is_some_and(|(at, since)| since.duration_since(at) <= BEFORE);
        if own || !by_holder {
            continue;
        }
        let left = node::uncordon(api, name, false).await.map(|_| Left::PutBack);
        guard.note(events, told(&holder.identity, name, left));
    }
}
