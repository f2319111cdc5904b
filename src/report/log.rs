//! What is shown, written to a file too (DEFAULT_LOG_PATH), as Ansible does it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::ZonedDateTime;

/// The file; each message begins with the time, the process and the user.
#[derive(Clone, Debug)]
pub struct Log {
    file: Arc<Mutex<File>>,
    user: String,
}

#[derive(Clone, Copy, Debug)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

impl Log {
    /// Goes on behind what the file holds already. A new one is the user's alone: results
    /// of tasks are in it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let user = ["LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
        let user = user.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
        Ok(Self { file: Arc::new(Mutex::new(file)), user })
    }

    /// Writes a message without its colours. A disk that is full is no reason to stop.
    pub fn write(&self, level: Level, text: &str) {
        let text = console::strip_ansi_codes(text);
        let text = text.trim_matches('\n');
        if text.is_empty() {
            return;
        }
        let time = ZonedDateTime::now().strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
        let line = format!(
            "{time} p={} u={} n=ansible {}| {text}\n",
            std::process::id(),
            self.user,
            level.name()
        );
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = file.write_all(line.as_bytes());
    }
}
