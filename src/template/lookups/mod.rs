//! Lookups: values from outside of the variables, for templates and for `with_…` loops.

mod collections;
mod commands;
pub mod files;
pub mod glob;
mod password;
mod sequence;
mod settings;
mod tables;
mod variables;

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use minijinja::value::ValueKind;

use super::call::Call;
use super::context::Context;
use super::rewrite::short_name;
use super::{TemplateError, Value, python};
use crate::source::suggest;

/// What a lookup is asked.
pub struct Request<'a> {
    pub context: &'a Arc<Context>,
    pub terms: Vec<Value>,
    pub options: Vec<(String, Value)>,
}

type Run = fn(&Request<'_>) -> Result<Vec<Value>, TemplateError>;

static LOOKUPS: &[(&str, Run)] = &[
    ("cartesian", collections::nested),
    ("csvfile", tables::csvfile),
    ("dict", collections::dict),
    ("env", variables::env),
    ("file", files::file),
    ("fileglob", files::fileglob),
    ("first_found", files::first_found),
    ("flattened", collections::flattened),
    ("indexed_items", collections::indexed_items),
    ("ini", tables::ini),
    ("config", settings::config),
    ("inventory_hostnames", variables::inventory_hostnames),
    ("items", collections::items),
    ("lines", commands::lines),
    ("list", collections::list),
    ("nested", collections::nested),
    ("password", password::password),
    ("pipe", commands::pipe),
    ("random_choice", collections::random_choice),
    ("sequence", sequence::sequence),
    ("subelements", collections::subelements),
    ("template", files::template),
    ("together", collections::together),
    ("unvault", files::unvault),
    ("varnames", variables::varnames),
    ("vars", variables::vars),
];

/// Whether there is a lookup of this name, as `with_NAME` and `lookup('NAME')` give it.
pub fn exists(name: &str) -> bool {
    find(name).is_some()
}

/// The names of all lookups.
pub fn names() -> impl Iterator<Item = &'static str> {
    LOOKUPS.iter().map(|(name, _)| *name)
}

fn find(name: &str) -> Option<Run> {
    let name = short_name(name);
    LOOKUPS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}

impl Request<'_> {
    pub fn option(&self, name: &str) -> Option<&Value> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.option(name).map_or(default, |value| match value.as_str() {
            Some(text) => matches!(text.to_lowercase().as_str(), "yes" | "on" | "1" | "true"),
            None => value.is_true(),
        })
    }

    /// Each term as a text.
    pub fn texts(&self) -> Vec<String> {
        self.terms.iter().map(python::text).collect()
    }

    /// The folders where this task's files are looked for, the nearest first.
    pub fn search_path(&self) -> Vec<PathBuf> {
        self.context.search_path()
    }
}

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has asked for what is not in the variables: files, commands, the
/// time. Who renders something ahead of its time can tell from it whether that was safe.
pub fn asked() -> u64 {
    ASKED.get()
}

/// Takes note of such a question.
pub(super) fn ask() {
    ASKED.set(ASKED.get() + 1);
}

/// Runs the lookup of this name.
pub fn run(
    name: &str,
    context: &Arc<Context>,
    terms: Vec<Value>,
    options: Vec<(String, Value)>,
) -> Result<Vec<Value>, TemplateError> {
    let Some(run) = find(name) else {
        let near = suggest(name, LOOKUPS.iter().map(|(known, _)| *known));
        return Err(TemplateError::new(format!("lookup plugin ({name}) not found"))
            .with_help(near.map(|near| format!("did you mean '{near}'?"))));
    };
    if context.templar.settings().no_lookups {
        return Err(TemplateError::new(format!(
            "The lookup `{name}` was found, however lookups were disabled from templating"
        )));
    }
    ask();
    run(&Request { context, terms, options })
}

/// A list for `with_…`: what is no list is a list of itself.
pub fn listed(value: Value) -> Result<Vec<Value>, TemplateError> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => python::items(&value),
        _ => Ok(vec![value]),
    }
}

/// `query(name, term…, option=…)`: always a list.
pub fn query(call: &mut Call) -> Result<Value, TemplateError> {
    found(call, true)
}

/// `lookup(name, term…, option=…)`: one value, or texts joined by commas.
pub fn lookup(call: &mut Call) -> Result<Value, TemplateError> {
    found(call, false)
}

/// What a lookup's name is called; no option can have this name.
pub const NAME: &str = "lookup plugin";

fn found(call: &mut Call, list: bool) -> Result<Value, TemplateError> {
    let name = call.text(NAME)?;
    let undefined = call.rest.iter().chain(call.keywords.iter().map(|(_, value)| value));
    if undefined.clone().any(Value::is_undefined) {
        return Err(call.undefined());
    }
    let mut options = std::mem::take(&mut call.keywords);
    let mut take = |name: &str| {
        let place = options.iter().position(|(key, _)| key == name)?;
        Some(options.remove(place).1)
    };
    let list = take("wantlist").map_or(list, |wanted| wanted.is_true());
    let on_error = take("errors").map_or_else(|| "strict".to_owned(), |mode| python::text(&mode));
    let terms = std::mem::take(&mut call.rest);
    let context = call.context()?;
    let found = match run(&name, &context, terms, options) {
        Ok(found) => found,
        Err(error) if error.undefined || on_error == "strict" => return Err(error),
        Err(error) => {
            if on_error == "warn" {
                let reason = error.message;
                context
                    .templar
                    .warn(format!("Lookup failed but the error is being ignored: {reason}"));
            }
            return Ok(if list { Value::from(Vec::<Value>::new()) } else { Value::from(()) });
        }
    };
    if list || found.is_empty() {
        return Ok(Value::from(found));
    }
    let texts: Option<Vec<&str>> = found.iter().map(Value::as_str).collect();
    Ok(match (texts, found.as_slice()) {
        (Some(texts), _) => Value::from(texts.join(",")),
        (None, [only]) => only.clone(),
        _ => Value::from(found),
    })
}
