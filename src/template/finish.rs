//! The end of a rendering: results that are whole, and how they print.

use minijinja::value::ValueKind;

use super::context::Context;
use super::{TemplateError, Value, python};

/// A result fit to be kept: iterators run to their end, nothing undefined in it.
pub fn finished(value: Value) -> Result<Value, TemplateError> {
    match value.kind() {
        ValueKind::Undefined => Err(TemplateError::undefined("a value is undefined")),
        ValueKind::Invalid => python::valid(value).map_err(|error| python::carried(&error)),
        ValueKind::Iterable => finished(Value::from(python::items(&value)?)),
        ValueKind::Seq if value.downcast_object_ref::<Vec<Value>>().is_some() => {
            let items = python::items(&value)?;
            if items.iter().any(needs_finish) {
                return Ok(Value::from(
                    items.into_iter().map(finished).collect::<Result<Vec<_>, _>>()?,
                ));
            }
            Ok(value)
        }
        ValueKind::Map
            if value.downcast_object_ref::<indexmap::IndexMap<Value, Value>>().is_some() =>
        {
            let entries = python::entries(&value)?;
            if entries.iter().any(|(_, item)| needs_finish(item)) {
                let entries = entries.into_iter().map(|(key, item)| Ok((key, finished(item)?)));
                return Ok(Value::from_pairs(entries.collect::<Result<Vec<_>, TemplateError>>()?));
            }
            Ok(value)
        }
        _ => Ok(value),
    }
}

fn needs_finish(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Undefined
            | ValueKind::Invalid
            | ValueKind::Iterable
            | ValueKind::Seq
            | ValueKind::Map
    )
}

/// Prints a value into text as Python would.
pub fn format_value(
    out: &mut minijinja::Output,
    state: &mut minijinja::State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    if value.is_undefined() {
        // An inline `if` without `else` prints nothing, all else that is undefined fails.
        return minijinja::escape_formatter(out, state, value).map_err(|_| {
            let context = Context::of(state);
            let error = context.map(|context| context.undefined());
            error.unwrap_or_else(|| TemplateError::undefined("a value is undefined")).into()
        });
    }
    if value.is_none() {
        return Ok(());
    }
    let value = finished(value.clone())?;
    out.write_str(&python::text(&value)).map_err(minijinja::Error::from)
}
