//! Facts at the start of a play.

use std::sync::Arc;

use super::batch::{Batch, Place};
use super::keywords::flag_of;
use super::{Run, Stop};
use crate::playbook::{Keywords, LoopControl, Play, Task};
use crate::source::{Node, Yaml};

/// Runs `setup` on the batch unless the play says no.
pub async fn facts(run: &Run, play: &Play, batch: &mut Batch<'_>) -> Result<(), Stop> {
    let hosts = batch.alive();
    let Some(first) = hosts.first() else {
        return Ok(());
    };
    let task = task(play);
    if let Some(node) = &play.gather_facts {
        let scope = Arc::new(batch.scope(first, &task, &Place::default()));
        let scope: Arc<dyn crate::template::Scope> = scope;
        if !flag_of(run.templar(), node, &scope).map_err(Stop::of_failure)? {
            return Ok(());
        }
    }
    batch.task(&task, hosts, &Place::default()).await
}

fn task(play: &Play) -> Task {
    let mut keywords: Keywords = (*play.keywords).clone();
    // Facts are for every task, whatever tags are selected.
    keywords.tags = vec!["always".to_owned()];
    keywords.run_once = None;
    Task {
        name: Some(Node::new(Yaml::Str("Gathering Facts".to_owned()), play.span.clone())),
        module: "setup".to_owned(),
        written_module: "setup".to_owned(),
        arguments: None,
        free_form: None,
        outer: play.keywords.clone(),
        keywords: Arc::new(keywords),
        async_: None,
        poll: None,
        loop_: None,
        loop_control: LoopControl::default(),
        register: None,
        until: Vec::new(),
        retries: None,
        delay: None,
        changed_when: Vec::new(),
        failed_when: Vec::new(),
        notify: Vec::new(),
        listen: Vec::new(),
        handler: false,
        role: None,
        span: play.span.clone(),
    }
}
