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

/// How JSON is written.
#[derive(Clone, Copy, Debug)]
pub struct JsonStyle<'a> {
    /// None: all of it on one line.
    pub indent: Option<usize>,
    /// Keys in their order; keys that cannot be compared are an error.
    pub sorted: bool,
    /// Other characters are escaped.
    pub ascii: bool,
    /// What stands between two items, and between a key and its value; none for what Python
    /// writes unasked.
    pub separators: Option<(&'a str, &'a str)>,
}

/// The value as Python's json module writes it.
pub fn write_json(value: &Value, style: &JsonStyle<'_>) -> Result<String, TemplateError> {
    let mut out = String::new();
    style.write(&mut out, value, 0)?;
    Ok(out)
}

impl JsonStyle<'_> {
    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), TemplateError> {
        if depth > python::MAX_DEPTH {
            return Err(TemplateError::new("the value nests too deep for JSON"));
        }
        match value.kind() {
            ValueKind::Undefined => return Err(TemplateError::undefined("the value is undefined")),
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
            ValueKind::Number => {
                let number = python::text(value);
                out.push_str(match number.as_str() {
                    "nan" => "NaN",
                    "inf" => "Infinity",
                    "-inf" => "-Infinity",
                    other => other,
                });
            }
            ValueKind::Map => {
                let mut entries = python::entries(value)?;
                if self.sorted {
                    python::sort_by_key(&mut entries, false)?;
                }
                self.group(out, '{', '}', depth, &entries, |out, (key, item)| {
                    self.text(out, &key_text(key));
                    out.push_str(self.separators.map_or(": ", |(_, key)| key));
                    self.write(out, item, depth + 1)
                })?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items = python::items(value)?;
                self.group(out, '[', ']', depth, &items, |out, item| {
                    self.write(out, item, depth + 1)
                })?;
            }
            _ => self.text(out, &python::text(value)),
        }
        Ok(())
    }

    fn group<T>(
        &self,
        out: &mut String,
        open: char,
        close: char,
        depth: usize,
        items: &[T],
        mut write: impl FnMut(&mut String, &T) -> Result<(), TemplateError>,
    ) -> Result<(), TemplateError> {
        out.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                let unasked = if self.indent.is_some() { "," } else { ", " };
                out.push_str(self.separators.map_or(unasked, |(item, _)| item));
            }
            self.line(out, depth + 1);
            write(out, item)?;
        }
        if !items.is_empty() {
            self.line(out, depth);
        }
        out.push(close);
        Ok(())
    }

    fn line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * depth));
        }
    }

    fn text(&self, out: &mut String, text: &str) {
        out.push('"');
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ascii && !c.is_ascii()) => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
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
