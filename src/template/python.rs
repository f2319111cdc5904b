//! Values as Python sees them: how they print, what their types are called.

use std::cmp::Ordering;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Tuple, ValueKind};

use super::{TemplateError, Value};

/// Texts and lists that a small expression can make larger than this are taken for a mistake.
pub const MAX_LENGTH: usize = 32 << 20;

/// The error for what would be that large, if this would.
pub fn check_length(count: usize, each: usize) -> Result<(), TemplateError> {
    match count.checked_mul(each) {
        Some(length) if length <= MAX_LENGTH => Ok(()),
        _ => Err(TemplateError::new(format!("the result is too large: {count} times {each}"))),
    }
}

/// What nests deeper than this contains itself (`vars` in `vars`), or might as well.
pub const MAX_DEPTH: usize = 200;

/// An error for a value that nests deeper than anything that is written or sent.
pub fn check_depth(value: &Value, depth: usize) -> Result<(), TemplateError> {
    if depth > MAX_DEPTH {
        return Err(TemplateError::new("the value nests too deep"));
    }
    match value.kind() {
        ValueKind::Map => {
            entries(value)?.iter().try_for_each(|(_, item)| check_depth(item, depth + 1))
        }
        ValueKind::Seq => items(value)?.iter().try_for_each(|item| check_depth(item, depth + 1)),
        _ => Ok(()),
    }
}

/// `text.replace(old, new)`, at most `limit` times.
pub fn replaced(
    text: &str,
    old: &str,
    new: &str,
    limit: Option<usize>,
) -> Result<String, TemplateError> {
    let count = text.matches(old).count().min(limit.unwrap_or(usize::MAX));
    if new.len() > old.len() {
        check_length(count, new.len())?;
    }
    Ok(text.replacen(old, new, count))
}

/// `str(value)`.
pub fn text(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        _ => repr(value),
    }
}

/// `repr(value)`.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(value, &mut out, 0);
    out
}

fn write_repr(value: &Value, out: &mut String, depth: usize) {
    // Nothing that prints is this deep; an object that contains itself is.
    if depth > 100 {
        out.push_str("...");
        return;
    }
    let list = |out: &mut String, open: &str, close: &str| {
        out.push_str(open);
        let items = items(value).unwrap_or_default();
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            write_repr(item, out, depth + 1);
        }
        if close == ")" && items.len() == 1 {
            out.push(',');
        }
        out.push_str(close);
    };
    match value.kind() {
        ValueKind::Number if !value.is_integer() => {
            out.push_str(&float(f64::try_from(value.clone()).unwrap_or_default()));
        }
        ValueKind::Seq | ValueKind::Iterable if is_tuple(value) => list(out, "(", ")"),
        ValueKind::Seq | ValueKind::Iterable => list(out, "[", "]"),
        ValueKind::Map => {
            out.push('{');
            for (index, (key, item)) in entries(value).unwrap_or_default().iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(key, out, depth + 1);
                out.push_str(": ");
                write_repr(item, out, depth + 1);
            }
            out.push('}');
        }
        ValueKind::String => out.push_str(&quoted(value.as_str().unwrap_or_default())),
        _ => out.push_str(&value.to_string()),
    }
}

/// `repr` of a string.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == quote => {
                out.push('\\');
                out.push(character);
            }
            _ if character.is_control() => out.push_str(&format!("\\x{:02x}", character as u32)),
            _ => out.push(character),
        }
    }
    out.push(quote);
    out
}

/// `repr` of a float: the shortest digits, an exponent where Python has one.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let plain = number.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// The class of a value by Python's name for it.
pub fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "AnsibleUndefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Map => "dict",
        ValueKind::Seq if value.is_tuple() => "tuple",
        // The sum of two lists is one that minijinja makes when it is used.
        ValueKind::Seq | ValueKind::Iterable => "list",
        _ => "object",
    }
}

/// What a value is called in `… has no attribute`.
pub fn described(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "None".to_owned(),
        _ => format!("{} object", type_name(value)),
    }
}

/// The items of a list, tuple or iterator; the keys of a map; the characters of a text.
pub fn items(value: &Value) -> Result<Vec<Value>, TemplateError> {
    if value.is_none() {
        return Err(TemplateError::new("'NoneType' object is not iterable"));
    }
    let iterator = value.try_iter().map_err(|_| {
        TemplateError::new(format!("'{}' object is not iterable", type_name(value)))
    })?;
    iterator.checked().collect::<Result<_, _>>().map_err(|error| carried(&error))
}

/// The keys and values of a map.
pub fn entries(value: &Value) -> Result<Vec<(Value, Value)>, TemplateError> {
    let pairs = (value.kind() == ValueKind::Map)
        .then(|| value.as_object().and_then(|object| object.try_iter_pairs()))
        .flatten()
        .ok_or_else(|| {
            TemplateError::new(format!("expected a dictionary, got a '{}'", type_name(value)))
        })?;
    pairs
        .map(|(key, item)| match valid(item) {
            Ok(item) => Ok((key, item)),
            Err(error) => Err(carried(&error)),
        })
        .collect()
}

