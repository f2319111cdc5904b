//! Ctrl-C and SIGTERM: the first lets what runs on the hosts end and starts
//! nothing new, the second stops the program at once.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cli::exit;
use crate::events::Event;
use crate::report::Events;

/// Tells everyone who asks whether the operator wants the run to stop.
#[derive(Clone, Debug)]
pub struct Interrupt {
    state: watch::Receiver<bool>,
    // Held so that the channel stays open.
    _sender: Arc<watch::Sender<bool>>,
    listener: Arc<JoinHandle<()>>,
}

impl Interrupt {
    /// Listens from now on.
    pub fn listen(events: Events) -> std::io::Result<Self> {
        let (sender, state) = watch::channel(false);
        let sender = Arc::new(sender);
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let notify = sender.clone();
        let listener = Arc::new(tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupts.recv() => {}
                    _ = terminations.recv() => {}
                }
                if notify.send_replace(true) {
                    // The operator has asked twice: no time for anything, and cordons
                    // that are still there are left to the next run.
                    std::process::exit(i32::from(exit::INTERRUPTED));
                }
                let text = "stopping: no new task starts, running tasks are waited for; \
                            press Ctrl-C again to stop at once"
                    .to_owned();
                events.emit(Event::Warning { text });
            }
        }));
        Ok(Self { state, _sender: sender, listener })
    }

    /// Stops listening, so that nobody holds the events' channel open.
    pub fn end(&self) {
        self.listener.abort();
    }

    pub fn requested(&self) -> bool {
        *self.state.borrow()
    }

    /// Returns when the operator asks for the stop.
    pub async fn wait(&self) {
        let mut state = self.state.clone();
        // The sender lives as long as self, so an error cannot come.
        let _ = state.wait_for(|requested| *requested).await;
    }
}
