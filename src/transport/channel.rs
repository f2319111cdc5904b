//! A command on a host with its three streams, whether it runs over ssh or here.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use openssh::Session;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

use super::ConnectionError;
use super::ssh::Master;

/// How much of a channel's stderr is kept: its start, where the reasons stand.
const STDERR_KEPT: usize = 4 * 1024 * 1024;

pub type Input = Box<dyn AsyncWrite + Send + Unpin>;
pub type Output = Box<dyn AsyncRead + Send + Unpin>;

/// Where commands can be started.
#[derive(Clone)]
pub enum Link {
    /// Here, in this folder.
    Local(PathBuf),
    Ssh(Arc<Master>),
}

/// A started command.
pub struct Channel {
    pub stdin: Input,
    pub stdout: BufReader<Output>,
    pub stderr: Output,
    pub process: Process,
}

/// What is left of a command besides its streams.
pub enum Process {
    Local(tokio::process::Child),
    Ssh(openssh::Child<Arc<Session>>),
}

impl Link {
    /// Starts a command line in the user's shell (over ssh) or in `/bin/sh` (here).
    pub async fn shell(&self, command: &str) -> Result<Channel, ConnectionError> {
        match self {
            Self::Local(folder) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(command).current_dir(folder);
                local(shell)
            }
            Self::Ssh(master) => over_ssh(master, command).await,
        }
    }

    /// Starts the program itself, here.
    pub fn program(
        folder: &Path,
        program: &Path,
        argument: &str,
    ) -> Result<Channel, ConnectionError> {
        let mut command = Command::new(program);
        command.arg(argument).current_dir(folder);
        local(command)
    }

    /// Why a channel of this link ended before its time, as far as is known.
    pub async fn why_lost(&self) -> Option<String> {
        match self {
            Self::Local(_) => None,
            Self::Ssh(master) => master.why_lost().await,
        }
    }
}

/// In a process group of its own: Ctrl-C on the terminal is the controller's to handle.
fn local(mut command: Command) -> Result<Channel, ConnectionError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let not_started = |error| ConnectionError::Agent(format!("cannot start a process: {error}"));
    let mut child = command.spawn().map_err(not_started)?;
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok(Channel {
            stdin: Box::new(stdin),
            stdout: BufReader::new(Box::new(stdout)),
            stderr: Box::new(stderr),
            process: Process::Local(child),
        }),
        _ => Err(not_started(std::io::Error::other("its streams are missing"))),
    }
}

async fn over_ssh(master: &Arc<Master>, command: &str) -> Result<Channel, ConnectionError> {
    let mut child = Session::to_raw_command(Arc::clone(master.session()), command);
    child
        .stdin(openssh::Stdio::piped())
        .stdout(openssh::Stdio::piped())
        .stderr(openssh::Stdio::piped());
    let mut child = match child.spawn().await {
        Ok(child) => child,
        Err(error) => return Err(master.lost(&error.to_string()).await),
    };
    match (child.stdin().take(), child.stdout().take(), child.stderr().take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok(Channel {
            stdin: Box::new(stdin),
            stdout: BufReader::new(Box::new(stdout)),
            stderr: Box::new(stderr),
            process: Process::Ssh(child),
        }),
        _ => Err(master.lost("the streams of a command are missing").await),
    }
}

impl Process {
    /// The exit code, or none when the connection broke or a signal ended the command.
    pub async fn wait(self) -> Option<i32> {
        match self {
            Self::Local(mut child) => child.wait().await.ok()?.code(),
            Self::Ssh(child) => match child.wait().await {
                Ok(status) => status.code(),
                // The library tells 127 apart from the other codes.
                Err(openssh::Error::Remote(_)) => Some(127),
                Err(_) => None,
            },
        }
    }
}

/// The stderr of a command, read as it comes.
#[derive(Clone)]
pub struct Stderr {
    text: Arc<Mutex<Vec<u8>>>,
    /// Changes with the text; closed at the stream's end.
    length: watch::Receiver<usize>,
}

impl Stderr {
    /// Takes the channel's stderr and reads it in the background until it ends.
    pub fn of(channel: &mut Channel) -> Self {
        let mut stream = std::mem::replace(&mut channel.stderr, Box::new(tokio::io::empty()));
        let text = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&text);
        let (changed, length) = watch::channel(0);
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                let mut text = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let room = STDERR_KEPT.saturating_sub(text.len()).min(n);
                text.extend_from_slice(buffer.get(..room).unwrap_or_default());
                changed.send_replace(text.len());
            }
        });
        Self { text, length }
    }

    pub fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Returns when more has come since the last call; never, when the stream has ended.
    pub async fn changed(&mut self) {
        if self.length.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns when the stream has ended.
    pub async fn ended(&mut self) {
        while self.length.changed().await.is_ok() {}
    }
}
