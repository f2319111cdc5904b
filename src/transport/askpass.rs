//! Passwords for ssh. It asks for one by calling the program that `SSH_ASKPASS` names: that
//! is this program under another name, which fetches the answer over a socket beside it. Both
//! stand in a folder that no other user can enter, so that the password is never an argument,
//! an environment variable or a file.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream as Caller};

use crate::secret::Secret;

/// The name under which this program asks for ssh.
const PROGRAM: &str = "kup-play-askpass";
/// Where it asks: beside itself.
const SOCKET: &str = "askpass";
/// What a question for a password has in it, with or without its first letter; what else ssh
/// asks (a passphrase, whether a host key is right) is not for us to answer.
const FOR_PASSWORD: &str = "assword";
/// Bytes of a question that are read.
const LONGEST: u64 = 4096;
/// For the helper to put its question.
const PATIENCE: Duration = Duration::from_secs(5);

/// A password that is given to one ssh, once.
#[derive(Debug)]
pub struct Askpass {
    program: PathBuf,
    listener: UnixListener,
    heard: Arc<Mutex<Heard>>,
}

/// What was asked.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The password was given.
    pub given: bool,
    /// A question that was not answered.
    pub refused: Option<String>,
}

impl Askpass {
    /// `folder` is private; `executable` is this program.
    pub fn new(folder: &Path, executable: &Path) -> io::Result<Self> {
        let program = folder.join(PROGRAM);
        symlink(executable, &program)?;
        let listener = UnixListener::bind(folder.join(SOCKET))?;
        Ok(Self { program, listener, heard: Arc::default() })
    }

    /// What `SSH_ASKPASS` is to name.
    pub fn program(&self) -> &Path {
        &self.program
    }

    pub fn heard(&self) -> Heard {
        lock(&self.heard).clone()
    }

    /// Answers the process `ssh`, as long as it is polled.
    pub async fn answer(&self, ssh: Option<u32>, password: &Secret) {
        while let Ok((caller, _)) = self.listener.accept().await {
            let Ok(Ok((mut caller, question))) =
                tokio::time::timeout(PATIENCE, question_of(caller)).await
            else {
                continue;
            };
            let answered = {
                let mut heard = lock(&self.heard);
                // The ssh of a jump host is a child of ours and asks in the same way: it must
                // not get what is for the host behind it.
                let right =
                    question.contains(FOR_PASSWORD) && ssh.is_some() && asker(&caller) == ssh;
                let answered = right && !heard.given;
                if answered {
                    heard.given = true;
                } else if !right {
                    heard.refused = Some(question);
                }
                answered
            };
            if answered {
                let _ = caller.write_all(password.expose().as_bytes()).await;
                let _ = caller.shutdown().await;
            }
        }
    }
}

async fn question_of(mut caller: Caller) -> io::Result<(Caller, String)> {
    let mut question = Vec::new();
    (&mut caller).take(LONGEST).read_to_end(&mut question).await?;
    Ok((caller, String::from_utf8_lossy(&question).trim().to_owned()))
}

/// The process that called the helper at the other end.
fn asker(caller: &Caller) -> Option<u32> {
    let helper = caller.peer_cred().ok()?.pid()?;
    let status = fs::read_to_string(format!("/proc/{helper}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// What the program does when ssh calls it to ask for a password.
pub fn main(arguments: &[OsString]) -> Option<ExitCode> {
    let program = Path::new(arguments.first()?);
    if program.file_name()? != PROGRAM {
        return None;
    }
    let question = arguments.get(1).map(|words| words.to_string_lossy()).unwrap_or_default();
    let answer = ask(&program.with_file_name(SOCKET), &question);
    // ssh takes an empty answer for one: no answer is an exit code.
    let told = answer.filter(|answer| !answer.is_empty()).is_some_and(|answer| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&answer).and_then(|()| stdout.write_all(b"\n")).is_ok()
    });
    Some(if told { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ask(socket: &Path, question: &str) -> Option<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(question.as_bytes()).ok()?;
    stream.shutdown(Shutdown::Write).ok()?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).ok()?;
    Some(answer)
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
