//! Filters on lists.

use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("list", &["value"], list),
    Plugin::new("length", &["obj"], length),
    Plugin::new("count", &["obj"], length),
];

fn list(call: &mut Call) -> Result<Value, TemplateError> {
    python::items(call.value()?).map(Value::from)
}

fn length(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let length = match value.kind() {
        ValueKind::Iterable => python::items(value)?.len(),
        _ => value.len().ok_or_else(|| {
            TemplateError::new(format!(
                "object of type '{}' has no len()",
                python::type_name(value)
            ))
        })?,
    };
    Ok(Value::from(length))
}
