//! Whether the handlers that tasks notify are there.

use super::names::Names;
use super::values::is_template;
use super::{Play, Tasks};
use crate::source::{Node, suggest};

/// Warns of names that no handler has. Only a task that changes something makes it
/// an error, and an included file may still bring the handler: then nothing is said.
pub fn check(play: &Play, names: &dyn Names) {
    let handlers: Vec<_> = play.handlers.iter().flat_map(|item| item.tasks(Tasks::All)).collect();
    let open = handlers.iter().any(|handler| {
        handler.module.starts_with("include_") || handler.name.as_ref().is_some_and(is_template)
    });
    if open {
        return;
    }
    let known: Vec<&str> = handlers
        .iter()
        .flat_map(|handler| {
            let name = handler.name.as_ref().and_then(Node::as_str);
            name.into_iter().chain(handler.listen.iter().map(String::as_str))
        })
        .collect();
    let mut tasks = handlers.clone();
    let sections = [&play.pre_tasks, &play.tasks, &play.post_tasks];
    tasks.extend(sections.into_iter().flatten().flat_map(|item| item.tasks(Tasks::All)));
    if tasks.iter().any(|task| task.module == "include_role") {
        return;
    }
    for node in tasks.iter().flat_map(|task| &task.notify) {
        let Some(name) = node.as_str().filter(|name| !is_template(node) && !known.contains(name))
        else {
            continue;
        };
        let warning = node.span.error(format!(
            "The requested handler '{name}' was not found in either the main handlers list nor in \
             the listening handlers list"
        ));
        names.warn(match suggest(name, known.iter().copied()) {
            Some(nearest) => warning.with_help(format!("did you mean '{nearest}'?")),
            None => warning,
        });
    }
}
