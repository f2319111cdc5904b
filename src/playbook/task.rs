//! One task, or one handler.

use std::sync::Arc;

use super::action::{Action, may_fail};
use super::keywords::{COMMON, DELEGATION, list_of, unknown};
use super::load::{Loader, Place};
use super::values::{is_template, variable_name};
use super::{Loop, LoopControl, Task};
use crate::source::{Error, Node, Yaml};

/// Keywords of tasks beside those of [`COMMON`] and [`DELEGATION`].
const TASK: &[&str] = &[
    "args",
    "action",
    "local_action",
    "loop",
    "loop_control",
    "register",
    "until",
    "retries",
    "delay",
    "changed_when",
    "failed_when",
    "async",
    "poll",
    "listen",
];

/// What may stand beside `include_tasks`; all else belongs under `apply`.
const INCLUDE: &[&str] = &[
    "action",
    "args",
    "collections",
    "debugger",
    "ignore_errors",
    "loop",
    "loop_control",
    "name",
    "no_log",
    "register",
    "run_once",
    "tags",
    "timeout",
    "vars",
    "when",
    "listen",
];

const LOOP_CONTROL: &[&str] =
    &["loop_var", "index_var", "label", "pause", "extended", "extended_allitems", "break_when"];

impl Loader<'_> {
    pub(super) fn task(&self, node: &Node, action: Action, place: &Place) -> Result<Task, Error> {
        in_its_place(&action, place)?;
        let looping = self.task_keywords(node, &action, place)?;
        let outer = place.keywords.clone();
        let mut keywords = outer.inherit(node, "Task")?;
        if action.local {
            let here = Yaml::Str("localhost".to_owned());
            keywords.delegate_to = Some(Node::new(here, node.span.clone()));
        }
        let many = |name: &str| node.get(name).map(list_of).unwrap_or_default();
        Ok(Task {
            name: node.get("name").filter(|name| !is_empty(name)).cloned(),
            written_module: action.written,
            arguments: action.arguments,
            free_form: action.free_form,
            notify: keywords.notify.as_ref().map(list_of).unwrap_or_default(),
            keywords: Arc::new(keywords),
            loop_: looping,
            loop_control: self.loop_control(node.get("loop_control"))?,
            register: variable_name("register", node.get("register"))?,
            until: many("until"),
            retries: node.get("retries").cloned(),
            delay: node.get("delay").cloned(),
            changed_when: many("changed_when"),
            failed_when: many("failed_when"),
            async_: node.get("async").cloned(),
            poll: node.get("poll").cloned(),
            listen: topics(node.get("listen"))?,
            handler: place.handler,
            rescued: place.rescued,
            role: place.role.clone(),
            ..Task::new(&action.module, outer, node.span.clone())
        })
    }

    /// Checks every keyword; returns the loop.
    fn task_keywords(
        &self,
        node: &Node,
        action: &Action,
        place: &Place,
    ) -> Result<Option<Loop>, Error> {
        let expected = may_fail(node, place);
        let include = matches!(action.module.as_str(), "include_tasks" | "include_role");
        let mut looping: Option<Loop> = None;
        for (key, value) in node.as_map().unwrap_or_default() {
            let name = key.as_str().unwrap_or_default();
            if action.key == name {
                continue;
            }
            let lookup = name.strip_prefix("with_");
            if include && !INCLUDE.contains(&name) && lookup.is_none() {
                return Err(unknown(
                    key,
                    if action.module == "include_role" { "IncludeRole" } else { "TaskInclude" },
                    INCLUDE.iter().copied(),
                )
                .with_help(format!(
                    "what the included tasks are to inherit is written under 'apply': {{{name}: …}}"
                )));
            }
            if name == "listen" && !place.handler {
                return Err(unknown(key, "Task", []).with_help("only handlers listen"));
            }
            if name == "loop" || lookup.is_some() {
                if !expected {
                    self.names.check_template(value)?;
                }
                let found = self.looping(key, lookup, value, expected)?;
                if let Some(other) = looping.replace(found) {
                    let error =
                        format!("duplicate loop in task: {} and {name}", written(&other.kind));
                    return Err(key.span.error(error).refused());
                }
            } else if !is_task_keyword(name) {
                return Err(unknown(key, "Task", task_keywords()));
            } else if !expected {
                self.check(name, value)?;
            }
        }
        Ok(looping)
    }

    /// `expected`: what is wrong with the value is a failure when it runs.
    fn looping(
        &self,
        key: &Node,
        lookup: Option<&str>,
        value: &Node,
        expected: bool,
    ) -> Result<Loop, Error> {
        let name = key.as_str().unwrap_or_default();
        if value.value == Yaml::Null {
            return Err(key.span.error(format!("you must specify a value when using {name}")));
        }
        match lookup {
            None if !expected && !is_template(value) && value.as_seq().is_none() => {
                return Err(value.span.error(format!(
                    "Invalid data passed to 'loop', it requires a list, got {} instead",
                    value.kind()
                )));
            }
            Some(lookup) if !self.names.has_lookup(lookup) => {
                return Err(unknown(key, "Task", task_keywords()));
            }
            _ => {}
        }
        Ok(Loop { kind: lookup.unwrap_or("loop").to_owned(), node: value.clone() })
    }

    fn loop_control(&self, node: Option<&Node>) -> Result<LoopControl, Error> {
        let Some(node) = node.filter(|node| node.value != Yaml::Null) else {
            return Ok(LoopControl::default());
        };
        let Some(entries) = node.as_map() else {
            return Err(node.span.error(
                "the `loop_control` value must be specified as a dictionary and cannot be a \
                 variable itself (though it can contain variables)",
            ));
        };
        for (key, value) in entries {
            let name = key.as_str().unwrap_or_default();
            if !LOOP_CONTROL.contains(&name) {
                return Err(unknown(key, "LoopControl", LOOP_CONTROL.iter().copied()));
            }
            self.check(name, value)?;
        }
        let on = |name: &str, default: bool| match node.get(name).map(|node| &node.value) {
            Some(Yaml::Bool(value)) => *value,
            _ => default,
        };
        // Unlike other names of variables these are filled in.
        let name = |name: &str| match node.get(name).filter(|node| is_template(node)) {
            Some(template) => Ok(template.as_str().map(str::to_owned)),
            None => variable_name(name, node.get(name)),
        };
        Ok(LoopControl {
            loop_var: name("loop_var")?,
            index_var: name("index_var")?,
            label: node.get("label").cloned(),
            pause: node.get("pause").cloned(),
            extended: on("extended", false),
            extended_allitems: on("extended_allitems", true),
            break_when: node.get("break_when").map(list_of).unwrap_or_default(),
        })
    }
}

