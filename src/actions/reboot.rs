//! `reboot`: reboots the host and waits until it is back.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{Action, Context, Error, Failure, Outcome, Remote};
use crate::modules::args::{Number, Text, TextList};
use crate::transport::{ConnectionKind, RawOutput};

/// What one command may take over and above reaching the host: a connection that dies
/// with the host may say nothing at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(12);

/// Reboots a host, and goes on when it runs again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reboot {
    /// Seconds before the host goes down; less than 60 are none.
    #[serde(default, alias = "pre_reboot_delay_sec")]
    pre_reboot_delay: Number,
    /// Seconds before the first look whether it is back.
    #[serde(default, alias = "post_reboot_delay_sec")]
    post_reboot_delay: Number,
    /// Seconds to wait for the reboot, and then for the test command.
    #[serde(default = "ten_minutes", alias = "reboot_timeout_sec")]
    reboot_timeout: Number,
    /// Seconds for reaching the host once.
    #[serde(alias = "connect_timeout_sec")]
    connect_timeout: Option<Number>,
    /// A command that succeeds when the host is ready.
    #[serde(default = "whoami")]
    test_command: Text,
    /// What users of the host are told.
    #[serde(default = "message")]
    msg: Text,
    /// Folders in which `shutdown` is looked for.
    #[serde(default = "search_paths")]
    search_paths: TextList,
    /// A command whose output is another one after a reboot.
    #[serde(default = "boot_id")]
    boot_time_command: Text,
    /// The command that reboots, in place of `shutdown -r`.
    reboot_command: Option<Text>,
}

fn ten_minutes() -> Number {
    Number(600)
}

fn whoami() -> Text {
    Text("whoami".to_owned())
}

fn message() -> Text {
    Text("Reboot initiated by Ansible".to_owned())
}

fn boot_id() -> Text {
    Text("cat /proc/sys/kernel/random/boot_id".to_owned())
}

fn search_paths() -> TextList {
    let paths = ["/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"];
    TextList(paths.map(str::to_owned).to_vec())
}

fn seconds(number: Number) -> Duration {
    Duration::from_secs(number.0.max(0).unsigned_abs())
}

impl Action for Reboot {
    const NAME: &'static str = "reboot";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        if context.remote.endpoint.connection == ConnectionKind::Local {
            let msg = "Running reboot with local connection would reboot the control node.";
            let failure = Failure::new(msg).with("elapsed", 0).with("rebooted", false);
            return Err(failure.into());
        }
        if context.check {
            return Ok(Outcome::changed(true).with("elapsed", 0).with("rebooted", true));
        }
        let started = Instant::now();
        let elapsed = || started.elapsed().as_secs();
        let before = self.boot_time(&context.remote).await.map_err(Failure::new)?;
        let command = self.command(&context.remote).await?;
        if let Err(failure) = go_down(&context.remote, &command).await {
            return Err(failure.with("elapsed", elapsed()).into());
        }
        sleep(seconds(self.pre_reboot_delay)).await;
        sleep(seconds(self.post_reboot_delay)).await;
        self.come_back(context, &before)
            .await
            .map_err(|failure| failure.with("elapsed", elapsed()))?;
        Ok(Outcome::changed(true).with("rebooted", true).with("elapsed", elapsed()))
    }
}

impl Reboot {
    async fn boot_time(&self, remote: &Remote) -> Result<String, String> {
        let output = raw(remote, &self.boot_time_command.0).await?;
        if output.rc != 0 {
            return Err(format!(
                "reboot: failed to get host boot time info, rc: {}, stdout: {}, stderr: {}",
                output.rc, output.stdout, output.stderr
            ));
        }
        Ok(output.stdout.trim().to_owned())
    }

    /// The command line that reboots; `shutdown` by its full path.
    async fn command(&self, remote: &Remote) -> Result<String, Error> {
        let (program, arguments) = match &self.reboot_command {
            Some(command) => {
                let (program, rest) = command.0.split_once(' ').unwrap_or((&command.0, ""));
                (program.to_owned(), rest.to_owned())
            }
            None => {
                let message = quote(&self.msg.0)?;
                let minutes = seconds(self.pre_reboot_delay).as_secs() / 60;
                // Without `+` the number would be a time of day, but for 0.
                let time = if minutes == 0 { "0".to_owned() } else { format!("+{minutes}") };
                ("shutdown".to_owned(), format!("-r {time} {message}"))
            }
        };
        if program.starts_with('/') {
            return Ok(format!("{program} {arguments}"));
        }
        let mut look = String::new();
        for folder in &self.search_paths.0 {
            let path = quote(&format!("{folder}/{program}"))?;
            look += &format!("if [ -e {path} ]; then echo {path}; exit 0; fi; ");
        }
        let found = raw(remote, &look).await.map_err(Error::failed)?;
        match found.stdout.lines().next() {
            Some(path) => Ok(format!("{path} {arguments}")),
            None => Err(Error::failed(format!(
                "Unable to find command \"{program}\" in search paths: {:?}",
                self.search_paths.0
            ))),
        }
    }

