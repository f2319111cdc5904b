//! Handlers: who was notified, and in what order they run.

use std::collections::HashSet;
use std::sync::Arc;

use super::Stop;
use super::keywords::value_of;
use crate::playbook::{Item, Play, Task};
use crate::source::Node;
use crate::template::{self, Scope, Templar};

/// The handlers of a play, in the order in which they run.
pub struct Handlers {
    entries: Vec<Entry>,
}

struct Entry {
    task: Arc<Task>,
    /// Which of the times that handlers were taken in brought it.
    brought: usize,
    notified: HashSet<String>,
}

impl Handlers {
    pub fn of(play: &Play) -> Self {
        let mut handlers = Self { entries: Vec::new() };
        handlers.add(&play.handlers);
        handlers
    }

    /// Takes in what an include brings.
    pub fn add(&mut self, items: &[Item]) {
        let brought = self.entries.last().map_or(0, |last| last.brought + 1);
        let tasks = items.iter().flat_map(|item| item.tasks(false));
        let entry =
            |task: &Arc<Task>| Entry { task: task.clone(), brought, notified: HashSet::new() };
        self.entries.extend(tasks.map(entry));
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn get(&self, index: usize) -> Option<Arc<Task>> {
        self.entries.get(index).map(|entry| entry.task.clone())
    }

    /// The hosts that notified this handler; they are forgotten with this.
    pub fn take(&mut self, index: usize) -> HashSet<String> {
        self.entries.get_mut(index).map(|e| std::mem::take(&mut e.notified)).unwrap_or_default()
    }

    /// Notes that `host` wants the handlers of this name, or that listen to it. Names that
    /// no handler has are an error, or returned when it is not `strict`.
    pub fn notify(
        &mut self,
        templar: &Templar,
        node: &Node,
        host: &str,
        scope: &Arc<dyn Scope>,
        strict: bool,
    ) -> Result<Vec<String>, Stop> {
        let mut missing = Vec::new();
        let value = value_of(templar, node, scope).map_err(Stop::of_failure)?;
        let names: Vec<String> = match value.kind() {
            minijinja::value::ValueKind::Seq => value
                .try_iter()
                .map(|items| items.map(|item| template::python_text(&item)).collect())
                .unwrap_or_default(),
            _ => vec![template::python_text(&value)],
        };
        for name in names {
            if !self.notify_name(templar, &name, host, scope) {
                let error = node.span.error(format!(
                    "The requested handler '{name}' was not found in either the main handlers \
                     list nor in the listening handlers list"
                ));
                if !strict {
                    missing.push(error.message);
                    continue;
                }
                return Err(Stop::Error(error.to_string()));
            }
        }
        Ok(missing)
    }

    fn notify_name(
        &mut self,
        templar: &Templar,
        name: &str,
        host: &str,
        scope: &Arc<dyn Scope>,
    ) -> bool {
        let mut found = false;
        let is_named = |entry: &Entry| {
            let Some(node) = &entry.task.name else {
                return false;
            };
            let plain = match &entry.task.role {
                // `role : name` names the handler of that role.
                Some(role) => name.strip_prefix(&format!("{} : ", role.body.name)).unwrap_or(name),
                None => name,
            };
            let is = |text: &str| text == name || text == plain;
            node.as_str().is_some_and(is)
                || templar.render(node, scope).is_ok_and(|v| is(&template::python_text(&v)))
        };
        // Of the lists of the play and of its roles the last one that has the name counts,
        // and in it the first handler.
        let list = |entry: &Entry| {
            (entry.brought, entry.task.role.as_ref().map(|role| role.body.path.clone()))
        };
        let named = self.entries.iter().rposition(is_named).and_then(|last| {
            let wanted = self.entries.get(last).map(list);
            self.entries.iter().position(|entry| Some(list(entry)) == wanted && is_named(entry))
        });
        if let Some(entry) = named.and_then(|index| self.entries.get_mut(index)) {
            entry.notified.insert(host.to_owned());
            found = true;
        }
        for entry in &mut self.entries {
            if entry.task.listen.iter().any(|topic| topic == name) {
                entry.notified.insert(host.to_owned());
                found = true;
            }
        }
        found
    }
}
