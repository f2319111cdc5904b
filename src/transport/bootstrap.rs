//! From a channel to a running agent: the script finds the agent on the host by its
//! hash or asks for it, and becomes it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::channel::{Channel, Input, Link, Output, Stderr};
use super::payload::Payload;
use super::privilege::Wrapped;
use super::ssh::{self, unreachable};
use super::{Become, ConnectionError};
use crate::agent::protocol::{self, GREETING, Hello, Kind};

const SCRIPT: &str = include_str!("bootstrap.sh");
/// Before each line of the script and of the agent's greeting.
const MARK: &str = "KUP-PLAY ";
/// For the host to find and prove the agent.
const PATIENCE: Duration = Duration::from_secs(120);
/// For the copy to arrive, also over a slow line.
const PATIENCE_OF_COPY: Duration = Duration::from_secs(900);
/// What a login shell may print before we hear from the script.
const MAX_GREETING: usize = 256 * 1024;

/// A channel on which an agent has said hello.
pub struct Greeted {
    pub channel: Channel,
    pub stderr: Stderr,
    pub hello: Hello,
}

/// How an attempt to start an agent ended.
pub enum Started {
    Agent(Box<Greeted>),
    /// The host is of another architecture than the payload.
    OtherArch(String),
}

/// Starts the agent on the other side of a link, copying it there if needed.
pub async fn start(
    link: &Link,
    target: Option<&Become>,
    payload: &Payload,
) -> Result<Started, ConnectionError> {
    let script = script(payload);
    // The script goes over stdin: sudo would log it, and not every login shell takes it as a word.
    let read_script = format!("eval \"$(head -c {})\"", script.len());
    let (mut channel, stderr) = match target {
        Some(target) => Wrapped::new(target, &read_script)?.start(link, target).await?,
        None => {
            let command = format!("exec /bin/sh -c '{read_script}'");
            let mut channel = link.shell(&command).await?;
            let stderr = Stderr::of(&mut channel);
            (channel, stderr)
        }
    };
    // If the other end is gone its stdout ends, which is where the reason is looked for.
    let _ = channel.stdin.write_all(script.as_bytes()).await;
    let _ = channel.stdin.flush().await;
    converse(link, channel, stderr, payload).await
}

/// The script without what only we need.
fn script(payload: &Payload) -> String {
    let mut script = payload.header();
    for line in SCRIPT.lines().filter(|line| !line.trim_start().starts_with("# ")) {
        script.push_str(line);
        script.push('\n');
    }
    script
}

/// Waits for the agent of a channel that was started as one.
pub async fn greet(link: &Link, mut channel: Channel) -> Result<Greeted, ConnectionError> {
    let stderr = Stderr::of(&mut channel);
    match answer(&mut channel.stdout).await {
        Some(line) if line == GREETING => hello(link, channel, stderr).await,
        _ => Err(broken_off(link, channel, &stderr).await),
    }
}

async fn converse(
    link: &Link,
    mut channel: Channel,
    stderr: Stderr,
    payload: &Payload,
) -> Result<Started, ConnectionError> {
    let Some(mut line) = answer(&mut channel.stdout).await else {
        return Err(broken_off(link, channel, &stderr).await);
    };
    if let Some(form) = line.strip_prefix("KUP-PLAY need ") {
        let bytes = load(payload, form == "gzip").await?;
        let after = {
            let Channel { stdin, stdout, .. } = &mut channel;
            let sent = tokio::time::timeout(PATIENCE_OF_COPY, send(stdin, stdout, &bytes));
            sent.await.ok().flatten()
        };
        line = match after {
            Some(line) => line,
            None => return Err(broken_off(link, channel, &stderr).await),
        };
    }
    if line == GREETING {
        return Ok(Started::Agent(Box::new(hello(link, channel, stderr).await?)));
    }
    if let Some(arch) = line.strip_prefix("KUP-PLAY arch ") {
        return Ok(Started::OtherArch(arch.to_owned()));
    }
    let reason = line.strip_prefix("KUP-PLAY fail ").unwrap_or(&line);
    let said = stderr.text();
    let said = if said.trim().is_empty() { String::new() } else { format!(" ({})", said.trim()) };
    Err(ConnectionError::Agent(format!("Cannot start the agent: {reason}{said}")))
}

