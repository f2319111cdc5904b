//! Tests on texts.

use super::super::call::{Call, Plugin};
use super::super::filters::{Flags, flags_of, is_match};
use super::super::rewrite::{Role, short_name};
use super::super::{TemplateError, Value, Variable, python};
use crate::source::{Node, Yaml};

pub const TESTS: &[Plugin] = &[
    Plugin::new("match", &["value", "pattern", "ignorecase", "multiline"], |call| {
        matches(call, true)
    }),
    Plugin::new("search", &["value", "pattern", "ignorecase", "multiline"], |call| {
        matches(call, false)
    }),
    Plugin::new("regex", &["value", "pattern", "ignorecase", "multiline", "match_type"], regex),
    Plugin::new("lower", &["value"], |call| has_case(call, char::is_uppercase, char::is_lowercase)),
    Plugin::new("upper", &["value"], |call| has_case(call, char::is_lowercase, char::is_uppercase)),
    Plugin::new("filter", &["name"], |call| known(call, Role::Filter)),
    Plugin::new("test", &["name"], |call| known(call, Role::Test)),
    Plugin::new("uri", &["value", "schemes"], |call| uri(call, false)),
    Plugin::new("url", &["value", "schemes"], |call| uri(call, true)),
    Plugin::new("urn", &["value"], urn),
    Plugin::new("vault_encrypted", &["value", "variable"], vault_encrypted),
];

/// Of a variable that is written as `!vault`; the rewriting of templates gives its name.
fn vault_encrypted(call: &mut Call) -> Result<Value, TemplateError> {
    let name = call.text_or("variable", "");
    let written = call.context()?.scope.lookup(&name);
    let is_vault = |node: &Node| matches!(node.value, Yaml::Vault(_));
    Ok(matches!(written, Some(Variable::Source(node)) if is_vault(&node)).into())
}

fn matches(call: &mut Call, anchored: bool) -> Result<Value, TemplateError> {
    let text = python::text(call.value()?);
    let flags = Flags { anchored, ..flags_of(call) };
    is_match(&text, &call.text_or("pattern", ""), flags).map(Value::from)
}

fn regex(call: &mut Call) -> Result<Value, TemplateError> {
    match call.text_or("match_type", "search").as_str() {
        "match" => matches(call, true),
        "fullmatch" => {
            let pattern = format!("(?:{})\\Z", call.text_or("pattern", ""));
            let flags = Flags { anchored: true, ..flags_of(call) };
            is_match(&python::text(call.value()?), &pattern, flags).map(Value::from)
        }
        _ => matches(call, false),
    }
}

/// `islower` and `isupper`: some letter of the case, none of the other.
fn has_case(
    call: &mut Call,
    other: fn(char) -> bool,
    wanted: fn(char) -> bool,
) -> Result<Value, TemplateError> {
    let text = python::text(call.value()?);
    Ok(Value::from(text.chars().any(wanted) && !text.chars().any(other)))
}

/// Whether there is a filter or test of this name.
fn known(call: &mut Call, role: Role) -> Result<Value, TemplateError> {
    let name = python::text(call.value()?);
    Ok(Value::from(call.context()?.templar.names(role).contains(&short_name(&name))))
}

/// Nearly every text is a URI: its scheme may be missing, and then it is a path.
fn uri(call: &mut Call, with_host: bool) -> Result<Value, TemplateError> {
    let text = python::text(call.value()?);
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    };
    let parts = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme));
    let (scheme, rest) = parts.unwrap_or(("", &text));
    let allowed = match call.some("schemes") {
        Some(schemes) => python::items(schemes)?.contains(&Value::from(scheme.to_lowercase())),
        None => true,
    };
    let host = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?', '#']).next());
    let located = host.is_some_and(|host| !host.is_empty());
    Ok(Value::from(allowed && (!with_host || located)))
}

fn urn(call: &mut Call) -> Result<Value, TemplateError> {
    let text = python::text(call.value()?);
    Ok(Value::from(text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"))))
}
