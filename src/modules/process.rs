//! Running commands on the host: each in a process group of its own that ends
//! with its task, its output bounded in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{cell::Cell, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, test_kill_process_group,
};

use super::output::Bounded;
use super::{Context, Failure};
use crate::deadline;

/// Between the polite and the hard end of a process group.
const GRACE: Duration = Duration::from_secs(2);
/// How long output is awaited that a background process may still write.
const AFTER_EXIT: Duration = Duration::from_millis(100);

/// A command to run. Nothing is read by a shell unless [`Process::shell`] made it.
#[derive(Clone, Debug)]
pub struct Process {
    program: OsString,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, String>,
    cwd: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    timeout: Option<Duration>,
    to_its_end: bool,
}

/// What a command printed and how it ended. Bytes that are no UTF-8 are replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// The exit code; a command ended by a signal has the signal's number, negated.
    pub rc: i32,
    pub stdout: String,
    pub stderr: String,
    /// The command was ended because its time was up.
    pub timed_out: bool,
}

impl Output {
    pub fn success(&self) -> bool {
        self.rc == 0 && !self.timed_out
    }
}

impl Process {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            cwd: None,
            stdin: None,
            timeout: None,
            to_its_end: false,
        }
    }

    /// A script for `/bin/sh`.
    pub fn shell(script: impl AsRef<OsStr>) -> Self {
        Self::new("/bin/sh").arg("-c").arg(script)
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// The environment of the task, on top of the agent's own.
    pub fn in_context(mut self, context: &Context) -> Self {
        self.environment.extend(context.environment.clone());
        self
    }

    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Lets the command go on when its task is stopped or the agent ends, for what would
    /// leave a host broken if it stopped half way (a package installation, an upgrade).
    /// Its own time-out still holds. Such a command has no standard input.
    pub fn to_its_end(mut self) -> Self {
        self.to_its_end = true;
        self
    }

    /// Runs the command to its end. Only a command that cannot be started is an
    /// error, in Ansible's words and with its `rc` (the errno).
    pub fn run(&self) -> Result<Output, Failure> {
        if self.to_its_end {
            return self.run_to_its_end().map_err(|error| self.not_started(&error));
        }
        let mut command = self.command();
        command
            .stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = start(&mut command).map_err(|error| self.not_started(&error))?;
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), self.stdin.clone()) {
            // A command may well end without reading all of its input.
            thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
        let leader = child.id();
        let watched = watch(&mut child, self.timeout.map(deadline::after));
        match &watched {
            Ok(output) if output.timed_out || stop_requested() => end_rest(leader),
            Ok(_) => {}
            Err(_) => {
                // Nobody reads its output any more: do not leave it behind.
                send(leader, Signal::KILL);
                let _ = child.wait();
            }
        }
        ended(leader);
        watched.map_err(|error| self.not_started(&error))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(&self.environment).process_group(0);
        if let Some(folder) = &self.cwd {
            command.current_dir(folder);
        }
        command
    }

    /// The output goes to files without a name: a pipe would end with the agent, and
    /// the command with the pipe.
    fn run_to_its_end(&self) -> io::Result<Output> {
        let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
        let mut child = start_apart(&mut command)?;
        let mut deadline = self.timeout.map(deadline::after);
        let mut timed_out = false;
        let mut pause = Duration::from_millis(1);
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if deadline.is_some_and(|at| Instant::now() >= at) {
                send(child.id(), if timed_out { Signal::KILL } else { Signal::TERM });
                deadline = Some(Instant::now() + GRACE);
                timed_out = true;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        };
        if timed_out {
            end_rest(child.id());
        }
        let (stdout, stderr) = (read_back(&mut out)?, read_back(&mut err)?);
        Ok(Output { rc: exit_code(status), stdout, stderr, timed_out })
    }

    fn not_started(&self, error: &io::Error) -> Failure {
        let program = self.program.to_string_lossy();
        match error.raw_os_error() {
            Some(errno) => Failure::new(format!(
                "[Errno {errno}] {}: b'{program}'",
                error.to_string().trim_end_matches(&format!(" (os error {errno})"))
            ))
            .with("rc", errno),
            None => Failure::new(format!("{program}: {error}")).with("rc", 1),
        }
    }
}

