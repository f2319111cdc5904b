//! Commands over a channel without the agent: for `raw`, which needs only a shell.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::channel::{Channel, Link, Stderr};
use super::privilege::Wrapped;
use super::{Become, ConnectionError, ssh};
use crate::modules::output::Bounded;

/// What a raw command printed and how it ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawOutput {
    pub rc: i32,
    pub stdout: String,
    pub stderr: String,
}

pub async fn run(
    link: &Link,
    target: Option<&Become>,
    command: &str,
    stdin: &[u8],
) -> Result<RawOutput, ConnectionError> {
    let Some(target) = target else {
        let mut channel = link.shell(command).await?;
        let stderr = Stderr::of(&mut channel);
        return finish(link, channel, stderr, stdin).await;
    };
    let wrapped = Wrapped::new(target, command)?;
    let (channel, stderr) = wrapped.start(link, target).await?;
    let mut output = finish(link, channel, stderr, stdin).await?;
    output.stderr = wrapped.without_prompt(&output.stderr);
    Ok(output)
}

async fn finish(
    link: &Link,
    channel: Channel,
    mut stderr: Stderr,
    stdin: &[u8],
) -> Result<RawOutput, ConnectionError> {
    let Channel { stdin: mut input, stdout, process, .. } = channel;
    let write = async move {
        // A command need not read its input.
        let _ = input.write_all(stdin).await;
        let _ = input.shutdown().await;
    };
    let ((), stdout, ()) = tokio::join!(write, collect(stdout), stderr.ended());
    let stdout =
        stdout.map_err(|error| ssh::unreachable(&format!("output lost: {error}"), ssh::LOST))?;
    let stderr = stderr.text();
    match process.wait().await {
        Some(rc) => Ok(RawOutput { rc, stdout, stderr }),
        None => match link.why_lost().await {
            Some(words) => Err(ssh::unreachable(&words, ssh::LOST)),
            // Ended by a signal, which ssh does not name.
            None => Ok(RawOutput { rc: -1, stdout, stderr }),
        },
    }
}

async fn collect(mut stream: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut text = Bounded::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(text.into_text()),
            n => text.push(buffer.get(..n).unwrap_or_default()),
        }
    }
}
