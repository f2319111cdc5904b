//! Facts at the start of a play.

use std::sync::Arc;

use super::batch::{Batch, Place};
use super::fact_modules::GATHERED;
use super::keywords::flag_of;
use super::{Gathering, Run, Stop};
use crate::playbook::{Keywords, Play, Task, normalise};
use crate::source::{Node, Yaml};

/// Runs `gather_facts` on the batch unless the play says no.
pub async fn facts(run: &Run, play: &Play, batch: &mut Batch<'_>) -> Result<(), Stop> {
    let hosts = batch.alive();
    let task = task(play);
    let said = match &play.gather_facts {
        Some(_) => None,
        None => Some(run.settings.gathering),
    };
    let hosts = match said {
        Some(Gathering::Explicit) => return Ok(()),
        // Facts that are known stay so.
        Some(Gathering::Smart) => {
            let unknown = |host: &String| !run.manager.facts(host).contains_key(GATHERED);
            hosts.into_iter().filter(unknown).collect()
        }
        Some(Gathering::Implicit) | None => hosts,
    };
    let Some(first) = hosts.first() else {
        return Ok(());
    };
    if let Some(node) = &play.gather_facts {
        let scope = Arc::new(batch.scope(first, &task, &Place::default()));
        let scope: Arc<dyn crate::template::Scope> = scope;
        if !flag_of(run.templar(), node, &scope).map_err(Stop::of_failure)? {
            return Ok(());
        }
    }
    let first_task = batch.first_task.take();
    let gathered = batch.task(&task, hosts, &Place::default()).await;
    batch.first_task = first_task;
    gathered
}

fn task(play: &Play) -> Task {
    let mut keywords: Keywords = (*play.keywords).clone();
    // Facts are for every task, whatever tags are selected.
    keywords.tags = vec!["always".to_owned()];
    keywords.run_once = None;
    let named = |name: &str, node: &Option<Node>| {
        let key = Node::new(Yaml::Str(name.to_owned()), play.span.clone());
        node.clone().map(|node| (key, node))
    };
    let mut arguments: Vec<_> = [
        named("gather_subset", &play.gather_subset),
        named("gather_timeout", &play.gather_timeout),
        named("fact_path", &play.fact_path),
    ]
    .into_iter()
    .flatten()
    .collect();
    let defaults = play.keywords.module_defaults.iter();
    let mut defaults = defaults.flat_map(|node| node.as_map().unwrap_or_default());
    let is_ours = |name: &str| normalise(name) == "gather_facts";
    let own = defaults.rfind(|(key, _)| key.as_str().is_some_and(is_ours));
    for (key, value) in own.and_then(|(_, node)| node.as_map()).unwrap_or_default() {
        if !arguments.iter().any(|(known, _)| known.as_str() == key.as_str()) {
            arguments.push((key.clone(), value.clone()));
        }
    }
    let keywords = Arc::new(keywords);
    Task {
        name: Some(Node::new(Yaml::Str("Gathering Facts".to_owned()), play.span.clone())),
        arguments: Some(Node::new(Yaml::Map(arguments), play.span.clone())),
        ..Task::new("gather_facts", keywords, play.span.clone())
    }
}
