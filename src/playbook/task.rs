//! Lists of tasks: tasks, blocks, and imports in their place.

use std::sync::Arc;

use super::action::Action;
use super::keywords::{COMMON, DELEGATION, list_of};
use super::load::{Loader, beside, unknown_keyword};
use super::{Block, Item, Keywords, Loop, LoopControl, Task};
use crate::source::{Error, Node, Yaml};

/// Keywords of tasks beside those of [`COMMON`] and [`DELEGATION`].
pub const TASK: &[&str] = &[
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
    "first_available_file",
];

impl Loader<'_> {
    pub(super) fn items(
        &self,
        list: &Node,
        keywords: &Arc<Keywords>,
        handler: bool,
        depth: usize,
    ) -> Result<Vec<Item>, Error> {
        let entries = match &list.value {
            Yaml::Null => return Ok(Vec::new()),
            Yaml::Seq(entries) => entries,
            _ => {
                return Err(list.span.error(format!(
                    "A malformed block was encountered: tasks must be a list, not {}",
                    list.kind()
                )));
            }
        };
        let mut items = Vec::new();
        for entry in entries {
            if entry.as_map().is_none() {
                return Err(entry.span.error(format!(
                    "A malformed task was encountered: a task must be a mapping, not {}",
                    entry.kind()
                )));
            }
            if entry.get("block").is_some() {
                items.push(Item::Block(self.block(entry, keywords, handler, depth)?));
                continue;
            }
            let action = self.action(entry)?;
            if action.module == "import_tasks" {
                items.extend(self.import_tasks(entry, &action, keywords, handler, depth)?);
            } else {
                items.push(Item::Task(self.task(entry, action, keywords, handler)?));
            }
        }
        Ok(items)
    }

    fn block(
        &self,
        node: &Node,
        keywords: &Arc<Keywords>,
        handler: bool,
        depth: usize,
    ) -> Result<Block, Error> {
        for (key, value) in node.as_map().unwrap_or_default() {
            let name = key.as_str().unwrap_or_default();
            match name {
                "block" | "rescue" | "always" => {}
                name if COMMON.contains(&name) || DELEGATION.contains(&name) => {
                    self.check(name, value)?;
                }
                _ => {
                    let known = COMMON.iter().chain(DELEGATION).copied();
                    return Err(unknown_keyword(
                        key,
                        "Block",
                        known.chain(["block", "rescue", "always"]),
                    ));
                }
            }
        }
        let keywords = Arc::new(keywords.inherit(node, true)?);
        let part = |name: &str| match node.get(name) {
            Some(list) => self.items(list, &keywords, handler, depth),
            None => Ok(Vec::new()),
        };
        Ok(Block {
            name: node.get("name").cloned(),
            block: part("block")?,
            rescue: part("rescue")?,
            always: part("always")?,
            span: node.span.clone(),
        })
    }

    fn import_tasks(
        &self,
        node: &Node,
        action: &Action,
        keywords: &Arc<Keywords>,
        handler: bool,
        depth: usize,
    ) -> Result<Vec<Item>, Error> {
        let file = action
            .free_form
            .as_ref()
            .or_else(|| action.arguments.as_ref().and_then(|arguments| arguments.get("file")));
        let Some((file, name)) = file.and_then(|file| Some((file, file.as_str()?))) else {
            return Err(node.span.error("import_tasks needs the name of a file"));
        };
        if node.get("loop").is_some() {
            return Err(node.span.error(
                "You cannot use loops on 'import_tasks' statements. You should use 'include_tasks' instead.",
            ));
        }
        let path = [beside(node, name), beside(node, &format!("tasks/{name}"))]
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| {
                file.span.error(format!(
                    "Could not find or access '{}' on the Ansible Controller.",
                    beside(node, name).display()
                ))
            })?;
        let keywords = Arc::new(keywords.inherit(node, true)?);
        self.tasks_of(&path, &keywords, handler, depth + 1)
    }

    fn task(
        &self,
        node: &Node,
        action: Action,
        keywords: &Arc<Keywords>,
        handler: bool,
    ) -> Result<Task, Error> {
        let mut looping: Option<Loop> = None;
        for (key, value) in node.as_map().unwrap_or_default() {
            let name = key.as_str().unwrap_or_default();
            let kind = match name {
                "loop" => Some("loop"),
                name => name.strip_prefix("with_"),
            };
            if let Some(kind) = kind {
                if let Some(other) = &looping {
                    return Err(key
                        .span
                        .error(format!("duplicate loop in task: {} and {name}", other.kind)));
                }
                self.names.check_template(value)?;
                looping = Some(Loop { kind: kind.to_owned(), node: value.clone() });
            } else if !action.keys.contains(&name) {
                if !is_task_keyword(name) {
                    return Err(unknown_keyword(key, "Task", task_keywords()));
                }
                self.check(name, value)?;
            }
        }
        let many = |name: &str| node.get(name).map(list_of).unwrap_or_default();
        let outer = keywords.clone();
        let mut keywords = keywords.inherit(node, true)?;
        if action.local {
            let here = Node::new(Yaml::Str("localhost".to_owned()), node.span.clone());
            keywords.delegate_to = Some(here);
        }
        Ok(Task {
            name: node.get("name").cloned(),
            module: action.module,
            written_module: action.written,
            arguments: action.arguments,
            free_form: action.free_form,
            keywords: Arc::new(keywords),
            outer,
            async_: node.get("async").cloned(),
            poll: node.get("poll").cloned(),
            loop_: looping,
            loop_control: loop_control(node.get("loop_control"))?,
            register: text(node.get("register"), "register")?,
            until: many("until"),
            retries: node.get("retries").cloned(),
            delay: node.get("delay").cloned(),
            changed_when: many("changed_when"),
            failed_when: many("failed_when"),
            notify: many("notify"),
            listen: many("listen").iter().filter_map(Node::as_str).map(str::to_owned).collect(),
            handler,
            span: node.span.clone(),
        })
    }

    /// The templates in a keyword's value; conditions are templates without braces.
    fn check(&self, name: &str, value: &Node) -> Result<(), Error> {
        match name {
            "when" | "until" | "changed_when" | "failed_when" => {
                list_of(value).iter().try_for_each(|node| self.names.check_condition(node))
            }
            _ => self.names.check_template(value),
        }
    }
}

