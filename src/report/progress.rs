//! The live line at the bottom of a terminal: task, hosts done, time.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::Event;

/// The place of the line on the terminal, the same for all who write above it.
#[derive(Clone, Debug)]
pub struct Live(ProgressBar);

impl Live {
    pub fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        // The template is a constant; a wrong one would only lose the style.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }
}

/// A line that is redrawn in place; lines of the report go above it.
pub struct Progress {
    bar: ProgressBar,
    done: usize,
    hosts: usize,
    task: String,
    note: String,
}

impl Progress {
    pub fn new(live: Live) -> Self {
        Self { bar: live.0, done: 0, hosts: 0, task: String::new(), note: String::new() }
    }

    /// Takes the line away while `print` writes.
    pub fn above(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    pub fn event(&mut self, event: &Event) {
        match event {
            Event::TaskStarted { task, hosts } => {
                self.task.clone_from(&task.name);
                self.hosts = *hosts;
                self.done = 0;
                self.note.clear();
                // It has been over since the recap of a playbook before.
                self.bar.reset();
            }
            Event::HostFinished(_) => self.done += 1,
            Event::Asked { .. } | Event::Question { .. } => {
                // What is typed is not to be drawn over.
                self.bar.set_draw_target(ProgressDrawTarget::hidden());
                // A terminal that cannot be written to shows no line either.
                let _ = console::Term::stderr().clear_line();
                return;
            }
            Event::Answered { .. } | Event::ItemFinished(_) => {}
            Event::Progress { host, message, .. } => self.note = format!("[{host}] {message}"),
            Event::Recap { .. } | Event::Interrupted => {
                self.bar.finish_and_clear();
                return;
            }
            _ => return,
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_message(format!(
            "{} ({}/{} hosts) {}",
            self.task, self.done, self.hosts, self.note
        ));
    }
}
