//! Reporters: each is a function of the event stream.

mod colour;
mod default;
mod diff;
mod document;
mod dump;
mod enabled;
mod json;
mod log;
mod minimal;
mod oneline;
mod options;
mod profile;
mod progress;
mod screen;
mod timer;
mod timing;

use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::events::Event;

pub use log::Log;
pub use options::{Callback, Format, Look};
pub use progress::Live;
pub use screen::warning;
pub use timing::TimingReporter;

/// How much is shown, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The number of `-v` flags.
    pub verbosity: u8,
    /// The whole run is in check mode.
    pub check: bool,
    pub colour: bool,
    /// Characters in a line of the terminal, for the stars of the headers.
    pub columns: usize,
    /// The live line, which all reporters write above (stdout is a terminal).
    pub live: Option<Live>,
    pub look: Look,
    /// Where what is shown is written to as well.
    pub log: Option<Log>,
}

/// The reporters that the settings ask for, in the order in which they write.
pub fn reporters(settings: Settings) -> Vec<Box<dyn Reporter>> {
    let extras = settings.look.enabled.start(&settings);
    std::iter::once(reporter(settings)).chain(extras).collect()
}

fn reporter(settings: Settings) -> Box<dyn Reporter> {
    match settings.look.callback {
        Callback::Default | Callback::Yaml | Callback::Debug => {
            Box::new(default::DefaultReporter::new(settings))
        }
        Callback::Minimal => Box::new(minimal::MinimalReporter::new(settings)),
        Callback::Oneline => Box::new(oneline::OnelineReporter::new(settings)),
        Callback::Json => Box::new(document::DocumentReporter::new(settings)),
    }
}

/// Someone who watches a run.
pub trait Reporter: Send {
    fn event(&mut self, event: &Event);
}

/// Where the engine puts events; cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    sender: UnboundedSender<Arc<Event>>,
}

impl Events {
    pub fn emit(&self, event: Event) {
        // Nobody listens any more only when the program is on its way out.
        let _ = self.sender.send(Arc::new(event));
    }
}

/// The reporters at work on a thread of their own.
pub struct Watchers {
    thread: thread::JoinHandle<()>,
}

impl Watchers {
    /// Starts the reporters; they stop when the last [`Events`] is dropped.
    pub fn start(reporters: Vec<Box<dyn Reporter>>) -> (Events, Self) {
        let (sender, receiver) = unbounded_channel();
        (Events { sender }, Self { thread: thread::spawn(move || watch(receiver, reporters)) })
    }

    /// Waits until everything that was emitted has been reported.
    pub fn finish(self) {
        // A reporter that panicked has said so on stderr; the run's own result stands.
        let _ = self.thread.join();
    }
}

fn watch(mut receiver: UnboundedReceiver<Arc<Event>>, mut reporters: Vec<Box<dyn Reporter>>) {
    while let Some(event) = receiver.blocking_recv() {
        for reporter in &mut reporters {
            reporter.event(&event);
        }
    }
}
