//! `pause`: waits for a time, or for the operator.

use std::io;
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::keyboard::{Key, Keyboard};
use super::{Action, Context, Error, Outcome, argument_spec};
use crate::events::Event;
use crate::modules::args::Flag;

/// Pauses the whole batch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Minutes to wait, a whole number.
    minutes: Option<Json>,
    /// Seconds to wait, a whole number.
    seconds: Option<Json>,
    /// What to ask the operator; without a time, Enter goes on.
    prompt: Option<String>,
    /// Whether what is typed is shown.
    #[serde(default = "Flag::yes")]
    echo: Flag,
}

impl Action for Pause {
    const NAME: &'static str = "pause";
    const ONCE: bool = true;
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let started = ZonedDateTime::now();
        let clock = Instant::now();
        if self.minutes.is_some() && self.seconds.is_some() {
            return Err(Error::failed("parameters are mutually exclusive: minutes|seconds"));
        }
        let minutes = self.minutes.as_ref().map(|value| whole("minutes", value)).transpose()?;
        let seconds = self.seconds.as_ref().map(|value| whole("seconds", value)).transpose()?;
        let seconds = minutes.map(|minutes| minutes * 60.0).or(seconds);
        let mut input = String::new();
        match seconds {
            Some(seconds) => {
                let wait = Duration::try_from_secs_f64(seconds.max(1.0))
                    .map_err(|_| Error::failed(format!("{seconds} is not a time to wait")))?;
                // Taken before anything is told: a key that answers at once is a key already,
                // and Ctrl-C no signal.
                let mut keyboard = Keyboard::take().await.map_err(unreadable)?;
                let text = format!("Pausing for {} seconds{}", wait.as_secs(), self.hidden());
                context.message(text);
                context.message(EARLY.to_owned());
                if self.prompt.is_some() && keyboard.is_some() {
                    context.ask(self.question(context));
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    stopped = interrupted(keyboard.as_mut(), context) => stopped?,
                }
            }
            None => input = self.ask(context).await?,
        }
        let waited = clock.elapsed().as_secs_f64();
        // As Python prints a number that is rounded to two places.
        let rounded = |number: f64| (number * 100.0).round() / 100.0;
        let stdout = match self.seconds {
            None => format!("Paused for {:?} minutes", rounded(waited / 60.0)),
            Some(_) => format!("Paused for {:?} seconds", rounded(waited)),
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
    fn hidden(&self) -> &'static str {
        if self.echo.0 { "" } else { " (output is hidden)" }
    }

    fn question(&self, context: &Context) -> String {
        let otherwise = "Press enter to continue, Ctrl+C to interrupt";
        let question = self.prompt.as_deref().unwrap_or(otherwise);
        format!("[{}]\n{question}{}:", context.task, self.hidden())
    }

    /// What the operator typed.
    async fn ask(&self, context: &Context) -> Result<String, Error> {
        let Some(mut keyboard) = Keyboard::take().await.map_err(unreadable)? else {
            let text = "Not waiting for response to prompt as stdin is not interactive".to_owned();
            context.session.events.emit(Event::Warning { text });
            return Ok(String::new());
        };
        context.ask(self.question(context));
        let (typed, interrupted) = keyboard.line(self.echo.0).await.map_err(unreadable)?;
        if interrupted {
            go_on_or_abort(&mut keyboard, context).await?;
        }
        Ok(typed)
    }
}

/// What a pause for a time says; other keys than these do nothing.
const EARLY: &str = "(ctrl+C then 'C' = continue early, ctrl+C then 'A' = abort)";

/// Ends when the operator has pressed Ctrl-C, and then a key to go on.
async fn interrupted(keyboard: Option<&mut Keyboard>, context: &Context) -> Result<(), Error> {
    let Some(keyboard) = keyboard else {
        return std::future::pending().await;
    };
    loop {
        match keyboard.key().await {
            Key::CtrlC => return go_on_or_abort(keyboard, context).await,
            Key::End => return std::future::pending().await,
            _ => {}
        }
    }
}

async fn go_on_or_abort(keyboard: &mut Keyboard, context: &Context) -> Result<(), Error> {
    context.ask("Press 'C' to continue the play or 'A' to abort ".to_owned());
    loop {
        match keyboard.key().await {
            Key::Byte(b'c' | b'C') => return Ok(()),
            Key::Byte(b'a' | b'A') | Key::End => {
                return Err(Error::failed("user requested abort!"));
            }
            _ => {}
        }
    }
}

fn unreadable(error: io::Error) -> Error {
    Error::failed(format!("the terminal cannot be read: {error}"))
}

/// A time as Ansible takes it, without what is behind the point.
fn whole(name: &str, value: &Json) -> Result<f64, Error> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.map(f64::trunc).ok_or_else(|| {
        Error::failed(argument_spec::type_error(name, "int", value).unwrap_or_default())
    })
}
