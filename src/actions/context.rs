//! What an action may use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::session::Session;
use super::{Error, Failure, Outcome};
use crate::agent::protocol::{Job, Request};
use crate::events::Event;
use crate::modules::Diff;
use crate::template::{Scope, Templar, Variable, python_text};
use crate::transport::{Become, ConnectionError, Contents, Endpoint, FileSource, Pending, Pool};

/// One run of an action, for one host.
pub struct Context {
    /// The host that the task is for (`inventory_hostname`).
    pub host: String,
    /// What the task is called in the output.
    pub task: String,
    /// Change nothing; say what would change.
    pub check: bool,
    pub diff: bool,
    pub verbosity: u8,
    /// Seconds the task may take; none: no limit.
    pub timeout: Option<u64>,
    /// One that fails is tried again by the engine (`until`, `retries`).
    pub is_retried: bool,
    pub environment: BTreeMap<String, String>,
    pub scope: Arc<dyn Scope>,
    pub templar: Templar,
    /// The host that the task acts on (another one when it is delegated).
    pub remote: Remote,
    /// Folders that `files/`, `templates/` and plain names are looked for in, nearest first.
    pub search: Vec<PathBuf>,
    pub session: Arc<Session>,
    effects: Mutex<Vec<Effect>>,
}

/// What an action changes in the run itself; the engine does it when the task is done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Variables of include_vars.
    Included(Vec<(String, Variable)>),
    /// Variables of set_fact.
    Variables(Vec<(String, Variable)>),
    /// Facts that outlive the play too (`cacheable`).
    Facts(Map<String, Json>),
    AddHost {
        name: String,
        groups: Vec<String>,
        variables: Vec<(String, Variable)>,
    },
    GroupBy {
        group: String,
        parents: Vec<String>,
    },
}

impl Effect {
    /// The variables that it sets on the host.
    pub fn variables(&self) -> Vec<(String, Variable)> {
        match self {
            Self::Included(variables) | Self::Variables(variables) => variables.clone(),
            Self::Facts(_) | Self::AddHost { .. } | Self::GroupBy { .. } => Vec::new(),
        }
    }
}

impl Context {
    #[allow(clippy::too_many_arguments)] // One place builds it, and every part is needed.
    pub fn new(
        host: String,
        task: String,
        flags: Flags,
        environment: BTreeMap<String, String>,
        scope: Arc<dyn Scope>,
        templar: Templar,
        remote: Remote,
        search: Vec<PathBuf>,
        session: Arc<Session>,
    ) -> Self {
        let Flags { check, diff, verbosity, timeout, is_retried } = flags;
        let effects = Mutex::default();
        Self {
            host,
            task,
            check,
            diff,
            verbosity,
            timeout,
            is_retried,
            environment,
            scope,
            templar,
            remote,
            search,
            session,
            effects,
        }
    }

    /// Tells the operator something while the task runs.
    pub fn message(&self, text: String) {
        self.session.events.emit(Event::Message { text });
    }

    /// Asks the operator, who answers on the terminal.
    pub fn ask(&self, text: String) {
        self.session.events.emit(Event::Question { text });
    }

    /// Variables whose names may be templates.
    pub fn with_names(&self, variables: Map<String, Json>) -> Result<Map<String, Json>, Error> {
        let named = variables.into_iter().map(|(name, value)| {
            let name = match self.templar.is_template(&name) {
                true => python_text(&self.templar.render_text(&name, None, &self.scope)?),
                false => name,
            };
            Ok((name, value))
        });
        named.collect()
    }

    pub fn effect(&self, effect: Effect) {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
    }

