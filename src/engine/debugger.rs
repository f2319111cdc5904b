//! `debugger`: the operator looks at a task that has just ended on a host, changes its
//! arguments or variables, and has it run again.

use std::io::BufRead;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::batch::{Batch, Place};
use super::host_task::Finished;
use super::{Stop, keywords};
use crate::events::{Event, Status, TaskInfo};
use crate::playbook::Task;
use crate::source::{Node, Yaml};
use crate::template::{self, Scope, TemplateError, Value, Variable};
use crate::vars::{Layer, TaskScope};

const HELP: &str = "
Documented commands (type help <topic>):
========================================
EOF  c  continue  h  help  p  pprint  q  quit  r  redo  u  update_task
";

/// Wider values are printed over several lines, as Python's pprint does.
const COLUMNS: usize = 80;

/// What the operator has changed: arguments of the task, variables of the host.
#[derive(Clone, Default)]
struct Changes {
    arguments: Option<Map<String, Json>>,
    variables: Layer,
}

/// What the operator wants.
enum Next {
    Redo,
    Continue,
    Quit,
}

impl Batch<'_> {
    /// Lets the operator have a word where the task or the settings ask for it. What
    /// comes back is the last result.
    pub(super) async fn debugged(
        &mut self,
        task: &Task,
        info: &Arc<TaskInfo>,
        mut done: Finished,
        place: &Place,
        once: bool,
    ) -> Result<Finished, Stop> {
        let mut changes = Changes::default();
        while self.wants_debugger(task, &done, place)? {
            let scope = self.debug_scope(task, &done.host, place, &changes);
            let next = self.converse(task, info, &done, scope, &mut changes).await?;
            match next {
                Next::Continue => break,
                Next::Quit => return Err(Stop::Interrupted),
                Next::Redo => {}
            }
            let again = changed(task, &changes);
            let mut around = place.clone();
            around.includes.insert(0, Arc::new(changes.variables.clone()));
            let scope: Arc<dyn Scope> = Arc::new(self.scope(&done.host, &again, &around));
            let hosts = vec![done.host.clone()];
            let finished = self.on_hosts(&again, info, hosts, &around, &scope, once).await?;
            let Some(last) = finished.into_iter().next() else { break };
            done = last;
        }
        Ok(done)
    }

    fn wants_debugger(&self, task: &Task, done: &Finished, place: &Place) -> Result<bool, Stop> {
        let settings = &self.run.settings;
        let failed = done.status == Status::Failed
            || (done.status == Status::FailedIgnored && !settings.debugger_ignores_errors);
        let lost = matches!(done.status, Status::Unreachable | Status::UnreachableIgnored);
        let everywhere = (settings.debugger || self.debugs) && (failed || lost);
        let Some(node) = &task.keywords.debugger else { return Ok(everywhere) };
        let scope: Arc<dyn Scope> = Arc::new(self.scope(&done.host, task, place));
        let when = keywords::text_of(self.run.templar(), node, &scope).map_err(Stop::of_failure)?;
        Ok(match when.as_deref() {
            Some("always") => true,
            Some("never") => false,
            Some("on_failed") => failed || everywhere,
            Some("on_unreachable") => lost || everywhere,
            Some("on_skipped") => done.status == Status::Skipped || everywhere,
            _ => everywhere,
        })
    }

    fn debug_scope(&self, task: &Task, host: &str, place: &Place, changes: &Changes) -> TaskScope {
        self.scope(host, task, place).with_locals(changes.variables.clone())
    }

    /// Commands are taken until one of them ends it.
    async fn converse(
        &self,
        task: &Task,
        info: &TaskInfo,
        done: &Finished,
        scope: TaskScope,
        changes: &mut Changes,
    ) -> Result<Next, Stop> {
        let tell = |text: String| self.run.events.emit(Event::Message { text });
        let mut scope = scope;
        loop {
            let prompt = format!("[{}] TASK: {} (debug)> ", done.host, info.name);
            self.run.events.emit(Event::Asked { text: prompt });
            let line = read_line().await?;
            let line = line.as_deref().map(str::trim);
            let (command, rest) = match line {
                Some(line) => line.split_once(char::is_whitespace).unwrap_or((line, "")),
                None => ("EOF", ""),
            };
            match command {
                "" => {}
                "c" | "continue" => return Ok(Next::Continue),
                "r" | "redo" => return Ok(Next::Redo),
                "q" | "quit" | "EOF" => return Ok(Next::Quit),
                "h" | "help" | "?" => tell(HELP.to_owned()),
                // Variables are looked at when the task runs again, changed or not.
                "u" | "update_task" => {}
                "p" | "pprint" => {
                    let shown = self.shown(rest.trim(), task, info, done, &scope, changes);
                    tell(shown.unwrap_or_else(|error| complaint(&error)));
                }
                _ => {
                    let line = line.unwrap_or_default();
                    match self.assign(line, task, &scope, changes) {
                        Ok(()) => scope = scope.with_locals(changes.variables.clone()),
                        Err(error) => tell(complaint(&error)),
                    }
                }
            }
        }
    }

    /// `p task`, `p task.args`, `p task_vars['x']`, `p result._result`, `p host`.
    fn shown(
        &self,
        expression: &str,
        task: &Task,
        info: &TaskInfo,
        done: &Finished,
        scope: &TaskScope,
        changes: &Changes,
    ) -> Result<String, TemplateError> {
        if done.no_log {
            return Err(TemplateError::new("the task has no_log: what it knows is not shown"));
        }
        match expression {
            "task" => return Ok(format!("TASK: {}", info.name)),
            "host" => return Ok(done.host.clone()),
            _ => {}
        }
        let arguments = self.arguments(task, scope, changes)?;
        let object = |value: Json| Variable::Data(template::from_json(&value));
        let task = json!({
            "args": arguments, "name": info.name, "action": task.written_module,
            "tags": task.keywords.tags,
        });
        let variables = scope.lookup("vars").unwrap_or(Variable::Data(Value::from(())));
        let names = Layer::from_iter([
            ("task".to_owned(), object(task)),
            ("result".to_owned(), object(json!({ "_result": done.result }))),
            ("host".to_owned(), Variable::Data(Value::from(done.host.as_str()))),
            ("task_vars".to_owned(), variables),
        ]);
        let scope: Arc<dyn Scope> = Arc::new(scope.with_locals(names));
        let value = self.run.templar().evaluate(expression, None, &scope)?;
        Ok(pretty(&value, 0))
    }

    /// The arguments as they are now, templates filled in.
    fn arguments(
        &self,
        task: &Task,
        scope: &TaskScope,
        changes: &Changes,
    ) -> Result<Map<String, Json>, TemplateError> {
        if let Some(arguments) = &changes.arguments {
            return Ok(arguments.clone());
        }
        let scope: Arc<dyn Scope> = Arc::new(scope.clone());
        let mut arguments = Map::new();
        if let Some(node) = &task.arguments {
            let value = self.run.templar().render_arguments(node, &scope)?;
            if let Json::Object(given) = template::to_json(&value)? {
                arguments = given;
            }
        }
        if let Some(node) = &task.free_form {
            let value = self.run.templar().render(node, &scope)?;
            arguments.insert("_raw_params".to_owned(), template::to_json(&value)?);
        }
        Ok(arguments)
    }

    /// `task.args['name'] = value` and `task_vars['name'] = value`.
    fn assign(
        &self,
        line: &str,
        task: &Task,
        scope: &TaskScope,
        changes: &mut Changes,
    ) -> Result<(), TemplateError> {
        let (target, name, value) = assignment(line).ok_or_else(|| {
            TemplateError::new(
                "only p EXPRESSION, task.args['NAME'] = VALUE and task_vars['NAME'] = VALUE are \
                 understood; h lists the commands",
            )
        })?;
        let expressions: Arc<dyn Scope> = Arc::new(scope.clone());
        let value = self.run.templar().evaluate(value, None, &expressions)?;
        if target == "task_vars" {
            changes.variables.insert(name.to_owned(), Variable::Data(value));
            return Ok(());
        }
        let mut arguments = self.arguments(task, scope, changes)?;
        arguments.insert(name.to_owned(), template::to_json(&value)?);
        changes.arguments = Some(arguments);
        Ok(())
    }
}

