//! Template values to JSON and back.

use minijinja::value::ValueKind;
use serde_json::{Map, Number, Value as Json};

use super::{TemplateError, Value, is_omit, python};

/// The value as JSON. Keys become texts as Python's json module writes them,
/// omitted entries are left out, an undefined value is an error.
pub fn to_json(value: &Value) -> Result<Json, TemplateError> {
    nested_json(value, 0)
}

fn nested_json(value: &Value, depth: usize) -> Result<Json, TemplateError> {
    if depth > python::MAX_DEPTH {
        return Err(TemplateError::new("the value nests too deep for JSON"));
    }
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(TemplateError::undefined("the value is undefined")),
        ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => Json::Number(number(value)),
        ValueKind::String => Json::String(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Bytes => {
            Json::String(String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned())
        }
        ValueKind::Map => {
            let mut map = Map::new();
            for (key, item) in python::entries(value)? {
                if !is_omit(&item) {
                    map.insert(key_text(&key), nested_json(&item, depth + 1)?);
                }
            }
            Json::Object(map)
        }
        ValueKind::Seq | ValueKind::Iterable => Json::Array(
            python::items(value)?
                .iter()
                .filter(|item| !is_omit(item))
                .map(|item| nested_json(item, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        _ => Json::String(value.to_string()),
    })
}

fn number(value: &Value) -> Number {
    if value.is_integer() {
        if let Ok(number) = i64::try_from(value.clone()) {
            return number.into();
        }
        if let Ok(number) = u64::try_from(value.clone()) {
            return number.into();
        }
    }
    let float = f64::try_from(value.clone()).unwrap_or_default();
    Number::from_f64(float).unwrap_or_else(|| 0.into())
}

/// A key as `json.dumps` writes it: `true`, `null`, numbers, texts.
fn key_text(key: &Value) -> String {
    match key.kind() {
        ValueKind::Bool => key.is_true().to_string(),
        ValueKind::None => "null".to_owned(),
        _ => python::text(key),
    }
}

/// JSON as a value; objects keep their order.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Value::from(value),
            (None, Some(value)) => Value::from(value),
            _ => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(from_json).collect(),
        Json::Object(entries) => {
            Value::from_pairs(entries.iter().map(|(key, value)| (key.as_str(), from_json(value))))
        }
    }
}

/// Puts the entries of one mapping into another, mappings in it likewise.
pub fn merge_json(into: &mut Json, from: Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (key, value) in from {
                merge_json(into.entry(key).or_insert(Json::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_types_survive_the_way_there_and_back() {
        let json = serde_json::json!({"b": [1, -2, 1.5, null], "a": {"x": "é", "y": true}});
        assert_eq!(to_json(&from_json(&json)), Ok(json));
    }

    #[test]
    fn omitted_entries_are_left_out_and_undefined_is_an_error() {
        let omit = super::super::omit::omit();
        let value = Value::from_pairs([("a", omit), ("b", Value::from(1))]);
        assert_eq!(to_json(&value), Ok(serde_json::json!({"b": 1})));
        assert!(to_json(&Value::UNDEFINED).is_err_and(|error| error.undefined));
    }
}