/// Reads the output until the command has ended and nothing more comes.
fn watch(child: &mut Child, deadline: Option<Instant>) -> io::Result<Output> {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Bounded::default(), Bounded::default());
    let mut deadline = deadline;
    let mut timed_out = false;
    let mut status = None;
    let mut end = End::of(child);
    loop {
        if status.is_some() && stdout.is_none() && stderr.is_none() {
            break;
        }
        let wait = match (&status, deadline) {
            (Some(_), _) => AFTER_EXIT,
            (None, Some(at)) => end.pause().min(at.saturating_duration_since(Instant::now())),
            (None, None) => end.pause(),
        };
        let watched = if status.is_none() { end.0.as_ref().ok() } else { None };
        let ready = wait_ready(stdout.as_ref(), stderr.as_ref(), watched, wait)?;
        if ready.stdout {
            take(&mut stdout, &mut out)?;
        }
        if ready.stderr {
            take(&mut stderr, &mut err)?;
        }
        let quiet = !ready.stdout && !ready.stderr;
        if status.is_some() && quiet {
            break;
        }
        if status.is_none() && (ready.end || quiet || (stdout.is_none() && stderr.is_none())) {
            status = child.try_wait()?;
        }
        if deadline.is_some_and(|at| Instant::now() >= at) && status.is_none() {
            send(child.id(), if timed_out { Signal::KILL } else { Signal::TERM });
            deadline = Some(Instant::now() + GRACE);
            timed_out = true;
        }
    }
    let rc = status.map_or(-1, exit_code);
    Ok(Output { rc, stdout: out.into_text(), stderr: err.into_text(), timed_out })
}

/// How the end of a command is noticed: the kernel tells, or, where it cannot (before
/// Linux 5.3), it is looked for more and more seldom.
struct End(Result<OwnedFd, Duration>);

impl End {
    fn of(child: &Child) -> Self {
        let told = pidfd_open(Pid::from_child(child), PidfdFlags::empty());
        Self(told.map_err(|_| Duration::from_millis(1)))
    }

    /// How long to wait for output before looking again.
    fn pause(&mut self) -> Duration {
        match &mut self.0 {
            Ok(_) => Duration::from_secs(1),
            Err(pause) => {
                let now = *pause;
                *pause = (now * 2).min(Duration::from_millis(100));
                now
            }
        }
    }
}

/// What can be read without waiting.
#[derive(Default)]
struct Ready {
    stdout: bool,
    stderr: bool,
    end: bool,
}

/// Waits for output or the end of the command, but not for longer than `wait`.
fn wait_ready(
    stdout: Option<&impl AsFd>,
    stderr: Option<&impl AsFd>,
    end: Option<&OwnedFd>,
    wait: Duration,
) -> io::Result<Ready> {
    let timeout = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(wait.subsec_nanos()),
    };
    let mut fds = Vec::with_capacity(3);
    fds.extend(stdout.map(|stream| PollFd::new(stream, PollFlags::IN)));
    fds.extend(stderr.map(|stream| PollFd::new(stream, PollFlags::IN)));
    fds.extend(end.map(|end| PollFd::new(end, PollFlags::IN)));
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timeout)))?;
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    let mut next = |asked: bool| asked && ready.next().unwrap_or(false);
    Ok(Ready {
        stdout: next(stdout.is_some()),
        stderr: next(stderr.is_some()),
        end: next(end.is_some()),
    })
}

/// One read; the stream is dropped at its end.
fn take(stream: &mut Option<impl Read>, into: &mut Bounded) -> io::Result<()> {
    let mut buffer = [0; 64 * 1024];
    let Some(reader) = stream else { return Ok(()) };
    match reader.read(&mut buffer) {
        Ok(0) => *stream = None,
        Ok(n) => into.push(buffer.get(..n).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// What was written to a file from its start.
fn read_back(file: &mut File) -> io::Result<String> {
    file.seek(io::SeekFrom::Start(0))?;
    let mut kept = Bounded::default();
    let mut buffer = [0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(kept.into_text()),
            n => kept.push(buffer.get(..n).unwrap_or_default()),
        }
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(1))
}

/// The process groups that run, by their leader, with the task that started each.
#[derive(Default)]
struct Groups {
    running: HashMap<u32, Option<u64>>,
    stopped: HashSet<u64>,
    /// The agent is ending: nothing may be started any more.
    closed: bool,
}

static GROUPS: LazyLock<Mutex<Groups>> = LazyLock::new(Mutex::default);

thread_local! {
    static TASK: Cell<Option<u64>> = const { Cell::new(None) };
}

fn groups() -> MutexGuard<'static, Groups> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(command: &mut Command) -> io::Result<Child> {
    start_by(|| command.spawn())
}

/// Starts a command, the leader of a group, unless its task has been stopped. The lock is
/// held so that a stop either sees the new group or prevents it.
pub(super) fn start_by(spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<Child> {
    let task = TASK.get();
    let mut groups = groups();
    if groups.closed || task.is_some_and(|id| groups.stopped.contains(&id)) {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "the task was stopped"));
    }
    let child = spawn()?;
    groups.running.insert(child.id(), task);
    Ok(child)
}

/// Notes that a group's leader has ended and was waited for.
pub(super) fn ended(leader: u32) {
    groups().running.remove(&leader);
}

/// Starts a command that no stop reaches; none is started once the task is stopped.
fn start_apart(command: &mut Command) -> io::Result<Child> {
    let groups = groups();
    if groups.closed || TASK.get().is_some_and(|id| groups.stopped.contains(&id)) {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "the task was stopped"));
    }
    command.spawn()
}