/// The task with the arguments that it has now.
fn changed(task: &Task, changes: &Changes) -> Task {
    let mut task = task.clone();
    let Some(arguments) = &changes.arguments else { return task };
    let mut arguments = arguments.clone();
    let text = |text: &str| Node::new(Yaml::Unsafe(text.to_owned()), task.span.clone());
    let free_form = arguments.shift_remove("_raw_params");
    task.free_form = free_form.as_ref().and_then(Json::as_str).map(text);
    task.arguments = Some(Node::from_json(&Json::Object(arguments), &task.span));
    task
}

fn assignment(line: &str) -> Option<(&str, &str, &str)> {
    let (target, rest) = line.split_once('[')?;
    let target = target.trim();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, rest) = rest.get(1..)?.split_once(quote)?;
    let value = rest.trim_start().strip_prefix(']')?.trim_start().strip_prefix('=')?;
    let known = matches!(target, "task.args" | "task_vars") && !value.starts_with('=');
    known.then(|| (target, name, value.trim()))
}

fn complaint(error: &TemplateError) -> String {
    let kind = if error.undefined { "NameError" } else { "Error" };
    format!("***{kind}:{kind}({})", template::python_repr(&Value::from(error.to_string())))
}

/// A value on one line, or where that is too long an entry a line.
fn pretty(value: &Value, indent: usize) -> String {
    let whole = template::python_repr(value);
    if whole.chars().count() + indent <= COLUMNS {
        return whole;
    }
    let json = template::to_json(value).unwrap_or_default();
    let separator = format!(",\n{}", " ".repeat(indent + 1));
    match json {
        Json::Object(map) if !map.is_empty() => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            let entry = |(key, item): (&String, &Json)| {
                let key = template::python_repr(&Value::from(key.as_str()));
                let width = indent + key.chars().count() + 3;
                format!("{key}: {}", pretty(&template::from_json(item), width))
            };
            let entries: Vec<_> = entries.into_iter().map(entry).collect();
            format!("{{{}}}", entries.join(&separator))
        }
        Json::Array(items) if !items.is_empty() => {
            let items = items.iter().map(|item| pretty(&template::from_json(item), indent + 1));
            format!("[{}]", items.collect::<Vec<_>>().join(&separator))
        }
        _ => whole,
    }
}

/// What is typed; none at the end of the input.
pub(super) async fn read_line() -> Result<Option<String>, Stop> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let length = std::io::stdin().lock().read_line(&mut line)?;
        Ok::<_, std::io::Error>((length > 0).then_some(line))
    });
    read.await
        .map_err(|error| Stop::Error(error.to_string()))?
        .map_err(|error| Stop::Error(format!("nothing could be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_name_an_argument_or_a_variable() {
        assert_eq!(assignment("task.args['a'] = 'b'"), Some(("task.args", "a", "'b'")));
        assert_eq!(assignment("task_vars[\"a\"]=1"), Some(("task_vars", "a", "1")));
        for other in ["task.args['a'] == 1", "task['a'] = 1", "x = 1", "task.args[a] = 1", "["] {
            assert_eq!(assignment(other), None, "{other}");
        }
    }

    #[test]
    fn long_values_have_an_entry_a_line() {
        let long = "x".repeat(50);
        let value = template::from_json(&json!({"b": [1, 2], "a": {"c": long, "d": long}}));
        let expected = format!("{{'a': {{'c': '{long}',\n       'd': '{long}'}},\n 'b': [1, 2]}}");
        assert_eq!(pretty(&value, 0), expected);
    }
}
