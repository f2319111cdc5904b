//! JSON and YAML, as Python's `json` and PyYAML write and read them.

use std::path::Path;

use super::super::call::{Call, Plugin};
use super::super::yaml::{self, Style};
use super::super::{JsonStyle, TemplateError, Value, from_json, python, write_json};
use crate::source::{self, Node, Yaml};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("to_json", &["a", "**"], to_json),
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

/// `json.dumps(separators=(item, key), …)`
fn to_json(call: &mut Call) -> Result<Value, TemplateError> {
    let given = option(call, "separators").filter(|value| !value.is_none());
    let given = given.map(python::items).transpose()?;
    let texts: Option<Vec<_>> = given.map(|given| given.iter().map(python::text).collect());
    let separators = match texts.as_deref() {
        None => None,
        Some([item, key]) => Some((item.as_str(), key.as_str())),
        Some(_) => return Err(TemplateError::new("separators are two: of items and of keys")),
    };
    json(call, None, false, separators)
}

fn nice_json(call: &mut Call) -> Result<Value, TemplateError> {
    json(call, Some(4), true, None)
}

/// `json.dumps(indent=…, sort_keys=…, ensure_ascii=…)`
fn json(
    call: &mut Call,
    indent: Option<usize>,
    sorted: bool,
    separators: Option<(&str, &str)>,
) -> Result<Value, TemplateError> {
    let style = JsonStyle {
        indent: number(call, "indent")?.or(indent),
        sorted: flag(call, "sort_keys", sorted),
        ascii: flag(call, "ensure_ascii", true),
        separators,
    };
    let text = write_json(call.value()?, &style)
        .map_err(|error| if error.undefined { call.undefined() } else { error })?;
    Ok(Value::from(text))
}

/// Jinja2's own: keys sorted, safe inside of HTML.
fn tojson(call: &mut Call) -> Result<Value, TemplateError> {
    let text = json(call, None, true, None)?;
    let text = python::text(&text);
    let safe = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\'', "\\u0027")];
    Ok(Value::from(safe.iter().fold(text, |text, (from, to)| text.replace(*from, to))))
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
    style.explicit_end = flag(call, "explicit_end", false);
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
