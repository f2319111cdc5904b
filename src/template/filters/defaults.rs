//! Filters about what is missing, and about truth and type.

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};

pub const FILTERS: &[Plugin] = &[
    Plugin::lenient("default", &["value", "default_value", "boolean"], default),
    Plugin::lenient("d", &["value", "default_value", "boolean"], default),
    Plugin::lenient("mandatory", &["a", "msg"], mandatory),
    Plugin::new("bool", &["a"], bool),
    Plugin::new("ternary", &["value", "true_val", "false_val", "none_val"], ternary),
    Plugin::lenient("type_debug", &["obj"], type_debug),
    Plugin::new("string", &["value"], string),
];

/// `default(default_value='', boolean=False)`
fn default(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let missing = value.is_undefined();
    if !missing && (value.is_true() || !call.truth("boolean", false)) {
        return Ok(value.clone());
    }
    let default = call.get("default_value").cloned().unwrap_or_else(|| Value::from(""));
    if missing && let Ok(context) = call.context() {
        context.forgive();
    }
    Ok(default)
}

/// `mandatory(msg=None)`
fn mandatory(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    if !value.is_undefined() {
        return Ok(value.clone());
    }
    if let Some(message) = call.some("msg") {
        return Err(TemplateError::new(python::text(message)));
    }
    let reason = call.undefined().message;
    let name =
        reason.strip_suffix(" is undefined").map_or(String::new(), |name| format!("{name} "));
    Err(TemplateError::new(format!("Mandatory variable {name} not defined.")))
}

/// The truth of Ansible: `yes`, `on`, `1` and `true`, in any case.
fn bool(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    if value.is_none() || value.kind() == minijinja::value::ValueKind::Bool {
        return Ok(value.clone());
    }
    let truth = match value.as_str() {
        Some(text) => matches!(text.to_lowercase().as_str(), "yes" | "on" | "1" | "true"),
        None => *value == Value::from(1),
    };
    Ok(Value::from(truth))
}

fn ternary(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let name = match call.some("none_val") {
        Some(_) if value.is_none() => "none_val",
        _ if value.is_true() => "true_val",
        _ => "false_val",
    };
    call.need(name).cloned()
}

fn type_debug(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let name = python::type_name(value);
    if value.is_undefined()
        && let Ok(context) = call.context()
    {
        context.forgive();
    }
    Ok(Value::from(name))
}

fn string(call: &mut Call) -> Result<Value, TemplateError> {
    Ok(Value::from(python::text(call.value()?)))
}
