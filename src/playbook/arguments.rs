//! Whether the arguments of a task are those of its module.

use serde_json::{Map, Value as Json};

use super::action::Action;
use super::keywords::list_of;
use super::load::Loader;
use super::names::Module;
use super::values::has_template;
use crate::source::{Error, Node, suggest};

/// What `meta` can do.
const META: &[&str] = &[
    "clear_facts",
    "clear_host_errors",
    "end_batch",
    "end_host",
    "end_play",
    "end_role",
    "flush_handlers",
    "noop",
    "refresh_inventory",
    "reset_connection",
];

impl Loader<'_> {
    pub(super) fn check_arguments(
        &self,
        key: &Node,
        action: &Action,
        module: &Module,
        expected: bool,
    ) -> Result<(), Error> {
        let arguments = action.arguments.as_ref();
        let pairs = arguments.and_then(Node::as_map).unwrap_or_default();
        if action.module == "include_tasks" && pairs.is_empty() && action.free_form.is_none() {
            return Err(key.span.error(format!("No file specified for {}", action.written)));
        }
        pairs.iter().try_for_each(|(name, _)| not_reserved(name, action))?;
        if expected {
            return Ok(());
        }
        if let Some(node) = &action.free_form {
            self.names.check_template(node)?;
        }
        if let Some(node) = arguments.filter(|node| node.as_map().is_none()) {
            return self.names.check_template(node);
        }
        for (name, value) in pairs {
            known_argument(name, action, module)?;
            self.check_argument(&action.module, name, value)?;
        }
        if action.module == "meta" {
            check_meta(action)?;
        }
        let dynamic = action.free_form.iter().chain(arguments).any(has_template);
        if dynamic { Ok(()) } else { validate(key, action, module) }
    }

    fn check_argument(&self, module: &str, name: &Node, value: &Node) -> Result<(), Error> {
        match (module, name.as_str()) {
            ("include_role" | "import_role", Some(name)) if name.ends_with("_from") => {
                match value.as_str() {
                    Some(_) => self.names.check_template(value),
                    None => Err(value.span.error(format!(
                        "Expected a string for {name} but got {} instead",
                        value.kind()
                    ))),
                }
            }
            ("assert", Some("that")) | ("debug", Some("var")) => {
                list_of(value).iter().try_for_each(|node| self.names.check_condition(node))
            }
            _ => self.names.check_template(value),
        }
    }
}

fn not_reserved(name: &Node, action: &Action) -> Result<(), Error> {
    match name.as_str() {
        Some(text) if text.starts_with("_ansible_") => Err(name
            .span
            .error(format!(
                "Invalid parameter specified beginning with keyword '_ansible_' for action '{}': \
             '{text}'. The prefix '_ansible_' is reserved for internal use only.",
                action.written
            ))
            .refused()),
        _ => Ok(()),
    }
}

fn known_argument(name_node: &Node, action: &Action, module: &Module) -> Result<(), Error> {
    let Some(name) = name_node.as_str() else {
        return Err(name_node.span.error("the name of an argument must be a string"));
    };
    if module.arguments.is_empty() || module.arguments.contains(&name) {
        return Ok(());
    }
    let mut known: Vec<_> =
        module.arguments.iter().copied().filter(|name| !name.starts_with('_')).collect();
    known.sort_unstable();
    let including = action.module.starts_with("include_") || action.module.starts_with("import_");
    let error = name_node.span.error(if including {
        format!("Invalid options for {}: {name}", action.written)
    } else {
        format!("Unsupported parameters for ({}) module: {name}.", action.written)
    });
    Err(match suggest(name, known.iter().copied()) {
        Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
        None if known.is_empty() => error.with_help("it has no arguments"),
        None => error.with_help(format!("Supported parameters include: {}", known.join(", "))),
    })
}

fn check_meta(action: &Action) -> Result<(), Error> {
    let Some(node) = &action.free_form else {
        return Ok(());
    };
    let Some(name) = node.as_str().filter(|name| !has_template(node) && !META.contains(name))
    else {
        return Ok(());
    };
    let error = node.span.error(format!("invalid meta action requested: {name}"));
    Err(match suggest(name, META.iter().copied()) {
        Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
        None => error.with_help(format!("there are: {}", META.join(", "))),
    })
}

/// Asks the module itself about literal arguments.
fn validate(key: &Node, action: &Action, module: &Module) -> Result<(), Error> {
    let mut arguments = match action.arguments.as_ref().map(Node::to_json) {
        Some(Json::Object(map)) => map,
        _ => Map::new(),
    };
    arguments.retain(|_, value| !value.is_null());
    if let (Some(node), Some(name)) = (&action.free_form, module.free_form) {
        arguments.insert(name.to_owned(), node.to_json());
    }
    let Err(message) = (module.validate)(Json::Object(arguments.clone())) else {
        return Ok(());
    };
    Err(match culprit(&message, &arguments, module) {
        Some(name) => wrong_value(&name, &message, action, key),
        None => match missing(&message) {
            Some(name) => key.span.error(format!("missing required arguments: {name}")),
            None => key.span.error(format!("{}: {message}", action.written)),
        },
    })
}

/// The argument that the message is about: without it the message is another one.
fn culprit(message: &str, arguments: &Map<String, Json>, module: &Module) -> Option<String> {
    if missing(message).is_some() {
        return None;
    }
    let changes = |name: &&String| {
        let mut others = arguments.clone();
        others.shift_remove(name.as_str());
        (module.validate)(Json::Object(others)).err().as_deref() != Some(message)
    };
    arguments.keys().find(changes).cloned()
}

/// The name in serde's "missing field `name`".
fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

fn wrong_value(name: &str, message: &str, action: &Action, key: &Node) -> Error {
    let given = action.arguments.as_ref().and_then(|arguments| arguments.get(name));
    let span = given.or(action.free_form.as_ref()).map_or(&key.span, |node| &node.span);
    let written = given.and_then(Node::as_str).unwrap_or_default();
    let choices: Vec<&str> = match message.strip_prefix("unknown variant `") {
        // "unknown variant `a`, expected one of `b`, `c`"
        Some(rest) => rest.split('`').skip(2).step_by(2).filter(|c| !c.is_empty()).collect(),
        None => Vec::new(),
    };
    if choices.is_empty() {
        return span.error(format!("{}: wrong value for '{name}': {message}", action.written));
    }
    let error = span
        .error(format!("value of {name} must be one of: {}, got: {written}", choices.join(", ")));
    match suggest(written, choices) {
        Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
        None => error,
    }
}
