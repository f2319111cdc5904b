//! `--start-at-task` and `--step`.

use std::sync::{Mutex, PoisonError};

use super::{Run, Stop};
use crate::modules::glob;
use crate::playbook::{Play, Task};
use crate::source::Node;

/// What the operator still wants to be asked, and where the run begins.
#[derive(Debug, Default)]
pub struct Stepping {
    /// `--start-at-task`, until its play was found.
    start_at: Mutex<Option<String>>,
    /// `--step`, until the operator says `c`.
    step: Mutex<bool>,
}

impl Stepping {
    pub fn new(start_at: Option<String>, step: bool) -> Self {
        Self { start_at: Mutex::new(start_at), step: Mutex::new(step) }
    }

    /// The task that a play is to begin with, if it has it; `Err` if the play is to be left out.
    pub fn first_task(&self, play: &Play) -> Result<Option<String>, ()> {
        let mut wanted = self.start_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(name) = wanted.as_deref() else {
            return Ok(None);
        };
        let sections = [&play.pre_tasks, &play.tasks, &play.post_tasks];
        let mut tasks = sections.into_iter().flatten().flat_map(|item| item.tasks(false));
        if tasks.any(|task| is_named(task, name)) { Ok(wanted.take()) } else { Err(()) }
    }

    /// The task that no play had.
    pub fn not_found(&self) -> Option<String> {
        self.start_at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether `--start-at-task` means this one: its name, or a glob of it.
pub fn is_named(task: &Task, wanted: &str) -> bool {
    let name = task.name.as_ref().and_then(Node::as_str);
    let title = task.title(name);
    let matches = |name: &str| name == wanted || glob::matches(wanted, name);
    name.is_some_and(matches) || matches(&title)
}

impl Run {
    /// Whether the operator wants this task to run.
    pub(super) async fn step(&self, title: &str, hosts: &[String]) -> Result<bool, Stop> {
        if !*self.stepping.step.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(true);
        }
        let question =
            format!("Perform task: TASK: {title} on {} (N)o/(y)es/(c)ontinue: ", hosts.join(", "));
        let answer = tokio::task::spawn_blocking(move || {
            let terminal = console::Term::stderr();
            terminal.write_str(&question)?;
            let mut line = String::new();
            std::io::stdin().read_line(&mut line)?;
            Ok::<_, std::io::Error>(line)
        });
        let answer = answer
            .await
            .map_err(|error| Stop::Error(error.to_string()))?
            .map_err(|error| Stop::Error(format!("no answer could be read: {error}")))?;
        Ok(match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => true,
            "c" | "continue" => {
                *self.stepping.step.lock().unwrap_or_else(PoisonError::into_inner) = false;
                true
            }
            _ => false,
        })
    }
}
