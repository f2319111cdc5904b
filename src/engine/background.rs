//! `async` and `poll`: a task that is started, and asked after until it is done.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::connection::text_variable;
use super::host_task::HostTask;
use super::invoke::{self, Invocation};
use super::keywords::number_of;
use super::result::{self, Result as TaskResult};
use crate::actions::{Context, Error, Failure};
use crate::agent::protocol::Job;
use crate::events::Event;

/// What `async` and `poll` of a task say.
pub struct Background {
    /// Seconds that the task may take.
    limit: u64,
    /// Seconds between two questions; 0: nobody asks.
    poll: f64,
    /// `ansible_async_dir`
    folder: Option<String>,
}

impl HostTask<'_> {
    /// None for a task that is waited for as any other.
    pub fn background(&self, context: &Context) -> Result<Option<Background>, Failure> {
        let templar = self.run.templar();
        let Some(node) = &self.task.async_ else {
            return Ok(None);
        };
        let limit = number_of(templar, node, &context.scope, "async")?;
        if limit < 1.0 {
            return Ok(None);
        }
        let poll = match &self.task.poll {
            Some(node) => number_of(templar, node, &context.scope, "poll")?,
            None => self.run.settings.poll_interval,
        };
        let folder = text_variable(templar, &context.scope, &["ansible_async_dir"])?;
        Ok(Some(Background { limit: limit as u64, poll: poll.max(0.0), folder }))
    }

    /// Starts it, and waits for it unless nobody is to ask.
    pub async fn in_background(
        &self,
        background: &Background,
        invocation: &Invocation,
        context: &Context,
    ) -> TaskResult {
        match self.follow(background, invocation, context).await {
            Ok(result) => result,
            Err(error) => result::of_error(error),
        }
    }

    async fn follow(
        &self,
        background: &Background,
        invocation: &Invocation,
        context: &Context,
    ) -> Result<TaskResult, Error> {
        let Some((module, arguments, files)) = invoke::request(invocation) else {
            let module = &self.task.written_module;
            return Err(Error::failed(format!("This action ({module}) does not support async.")));
        };
        let job = Job { limit: background.limit, folder: background.folder.clone() };
        let started = context.job(module, arguments, files, job).await?;
        let id = started.result.get("ansible_job_id").and_then(Json::as_str).unwrap_or_default();
        let id = id.to_owned();
        if background.poll == 0.0 {
            return Ok(result::of_outcome(started));
        }
        let ended = self.ask(background, context, &id).await;
        self.emit(context, &id, |jid, host| match &ended {
            Some(result) if is_done(result) && !result::flag(result, "failed") => {
                Event::AsyncOk { host, jid }
            }
            _ => Event::AsyncFailed { host, jid },
        });
        match ended {
            Some(result) if is_done(&result) => {
                // What is known of the job is here now.
                self.job_status(context, background, &id, "cleanup").await;
                Ok(result)
            }
            other => {
                let limit = background.limit;
                Err(Failure::new(format!(
                    "async task did not complete within the requested time - {limit}s"
                ))
                .with("async_result", other.unwrap_or_default())
                .into())
            }
        }
    }

    /// Asks until the job has ended or its time is up; what was said last.
    async fn ask(
        &self,
        background: &Background,
        context: &Context,
        id: &str,
    ) -> Option<TaskResult> {
        let mut left = background.limit as f64;
        let mut last = None;
        while left > 0.0 && !self.run.interrupt.requested() {
            let pause = Duration::try_from_secs_f64(background.poll).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.run.interrupt.wait() => {}
            }
            let result = self.job_status(context, background, id, "status").await;
            let finished = is_done(&result);
            let lost = result::flag(&result, "unreachable");
            last = Some(result).filter(|_| !lost).or(last);
            if finished {
                break;
            }
            left -= background.poll;
            self.emit(context, id, |jid, host| Event::AsyncPoll { host, jid, finished: 0 });
        }
        last
    }

    async fn job_status(
        &self,
        context: &Context,
        background: &Background,
        id: &str,
        mode: &str,
    ) -> TaskResult {
        let mut arguments = Map::new();
        arguments.insert("jid".to_owned(), json!(id));
        arguments.insert("mode".to_owned(), json!(mode));
        if let Some(folder) = &background.folder {
            arguments.insert("_async_dir".to_owned(), json!(folder));
        }
        match context.module("async_status", arguments, Vec::new()).await {
            Ok(outcome) => result::of_outcome(outcome),
            Err(error) => result::of_error(error),
        }
    }

    fn emit(&self, context: &Context, id: &str, event: impl Fn(String, String) -> Event) {
        let events = &self.run.events;
        events.emit(event(id.to_owned(), context.host.clone()));
    }
}

fn is_done(result: &TaskResult) -> bool {
    result.get("finished") == Some(&json!(1))
}
