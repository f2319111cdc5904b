//! The keywords that plays, blocks and tasks have in common, and how they are inherited.

use std::sync::Arc;

use super::groups;
use super::values::is_variable_name;
use crate::source::{Error, Node, Yaml, suggest};
use crate::template::{Layer, Variable};

/// Effective keywords: a task's own, then its block's, then its play's.
#[derive(Clone, Debug, Default)]
pub struct Keywords {
    /// All must hold; the outer ones first.
    pub when: Vec<Node>,
    /// Of all levels together, sorted.
    pub tags: Vec<String>,
    /// The last of `vars`, if it is this object's own.
    pub own_vars: Option<Arc<Layer>>,
    /// Variables of blocks and the task, outer first; those of the play are kept by the play.
    pub vars: Vec<Arc<Layer>>,
    /// Outer first; inner ones win.
    pub environment: Vec<Node>,
    /// Arguments by module, outer first; the loader has put them into the tasks.
    pub module_defaults: Vec<Node>,
    pub become_: Option<Node>,
    pub become_user: Option<Node>,
    pub become_method: Option<Node>,
    pub become_flags: Option<Node>,
    pub become_exe: Option<Node>,
    pub connection: Option<Node>,
    pub remote_user: Option<Node>,
    pub port: Option<Node>,
    pub check_mode: Option<Node>,
    pub diff: Option<Node>,
    pub no_log: Option<Node>,
    pub ignore_errors: Option<Node>,
    pub ignore_unreachable: Option<Node>,
    pub any_errors_fatal: Option<Node>,
    pub run_once: Option<Node>,
    pub throttle: Option<Node>,
    pub timeout: Option<Node>,
    pub delegate_to: Option<Node>,
    pub delegate_facts: Option<Node>,
    pub debugger: Option<Node>,
    /// What a block notifies; the loader has put it into the tasks.
    pub notify: Option<Node>,
    /// What these were written over, where one of them may come out as `omit`: that one
    /// then is as if it had not been written.
    pub outer: Option<Arc<Keywords>>,
}

/// Keywords of every level.
pub const COMMON: &[&str] = &[
    "name",
    "tags",
    "vars",
    "environment",
    "become",
    "become_user",
    "become_method",
    "become_flags",
    "become_exe",
    "connection",
    "remote_user",
    "port",
    "check_mode",
    "diff",
    "no_log",
    "ignore_errors",
    "ignore_unreachable",
    "any_errors_fatal",
    "run_once",
    "throttle",
    "timeout",
    "collections",
    "debugger",
    "module_defaults",
];

/// Keywords of blocks and tasks beside the common ones.
pub const DELEGATION: &[&str] = &["when", "delegate_to", "delegate_facts", "notify"];

impl Keywords {
    /// These keywords with those of an inner level, given by the mapping `own`, put over
    /// them. `object` is what Ansible calls that level. The variables of a play are
    /// of another level and stay out.
    pub fn inherit(&self, own: &Node, object: &str) -> Result<Self, Error> {
        let mut inner = Self { own_vars: None, ..self.clone() };
        for (key, value) in own.as_map().unwrap_or_default() {
            match key.as_str() {
                Some("when") => inner.when.extend(list_of(value)),
                Some("tags") => inner.tags.extend(tags_of(value)?),
                Some("vars") if object == "Play" => {}
                Some("vars") => {
                    let own = Arc::new(vars_of(value, object)?);
                    inner.own_vars = Some(own.clone()).filter(|layer| !layer.is_empty());
                    inner.vars.push(own);
                }
                Some("environment") => inner.environment.extend(list_of(value)),
                Some("module_defaults") => inner.module_defaults.extend(defaults_of(value)?),
                Some("user") if object == "Play" => inner.remote_user = Some(value.clone()),
                Some(name) => {
                    if let Some(field) = inner.field(name) {
                        *field = Some(value.clone());
                        if value.as_str().is_some_and(|text| text.contains("omit")) {
                            inner.outer = Some(Arc::new(self.clone()));
                        }
                    }
                }
                None => {}
            }
        }
        inner.vars.retain(|layer| !layer.is_empty());
        inner.tags.sort();
        inner.tags.dedup();
        Ok(inner)
    }

