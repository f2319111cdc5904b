//! One play.

use std::path::PathBuf;
use std::sync::Arc;

use super::keywords::{COMMON, list_of, unknown, vars_of};
use super::load::{Found, Imported, Loader, Place};
use super::prompt::prompts;
use super::{Item, Play, notified};
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
    "validate_argspec",
];

impl Loader<'_> {
    pub(super) fn play(&self, node: &Node, imported: &Imported) -> Result<Play, Error> {
        for (key, value) in node.as_map().unwrap_or_default() {
            self.play_keyword(key, value)?;
        }
        if let (Some(user), Some(_)) = (node.get("user"), node.get("remote_user")) {
            return Err(user
                .span
                .error("both 'user' and 'remote_user' are set for this play.")
                .with_help("'user' is the old name of 'remote_user'"));
        }
        let hosts = hosts(node)?;
        let vars = Arc::new(variables(node, &imported.vars)?);
        let place = Place {
            keywords: Arc::new(imported.keywords.inherit(node, "Play")?),
            play_vars: vars.clone(),
            handler: false,
            role: None,
            parents: Vec::new(),
            directory: node.span.path().parent().map(PathBuf::from).unwrap_or_default(),
            rescued: false,
            depth: 0,
        };
        self.found.take();
        let mut roles =
            node.get("roles").map_or(Ok(Vec::new()), |list| self.roles(list, &place))?;
        // Those of roles run before the play's own, and those of imported roles after them.
        let mut handlers = std::mem::take(&mut self.found.borrow_mut().handlers);
        let section = |name: &str| -> Result<Vec<Item>, Error> {
            let place = Place { handler: name == "handlers", ..place.clone() };
            node.get(name).map_or(Ok(Vec::new()), |items| self.items(items, name, &place))
        };
        let pre_tasks = section("pre_tasks")?;
        roles.extend(section("tasks")?);
        let post_tasks = section("post_tasks")?;
        handlers.extend(section("handlers")?);
        let Found { roles: seen, handlers: of_imports } = self.found.take();
        handlers.extend(of_imports);
        let keyword = |name: &str| node.get(name).filter(|node| node.value != Yaml::Null).cloned();
        let play = Play {
            name: match node.get("name").and_then(Node::as_str).filter(|name| !name.is_empty()) {
                Some(name) => name.to_owned(),
                None => pattern_text(hosts),
            },
            hosts: hosts.clone(),
            gather_facts: keyword("gather_facts"),
            gather_subset: keyword("gather_subset"),
            gather_timeout: keyword("gather_timeout"),
            fact_path: keyword("fact_path"),
            serial: node.get("serial").map(list_of).unwrap_or_default(),
            strategy: keyword("strategy"),
            order: keyword("order"),
            max_fail_percentage: keyword("max_fail_percentage"),
            force_handlers: keyword("force_handlers"),
            vars,
            vars_prompt: node.get("vars_prompt").map(prompts).transpose()?.unwrap_or_default(),
            vars_files: node.get("vars_files").map(list_of).unwrap_or_default(),
            pre_tasks,
            tasks: roles,
            post_tasks,
            handlers,
            roles: seen,
            keywords: place.keywords.clone(),
            span: node.span.clone(),
        };
        notified::check(&play, self.names);
        Ok(play)
    }

    fn play_keyword(&self, key: &Node, value: &Node) -> Result<(), Error> {
        let name = key.as_str().unwrap_or_default();
        match name {
            "tasks" | "pre_tasks" | "post_tasks" | "handlers" | "roles" => Ok(()),
            name if COMMON.contains(&name) || PLAY.contains(&name) => self.check(name, value),
            _ => Err(unknown(key, "Play", COMMON.iter().chain(PLAY).copied())),
        }
    }
}

fn hosts(play: &Node) -> Result<&Node, Error> {
    let Some(hosts) = play.get("hosts") else {
        return Err(play.span.error("the field 'hosts' is required but was not set"));
    };
    let empty = |node: &Node| {
        node.value == Yaml::Null || node.as_str().is_some_and(|text| text.trim().is_empty())
    };
    let patterns = list_of(hosts);
    if patterns.is_empty() || empty(hosts) {
        return Err(hosts.span.error("Hosts list cannot be empty. Please check your playbook"));
    }
    for pattern in &patterns {
        if empty(pattern) {
            return Err(pattern
                .span
                .error("Hosts list cannot contain values of 'None'. Please check your playbook"));
        }
        if !matches!(pattern.value, Yaml::Str(_) | Yaml::Unsafe(_) | Yaml::Int(_) | Yaml::Vault(_))
        {
            return Err(pattern.span.error(format!(
                "Hosts list contains an invalid host value: it must be a string, not {}",
                pattern.kind()
            )));
        }
    }
    Ok(hosts)
}

/// The play's own variables; those of an import win over them.
fn variables(node: &Node, imported: &Layer) -> Result<Layer, Error> {
    let mut layer = match node.get("vars") {
        Some(vars) => vars_of(vars, "Play")?,
        None => Layer::new(),
    };
    layer.extend(imported.clone());
    Ok(layer)
}

fn pattern_text(hosts: &Node) -> String {
    list_of(hosts).iter().filter_map(Node::as_str).collect::<Vec<_>>().join(",")
}
