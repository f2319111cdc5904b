//! Writes a journal: one thread, records in the order in which they come, and one fsync
//! for all who wait for theirs.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::record::Record;

type Written = Result<(), String>;

struct Job {
    line: Vec<u8>,
    /// Whoever waits until the record is on disk.
    waits: Option<oneshot::Sender<Written>>,
}

/// The open journal of this run.
pub struct Journal {
    id: String,
    sender: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Writes to the end of `file`, which nobody else writes to.
    pub(super) fn start(id: String, file: File) -> Self {
        let (sender, receiver) = channel();
        let thread = std::thread::spawn(move || write_all(file, &receiver));
        Self { id, sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Puts the record on its way; it is on disk with the next one that is waited for.
    pub fn put(&self, record: &Record) {
        self.send(record, None);
    }

    /// Returns when the record is on disk.
    pub async fn keep(&self, record: &Record) -> Written {
        let (waits, written) = oneshot::channel();
        self.send(record, Some(waits));
        match written.await {
            Ok(written) => written,
            Err(_) => Err("its writer has ended".to_owned()),
        }
    }

    fn send(&self, record: &Record, waits: Option<oneshot::Sender<Written>>) {
        // A record is plain data, whose serialisation does not fail.
        let Ok(mut line) = serde_json::to_vec(record) else { return };
        line.push(b'\n');
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            // A writer that has ended is told to those who wait.
            let _ = sender.send(Job { line, waits });
        }
    }

    /// Returns when all is on disk; nothing more is written.
    pub fn finish(&self) {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.finish();
    }
}

fn write_all(mut file: File, receiver: &Receiver<Job>) {
    // After an error nothing is written: half a line with more behind it would be a lie.
    let mut state: Written = Ok(());
    while let Ok(first) = receiver.recv() {
        let mut bytes = first.line;
        let mut waiting: Vec<_> = first.waits.into_iter().collect();
        while let Ok(next) = receiver.try_recv() {
            bytes.extend_from_slice(&next.line);
            waiting.extend(next.waits);
        }
        if state.is_ok() {
            state = file.write_all(&bytes).map_err(|error| error.to_string());
        }
        if state.is_ok() && !waiting.is_empty() {
            state = file.sync_data().map_err(|error| error.to_string());
        }
        for waits in waiting {
            let _ = waits.send(state.clone());
        }
    }
    let _ = file.sync_data();
}

/// A folder's entries are on disk, new ones included.
pub(super) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
