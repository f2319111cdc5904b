//! `pause`: waits for a time, or for the operator.

use std::io::{IsTerminal, stdin};
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Context, Error, Outcome};
use crate::events::Event;
use crate::modules::args::Flag;

/// Pauses the whole batch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Minutes to wait.
    minutes: Option<f64>,
    /// Seconds to wait.
    seconds: Option<f64>,
    /// What to ask the operator; without a time, Enter goes on.
    prompt: Option<String>,
    /// Whether what is typed is shown.
    #[serde(default)]
    echo: Flag,
}

impl Action for Pause {
    const NAME: &'static str = "pause";
    const ONCE: bool = true;
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let started = ZonedDateTime::now();
        let clock = Instant::now();
        let seconds = self.minutes.map(|minutes| minutes * 60.0).or(self.seconds);
        let mut input = String::new();
        match seconds {
            Some(seconds) => {
                let wait = Duration::try_from_secs_f64(seconds)
                    .map_err(|_| Error::failed(format!("{seconds} is not a time to wait")))?;
                let text = match &self.prompt {
                    Some(prompt) => format!("[{}]\n{prompt}:", context.host),
                    None => format!("Pausing for {} seconds", wait.as_secs()),
                };
                context.session.events.emit(Event::Message { text });
                if !context.check {
                    tokio::time::sleep(wait).await;
                }
            }
            None => input = self.ask(context).await?,
        }
        let waited = clock.elapsed().as_secs_f64();
        let stdout = match self.minutes {
            Some(_) => format!("Paused for {:.2} minutes", waited / 60.0),
            None => format!("Paused for {waited:.2} seconds"),
        };
        let format = "%Y-%m-%d %H:%M:%S%.6f";
        Ok(Outcome::default()
            .with("start", started.strftime(format).to_string())
            .with("stop", ZonedDateTime::now().strftime(format).to_string())
            .with("delta", clock.elapsed().as_secs())
            .with("echo", self.echo.0)
            .with("rc", 0)
            .with("stderr", "")
            .with("stdout", stdout)
            .with("user_input", input))
    }
}

impl Pause {
    async fn ask(&self, context: &Context) -> Result<String, Error> {
        let question =
            self.prompt.as_deref().unwrap_or("Press enter to continue, Ctrl+C to interrupt");
        let text = format!("[{}]\n{question}:", context.host);
        context.session.events.emit(Event::Message { text });
        if !stdin().is_terminal() {
            let text = "Not waiting for response to prompt as stdin is not interactive".to_owned();
            context.session.events.emit(Event::Warning { text });
            return Ok(String::new());
        }
        let echo = self.echo.0;
        let answer = tokio::task::spawn_blocking(move || {
            let terminal = console::Term::stderr();
            if echo { terminal.read_line() } else { terminal.read_secure_line() }
        });
        answer
            .await
            .map_err(|error| Error::failed(error.to_string()))?
            .map_err(|error| Error::failed(format!("no answer could be read: {error}")))
    }
}
