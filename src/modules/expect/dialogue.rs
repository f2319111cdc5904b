//! The conversation itself: a command in a terminal of its own, what it says there, and
//! what is typed in return.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use fancy_regex::Regex;
use pty_process::blocking::{Command, Pty, open};
use pty_process::{Error, Size};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::modules::output::Bounded;
use crate::modules::{Failure, pattern, process};

/// How much of what nothing has matched yet is looked at.
const WINDOW: usize = 64 * 1024;
/// Many programs ask before they are ready to read; what comes too early they throw away.
const BEFORE_ANSWER: Duration = Duration::from_millis(50);
/// Between one way of ending a command and the next.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often it is looked whether the task has been stopped.
const LOOK: Duration = Duration::from_millis(500);

/// What is typed at a prompt, without its line end.
#[derive(Debug)]
pub enum Answers {
    Always(String),
    Each(VecDeque<String>),
}

impl Answers {
    pub fn each(answers: impl Iterator<Item = String>) -> Self {
        Self::Each(answers.collect())
    }

    fn next(&mut self) -> Option<String> {
        match self {
            Self::Always(answer) => Some(answer.clone()),
            Self::Each(answers) => answers.pop_front(),
        }
    }
}

/// What the command may say, and what it is told then.
#[derive(Debug)]
pub struct Prompt {
    pattern: String,
    regex: Regex,
    answers: Answers,
}

impl Prompt {
    /// In the pattern a dot is any character, line ends too.
    pub fn new(pattern: &str, answers: Answers) -> Result<Self, Failure> {
        let regex = pattern::compile(&format!("(?s){pattern}"), false)?;
        Ok(Self { pattern: pattern.to_owned(), regex, answers })
    }
}

/// What there is to say and to hear.
#[derive(Debug)]
pub struct Dialogue {
    pub words: Vec<String>,
    pub folder: Option<PathBuf>,
    pub environment: BTreeMap<String, String>,
    pub prompts: Vec<Prompt>,
    /// How long nothing may match.
    pub limit: Option<Duration>,
    pub echo: bool,
}

/// How it ended.
#[derive(Debug)]
pub struct End {
    pub output: String,
    /// None for a command that did not end by itself.
    pub rc: Option<i32>,
    pub is_utf8: bool,
}

impl Dialogue {
    pub fn hold(mut self) -> Result<End, Failure> {
        let (mut pty, mut child) = self.start()?;
        let held = self.talk(&mut pty);
        // Whatever still runs learns that its terminal is gone.
        drop(pty);
        let rc = end(&mut child);
        process::ended(child.id());
        let heard = held?;
        let is_utf8 = heard.is_utf8 && heard.cut.is_empty();
        Ok(End { output: heard.all.into_text(), rc, is_utf8 })
    }

