//! One task on one host: loop, condition, delegation, retries, result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json};
use tokio::sync::Semaphore;

use super::Run;
use super::connection::{Resolver, text_variable};
use super::invoke::{Invocation, Target};
use super::keywords::{flag_of, keyword_flag, number_of, text_of, value_of};
use super::notifying::Notice;
use super::recorder::{self, Subject};
use super::result::{self, Result as TaskResult};
use crate::actions::guard;
use crate::actions::{Context, Effect, Failure, Flags, Remote};
use crate::events::{Delegate, Status, TaskInfo};
use crate::journal::{Done, Key};
use crate::playbook::Task;
use crate::source::Node;
use crate::template::{self, Scope};
use crate::vars::{BatchVars, Layer, TaskLayers, TaskScope};

/// What there is to do.
pub struct HostTask<'a> {
    pub run: &'a Run,
    pub task: &'a Task,
    pub info: Arc<TaskInfo>,
    pub scope: TaskScope,
    /// What the task brings to the variables of a host that it is delegated to.
    pub delegation: Option<(Arc<BatchVars>, TaskLayers)>,
    /// Folders that the task's files are looked for in.
    pub search: Vec<std::path::PathBuf>,
    /// The host goes through the play by itself.
    pub apart: bool,
    /// Shared by the hosts of a task with a `throttle`.
    pub throttled: Option<Arc<Semaphore>>,
    /// What the journal knows it by.
    pub turn: Option<Key>,
    /// It is done again although it was done before the run was resumed.
    pub again: bool,
}

/// What came of it.
pub struct Finished {
    pub host: String,
    pub status: Status,
    /// The whole result, uncensored: for `register` and the rescue variables.
    pub result: TaskResult,
    pub delegated_to: Option<String>,
    /// The delegate's `ansible_host`.
    pub address: Option<String>,
    /// Each with the host that its item was delegated to.
    pub effects: Vec<(Option<String>, Effect)>,
    /// Files that include_tasks asks for, one per item that was not skipped.
    pub includes: Vec<Include>,
    /// What the task, or each of its items that changed something, notifies.
    pub notices: Vec<Notice>,
    pub no_log: bool,
    pub turn: Option<Key>,
    /// All of it was done before the run was resumed.
    pub resumed: bool,
    pub duration: Duration,
}

/// A file of tasks to go on with.
#[derive(Clone, Debug)]
pub struct Include {
    pub target: Target,
    /// The loop's variables of the item that asked for it.
    pub locals: Layer,
    /// What the item is called in the output.
    pub item: Option<String>,
    pub no_log: bool,
}

/// An item of a loop.
pub(super) struct Item<'a> {
    pub(super) index: usize,
    pub(super) locals: &'a Layer,
}

/// One item's run, or the task's own when it has no loop.
#[derive(Default)]
pub(super) struct Once {
    pub result: TaskResult,
    pub(super) effects: Vec<Effect>,
    pub delegated_to: Option<String>,
    /// The delegate's `ansible_host`, for what has run there.
    pub address: Option<String>,
    pub(super) include: Option<Include>,
    pub(super) notices: Vec<Notice>,
    /// Done before the run was resumed.
    pub(super) resumed: bool,
}

impl Once {
    pub(super) fn delegate(&self) -> Option<Delegate> {
        let address = self.address.clone();
        self.delegated_to.clone().map(|name| Delegate { name, address })
    }
}

/// A name as the playbook has it.
pub(super) fn written(node: &Node) -> String {
    node.as_str().map_or_else(|| node.to_json().to_string(), str::to_owned)
}

pub(super) fn of_host(
    effects: Vec<Effect>,
    host: Option<&String>,
) -> Vec<(Option<String>, Effect)> {
    effects.into_iter().map(|effect| (host.cloned(), effect)).collect()
}

