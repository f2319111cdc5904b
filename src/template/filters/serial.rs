//! JSON and YAML, as Python's `json` and PyYAML write and read them.

use std::path::Path;

use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::yaml::{self, Style};
use super::super::{TemplateError, Value, from_json, python};
use crate::source::{self, Node, Yaml};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("to_json", &["a", "**"], |call| json(call, None, false)),
    Plugin::new("to_nice_json", &["a", "indent", "sort_keys", "**"], nice_json),
    Plugin::new("tojson", &["value", "indent"], tojson),
    Plugin::new("from_json", &["string", "**"], parse_json),
    Plugin::new("to_yaml", &["a", "**"], |call| to_yaml(call, Style::default())),
    Plugin::new("to_nice_yaml", &["a", "indent", "**"], nice_yaml),
    Plugin::new("from_yaml", &["data"], from_yaml),
    Plugin::new("from_yaml_all", &["data"], from_yaml_all),
];

fn option<'a>(call: &'a Call, name: &str) -> Option<&'a Value> {
    call.get(name).or_else(|| call.keywords.iter().find(|(key, _)| key == name).map(|(_, v)| v))
}

fn flag(call: &Call, name: &str, default: bool) -> bool {
    option(call, name).map_or(default, Value::is_true)
}

fn number(call: &Call, name: &str) -> Result<Option<usize>, TemplateError> {
    match option(call, name).filter(|value| !value.is_none()) {
        None => Ok(None),
        Some(value) => Ok(usize::try_from(call.as_integer(name, value)?).ok().map(|n| n.min(100))),
    }
}

fn nice_json(call: &mut Call) -> Result<Value, TemplateError> {
    json(call, Some(4), true)
}

/// `json.dumps(indent=…, sort_keys=…, ensure_ascii=…)`
fn json(call: &mut Call, indent: Option<usize>, sorted: bool) -> Result<Value, TemplateError> {
    let writer = JsonWriter {
        indent: number(call, "indent")?.or(indent),
        sorted: flag(call, "sort_keys", sorted),
        ascii: flag(call, "ensure_ascii", true),
    };
    let mut out = String::new();
    writer
        .write(&mut out, call.value()?, 0)
        .map_err(|error| if error.undefined { call.undefined() } else { error })?;
    Ok(Value::from(out))
}

/// Jinja2's own: keys sorted, safe inside of HTML.
fn tojson(call: &mut Call) -> Result<Value, TemplateError> {
    let text = json(call, None, true)?;
    let text = python::text(&text);
    let safe = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\'', "\\u0027")];
    Ok(Value::from(safe.iter().fold(text, |text, (from, to)| text.replace(*from, to))))
}

struct JsonWriter {
    indent: Option<usize>,
    sorted: bool,
    ascii: bool,
}

impl JsonWriter {
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
                let mut entries = python::entries(value)?
                    .into_iter()
                    .map(|(key, item)| (Value::from(key_text(&key)), item))
                    .collect::<Vec<_>>();
                if self.sorted {
                    python::sort_by_key(&mut entries, false)?;
                }
                self.group(out, '{', '}', depth, &entries, |out, (key, item)| {
                    self.text(out, key.as_str().unwrap_or_default());
                    out.push_str(": ");
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
            match self.indent {
                Some(_) if index > 0 => out.push(','),
                None if index > 0 => out.push_str(", "),
                _ => {}
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

fn key_text(key: &Value) -> String {
    match key.kind() {
        ValueKind::Bool => key.is_true().to_string(),
        ValueKind::None => "null".to_owned(),
        _ => python::text(key),
    }
}

fn parse_json(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let Some(text) = value.as_str() else {
        return Err(TemplateError::new(format!(
            "the JSON object must be str, bytes or bytearray, not {}",
            python::type_name(value)
        )));
    };
    serde_json::from_str(text).map(|json| from_json(&json)).map_err(|error| call.error(error))
}

fn nice_yaml(call: &mut Call) -> Result<Value, TemplateError> {
    let indent = number(call, "indent")?.unwrap_or(4);
    to_yaml(call, Style { indent, flow_leaves: false, ..Style::default() })
}

fn to_yaml(call: &mut Call, mut style: Style) -> Result<Value, TemplateError> {
    style.indent = number(call, "indent")?.unwrap_or(style.indent).clamp(1, 9);
    style.sorted = flag(call, "sort_keys", true);
    if let Some(width) = option(call, "width") {
        style.width = usize::try_from(call.as_integer("width", width)?).unwrap_or(style.width);
    }
    if let Some(flow) = option(call, "default_flow_style") {
        style.flow_leaves = flow.is_none();
        style.flow_always = flow.is_true();
    }
    style.explicit_start = flag(call, "explicit_start", false);
    let text = yaml::dump(call.value()?, &style)
        .map_err(|error| if error.undefined { call.undefined() } else { error })?;
    Ok(Value::from(text))
}

fn from_yaml(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let Some(text) = value.as_str() else { return Ok(value.clone()) };
    source::load_str(text, Path::new("<from_yaml>"))
        .map(|node| plain(&node))
        .map_err(|error| call.error(error.message))
}

fn from_yaml_all(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let Some(text) = value.as_str() else { return Ok(value.clone()) };
    source::load_all_str(text, Path::new("<from_yaml_all>"))
        .map(|nodes| nodes.iter().map(plain).collect())
        .map_err(|error| call.error(error.message))
}

/// A node as it is written, nothing templated.
fn plain(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::from(()),
        Yaml::Bool(value) => Value::from(*value),
        Yaml::Int(value) => Value::from(*value),
        Yaml::Float(value) => Value::from(*value),
        Yaml::Str(text) | Yaml::Unsafe(text) | Yaml::Vault(text) => Value::from(text.as_str()),
        Yaml::Seq(items) => items.iter().map(plain).collect(),
        Yaml::Map(entries) => {
            Value::from_pairs(entries.iter().map(|(key, value)| (plain(key), plain(value))))
        }
    }
}