/// Whether a key of a task is a keyword and so not the name of a module.
pub(super) fn is_task_keyword(name: &str) -> bool {
    name.starts_with("with_") || task_keywords().any(|keyword| keyword == name)
}

pub(super) fn task_keywords<'a>() -> impl Iterator<Item = &'a str> {
    COMMON.iter().chain(DELEGATION).chain(TASK).copied()
}

fn loop_control(node: Option<&Node>) -> Result<LoopControl, Error> {
    let Some(node) = node else {
        return Ok(LoopControl::default());
    };
    let known =
        ["loop_var", "index_var", "label", "pause", "extended", "extended_allitems", "break_when"];
    for (key, _) in node.as_map().unwrap_or_default() {
        if !key.as_str().is_some_and(|name| known.contains(&name)) {
            return Err(unknown_keyword(key, "LoopControl", known.into_iter()));
        }
    }
    let on = |name: &str, default: bool| match node.get(name).map(|node| &node.value) {
        Some(Yaml::Bool(value)) => *value,
        _ => default,
    };
    Ok(LoopControl {
        loop_var: text(node.get("loop_var"), "loop_var")?,
        index_var: text(node.get("index_var"), "index_var")?,
        label: node.get("label").cloned(),
        pause: node.get("pause").cloned(),
        extended: on("extended", false),
        extended_allitems: on("extended_allitems", true),
        break_when: node.get("break_when").map(list_of).unwrap_or_default(),
    })
}

fn text(node: Option<&Node>, keyword: &str) -> Result<Option<String>, Error> {
    match node {
        None => Ok(None),
        Some(node) => match node.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(node
                .span
                .error(format!("'{keyword}' must be the name of a variable, not {}", node.kind()))),
        },
    }
}