/// Gives what is left of a group, whose leader has ended on request, the same time to end.
fn end_rest(leader: u32) {
    let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) else { return };
    let deadline = Instant::now() + GRACE;
    while test_kill_process_group(pid).is_ok() {
        if Instant::now() >= deadline {
            send(leader, Signal::KILL);
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn send(leader: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // It may have ended by itself in between.
        let _ = kill_process_group(pid, signal);
    }
}

/// Runs a task's module: what it starts from this thread belongs to that task.
pub(crate) fn in_task<R>(id: u64, work: impl FnOnce() -> R) -> R {
    TASK.set(Some(id));
    let result = work();
    TASK.set(None);
    groups().stopped.remove(&id);
    result
}

/// Whether the task of this thread is to end; for modules that wait or loop.
pub fn stop_requested() -> bool {
    let groups = groups();
    groups.closed || TASK.get().is_some_and(|id| groups.stopped.contains(&id))
}

/// Ends what a task has started, politely first.
pub(crate) fn stop_task(id: u64) {
    groups().stopped.insert(id);
    let of_task = move |signal| {
        let groups = groups();
        let mine = groups.running.iter().filter(|(_, task)| **task == Some(id));
        mine.map(|(leader, _)| send(*leader, signal)).count()
    };
    if of_task(Signal::TERM) > 0 {
        thread::spawn(move || {
            thread::sleep(GRACE);
            of_task(Signal::KILL)
        });
    }
}

/// Ends everything that was started, and returns when it has ended or was killed.
pub(crate) fn stop_all() {
    groups().closed = true;
    let all = |signal| groups().running.keys().map(|leader| send(*leader, signal)).count();
    let deadline = Instant::now() + GRACE;
    all(Signal::TERM);
    while Instant::now() < deadline && !groups().running.is_empty() {
        thread::sleep(Duration::from_millis(10));
    }
    all(Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_exit_code_are_returned() {
        let output = Process::shell("echo out; echo err >&2; exit 3").run().unwrap();
        assert_eq!((output.rc, output.success()), (3, false));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn stdin_environment_and_folder_reach_the_command() {
        let output = Process::shell("cat; echo $GREETING; pwd")
            .stdin("typed\n")
            .env("GREETING", "hello")
            .cwd("/usr")
            .run()
            .unwrap();
        assert_eq!(output.stdout, "typed\nhello\n/usr\n");
    }

    #[test]
    fn a_missing_command_has_the_words_of_ansible() {
        let failure = Process::new("nosuchcmd").run().unwrap_err();
        assert_eq!(failure.msg, "[Errno 2] No such file or directory: b'nosuchcmd'");
        assert_eq!(failure.result["rc"], 2);
    }

    #[test]
    fn a_timeout_ends_the_whole_process_group() {
        let started = Instant::now();
        let output = Process::shell("sleep 60 & echo $!; wait")
            .timeout(Duration::from_millis(200))
            .run()
            .unwrap();
        assert!(output.timed_out && !output.success());
        assert!(started.elapsed() < Duration::from_secs(10));
        let sleeper = output.stdout.trim();
        let stat = std::fs::read_to_string(format!("/proc/{sleeper}/stat"));
        assert!(stat.is_err() || stat.unwrap().contains(") Z"), "{sleeper} still runs");
    }

    #[test]
    fn what_must_not_stop_half_way_outlives_its_task() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo begun > begun; sleep 1; echo said; echo ended > ended";
        let process = Process::shell(script).cwd(folder.path()).to_its_end();
        let id = 4_000_001;
        let task = thread::spawn(move || in_task(id, || process.run()));
        while !folder.path().join("begun").exists() {
            thread::sleep(Duration::from_millis(10));
        }
        stop_task(id);
        let output = task.join().unwrap().unwrap();
        assert_eq!((output.rc, output.stdout.as_str()), (0, "said\n"));
        assert!(folder.path().join("ended").exists());
    }

    #[test]
    fn a_time_out_ends_even_that() {
        let process = Process::new("sleep").arg("30").to_its_end();
        let output = process.timeout(Duration::from_millis(100)).run().unwrap();
        assert!(output.timed_out && !output.success());
    }

    #[test]
    fn a_process_left_in_the_background_is_not_waited_for() {
        let started = Instant::now();
        let output = Process::shell("sleep 5 & echo done").run().unwrap();
        assert_eq!(output.stdout, "done\n");
        assert!(started.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn a_stopped_task_starts_nothing_more() {
        let id = u64::MAX;
        let running = thread::spawn(move || {
            in_task(id, || {
                let first = Process::new("sleep").arg("60").run().unwrap();
                (first.rc, stop_requested(), Process::new("true").run().is_err())
            })
        });
        while !groups().running.values().any(|task| *task == Some(id)) {
            thread::sleep(Duration::from_millis(5));
        }
        stop_task(id);
        assert_eq!(running.join().unwrap(), (-15, true, true));
    }
}