/// What Ansible takes for no name at all.
fn is_empty(name: &Node) -> bool {
    name.value == Yaml::Null || name.as_str() == Some("")
}

/// Some actions make sense in some places alone.
fn in_its_place(action: &Action, place: &Place) -> Result<(), Error> {
    let Some(node) = action.free_form.as_ref().filter(|_| action.module == "meta") else {
        return Ok(());
    };
    let misplaced = match node.as_str() {
        Some("end_role") if place.handler => "Cannot execute 'end_role' from a handler",
        Some("end_role") if place.role.is_none() => {
            "Cannot execute 'end_role' from outside of a role"
        }
        _ => return Ok(()),
    };
    Err(node.span.error(misplaced))
}

/// How the playbook writes a kind of loop.
fn written(kind: &str) -> String {
    if kind == "loop" { kind.to_owned() } else { format!("with_{kind}") }
}

/// Whether a key of a task is a keyword and so not the name of a module.
pub(super) fn is_task_keyword(name: &str) -> bool {
    name.starts_with("with_") || task_keywords().any(|keyword| keyword == name)
}

pub(super) fn task_keywords<'a>() -> impl Iterator<Item = &'a str> {
    COMMON.iter().chain(DELEGATION).chain(TASK).copied()
}

fn topics(node: Option<&Node>) -> Result<Vec<String>, Error> {
    node.map(list_of)
        .unwrap_or_default()
        .iter()
        .map(|topic| match topic.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => {
                Err(topic.span.error(format!("'listen' must be a string, not {}", topic.kind())))
            }
        })
        .collect()
}
