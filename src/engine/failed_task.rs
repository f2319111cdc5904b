//! `ansible_failed_task`: what a rescue can ask about the task that failed.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::playbook::{LoopControl, Task};
use crate::source::Node;
use crate::template::{self, Scope, Templar, Value};
use crate::vars::Layer;

/// The keywords of a task as its host sees them.
pub struct FailedTask<'a> {
    pub task: &'a Task,
    /// Without lookups: what they do is not done again to tell of it.
    pub templar: Templar,
    pub scope: Arc<dyn Scope>,
    /// The arguments stay as they are written.
    pub no_log: bool,
}

impl FailedTask<'_> {
    pub fn value(&self) -> Value {
        let (task, keywords) = (self.task, &*self.task.keywords);
        let own = |node: &Option<Node>| node.as_ref().map(|node| self.filled(node));
        let or = |node: &Option<Node>, default: Json| own(node).unwrap_or(default);
        let or_null = |node: &Option<Node>| own(node).unwrap_or_default();
        let all = |nodes: &[Node]| nodes.iter().map(|node| self.filled(node)).collect::<Json>();
        let written = |nodes: &[Node]| nodes.iter().map(Node::to_json).collect::<Json>();
        let looping = task.loop_.as_ref();
        let lookup = looping.filter(|looping| looping.kind != "loop");
        let vars = keywords.own_vars.as_ref().map(|layer| self.variables(layer));
        let entries = [
            ("action", json!(task.module)),
            ("any_errors_fatal", or(&keywords.any_errors_fatal, json!(false))),
            ("args", self.arguments()),
            ("async", or(&task.async_, json!(0))),
            ("async_val", or(&task.async_, json!(0))),
            ("become", or(&keywords.become_, json!(false))),
            ("become_exe", or_null(&keywords.become_exe)),
            ("become_flags", or_null(&keywords.become_flags)),
            ("become_method", or(&keywords.become_method, json!("sudo"))),
            ("become_user", or_null(&keywords.become_user)),
            ("changed_when", written(&task.changed_when)),
            ("check_mode", or(&keywords.check_mode, json!(false))),
            ("collections", json!([])),
            ("connection", or(&keywords.connection, json!("ssh"))),
            ("debugger", or_null(&keywords.debugger)),
            ("delay", or(&task.delay, json!(5))),
            ("delegate_facts", or_null(&keywords.delegate_facts)),
            ("delegate_to", or_null(&keywords.delegate_to)),
            ("diff", or(&keywords.diff, json!(false))),
            ("environment", self.environment()),
            ("failed_when", written(&task.failed_when)),
            ("ignore_errors", or_null(&keywords.ignore_errors)),
            ("ignore_unreachable", or_null(&keywords.ignore_unreachable)),
            ("loop", looping.map(|looping| self.filled(&looping.node)).unwrap_or_default()),
            ("loop_control", self.loop_control(&task.loop_control)),
            ("loop_with", json!(lookup.map(|looping| &looping.kind))),
            ("module_defaults", all(&keywords.module_defaults)),
            ("name", or(&task.name, json!(""))),
            ("no_log", or(&keywords.no_log, json!(false))),
            ("notify", if task.notify.is_empty() { Json::Null } else { all(&task.notify) }),
            ("poll", or(&task.poll, json!(15))),
            ("port", or_null(&keywords.port)),
            ("register", json!(task.register)),
            ("remote_user", or_null(&keywords.remote_user)),
            ("retries", or_null(&task.retries)),
            ("run_once", or_null(&keywords.run_once)),
            ("tags", json!(keywords.tags)),
            ("throttle", or(&keywords.throttle, json!(0))),
            ("timeout", or(&keywords.timeout, json!(0))),
            ("until", written(&task.until)),
            ("vars", Json::Object(vars.unwrap_or_default())),
            ("when", written(&keywords.when)),
        ];
        let value = |(name, value): (&str, Json)| (name.to_owned(), value);
        template::from_json(&Json::Object(entries.into_iter().map(value).collect()))
    }

    /// With what the host has for variables, or as it is written where that is not enough.
    fn filled(&self, node: &Node) -> Json {
        let rendered = self.templar.render_arguments(node, &self.scope);
        let rendered = rendered.ok().filter(|value| !template::is_omit(value));
        rendered.and_then(|value| template::to_json(&value).ok()).unwrap_or_else(|| node.to_json())
    }

    fn arguments(&self) -> Json {
        let told = |node: &Node| if self.no_log { node.to_json() } else { self.filled(node) };
        let named = self.task.arguments.as_ref().map(told);
        let mut arguments = match named {
            Some(Json::Object(arguments)) => arguments,
            Some(other) if self.task.free_form.is_none() => return other,
            _ => Map::new(),
        };
        if let Some(text) = &self.task.free_form {
            arguments.insert("_raw_params".to_owned(), told(text));
        }
        Json::Object(arguments)
    }

    /// What blocks around and the task say, as one.
    fn environment(&self) -> Json {
        let levels = self.task.keywords.environment.iter().map(|node| self.filled(node));
        let mut merged = Map::new();
        levels.for_each(|level| merged.extend(level.as_object().cloned().unwrap_or_default()));
        if merged.is_empty() { json!([]) } else { json!([merged]) }
    }

    fn variables(&self, layer: &Layer) -> Map<String, Json> {
        let value = |variable: &template::Variable| match variable {
            template::Variable::Source(node) => self.filled(node),
            template::Variable::Data(value) => template::to_json(value).unwrap_or_default(),
        };
        layer.iter().map(|(name, variable)| (name.clone(), value(variable))).collect()
    }

    fn loop_control(&self, control: &LoopControl) -> Json {
        json!({
            "break_when": control.break_when.iter().map(Node::to_json).collect::<Json>(),
            "extended": Some(true).filter(|_| control.extended),
            "extended_allitems": control.extended_allitems,
            "index_var": control.index_var,
            "label": control.label.as_ref().map(|label| self.filled(label)),
            "loop_var": super::loops::variable(control),
            "pause": control.pause.as_ref().map_or(json!(0.0), |pause| self.filled(pause)),
        })
    }
}
