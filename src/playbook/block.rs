//! Lists of tasks, blocks, and imported files in their place.

use std::sync::Arc;

use super::action::Action;
use super::keywords::{COMMON, DELEGATION, unknown};
use super::load::{Loader, Place};
use super::{Block, Item};
use crate::source::{Error, Node, Yaml};

const PARTS: &[&str] = &["block", "rescue", "always"];

impl Loader<'_> {
    /// The tasks and blocks of a list that stands under `section`.
    pub(super) fn items(
        &self,
        list: &Node,
        section: &str,
        place: &Place,
    ) -> Result<Vec<Item>, Error> {
        let entries = match &list.value {
            Yaml::Null => return Ok(Vec::new()),
            Yaml::Seq(entries) => entries,
            _ => {
                return Err(list
                    .span
                    .error(format!(
                        "A malformed block was encountered while loading {section}: {} should be \
                         a list or None but is {}",
                        list.to_json(),
                        list.kind()
                    ))
                    .with_help("a task begins with '- '"));
            }
        };
        let mut items = Vec::new();
        for entry in entries {
            if entry.as_map().is_none() {
                return Err(entry.span.error(format!(
                    "The tasks list should be a list of dictionaries, but holds {}",
                    entry.kind()
                )));
            }
            if PARTS.iter().any(|part| entry.get(part).is_some()) {
                if place.handler && PARTS.contains(&section) {
                    let message = "Using a block as a handler is not supported.";
                    let error = entry.span.error(message);
                    return Err(error.with_help("a block of handlers holds no other block"));
                }
                items.push(Item::Block(self.block(entry, place)?));
                continue;
            }
            let action = self.action(entry, place)?;
            if place.handler && matches!(action.module.as_str(), "include_role" | "import_role") {
                let written = &action.written;
                let message = format!("Using '{written}' as a handler is not supported.");
                return Err(entry.span.error(message));
            }
            if action.module == "import_tasks" {
                items.extend(self.import_tasks(entry, &action, place)?);
            } else if action.module == "import_role" {
                items.push(Item::Role(self.import_role(entry, &action, place)?));
            } else {
                items.push(Item::Task(Arc::new(self.task(entry, action, place)?)));
            }
        }
        Ok(items)
    }

    fn block(&self, node: &Node, place: &Place) -> Result<Block, Error> {
        for (key, value) in node.as_map().unwrap_or_default() {
            let name = key.as_str().unwrap_or_default();
            match name {
                "block" => {}
                "rescue" | "always" if node.get("block").is_none() => {
                    return Err(key
                        .span
                        .error(format!("'{name}' keyword cannot be used without 'block'")));
                }
                "rescue" | "always" => {}
                name if COMMON.contains(&name) || DELEGATION.contains(&name) => {
                    self.check(name, value)?;
                }
                _ => {
                    let known = COMMON.iter().chain(DELEGATION).chain(PARTS).copied();
                    return Err(unknown(key, "Block", known));
                }
            }
        }
        let inner =
            Place { keywords: Arc::new(place.keywords.inherit(node, "Block")?), ..place.clone() };
        let guarded = Place { rescued: true, ..inner.clone() };
        let rescued = node.get("rescue").is_some();
        self.check_parts(node)?;
        let part = |name: &str| match node.get(name) {
            Some(list) if name == "block" && rescued => self.items(list, name, &guarded),
            Some(list) => self.items(list, name, &inner),
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

    /// There is nothing to rescue in a block without tasks.
    fn check_parts(&self, node: &Node) -> Result<(), Error> {
        let empty = |list: &Node| match &list.value {
            Yaml::Seq(items) => items.is_empty(),
            other => *other == Yaml::Null,
        };
        if !node.get("block").is_some_and(empty) {
            return Ok(());
        }
        let part = ["rescue", "always"]
            .into_iter()
            .find_map(|name| Some((name, node.get(name).filter(|list| !empty(list))?)));
        match part {
            Some((name, list)) => {
                Err(list.span.error(format!("'{name}' keyword cannot be used without 'block'")))
            }
            None => Ok(()),
        }
    }

    /// Imports are done before a loop could be.
    pub(super) fn check_import(&self, node: &Node, what: &str) -> Result<(), Error> {
        for (key, value) in node.as_map().unwrap_or_default() {
            let name = key.as_str().unwrap_or_default();
            if name == "loop" || name.starts_with("with_") {
                return Err(key.span.error(format!(
                    "You cannot use loops on 'import_{what}' statements. You should use \
                     'include_{what}' instead."
                )));
            }
            self.check(name, value)?;
        }
        Ok(())
    }

    fn import_tasks(
        &self,
        node: &Node,
        action: &Action,
        place: &Place,
    ) -> Result<Vec<Item>, Error> {
        self.check_import(node, "tasks")?;
        let named = action.arguments.as_ref().and_then(|arguments| arguments.get("file"));
        let Some(file) = action.free_form.as_ref().or(named) else {
            return Err(node.span.error("No file specified for import_tasks"));
        };
        let inner = Place {
            keywords: Arc::new(place.keywords.inherit(node, "TaskInclude")?),
            depth: place.depth + 1,
            ..place.clone()
        };
        let path = self.import_path(node, file, &inner)?;
        let items = self.tasks_of(&path, &inner)?;
        if items.is_empty() {
            let text = format!("file {} is empty and had no tasks to include", path.display());
            self.names.warn(node.span.error(text));
        }
        Ok(items)
    }
}
