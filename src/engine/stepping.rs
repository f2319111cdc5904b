//! `--start-at-task` and `--step`.

use std::sync::{Mutex, PoisonError};

use super::debugger::read_line;
use super::{Run, Stop};
use crate::events::{Event, TaskInfo};
use crate::modules::glob;
use crate::playbook::{Play, Task, Tasks};
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
        let mut tasks =
            sections.into_iter().flatten().flat_map(|item| item.tasks(Tasks::Unfailing));
        if tasks.any(|task| is_named(task, name)) { Ok(wanted.take()) } else { Err(()) }
    }

    /// The task that no play had.
    pub fn not_found(&self) -> Option<String> {
        self.start_at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What becomes of a task with `--step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Run,
    LeaveOut,
    /// Nobody answers any more.
    End,
}

/// Whether `--start-at-task` means this one: its name, or a glob of it.
pub fn is_named(task: &Task, wanted: &str) -> bool {
    let name = task.name.as_ref().and_then(Node::as_str);
    let title = task.title(name);
    let matches = |name: &str| name == wanted || glob::matches(wanted, name);
    name.is_some_and(matches) || matches(&title)
}

impl Run {
    /// What the operator wants of this task.
    pub(super) async fn step(&self, task: &TaskInfo) -> Result<Step, Stop> {
        if !*self.stepping.step.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Step::Run);
        }
        let kind = if task.handler { "HANDLER" } else { "TASK" };
        let text = format!("Perform task: {kind}: {} (N)o/(y)es/(c)ontinue:", task.name);
        self.events.emit(Event::Asked { text: format!("{text} ") });
        let Some(answer) = read_line().await? else {
            return Ok(Step::End);
        };
        self.events.emit(Event::Answered { text });
        Ok(match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Step::Run,
            "c" | "continue" => {
                *self.stepping.step.lock().unwrap_or_else(PoisonError::into_inner) = false;
                Step::Run
            }
            _ => Step::LeaveOut,
        })
    }
}
