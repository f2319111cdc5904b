//! `omit`: the value of an argument that is left out.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};

use super::Value;

#[derive(Debug)]
struct Omit;

impl Object for Omit {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("__omit_place_holder__")
    }
}

/// The value of the variable `omit`.
pub fn omit() -> Value {
    Value::from_object(Omit)
}

/// Whether an argument with this value is to be left out.
pub fn is_omit(value: &Value) -> bool {
    value.downcast_object_ref::<Omit>().is_some()
}

/// The value without what is omitted in its maps and lists.
pub fn without_omitted(value: Value) -> Value {
    if !contains_omit(&value, 0) {
        return value;
    }
    match value.kind() {
        minijinja::value::ValueKind::Map => Value::from_pairs(
            pairs(&value).filter(|(_, v)| !is_omit(v)).map(|(k, v)| (k, without_omitted(v))),
        ),
        _ => items(&value).filter(|item| !is_omit(item)).map(without_omitted).collect(),
    }
}

fn contains_omit(value: &Value, depth: usize) -> bool {
    // Deeper than any module's arguments; keeps lazy objects from being walked for ever.
    if depth > 12 {
        return false;
    }
    match value.kind() {
        minijinja::value::ValueKind::Map => {
            pairs(value).any(|(_, v)| is_omit(&v) || contains_omit(&v, depth + 1))
        }
        minijinja::value::ValueKind::Seq => {
            items(value).any(|item| is_omit(&item) || contains_omit(&item, depth + 1))
        }
        _ => false,
    }
}

fn pairs(value: &Value) -> impl Iterator<Item = (Value, Value)> + use<> {
    value.as_object().and_then(|object| object.try_iter_pairs()).into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = Value> + use<> {
    value.try_iter().into_iter().flatten()
}