async fn load(payload: &Payload, gzip: bool) -> Result<Arc<Vec<u8>>, ConnectionError> {
    let payload = payload.clone();
    let path = payload.path.clone();
    let read = move || if gzip { payload.packed() } else { payload.plain() };
    let loaded = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other);
    loaded.and_then(|bytes| bytes).map_err(|error| cannot_read(&path, &error))
}

pub fn cannot_read(path: &Path, error: &std::io::Error) -> ConnectionError {
    let path = path.display();
    ConnectionError::Agent(format!("Cannot read the agent's executable {path}: {error}"))
}

/// Sends the file while listening: the host may give up before all of it is sent.
async fn send(stdin: &mut Input, stdout: &mut BufReader<Output>, bytes: &[u8]) -> Option<String> {
    let count = format!("{}\n", bytes.len());
    let sent = async {
        let _ = stdin.write_all(count.as_bytes()).await;
        let _ = stdin.write_all(bytes).await;
        let _ = stdin.flush().await;
        // What comes of it is said on stdout.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        line = listen(stdout) => line,
        () = sent => None,
    }
}

/// The next line of the script or the agent, in bounded time.
async fn answer(stdout: &mut BufReader<Output>) -> Option<String> {
    tokio::time::timeout(PATIENCE, listen(stdout)).await.ok().flatten()
}

/// The next line that is meant for us.
async fn listen(stdout: &mut BufReader<Output>) -> Option<String> {
    let mut line = Vec::new();
    let mut junk = 0;
    while junk < MAX_GREETING {
        line.clear();
        let n = stdout.take(MAX_GREETING as u64).read_until(b'\n', &mut line).await.ok()?;
        if n == 0 {
            return None;
        }
        junk += n;
        let text = String::from_utf8_lossy(&line);
        if text.starts_with(MARK) {
            return Some(text.trim_end().to_owned());
        }
    }
    None
}

async fn hello(
    link: &Link,
    mut channel: Channel,
    stderr: Stderr,
) -> Result<Greeted, ConnectionError> {
    let read = read_frame(&mut channel.stdout);
    let hello = match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok((Kind::Hello, payload))) => protocol::parse::<Hello>(&payload).ok(),
        _ => None,
    };
    match hello {
        Some(hello) if hello.version == protocol::VERSION => Ok(Greeted { channel, stderr, hello }),
        Some(hello) => Err(ConnectionError::Agent(format!(
            "The agent on the host speaks version {} of the protocol, not {}",
            hello.version,
            protocol::VERSION
        ))),
        None => Err(broken_off(link, channel, &stderr).await),
    }
}

/// The next frame; the end of the stream is an error.
pub async fn read_frame(stdout: &mut BufReader<Output>) -> std::io::Result<(Kind, Vec<u8>)> {
    let mut header = [0; 5];
    stdout.read_exact(&mut header).await?;
    let (kind, length) = protocol::parse_header(header)?;
    let mut payload = vec![0; length];
    stdout.read_exact(&mut payload).await?;
    Ok((kind, payload))
}

/// The channel ended, or nothing came, where an answer was due.
async fn broken_off(link: &Link, channel: Channel, stderr: &Stderr) -> ConnectionError {
    if let Some(words) = link.why_lost().await {
        return unreachable(&words, ssh::LOST);
    }
    let wait = tokio::time::timeout(Duration::from_secs(2), channel.process.wait());
    let ended = match wait.await {
        Ok(Some(code)) => format!("it ended with exit code {code}"),
        Ok(None) => "it was ended by a signal".to_owned(),
        Err(_) => format!("no answer within {} seconds", PATIENCE.as_secs()),
    };
    let said = stderr.text();
    let colon = if said.trim().is_empty() { "" } else { ": " };
    ConnectionError::Agent(format!("Cannot start the agent: {ended}{colon}{}", said.trim()))
}
