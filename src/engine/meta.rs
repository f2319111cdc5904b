//! `meta` tasks: what the engine itself does when a task asks for it.

use std::sync::Arc;

use super::Stop;
use super::batch::{Batch, Place};
use crate::events::Event;
use crate::playbook::Task;
use crate::source::Node;
use crate::template::Scope;

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
    let mut wanted = Vec::new();
    for host in hosts {
        let scope: Arc<dyn Scope> = Arc::new(batch.scope(host, task, place));
        if holds(batch, task, &scope)? {
            wanted.push(host.clone());
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    match name {
        "flush_handlers" => {
            tell(batch, "triggered running handlers");
            batch.flush_handlers().await?;
        }
        "noop" => {}
        "end_host" => {
            for host in &wanted {
                tell(batch, &format!("ending play for {host}"));
                batch.end_host(host);
            }
        }
        "end_play" | "end_batch" => {
            tell(batch, &format!("ending {}", name.trim_start_matches("end_")));
            batch.over = true;
            batch.ends_play |= name == "end_play";
        }
        "clear_host_errors" => batch.clear_errors(),
        "clear_facts" => {
            for host in &wanted {
                batch.run.manager.clear_facts(host);
            }
        }
        other => {
            let error = task.span.error(format!("invalid meta action requested: {other}"));
            return Err(Stop::Error(error.to_string()));
        }
    }
    Ok(())
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
