//! `meta` tasks: what the engine itself does when a task asks for it.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::Stop;
use super::batch::{Batch, End, Place};
use crate::events::{Event, HostResult, Status};
use crate::playbook::Task;
use crate::source::Node;
use crate::template::Scope;

/// What one host's condition decides for that host alone.
const PER_HOST: &[&str] = &["noop", "flush_handlers", "end_host", "end_role", "reset_connection"];
/// What is done whatever `when` says.
const UNCONDITIONAL: &[&str] = &["noop", "refresh_inventory", "reset_connection"];

pub async fn run(
    batch: &mut Batch<'_>,
    task: &Task,
    hosts: &[String],
    place: &Place,
) -> Result<(), Stop> {
    let Some(name) = task.free_form.as_ref().and_then(Node::as_str) else {
        let error = task.span.error("meta needs the name of what to do");
        return Err(Stop::Error(error.to_string()));
    };
    let asked = if PER_HOST.contains(&name) { hosts } else { hosts.get(..1).unwrap_or_default() };
    let mut wanted = Vec::new();
    for host in asked {
        let scope: Arc<dyn Scope> = Arc::new(batch.scope(host, task, place));
        let info = Arc::new(batch.info(task, &scope));
        if !batch.apart {
            batch.run.tell_task(&info, 1);
        }
        if UNCONDITIONAL.contains(&name) && !task.keywords.when.is_empty() {
            let text = format!("{name} task does not support when conditional");
            batch.run.warn(text);
        }
        if UNCONDITIONAL.contains(&name) || holds(batch, task, &scope)? {
            tell(batch, &done(name, host, place));
            wanted.push(host.clone());
            continue;
        }
        let result = skipped(name, host, place);
        tell(batch, result.get("skip_reason").and_then(Json::as_str).unwrap_or_default());
        batch.run.events.emit(Event::HostFinished(HostResult {
            task: info,
            host: host.clone(),
            delegated_to: None,
            status: Status::Skipped,
            item: None,
            rescued: false,
            result,
            duration: std::time::Duration::ZERO,
        }));
    }
    if wanted.is_empty() { Ok(()) } else { act(batch, task, name, &wanted, place).await }
}

async fn act(
    batch: &mut Batch<'_>,
    task: &Task,
    name: &str,
    wanted: &[String],
    place: &Place,
) -> Result<(), Stop> {
    match name {
        "flush_handlers" if place.of_handlers => {
            let error = task.span.error("flush_handlers cannot be used as a handler");
            return Err(Stop::Error(error.to_string()));
        }
        "flush_handlers" => batch.flush_handlers(wanted, place.rescuable).await?,
        "noop" => {}
        "end_host" => wanted.iter().for_each(|host| batch.end_host(host)),
        "end_role" => wanted.iter().for_each(|host| batch.end_role(host, place)),
        "end_play" | "end_batch" => {
            let end = if name == "end_play" { End::Play } else { End::Batch };
            // The first one has ended it for all.
            let _ = batch.end.set(end);
        }
        "clear_host_errors" => batch.clear_errors(),
        "clear_facts" => {
            for host in batch.hosts.clone() {
                batch.run.manager.clear_facts(&host);
            }
        }
        "refresh_inventory" => {
            let read = batch.run.refresh_inventory();
            read.map_err(|error| Stop::Error(error.to_string()))?;
        }
        "reset_connection" => batch.reset_connections(task, wanted, place).await?,
        other => {
            let error = task.span.error(format!("invalid meta action requested: {other}"));
            return Err(Stop::Error(error.to_string()));
        }
    }
    Ok(())
}

/// What is said under `-vv` of what is done.
fn done(name: &str, host: &str, place: &Place) -> String {
    match name {
        "flush_handlers" => format!("triggered running handlers for {host}"),
        "end_host" => format!("ending play for {host}"),
        "end_role" => format!("ending role {} for {host}", place.role_name()),
        "end_play" | "end_batch" => format!("ending {}", name.trim_start_matches("end_")),
        "clear_facts" => "facts cleared".to_owned(),
        "clear_host_errors" => "cleared host errors".to_owned(),
        "refresh_inventory" => "inventory successfully refreshed".to_owned(),
        "reset_connection" => "reset connection".to_owned(),
        other => other.to_owned(),
    }
}

/// What is said of a host whose condition does not hold.
fn skipped(name: &str, host: &str, place: &Place) -> super::result::Result {
    let consequence = match name {
        "end_host" => format!("continuing execution for {host}"),
        "flush_handlers" => format!("not running handlers for {host}"),
        "end_role" => format!("continuing role {} for {host}", place.role_name()),
        "end_play" => "continuing play".to_owned(),
        "end_batch" => "continuing current batch".to_owned(),
        "clear_facts" => format!("not clearing facts and fact cache for {host}"),
        _ => format!("not clearing host error state for {host}"),
    };
    let msg = match name {
        "end_host" => format!("end_host conditional evaluated to false, {consequence}"),
        _ => name.to_owned(),
    };
    let reason = format!("{name} conditional evaluated to False, {consequence}");
    super::result::Result::from_iter([
        ("msg".to_owned(), json!(msg)),
        ("skip_reason".to_owned(), json!(reason)),
    ])
}

fn holds(batch: &Batch<'_>, task: &Task, scope: &Arc<dyn Scope>) -> Result<bool, Stop> {
    for condition in &task.keywords.when {
        let held = batch.run.templar().condition(condition, scope);
        if !held.map_err(|error| Stop::Error(error.to_string()))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn tell(batch: &Batch<'_>, text: &str) {
    batch.run.events.emit(Event::Meta { text: text.to_owned() });
}
