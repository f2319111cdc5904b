//! A task that goes through the items of a loop on a host.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::fact_modules::GATHERED;
use super::host_task::{Finished, HostTask, Item, Once, of_host, written};
use super::keywords::number_of;
use super::loops;
use super::result::{self, Result as TaskResult};
use crate::actions::{Effect, Failure};
use crate::events::{Event, HostResult};
use crate::playbook::LoopControl;
use crate::template::{self, Scope, Value, Variable};
use crate::vars::{Layer, TaskScope};

impl HostTask<'_> {
    /// The loop's items; none when the task has no loop. A loop that cannot be
    /// templated is no failure when the condition, which it may need, is false.
    pub(super) fn items(&self, scope: &Arc<dyn Scope>) -> Result<Option<Vec<Value>>, Failure> {
        let Some(looping) = &self.task.loop_ else {
            return Ok(None);
        };
        match loops::items(self.run.templar(), looping, &self.task.module, scope) {
            Ok(items) => Ok(Some(items)),
            Err(_) if matches!(self.false_condition(scope), Ok(Some(_))) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn run_loop(&self, items: Vec<Value>, finished: &mut Finished) {
        if items.is_empty() {
            finished.result = result::no_items();
            return;
        }
        let scope: Arc<dyn Scope> = Arc::new(self.scope.clone());
        let control = &loops::control(self.run.templar(), &self.task.loop_control, &scope);
        let name = loops::variable(control);
        if scope.lookup(name).is_some() {
            self.run.warn(format!(
                "TASK: {}: The loop variable '{name}' is already in use. You should set the \
                 `loop_var` value in the `loop_control` option for the task to something else to \
                 avoid variable collisions and unexpected behavior.",
                self.info.name
            ));
        }
        let count = items.len();
        let mut results = Vec::with_capacity(count);
        finished.resumed = true;
        // What an item sets the next one sees.
        let mut learned = Layer::new();
        let mut goes_ahead = self.goes_ahead();
        let mut ahead = VecDeque::new();
        for (index, item) in items.iter().enumerate() {
            if self.run.interrupt.requested() {
                break;
            }
            let locals = loops::locals(control, &items, index);
            let scope = self.scope.with_locals(learned.clone()).with_locals(locals.clone());
            let dynamic: Arc<dyn Scope> = Arc::new(scope.clone());
            let started = Instant::now();
            let item_of = Item { index, locals: &locals };
            if goes_ahead && ahead.is_empty() && !self.is_done(index) {
                (ahead, goes_ahead) =
                    self.send_ahead(control, &items, index, finished.no_log).await;
            }
            let mut once = match ahead.pop_front() {
                Some(sent) => self.arrived(sent, &scope, finished.no_log).await,
                None => self.recorded(&scope, Some(item_of), finished.no_log).await,
            };
            self.name_item(&mut once.result, control, index, item, &locals);
            learned.extend(once.effects.iter().flat_map(Effect::variables));
            if let Some(name) = &self.task.register {
                let value = result::registered(&once.result);
                learned.insert(name.clone(), Variable::Data(value));
            }
            let label = self.label(control, item, &scope.with_locals(learned.clone()), &mut once);
            finished.resumed &= once.resumed;
            match &mut once.include {
                Some(include) => include.item = Some(label),
                None if once.resumed => {}
                None => self.emit_item(finished, &once, label, &dynamic, started.elapsed()),
            }
            let mut effects = std::mem::take(&mut once.effects);
            effects.extend(self.facts_of(&once.result, effects.is_empty()));
            finished.effects.extend(of_host(effects, once.delegated_to.as_ref()));
            finished.includes.extend(once.include);
            let result = once.result;
            if result::flag(&result, "changed") {
                finished.notices.append(&mut once.notices);
            }
            let over = self.breaks(&result, &scope);
            results.push(result);
            match over {
                Ok(false) => {}
                Ok(true) => break,
                Err(failure) => {
                    results.push(result::of_failure(failure));
                    break;
                }
            }
            if index + 1 < count
                && let Some(pause) = &control.pause
                && let Ok(seconds) = number_of(self.run.templar(), pause, &dynamic, "pause")
            {
                self.sleep(seconds).await;
            }
        }
        finished.result = result::of_loop(results);
        // Its items had hosts of their own: of the whole Ansible knows what is written alone.
        finished.delegated_to = self.task.keywords.delegate_to.as_ref().map(written);
    }

    /// What an item is called in the output. The label may name what came of the item; one
    /// that cannot be told is a failure of what has run by then.
    fn label(
        &self,
        control: &LoopControl,
        item: &Value,
        scope: &TaskScope,
        once: &mut Once,
    ) -> String {
        let Some(node) = &control.label else { return template::python_text(item) };
        let scope: Arc<dyn Scope> = Arc::new(scope.clone());
        match self.run.templar().render(node, &scope) {
            Ok(label) => template::python_text(&label),
            Err(error) => {
                let text = format!("Failed to template loop_control.label: {}", error.message);
                once.result.insert("failed".to_owned(), json!(true));
                once.result.insert("msg".to_owned(), json!(text));
                once.resumed = false;
                once.include = None;
                // Of debug Ansible shows the message alone, and so does not know the item.
                match self.task.module.as_str() {
                    "debug" => "None".to_owned(),
                    _ => template::python_text(item),
                }
            }
        }
    }

    /// Facts that an item's module has found; what tells of variables by its effects finds none.
    fn facts_of(&self, result: &TaskResult, finds: bool) -> Option<Effect> {
        if !finds || self.task.module == "debug" || result::has_failed(result) {
            return None;
        }
        let mut facts = result.get("ansible_facts")?.as_object()?.clone();
        if self.task.module == "gather_facts" {
            facts.insert(GATHERED.to_owned(), json!(true));
        }
        Some(Effect::Facts(facts))
    }

    /// Whether `break_when` ends the loop after this item.
    fn breaks(&self, result: &TaskResult, scope: &TaskScope) -> Result<bool, Failure> {
        let conditions = &self.task.loop_control.break_when;
        if conditions.is_empty() {
            return Ok(false);
        }
        self.all(conditions, &self.with_result(scope, result))
    }

    fn name_item(
        &self,
        result: &mut TaskResult,
        control: &LoopControl,
        index: usize,
        item: &Value,
        locals: &Layer,
    ) {
        let name = loops::variable(control);
        result.insert(name.to_owned(), template::to_json(item).unwrap_or(Json::Null));
        result.insert("ansible_loop_var".to_owned(), json!(name));
        if let Some(index_var) = &control.index_var {
            result.insert(index_var.clone(), json!(index));
            result.insert("ansible_index_var".to_owned(), json!(index_var));
        }
        if let Some(Variable::Data(value)) = locals.get(loops::EXTENDED) {
            let value = template::to_json(value).unwrap_or(Json::Null);
            result.insert(loops::EXTENDED.to_owned(), value);
        }
    }

    fn emit_item(
        &self,
        finished: &Finished,
        once: &Once,
        label: String,
        scope: &Arc<dyn Scope>,
        duration: Duration,
    ) {
        if self.apart {
            self.run.tell_task_of_result(&self.info);
        }
        let censored;
        let (shown, label) = if finished.no_log || result::is_secret(&once.result) {
            censored = result::censored(&once.result);
            (&censored, "None".to_owned())
        } else {
            (&once.result, label)
        };
        self.run.events.emit(Event::ItemFinished(HostResult {
            task: self.info.clone(),
            host: finished.host.clone(),
            delegated_to: once.delegate(),
            status: self.status(&once.result, scope),
            item: Some(label),
            rescued: false,
            result: shown.clone(),
            duration,
        }));
    }
}