    fn field(&mut self, name: &str) -> Option<&mut Option<Node>> {
        Some(match name {
            "become" => &mut self.become_,
            "become_user" => &mut self.become_user,
            "become_method" => &mut self.become_method,
            "become_flags" => &mut self.become_flags,
            "become_exe" => &mut self.become_exe,
            "connection" => &mut self.connection,
            "remote_user" => &mut self.remote_user,
            "port" => &mut self.port,
            "check_mode" => &mut self.check_mode,
            "diff" => &mut self.diff,
            "no_log" => &mut self.no_log,
            "ignore_errors" => &mut self.ignore_errors,
            "ignore_unreachable" => &mut self.ignore_unreachable,
            "any_errors_fatal" => &mut self.any_errors_fatal,
            "run_once" => &mut self.run_once,
            "throttle" => &mut self.throttle,
            "timeout" => &mut self.timeout,
            "delegate_to" => &mut self.delegate_to,
            "delegate_facts" => &mut self.delegate_facts,
            "debugger" => &mut self.debugger,
            "notify" => &mut self.notify,
            _ => return None,
        })
    }
}

/// "'x' is not a valid attribute for a Y", with the nearest name.
pub fn unknown<'a>(key: &Node, object: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
    let name = match key.as_str() {
        Some(name) => name.to_owned(),
        None => key.to_json().to_string(),
    };
    let error = key.span.error(format!("'{name}' is not a valid attribute for a {object}"));
    match suggest(&name, known) {
        Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
        None => error,
    }
}

/// A list, or the one value as a list; nothing for null.
pub fn list_of(node: &Node) -> Vec<Node> {
    match &node.value {
        Yaml::Seq(items) => items.clone(),
        Yaml::Null => Vec::new(),
        _ => vec![node.clone()],
    }
}

/// Tags as a list, whose items are taken as they are, or as one text with commas.
pub fn tags_of(node: &Node) -> Result<Vec<String>, Error> {
    if let Yaml::Str(text) = &node.value {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        // A comma within a template parts nothing.
        let whole =
            parts.iter().any(|part| part.matches("{{").count() != part.matches("}}").count());
        let tags = if whole { vec![text.as_str()] } else { parts };
        return Ok(tags.into_iter().map(str::to_owned).collect());
    }
    let tag = |item: &Node| match &item.value {
        Yaml::Str(text) => Ok(text.clone()),
        Yaml::Int(number) => Ok(number.to_string()),
        _ => {
            let kind = item.kind();
            Err(item.span.error(format!("tags must be specified as a list, not {kind}")))
        }
    };
    list_of(node).iter().map(tag).collect()
}

/// The mapping under `vars`.
pub fn vars_of(node: &Node, object: &str) -> Result<Layer, Error> {
    let mut layer = Layer::new();
    if node.value != Yaml::Null {
        let Some(entries) = node.as_map() else {
            return Err(node.span.error(format!(
                "Vars in a {object} must be specified as a dictionary, not {}",
                node.kind()
            )));
        };
        for (key, value) in entries {
            let name = key.as_str().filter(|name| is_variable_name(name)).ok_or_else(|| {
                let name = key.as_str().map_or_else(|| key.to_json().to_string(), str::to_owned);
                key.span.error(format!(
                    "Invalid variable name in vars specified for {object}: '{name}' is not a valid \
                     variable name"
                ))
            })?;
            layer.insert(name.to_owned(), Variable::Source(Arc::new(value.clone())));
        }
    }
    Ok(layer)
}

pub(super) fn defaults_of(node: &Node) -> Result<Vec<Node>, Error> {
    let list = list_of(node);
    for defaults in &list {
        let Some(entries) = defaults.as_map() else {
            return Err(defaults.span.error(format!(
                "module_defaults must be a dictionary of modules and their arguments, not {}",
                defaults.kind()
            )));
        };
        for (name, arguments) in entries {
            groups::check(name)?;
            if arguments.as_map().is_none() {
                return Err(arguments.span.error(format!(
                    "the defaults of a module must be a dictionary of its arguments, not {}",
                    arguments.kind()
                )));
            }
        }
    }
    Ok(list)
}
