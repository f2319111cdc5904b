//! The attempts of a task on a host: `until`, `retries`, `changed_when` and `failed_when`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::host_task::{HostTask, Once};
use super::invoke::{self, Invocation};
use super::keywords::number_of;
use super::result::{self, Result as TaskResult};
use crate::actions::{Context, Effect, Failure};
use crate::events::{Delegate, Event};
use crate::source::Node;
use crate::template::{self, Scope, Variable};
use crate::vars::{Layer, TaskScope};

impl HostTask<'_> {
    /// Runs it until `until` holds, or once.
    pub(super) async fn attempts(
        &self,
        invocation: &Invocation,
        context: &Context,
        scope: &TaskScope,
        once: &Once,
    ) -> Result<TaskResult, Failure> {
        let templar = self.run.templar();
        let number = |node: &Option<Node>, default: f64, keyword: &str| match node {
            Some(node) => number_of(templar, node, &context.scope, keyword),
            None => Ok(default),
        };
        let retries = match self.task.is_retried() {
            true => number(&self.task.retries, 3.0, "retries")?.max(0.0) as u64,
            false => 0,
        };
        if retries == 0 {
            let result = self.attempt(invocation, context).await;
            return self.judge(result, scope);
        }
        let mut delay = number(&self.task.delay, 5.0, "delay")?;
        if delay < 0.0 {
            // As in Ansible.
            delay = 1.0;
        }
        for attempt in 1..=retries.saturating_add(1) {
            let mut raw = self.attempt(invocation, context).await;
            raw.insert("attempts".to_owned(), json!(attempt));
            let mut result = self.judge(raw, scope)?;
            if result::flag(&result, "unreachable") {
                result.shift_remove("attempts");
                return Ok(result);
            }
            if self.until(&result, scope)? {
                return Ok(result);
            }
            if attempt > retries || self.run.interrupt.requested() {
                result.insert("attempts".to_owned(), json!(retries));
                result.insert("failed".to_owned(), json!(true));
                return Ok(result);
            }
            let hidden = self.no_log(&context.scope) || result::is_secret(&result);
            let mut shown = if hidden { result::censored(&result) } else { result };
            shown.insert("retries".to_owned(), json!(retries.saturating_add(1)));
            self.run.events.emit(Event::Retrying {
                host: context.host.clone(),
                delegated_to: once.delegate().map(|to| Delegate { address: None, ..to }),
                task: self.info.clone(),
                left: retries.saturating_add(1) - attempt,
                result: shown,
            });
            self.sleep(delay).await;
        }
        Err(Failure::new("the task was never tried"))
    }

    async fn attempt(&self, invocation: &Invocation, context: &Context) -> TaskResult {
        let mut result = match self.background(context) {
            Ok(Some(background)) => self.in_background(&background, invocation, context).await,
            Ok(None) => {
                let result = invoke::run(invocation, context, &self.run.interrupt).await;
                self.changed_inventory(context, result)
            }
            Err(failure) => result::of_failure(failure),
        };
        result::say_whether_failed(&mut result);
        result
    }

    /// Does what the task wants of the inventory, at once: only then is known whether
    /// that changes it.
    fn changed_inventory(&self, context: &Context, mut result: TaskResult) -> TaskResult {
        let manager = &self.run.manager;
        for effect in context.take_effects() {
            let odd = || manager.inventory().odd_group_names();
            let odd_before = match &effect {
                Effect::AddHost { .. } | Effect::GroupBy { .. } => odd(),
                _ => None,
            };
            let done = match &effect {
                Effect::AddHost { name, groups, variables } => manager
                    .change_inventory(|hosts| hosts.add_host(name, groups, variables.clone())),
                Effect::GroupBy { group, parents } => manager
                    .change_inventory(|hosts| hosts.add_to_group(&context.host, group, parents)),
                Effect::Included(_) | Effect::Variables(_) | Effect::Facts(_) => {
                    context.effect(effect);
                    continue;
                }
            };
            match done {
                Ok(changed) => drop(result.insert("changed".to_owned(), json!(changed))),
                Err(error) => return result::of_failure(Failure::new(error.to_string())),
            }
            if let Some(text) = odd().filter(|text| odd_before.as_ref() != Some(text)) {
                self.run.warn(text);
            }
        }
        result
    }

    fn until(&self, result: &TaskResult, scope: &TaskScope) -> Result<bool, Failure> {
        if self.task.until.is_empty() {
            return Ok(!result::flag(result, "failed"));
        }
        self.all(&self.task.until, &self.with_result(scope, result))
    }

    /// Applies `changed_when` and `failed_when`.
    pub(super) fn judge(
        &self,
        mut result: TaskResult,
        scope: &TaskScope,
    ) -> Result<TaskResult, Failure> {
        if result::flag(&result, "unreachable") || result::flag(&result, "skipped") {
            return Ok(result);
        }
        if !self.task.changed_when.is_empty() {
            match self.all(&self.task.changed_when, &self.with_result(scope, &result)) {
                Ok(changed) => drop(result.insert("changed".to_owned(), json!(changed))),
                Err(failure) => {
                    result.insert("failed".to_owned(), json!(true));
                    result.insert("changed_when_result".to_owned(), json!(failure.msg));
                }
            }
        }
        if !self.task.failed_when.is_empty() {
            match self.all(&self.task.failed_when, &self.with_result(scope, &result)) {
                Ok(failed) => {
                    result.insert("failed".to_owned(), json!(failed));
                    result.insert("failed_when_result".to_owned(), json!(failed));
                }
                // What the module said stays to be seen.
                Err(failure) => {
                    result.insert("failed".to_owned(), json!(true));
                    result.insert("failed_when_result".to_owned(), json!(failure.msg));
                }
            }
        }
        Ok(result)
    }

    pub(super) fn with_result(&self, scope: &TaskScope, result: &TaskResult) -> Arc<dyn Scope> {
        let mut locals = Layer::new();
        if let Some(name) = &self.task.register {
            let value = result::registered(result);
            locals.insert(name.clone(), Variable::Data(value));
        }
        locals.extend(self.new_facts(result));
        Arc::new(scope.with_locals(locals))
    }

    /// What a result brings is there for the conditions that judge it: variables, and facts under
    /// the names that are injected. `ansible_facts` itself is still the one of before, in Ansible
    /// too.
    fn new_facts(&self, result: &TaskResult) -> Layer {
        let sets_variables = matches!(self.task.module.as_str(), "set_fact" | "include_vars");
        let is_seen = sets_variables || self.run.manager.run().inject_facts;
        let found = result.get("ansible_facts").and_then(Json::as_object).into_iter().flatten();
        let found = found.filter(|_| is_seen && self.task.module != "debug");
        found
            .map(|(name, fact)| (name.clone(), Variable::Data(template::from_json(fact))))
            .collect()
    }

    pub(super) fn all(&self, conditions: &[Node], scope: &Arc<dyn Scope>) -> Result<bool, Failure> {
        for condition in conditions {
            if !self.run.templar().condition(condition, scope).map_err(Failure::from)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) async fn sleep(&self, seconds: f64) {
        let Ok(duration) = Duration::try_from_secs_f64(seconds) else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = self.run.interrupt.wait() => {}
        }
    }
}