    /// Waits for another boot id, then for the test command.
    async fn come_back(&self, context: &Context, before: &str) -> Result<(), Failure> {
        let mut remote = context.remote.clone();
        if let Some(number) = self.connect_timeout {
            remote.endpoint.timeout = seconds(number).max(Duration::from_secs(1));
        }
        let remote = &remote;
        let limit = seconds(self.reboot_timeout);
        for step in [Step::BootTime(before), Step::TestCommand] {
            self.until(context, remote, limit, step).await?;
        }
        if remote.endpoint != context.remote.endpoint {
            remote.pool.reset(&remote.endpoint).await;
        }
        Ok(())
    }

    /// Tries again and again, on a new connection each time, with growing pauses.
    async fn until(
        &self,
        context: &Context,
        remote: &Remote,
        limit: Duration,
        step: Step<'_>,
    ) -> Result<(), Failure> {
        let what = step.name();
        let started = Instant::now();
        let mut pause = Duration::from_secs(1);
        while started.elapsed() < limit {
            // The test command is tried where the boot id was read, and anew if that fails.
            match self.attempt(remote, step).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let last = error.lines().last().unwrap_or_default().to_owned();
                    context.detail(format!("reboot: {what}: {last}"));
                }
            }
            let reset = async {
                remote.pool.reset(&context.remote.endpoint).await;
                remote.pool.reset(&remote.endpoint).await;
            };
            // Closing a connection to a host that is gone must not take forever.
            let _ = timeout(PATIENCE, reset).await;
            let left = limit.saturating_sub(started.elapsed());
            let jitter = Duration::from_millis(rand::random_range(0..1000));
            sleep((pause.min(LONGEST_PAUSE) + jitter).min(left)).await;
            pause *= 2;
        }
        let msg = format!("Timed out waiting for {what} (timeout={})", limit.as_secs());
        Err(Failure::new(msg).with("rebooted", true))
    }

    async fn attempt(&self, remote: &Remote, step: Step<'_>) -> Result<(), String> {
        match step {
            Step::BootTime(before) => {
                let now = self.boot_time(remote).await?;
                if now.is_empty() || now == before {
                    // A connection that was made before says nothing of the new boot.
                    return Err("boot time has not changed".to_owned());
                }
                Ok(())
            }
            Step::TestCommand => {
                let output = raw(remote, &self.test_command.0).await?;
                if output.rc != 0 {
                    let (stdout, stderr) = (output.stdout, output.stderr);
                    return Err(format!("Test command failed: {stderr} {stdout}"));
                }
                Ok(())
            }
        }
    }
}

/// What has to be true again after the reboot.
#[derive(Clone, Copy)]
enum Step<'a> {
    /// Another boot than this one.
    BootTime(&'a str),
    TestCommand,
}

impl Step<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::BootTime(_) => "last boot time check",
            Self::TestCommand => "post-reboot test command",
        }
    }
}

/// Runs the command; a connection that breaks off at it is what was asked for.
async fn go_down(remote: &Remote, command: &str) -> Result<(), Failure> {
    let run = remote.pool.raw(&remote.endpoint, remote.become_.as_ref(), command, &[]);
    let output = match timeout(PATIENCE, run).await {
        Ok(Ok(output)) => output,
        Ok(Err(crate::transport::ConnectionError::Become(msg))) => {
            return Err(Failure::new(msg).with("rebooted", false));
        }
        Ok(Err(_)) | Err(_) => RawOutput::default(),
    };
    // -1: a signal ended it, as the host went down under it.
    if output.rc == 0 || output.rc == -1 {
        return Ok(());
    }
    let (stdout, stderr) = (output.stdout.trim(), output.stderr.trim());
    let msg = format!("Reboot command failed. Error was: '{stdout}, {stderr}'");
    Err(Failure::new(msg).with("rebooted", false))
}

/// Runs a command in bounded time, as the user that the task is run as.
async fn raw(remote: &Remote, command: &str) -> Result<RawOutput, String> {
    let run = remote.pool.raw(&remote.endpoint, remote.become_.as_ref(), command, &[]);
    match timeout(remote.endpoint.timeout + PATIENCE, run).await {
        Ok(output) => output.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

fn quote(text: &str) -> Result<String, Error> {
    shlex::try_quote(text)
        .map(|quoted| quoted.into_owned())
        .map_err(|error| Error::failed(format!("the command cannot be quoted: {error}")))
}
