//! Ctrl-C, SIGTERM and SIGHUP: the first lets what runs on the hosts end and starts
//! nothing new, the second stops the program at once.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
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
        let mut hangups = hangups()?;
        let notify = sender.clone();
        let listener = Arc::new(tokio::spawn(async move {
            loop {
                let hung_up = tokio::select! {
                    _ = interrupts.recv() => false,
                    _ = terminations.recv() => false,
                    () = hung_up(&mut hangups) => true,
                };
                let again = notify.send_replace(true);
                if again && hung_up {
                    // The kernel and the shell both tell of a terminal that is gone.
                    continue;
                }
                if again {
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

/// The terminal, or the login to this machine, may go while the run works; none where the
/// operator has said that it does not matter (nohup).
fn hangups() -> std::io::Result<Option<Signal>> {
    match is_ignored(SIGHUP) {
        true => Ok(None),
        false => signal(SignalKind::hangup()).map(Some),
    }
}

async fn hung_up(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}

const SIGHUP: u32 = 1;

/// As the kernel says; a signal that it does not tell of is taken for one that counts.
fn is_ignored(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (number - 1)) != 0)
}