    fn start(&self) -> Result<(Pty, Child), Failure> {
        let mut words = self.words.iter();
        let program = words.next().map_or("", String::as_str);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                Failure::new(format!("The command was not found or was not executable: {program}."))
            }
            _ => Failure::new(format!("{program} cannot be run at a terminal: {error}")),
        };
        let (pty, pts) = open().map_err(|error| failed(plain(error)))?;
        // As wide as the terminals that prompts are made for.
        pty.resize(Size::new(24, 80)).map_err(|error| failed(plain(error)))?;
        if !self.echo {
            let silent = tcgetattr(&pty).and_then(|mut modes| {
                modes.local_modes.remove(LocalModes::ECHO);
                tcsetattr(&pty, OptionalActions::Now, &modes)
            });
            silent.map_err(|error| failed(error.into()))?;
        }
        let mut command = Command::new(program).args(words).envs(&self.environment);
        if let Some(folder) = &self.folder {
            if !folder.is_dir() {
                let folder = folder.display();
                return Err(Failure::new(format!("chdir {folder} is not a folder")));
            }
            command = command.current_dir(folder);
        }
        let child = process::start_by(|| command.spawn(pts).map_err(plain)).map_err(failed)?;
        Ok((pty, child))
    }

    /// Until the command closes its terminal, is silent for too long, or is to be stopped.
    fn talk(&mut self, pty: &mut Pty) -> Result<Heard, Failure> {
        let mut heard = Heard::default();
        let mut since = Instant::now();
        let mut buffer = [0; 4096];
        while !process::stop_requested() {
            if let Some((prompt, end)) = self.matched(&heard.pending)? {
                let said: String = heard.pending.drain(..end).collect();
                let Some(answer) = prompt.answers.next() else {
                    return Err(Failure::new(format!(
                        "No remaining responses for '{}', output was '{said}'",
                        prompt.pattern
                    )));
                };
                thread::sleep(BEFORE_ANSWER);
                let line = format!("{}\n", answer.trim_end_matches('\n'));
                // A command that has ended takes no answer; its output tells so.
                let _ = pty.write_all(line.as_bytes());
                since = Instant::now();
                continue;
            }
            let left = self.limit.map(|limit| limit.saturating_sub(since.elapsed()));
            if left == Some(Duration::ZERO) {
                break;
            }
            if !is_ready(pty, left.map_or(LOOK, |left| left.min(LOOK)))? {
                continue;
            }
            match pty.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // EIO is how Linux says that nobody has the terminal open any more.
                Ok(0) | Err(_) => break,
                Ok(count) => heard.push(buffer.get(..count).unwrap_or_default()),
            }
        }
        Ok(heard)
    }

    /// The prompt that comes first in the text, and where it ends. One that matches
    /// nothing would be answered without end.
    fn matched(&mut self, text: &str) -> Result<Option<(&mut Prompt, usize)>, Failure> {
        let mut first: Option<(usize, usize, usize)> = None;
        for (index, prompt) in self.prompts.iter().enumerate() {
            let Some(found) = pattern::search(&prompt.regex, text)?.and_then(|found| found.get(0))
            else {
                continue;
            };
            let earlier = first.is_none_or(|(start, ..)| found.start() < start);
            if earlier && found.end() > found.start() {
                first = Some((found.start(), found.end(), index));
            }
        }
        Ok(first.and_then(|(_, end, index)| Some((self.prompts.get_mut(index)?, end))))
    }
}

/// What the command has said.
struct Heard {
    all: Bounded,
    /// What no prompt has matched yet.
    pending: String,
    /// The beginning of a character whose rest has not come.
    cut: Vec<u8>,
    is_utf8: bool,
}

impl Default for Heard {
    fn default() -> Self {
        Self { all: Bounded::default(), pending: String::new(), cut: Vec::new(), is_utf8: true }
    }
}

impl Heard {
    fn push(&mut self, bytes: &[u8]) {
        self.all.push(bytes);
        self.cut.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.cut);
        for chunk in bytes.utf8_chunks() {
            self.pending.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.cut = chunk.invalid().to_vec();
            }
        }
        let ends_in_cut = bytes.ends_with(&self.cut) && is_beginning(&self.cut);
        if !ends_in_cut {
            self.is_utf8 = false;
            self.cut.clear();
        }
        let surplus = self.pending.len().saturating_sub(WINDOW);
        if surplus > 0 {
            let mut ends = surplus..=self.pending.len();
            let end = ends.find(|at| self.pending.is_char_boundary(*at));
            self.pending.drain(..end.unwrap_or(surplus));
        }
    }
}

/// Whether bytes may become one character with those that follow.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).err().is_none_or(|error| error.error_len().is_none())
}

fn is_ready(pty: &Pty, wait: Duration) -> Result<bool, Failure> {
    let timeout = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(wait.subsec_nanos()),
    };
    let mut fds = [PollFd::new(pty, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timeout)));
    ready.map(|count| count > 0).map_err(|error| Failure::new(format!("the terminal: {error}")))
}

/// Ends a command that does not by itself once it has no terminal; its code if it does.
fn end(child: &mut Child) -> Option<i32> {
    for signal in [None, Some(Signal::HUP), Some(Signal::INT), Some(Signal::KILL)] {
        if let Some(signal) = signal {
            process::send(child.id(), signal);
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match child.try_wait() {
                Ok(Some(status)) => return status.code(),
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                Err(_) => return None,
            }
        }
    }
    let _ = child.wait();
    None
}

fn plain(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::Rustix(error) => error.into(),
    }
}