    pub fn take_effects(&self) -> Vec<Effect> {
        std::mem::take(&mut self.effects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says what the task is waiting for.
    pub fn progress(&self, message: impl Into<String>) {
        self.tell(message.into(), 1);
    }

    /// The same for what is said in any case, as nothing else tells why the task goes on.
    pub fn urgent(&self, message: impl Into<String>) {
        self.tell(message.into(), 0);
    }

    /// The same for what Ansible says with -vvv only.
    pub fn detail(&self, message: impl Into<String>) {
        self.tell(message.into(), 3);
    }

    fn tell(&self, message: String, verbosity: u8) {
        let event = Event::Progress { host: self.host.clone(), message, verbosity };
        self.session.events.emit(event);
    }

    /// Runs a host module where the task acts.
    pub async fn module(
        &self,
        name: &str,
        arguments: Map<String, Json>,
        files: Vec<(String, FileSource)>,
    ) -> Result<Outcome, Error> {
        outcome(self.remote.call(self.request(name, arguments), files).await?)
    }

    /// Starts a host module in the background; the result says how to ask after it.
    pub async fn job(
        &self,
        name: &str,
        arguments: Map<String, Json>,
        files: Vec<(String, FileSource)>,
        job: Job,
    ) -> Result<Outcome, Error> {
        let request = Request { job: Some(job), ..self.request(name, arguments) };
        outcome(self.remote.call(request, files).await?)
    }

    /// Ends what an action does by itself when it takes longer than the task's `timeout`.
    pub async fn in_time<T>(&self, name: &str, doing: impl Future<Output = T>) -> Result<T, Error> {
        let Some(seconds) = self.timeout else { return Ok(doing.await) };
        let done = tokio::time::timeout(Duration::from_secs(seconds), doing).await;
        done.map_err(|_| Failure::late(name, seconds).into())
    }

    /// A host module as the agent is asked to run it.
    pub fn request(&self, name: &str, arguments: Map<String, Json>) -> Request {
        Request {
            module: name.to_owned(),
            arguments,
            check: self.check,
            diff: self.diff,
            environment: self.environment.clone(),
            timeout: self.timeout,
            ..Request::default()
        }
    }
}

/// How a task is to run, as its keywords and the command line say.
#[derive(Clone, Copy, Debug)]
pub struct Flags {
    pub check: bool,
    pub diff: bool,
    pub verbosity: u8,
    pub timeout: Option<u64>,
    pub is_retried: bool,
}

/// A host and the user to be on it.
#[derive(Clone)]
pub struct Remote {
    pub host: String,
    pub endpoint: Endpoint,
    pub become_: Option<Become>,
    pub pool: Arc<Pool>,
}

impl Remote {
    /// The result of a request to the host's agent.
    pub async fn call(
        &self,
        request: Request,
        files: Vec<(String, FileSource)>,
    ) -> Result<Map<String, Json>, ConnectionError> {
        if let Some(user) = removed_user(&request) {
            self.pool.leave(&self.endpoint, user).await;
        }
        let agent = self.pool.agent(&self.endpoint, self.become_.as_ref()).await?;
        Ok(agent.call(request, files).await?.result)
    }

    /// Sends requests to the host's agent that are run one after the other, each with the
    /// contents of its files.
    pub async fn call_in_order(
        &self,
        requests: Vec<(Request, Contents)>,
    ) -> Result<Vec<Pending>, ConnectionError> {
        for user in requests.iter().filter_map(|(request, _)| removed_user(request)) {
            self.pool.leave(&self.endpoint, user).await;
        }
        let agent = self.pool.agent(&self.endpoint, self.become_.as_ref()).await?;
        agent.call_in_order(requests).await
    }
}

/// Whom a request is to remove. A user who has a process cannot be removed, and those that
/// tasks became have our own.
fn removed_user(request: &Request) -> Option<&str> {
    let text = |name: &str| request.arguments.get(name).and_then(Json::as_str);
    let removes = request.module == "user" && text("state") == Some("absent");
    text("name").or_else(|| text("user")).filter(|_| removes)
}

/// Tells success from failure in a result that came over the wire.
pub fn outcome(mut result: Map<String, Json>) -> Result<Outcome, Error> {
    let changed = take_flag(&mut result, "changed");
    if take_flag(&mut result, "failed") {
        let msg = match result.shift_remove("msg") {
            Some(Json::String(msg)) => msg,
            _ => "the module failed without a message".to_owned(),
        };
        return Err(Failure { msg, changed, result }.into());
    }
    let diff = match result.shift_remove("diff") {
        Some(Json::Array(diffs)) => {
            diffs.into_iter().filter_map(|diff| serde_json::from_value::<Diff>(diff).ok()).collect()
        }
        // One change comes as it is, not in a list.
        Some(diff) => match serde_json::from_value::<Diff>(diff.clone()) {
            Ok(diff) => vec![diff],
            // A text that stands for itself.
            Err(_) => {
                result.insert("diff".to_owned(), diff);
                Vec::new()
            }
        },
        None => Vec::new(),
    };
    Ok(Outcome { changed, result, diff })
}

fn take_flag(result: &mut Map<String, Json>, key: &str) -> bool {
    result.shift_remove(key).and_then(|value| value.as_bool()).unwrap_or(false)
}