/// The value, or the error that a lazy object put in its place.
pub fn valid(value: Value) -> Result<Value, minijinja::Error> {
    if value.kind() != ValueKind::Invalid {
        return Ok(value);
    }
    match Value::from(vec![value]).try_iter()?.checked().next() {
        Some(item) => item,
        None => Ok(Value::UNDEFINED),
    }
}

/// minijinja's error as one of ours.
pub fn carried(error: &minijinja::Error) -> TemplateError {
    TemplateError::inside(error).unwrap_or_else(|| TemplateError::new(detail(error)))
}

/// What minijinja says went wrong, without its category.
pub fn detail(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

/// How two values are ordered, to sort them.
pub fn compare(a: &Value, b: &Value) -> Result<Ordering, TemplateError> {
    // Not a number comes nowhere; Python leaves it where it is.
    order(a, b, "<").map(|ordering| ordering.unwrap_or(Ordering::Equal))
}

/// How two values are ordered for Python's `operator`: numbers with numbers,
/// texts with texts, lists item by item. None when one is not a number.
pub fn order(a: &Value, b: &Value, operator: &str) -> Result<Option<Ordering>, TemplateError> {
    let number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    let not_a_number = |value: &Value| f64::try_from(value.clone()).is_ok_and(f64::is_nan);
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(Some(a.cmp(b)));
    }
    if number(a) && number(b) {
        return Ok((!not_a_number(a) && !not_a_number(b)).then(|| a.cmp(b)));
    }
    if a.kind() == ValueKind::Seq && b.kind() == ValueKind::Seq && a.is_tuple() == b.is_tuple() {
        let (a, b) = (items(a)?, items(b)?);
        for (a, b) in a.iter().zip(&b) {
            if a != b {
                return order(a, b, operator);
            }
        }
        return Ok(Some(a.len().cmp(&b.len())));
    }
    // Times and other objects know themselves how they are ordered.
    if a.kind() == ValueKind::Plain && b.kind() == ValueKind::Plain {
        return Ok(Some(a.cmp(b)));
    }
    Err(TemplateError::new(format!(
        "'{operator}' not supported between instances of '{}' and '{}'",
        type_name(a),
        type_name(b)
    )))
}

/// Sorts by keys that are compared as Python does; the first failure to compare is the error.
pub fn sort_by_key<T>(entries: &mut [(Value, T)], reverse: bool) -> Result<(), TemplateError> {
    let mut failure = None;
    entries.sort_by(|(a, _), (b, _)| {
        let ordering = compare(a, b).unwrap_or_else(|error| {
            failure.get_or_insert(error);
            Ordering::Equal
        });
        if reverse { ordering.reverse() } else { ordering }
    });
    failure.map_or(Ok(()), Err)
}

/// `item in container` of Python.
pub fn contains(container: &Value, item: &Value) -> Result<bool, TemplateError> {
    Ok(match (container.kind(), container.as_str()) {
        (_, Some(text)) => item.as_str().is_some_and(|part| text.contains(part)),
        (ValueKind::Map, _) => {
            !container.get_item(item).map_err(|error| carried(&error))?.is_undefined()
        }
        _ => items(container)?.contains(item),
    })
}

/// A tuple of these values.
pub fn tuple(values: Vec<Value>) -> Value {
    Value::from(Tuple::new(values))
}

/// A pair of `groupby`: a tuple whose parts are also called `grouper` and `list`.
#[derive(Debug)]
struct Group(Value, Value);

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_str(), key.as_i64()) {
            (Some("grouper"), _) | (_, Some(0)) => Some(self.0.clone()),
            (Some("list"), _) | (_, Some(1)) => Some(self.1.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }
}

pub fn group(grouper: Value, items: Vec<Value>) -> Value {
    Value::from_object(Group(grouper, Value::from(items)))
}

fn is_tuple(value: &Value) -> bool {
    value.is_tuple() || value.downcast_object_ref::<Group>().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_python() {
        let table = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (123456789012345.0, "123456789012345.0"),
            (0.0001, "0.0001"),
        ];
        for (number, expected) in table {
            assert_eq!(float(number), expected);
        }
    }

    #[test]
    fn containers_print_as_in_python() {
        let value = Value::from_pairs([(
            "a",
            Value::from(vec![Value::from(true), Value::from(()), Value::from("it's\n")]),
        )]);
        assert_eq!(repr(&value), r#"{'a': [True, None, "it's\n"]}"#);
        assert_eq!(repr(&tuple(vec![Value::from(1)])), "(1,)");
    }
}
