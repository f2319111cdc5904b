//! `wait_for_connection`: until the host can be worked on.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{Action, Context, Error, Failure, Outcome, Remote};
use crate::agent::protocol::Request;
use crate::deadline;
use crate::modules::args::Number;

/// What one try may take over and above reaching the host: the agent is copied in it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the host is reached and a module runs on it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitForConnection {
    /// Seconds for reaching the host once.
    #[serde(default = "connect_timeout")]
    connect_timeout: Number,
    /// Seconds before the first try.
    #[serde(default)]
    delay: Number,
    /// Seconds between tries.
    #[serde(default = "between")]
    sleep: Number,
    /// Seconds in all.
    #[serde(default = "in_all")]
    timeout: Number,
}

fn connect_timeout() -> Number {
    Number(5)
}

fn between() -> Number {
    Number(1)
}

fn in_all() -> Number {
    Number(600)
}

impl Action for WaitForConnection {
    const NAME: &'static str = "wait_for_connection";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        if context.check {
            return Ok(Outcome::default().with("skipped", true));
        }
        let started = Instant::now();
        let seconds = |number: Number| Duration::from_secs(number.0.max(0).unsigned_abs());
        sleep(seconds(self.delay)).await;
        let deadline = deadline::after(seconds(self.timeout));
        let mut remote = context.remote.clone();
        remote.endpoint.timeout = seconds(self.connect_timeout).max(Duration::from_secs(1));
        let mut last = String::new();
        while Instant::now() < deadline {
            // What is open may be of a host that has gone in the meantime.
            remote.pool.reset(&context.remote.endpoint).await;
            match timeout(remote.endpoint.timeout.saturating_add(PATIENCE), ping(&remote)).await {
                Ok(Ok(())) => {
                    remote.pool.reset(&remote.endpoint).await;
                    let elapsed = started.elapsed().as_secs();
                    return Ok(Outcome::default().with("elapsed", elapsed));
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = "no answer in time".to_owned(),
            }
            context.detail(format!("waiting for the connection: {last}"));
            sleep(seconds(self.sleep)).await;
        }
        let msg = format!("timed out waiting for ping module test: {last}");
        Err(Failure::new(msg).with("elapsed", started.elapsed().as_secs()).into())
    }
}

/// Runs `ping` on the host.
async fn ping(remote: &Remote) -> Result<(), String> {
    let request = Request { module: "ping".to_owned(), ..Request::default() };
    let result = remote.call(request, Vec::new()).await.map_err(|error| error.to_string())?;
    match result.get("ping").and_then(|answer| answer.as_str()) {
        Some("pong") => Ok(()),
        _ => Err("ping test failed".to_owned()),
    }
}
