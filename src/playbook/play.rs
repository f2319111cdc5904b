//! One play.

use std::sync::Arc;

use super::keywords::{COMMON, list_of, vars_of};
use super::load::{Loader, unknown_keyword};
use super::{Item, Keywords, Play};
use crate::source::{Error, Node, Yaml};
use crate::template::Layer;

const PLAY: &[&str] = &[
    "hosts",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "fact_path",
    "serial",
    "strategy",
    "order",
    "max_fail_percentage",
    "force_handlers",
    "vars_files",
    "vars_prompt",
    "pre_tasks",
    "tasks",
    "post_tasks",
    "handlers",
    "roles",
    "user",
];

impl Loader<'_> {
    /// `outer` holds the keywords that imports put on the play.
    pub(super) fn play(&self, node: &Node, outer: &Node) -> Result<Play, Error> {
        let Some(entries) = node.as_map() else {
            return Err(node.span.error(format!(
                "playbook entries must be either valid plays or 'import_playbook' statements, not {}",
                node.kind()
            )));
        };
        for (key, value) in entries {
            let name = key.as_str().unwrap_or_default();
            if !COMMON.contains(&name) && !PLAY.contains(&name) {
                return Err(unknown_keyword(key, "Play", COMMON.iter().chain(PLAY).copied()));
            }
            if let "roles" | "vars_prompt" = name
                && !list_of(value).is_empty()
            {
                return Err(key.span.error(format!("'{name}' is not supported yet")));
            }
            if !matches!(name, "tasks" | "pre_tasks" | "post_tasks" | "handlers") {
                self.names.check_template(value)?;
            }
        }
        let hosts = node
            .get("hosts")
            .filter(|hosts| hosts.value != Yaml::Null)
            .ok_or_else(|| node.span.error("the field 'hosts' is required but was not set"))?;
        if let Yaml::Bool(_) | Yaml::Map(_) = hosts.value {
            return Err(hosts
                .span
                .error(format!("Hosts list must be a sequence or string, not {}", hosts.kind())));
        }
        let inherited = Keywords::default().inherit(outer, false)?;
        let keywords = Arc::new(inherited.inherit(node, false)?);
        let section = |name: &str, handler: bool| -> Result<Vec<Item>, Error> {
            match node.get(name) {
                Some(items) => self.items(items, &keywords, handler, 0),
                None => Ok(Vec::new()),
            }
        };
        Ok(Play {
            name: match node.get("name").and_then(Node::as_str) {
                Some(name) => name.to_owned(),
                None => pattern_text(hosts),
            },
            hosts: hosts.clone(),
            gather_facts: node.get("gather_facts").cloned(),
            gather_subset: node.get("gather_subset").cloned(),
            gather_timeout: node.get("gather_timeout").cloned(),
            vars_prompt: Vec::new(),
            serial: node.get("serial").map(list_of).unwrap_or_default(),
            strategy: node.get("strategy").cloned(),
            order: node.get("order").cloned(),
            max_fail_percentage: node.get("max_fail_percentage").cloned(),
            force_handlers: node.get("force_handlers").cloned(),
            vars: Arc::new(variables(node, outer)?),
            vars_files: node.get("vars_files").map(list_of).unwrap_or_default(),
            pre_tasks: section("pre_tasks", false)?,
            tasks: section("tasks", false)?,
            post_tasks: section("post_tasks", false)?,
            handlers: section("handlers", true)?,
            keywords,
            span: node.span.clone(),
        })
    }
}

/// The play's own variables; those of an import win over them.
fn variables(node: &Node, outer: &Node) -> Result<Layer, Error> {
    let mut layer = match node.get("vars") {
        Some(vars) => vars_of(vars)?,
        None => Layer::new(),
    };
    for (key, value) in outer.as_map().unwrap_or_default() {
        if key.as_str() == Some("vars") {
            layer.extend(vars_of(value)?);
        }
    }
    Ok(layer)
}

fn pattern_text(hosts: &Node) -> String {
    list_of(hosts).iter().filter_map(Node::as_str).collect::<Vec<_>>().join(",")
}