impl HostTask<'_> {
    pub async fn run(self) -> Finished {
        // Closed only when the run is over.
        let _throttle = match &self.throttled {
            Some(throttle) => throttle.acquire().await.ok(),
            None => None,
        };
        let _slot = self.run.slots.acquire().await;
        let started = Instant::now();
        let scope: Arc<dyn Scope> = Arc::new(self.scope.clone());
        let no_log = self.no_log(&scope);
        let mut finished = Finished {
            host: self.scope.host().to_owned(),
            status: Status::Ok,
            result: Map::new(),
            delegated_to: None,
            address: None,
            effects: Vec::new(),
            includes: Vec::new(),
            notices: Vec::new(),
            no_log,
            turn: self.turn.clone(),
            resumed: false,
            duration: Duration::ZERO,
        };
        match self.items(&scope) {
            Ok(None) => {
                let once = self.recorded(&self.scope, None, no_log).await;
                finished.result = once.result;
                finished.resumed = once.resumed;
                finished.effects = of_host(once.effects, once.delegated_to.as_ref());
                finished.delegated_to = once.delegated_to;
                finished.address = once.address;
                finished.includes.extend(once.include);
                finished.notices = once.notices;
            }
            Ok(Some(items)) => self.run_loop(items, &mut finished).await,
            Err(failure) => finished.result = result::of_failure(failure),
        }
        finished.status = self.status(&finished.result, &scope);
        finished.duration = started.elapsed();
        finished
    }

    /// A task whose `no_log` cannot be told is not logged.
    pub(super) fn no_log(&self, scope: &Arc<dyn Scope>) -> bool {
        let keyword = self.task.keywords.no_log.as_ref();
        keyword.map_or(self.run.settings.no_log, |node| {
            flag_of(self.run.templar(), node, scope).unwrap_or(true)
        })
    }

    pub(super) fn status(&self, result: &TaskResult, scope: &Arc<dyn Scope>) -> Status {
        let keywords = &self.task.keywords;
        let set = |node: Option<&Node>| {
            node.is_some_and(|node| flag_of(self.run.templar(), node, scope).unwrap_or(false))
        };
        if result::flag(result, "unreachable") {
            match set(keywords.ignore_unreachable.as_ref()) {
                true => Status::UnreachableIgnored,
                false => Status::Unreachable,
            }
        } else if result::has_failed(result) {
            match set(keywords.ignore_errors.as_ref()) {
                true => Status::FailedIgnored,
                false => Status::Failed,
            }
        } else if result::flag(result, "skipped") {
            Status::Skipped
        } else if result::flag(result, "changed") {
            Status::Changed
        } else {
            Status::Ok
        }
    }

    /// The first condition of `when` that does not hold.
    pub(super) fn false_condition(&self, scope: &Arc<dyn Scope>) -> Result<Option<Json>, Failure> {
        for condition in &self.task.keywords.when {
            let held = self.run.templar().condition(condition, scope).map_err(Failure::from)?;
            if !held {
                return Ok(Some(condition.to_json()));
            }
        }
        Ok(None)
    }

    /// What an item (or the task, if it has no loop) is called in the journal.
    pub(super) fn key(&self, item: Option<usize>) -> Option<Key> {
        self.turn.clone().map(|key| Key { item, ..key })
    }

    /// Whether an item was done before this run was resumed.
    pub(super) fn is_done(&self, index: usize) -> bool {
        self.known(self.key(Some(index)).as_ref()).is_some()
    }

    /// What came of it before this run was resumed, unless it is to be done again.
    fn known(&self, key: Option<&Key>) -> Option<&Done> {
        let done = self.run.recorder.done(key);
        done.filter(|done| !(self.again && done.may_run_again()))
    }

    /// As the journal has it from before the run was resumed, or else now.
    pub(super) async fn recorded(
        &self,
        scope: &TaskScope,
        item: Option<Item<'_>>,
        no_log: bool,
    ) -> Once {
        let recorder = &self.run.recorder;
        let key = self.key(item.as_ref().map(|item| item.index));
        if let Some(done) = self.known(key.as_ref()) {
            let once = Once {
                result: done.result.clone(),
                effects: recorder::effects_of(done),
                delegated_to: done.delegated_to.clone(),
                address: None,
                include: None,
                notices: self.notices(&(Arc::new(scope.clone()) as _)).unwrap_or_default(),
                resumed: true,
            };
            return self.relocked(scope, once).await;
        }
        let subject = Subject { task: self.task, info: &self.info, no_log };
        let once = self.once(scope, item, key.as_ref(), &subject).await;
        let no_log = no_log || result::is_secret(&once.result);
        let subject = Subject { no_log, ..subject };
        let delegated_to = once.delegated_to.as_ref();
        let dynamic: Arc<dyn Scope> = Arc::new(scope.clone());
        let status = self.status(&once.result, &dynamic);
        recorder.end(key.as_ref(), &subject, &once.result, &once.effects, delegated_to, status);
        once
    }

    async fn once(
        &self,
        scope: &TaskScope,
        item: Option<Item<'_>>,
        key: Option<&Key>,
        subject: &Subject<'_>,
    ) -> Once {
        let mut once = Once::default();
        let target = self.target(scope);
        let scope = &self.with_delegate(scope, target.as_deref());
        let dynamic: Arc<dyn Scope> = Arc::new(scope.clone());
        let condition = match self.empty_delegate(&dynamic) {
            Some(failure) => Err(failure),
            None => self.false_condition(&dynamic),
        };
        match condition {
            Ok(None) => {}
            Ok(Some(condition)) => {
                once.result = result::skipped(&condition);
                return once;
            }
            Err(failure) => {
                once.delegated_to = self.task.keywords.delegate_to.as_ref().map(written);
                once.result = result::of_failure(failure);
                return once;
            }
        }
        once.delegated_to = target;
        if let Err(failure) = self.prepared(scope, &dynamic, item, key, subject, &mut once).await {
            once.result = result::of_failure(failure);
        }
        if result::flag(&once.result, "unreachable") {
            once.address = None;
        }
        once
    }

    /// Whom the task is delegated to, unless that is known; a name that cannot be told is
    /// shown as it is written.
    pub(super) fn delegate(&self, scope: &Arc<dyn Scope>, once: &mut Once) -> Result<(), Failure> {
        let Some(node) = &self.task.keywords.delegate_to else { return Ok(()) };
        if once.delegated_to.is_some() {
            return Ok(());
        }
        once.delegated_to = Some(written(node));
        once.delegated_to = text_of(self.run.templar(), node, scope)?;
        Ok(())
    }

    /// The variables of the host that the task runs on.
    pub(super) fn there(&self, scope: &Arc<dyn Scope>, once: &Once) -> Arc<dyn Scope> {
        match &once.delegated_to {
            Some(target) => Arc::new(self.scope_of(target)),
            None => scope.clone(),
        }
    }

    /// What the task sees on another host.
    fn scope_of(&self, target: &str) -> TaskScope {
        match &self.delegation {
            Some((vars, layers)) => self.run.manager.task_scope(target, vars, layers),
            None => self.run.scope_of(target),
        }
    }

    /// A name of whom the task is delegated to that comes out empty is wrong, whether or
    /// not the task is to run; one that is left out by `omit` is not.
    fn empty_delegate(&self, scope: &Arc<dyn Scope>) -> Option<Failure> {
        let node = self.task.keywords.delegate_to.as_ref()?;
        let value = value_of(self.run.templar(), node, scope).ok()?;
        (value.as_str() == Some("")).then(|| {
            let written = written(node);
            Failure::new(format!("Empty hostname produced from delegate_to: \"{written}\""))
        })
    }

    /// The host that the task is delegated to. It is asked for once: a name may be drawn by
    /// lot. One that cannot be told yet is found wrong when the task is about to run.
    pub(super) fn target(&self, scope: &TaskScope) -> Option<String> {
        let node = self.task.keywords.delegate_to.as_ref()?;
        let dynamic: Arc<dyn Scope> = Arc::new(scope.clone());
        text_of(self.run.templar(), node, &dynamic).ok().flatten()
    }

    /// `ansible_delegated_vars`: the variables of the host that the task is delegated to.
    pub(super) fn with_delegate(&self, scope: &TaskScope, target: Option<&str>) -> TaskScope {
        match target {
            Some(target) => scope.delegated(self.scope_of(target)),
            None => scope.clone(),
        }
    }

    async fn prepared(
        &self,
        scope: &TaskScope,
        dynamic: &Arc<dyn Scope>,
        item: Option<Item<'_>>,
        key: Option<&Key>,
        subject: &Subject<'_>,
        once: &mut Once,
    ) -> Result<(), Failure> {
        let templar = self.run.templar();
        self.delegate(dynamic, once)?;
        once.notices = self.notices(dynamic)?;
        let there = self.there(dynamic, once);
        let invocation = Invocation::of(self.run, self.task, templar, dynamic, &there)?;
        if let Invocation::Include(target) = &invocation {
            let is_item = item.is_some();
            once.include = Some(Include {
                target: target.clone(),
                locals: item.as_ref().map(|item| item.locals.clone()).unwrap_or_default(),
                item: None,
                no_log: self.no_log(dynamic),
            });
            once.result = result::of_include(target, is_item);
            return Ok(());
        }
        let context = self.context(dynamic, once)?;
        if let Invocation::Module { arguments, .. } = &invocation
            && guard::locks(&self.task.module, arguments)
            && !context.check
        {
            guard::enter_if_known(&context).await?;
        }
        self.run.recorder.begin(key, subject, &invocation).await?;
        once.result = self.attempts(&invocation, &context, scope, once).await?;
        once.effects = context.take_effects();
        Ok(())
    }

    pub(super) fn context(
        &self,
        scope: &Arc<dyn Scope>,
        once: &mut Once,
    ) -> Result<Context, Failure> {
        let remote = self.remote(scope, once)?;
        Ok(Context::new(
            self.scope.host().to_owned(),
            self.info.name.clone(),
            self.flags(scope)?,
            self.environment(scope)?,
            scope.clone(),
            self.run.templar().clone(),
            remote,
            self.search.clone(),
            self.run.session.clone(),
        ))
    }

    fn remote(&self, scope: &Arc<dyn Scope>, once: &mut Once) -> Result<Remote, Failure> {
        let templar = self.run.templar();
        let settings = &self.run.settings;
        let keywords = Some(&*self.task.keywords);
        let pool = &self.run.session.pool;
        let Some(target) = once.delegated_to.clone() else {
            return Resolver { settings, templar, scope, of_task: scope, keywords }
                .remote(self.scope.host(), pool);
        };
        let other: Arc<dyn Scope> = Arc::new(self.scope_of(&target));
        // Shown is what the inventory says.
        let own: Arc<dyn Scope> = Arc::new(self.run.scope_of(&target));
        once.address = text_variable(templar, &own, &["ansible_host"])?;
        Resolver { settings, templar, scope: &other, of_task: scope, keywords }
            .remote(&target, pool)
    }

    fn flags(&self, scope: &Arc<dyn Scope>) -> Result<Flags, Failure> {
        let templar = self.run.templar();
        let keywords = &self.task.keywords;
        let check = keyword_flag(templar, keywords, |k| k.check_mode.as_ref(), scope)?;
        let diff = keyword_flag(templar, keywords, |k| k.diff.as_ref(), scope)?;
        let timeout = match &keywords.timeout {
            Some(node) => Some(number_of(templar, node, scope, "timeout")? as u64),
            None => self.run.settings.task_timeout,
        };
        Ok(Flags {
            check: check.unwrap_or(self.run.settings.check),
            diff: diff.unwrap_or(self.run.settings.diff),
            verbosity: self.run.settings.verbosity,
            timeout: timeout.filter(|seconds| *seconds > 0),
            is_retried: self.task.is_retried(),
        })
    }

    fn environment(&self, scope: &Arc<dyn Scope>) -> Result<BTreeMap<String, String>, Failure> {
        let mut environment = BTreeMap::new();
        for node in &self.task.keywords.environment {
            let value = match value_of(self.run.templar(), node, scope) {
                Ok(value) => value,
                // What is to be gathered may not be there yet.
                Err(failure) if self.gathers_facts() && failure.msg.contains("ansible_") => {
                    environment.extend(self.known_environment(node, scope));
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            if value.is_none() || value.is_undefined() {
                continue;
            }
            let layers = match template::to_json(&value).map_err(Failure::from)? {
                Json::Array(layers) => layers,
                one => vec![one],
            };
            for layer in layers {
                let Json::Object(variables) = layer else {
                    let error = node.span.error("'environment' must be a mapping of variables");
                    return Err(Failure::new(error.to_string()));
                };
                environment.extend(variables.into_iter().map(|(name, value)| match value {
                    Json::String(text) => (name, text),
                    other => (name, template::from_json(&other).to_string()),
                }));
            }
        }
        Ok(environment)
    }

    fn gathers_facts(&self) -> bool {
        matches!(self.task.module.as_str(), "setup" | "gather_facts")
    }

    /// The variables of an environment whose values can be told.
    fn known_environment(&self, node: &Node, scope: &Arc<dyn Scope>) -> Vec<(String, String)> {
        let entries = node.as_map().unwrap_or_default().iter();
        entries
            .filter_map(|(name, value)| {
                let value = value_of(self.run.templar(), value, scope).ok()?;
                Some((name.as_str()?.to_owned(), template::python_text(&value)))
            })
            .collect()
    }
}
