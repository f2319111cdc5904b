//! Tests about what a value is, and how it compares with another.

use std::cmp::Ordering;

use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};

pub const TESTS: &[Plugin] = &[
    Plugin::lenient("defined", &["value"], defined),
    Plugin::lenient("undefined", &["value"], undefined),
    Plugin::lenient("string", &["value"], |call| kind(call, |value| value.as_str().is_some())),
    Plugin::lenient("number", &["value"], |call| {
        kind(call, |value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool))
    }),
    Plugin::lenient("mapping", &["value"], |call| {
        kind(call, |value| value.kind() == ValueKind::Map)
    }),
    Plugin::new("sequence", &["value"], |call| kind(call, is_sequence)),
    Plugin::new("iterable", &["value"], |call| kind(call, is_sequence)),
    Plugin::new("callable", &["value"], |call| {
        kind(call, |value| value.kind() == ValueKind::Plain)
    }),
    Plugin::new("escaped", &["value"], |call| kind(call, Value::is_safe)),
    Plugin::new("eq", &["a", "b"], |call| equal(call, true)),
    Plugin::new("equalto", &["a", "b"], |call| equal(call, true)),
    Plugin::new("==", &["a", "b"], |call| equal(call, true)),
    Plugin::new("ne", &["a", "b"], |call| equal(call, false)),
    Plugin::new("!=", &["a", "b"], |call| equal(call, false)),
    Plugin::new("gt", &["a", "b"], |call| ordered(call, Ordering::is_gt)),
    Plugin::new("greaterthan", &["a", "b"], |call| ordered(call, Ordering::is_gt)),
    Plugin::new(">", &["a", "b"], |call| ordered(call, Ordering::is_gt)),
    Plugin::new("ge", &["a", "b"], |call| ordered(call, Ordering::is_ge)),
    Plugin::new(">=", &["a", "b"], |call| ordered(call, Ordering::is_ge)),
    Plugin::new("lt", &["a", "b"], |call| ordered(call, Ordering::is_lt)),
    Plugin::new("lessthan", &["a", "b"], |call| ordered(call, Ordering::is_lt)),
    Plugin::new("<", &["a", "b"], |call| ordered(call, Ordering::is_lt)),
    Plugin::new("le", &["a", "b"], |call| ordered(call, Ordering::is_le)),
    Plugin::new("<=", &["a", "b"], |call| ordered(call, Ordering::is_le)),
    Plugin::new("sameas", &["value", "other"], sameas),
    Plugin::new("in", &["value", "seq"], |call| contains(call, "seq", "value")),
    Plugin::new("contains", &["seq", "value"], |call| contains(call, "seq", "value")),
    Plugin::new("subset", &["a", "b"], |call| subset(call, "a", "b")),
    Plugin::new("issubset", &["a", "b"], |call| subset(call, "a", "b")),
    Plugin::new("superset", &["a", "b"], |call| subset(call, "b", "a")),
    Plugin::new("issuperset", &["a", "b"], |call| subset(call, "b", "a")),
    Plugin::new("all", &["value"], |call| {
        Ok(Value::from(python::items(call.value()?)?.iter().all(Value::is_true)))
    }),
    Plugin::new("any", &["value"], |call| {
        Ok(Value::from(python::items(call.value()?)?.iter().any(Value::is_true)))
    }),
    Plugin::new("truthy", &["value", "convert_bool"], |call| truthy(call).map(Value::from)),
    Plugin::new("falsy", &["value", "convert_bool"], |call| {
        truthy(call).map(|truth| Value::from(!truth))
    }),
    Plugin::new("nan", &["value"], nan),
    Plugin::new("isnan", &["value"], nan),
];

fn defined(call: &mut Call) -> Result<Value, TemplateError> {
    is_there(call).map(Value::from)
}

fn undefined(call: &mut Call) -> Result<Value, TemplateError> {
    is_there(call).map(|there| Value::from(!there))
}

/// Whether the value is there; a missing one is forgotten, for somebody asked.
fn is_there(call: &mut Call) -> Result<bool, TemplateError> {
    let there = !call.value()?.is_undefined();
    if !there && let Ok(context) = call.context() {
        context.forgive();
    }
    Ok(there)
}

fn kind(call: &mut Call, is: fn(&Value) -> bool) -> Result<Value, TemplateError> {
    let there = is_there(call)?;
    Ok(Value::from(there && is(call.value()?)))
}

fn is_sequence(value: &Value) -> bool {
    use ValueKind::{Iterable, Map, Seq, String};
    matches!(value.kind(), Seq | Iterable | String | Map)
}

fn equal(call: &mut Call, wanted: bool) -> Result<Value, TemplateError> {
    Ok(Value::from((call.need("a")? == call.need("b")?) == wanted))
}

fn ordered(call: &mut Call, is: fn(Ordering) -> bool) -> Result<Value, TemplateError> {
    python::compare(call.need("a")?, call.need("b")?).map(|ordering| Value::from(is(ordering)))
}

/// `is` of Python, as far as values here have an identity: same type and equal.
fn sameas(call: &mut Call) -> Result<Value, TemplateError> {
    let (value, other) = (call.value()?, call.need("other")?);
    Ok(Value::from(python::type_name(value) == python::type_name(other) && value == other))
}

fn contains(call: &mut Call, container: &str, item: &str) -> Result<Value, TemplateError> {
    python::contains(call.need(container)?, call.need(item)?).map(Value::from)
}

fn subset(call: &mut Call, inner: &str, outer: &str) -> Result<Value, TemplateError> {
    let (inner, outer) = (call.items(inner)?, call.items(outer)?);
    Ok(Value::from(inner.iter().all(|item| outer.contains(item))))
}

/// Python's truth; with `convert_bool` also that of `yes` and `no`.
fn truthy(call: &mut Call) -> Result<bool, TemplateError> {
    let value = call.value()?;
    if call.truth("convert_bool", false) {
        let word = python::text(value).to_lowercase();
        match word.as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => return Ok(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => return Ok(false),
            _ => {}
        }
    }
    Ok(value.is_true())
}

fn nan(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    Ok(Value::from(f64::try_from(value.clone()).is_ok_and(f64::is_nan)))
}
