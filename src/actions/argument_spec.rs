//! What `meta/argument_specs.yml` says of arguments, and whether values keep to it.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::modules::args::TextList;
use crate::{source, template};

/// One argument as its specification has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Argument {
    #[serde(rename = "type")]
    kind: Option<String>,
    required: bool,
    choices: Option<Vec<Json>>,
    /// The type of a list's items.
    elements: Option<String>,
    aliases: TextList,
    /// What a mapping, or each mapping of a list, may hold.
    options: Option<IndexMap<String, Argument>>,
    mutually_exclusive: Vec<TextList>,
    required_together: Vec<TextList>,
    required_one_of: Vec<TextList>,
}

pub type Spec = IndexMap<String, Argument>;

/// Why a value is none of a type and cannot be read as one.
pub fn type_error(name: &str, kind: &str, value: &Json) -> Option<String> {
    Argument { kind: Some(kind.to_owned()), ..Argument::default() }.type_error(name, value)
}

/// Everything that is wrong with these values. `path` leads to them from the top.
pub fn errors(spec: &Spec, values: &Map<String, Json>, path: &[&str]) -> Vec<String> {
    let mut errors = Vec::new();
    let mut missing: Vec<&str> = spec
        .iter()
        .filter(|(name, argument)| argument.required && !argument.is_given(name, values))
        .map(|(name, _)| name.as_str())
        .collect();
    missing.sort_unstable();
    if !missing.is_empty() {
        errors.push(format!("missing required arguments: {}{}", missing.join(", "), place(path)));
    }
    let given: Vec<_> = spec
        .iter()
        .filter_map(|(name, argument)| Some((name, argument, argument.value(name, values)?)))
        .collect();
    for (name, argument, value) in &given {
        errors.extend(argument.type_error(name, value));
    }
    for (name, argument, value) in &given {
        errors.extend(argument.choice_error(name, value, path));
    }
    for (name, argument, value) in &given {
        errors.extend(argument.inner_errors(name, value, path));
    }
    errors
}

impl Argument {
    /// A null is given too.
    fn is_given(&self, name: &str, values: &Map<String, Json>) -> bool {
        let mut names = std::iter::once(name).chain(self.aliases.0.iter().map(String::as_str));
        names.any(|name| values.contains_key(name))
    }

    fn value<'a>(&self, name: &str, values: &'a Map<String, Json>) -> Option<&'a Json> {
        let names = std::iter::once(name).chain(self.aliases.0.iter().map(String::as_str));
        // A null is a value where there must be one, and else as if it were not given.
        names.filter_map(|name| values.get(name)).find(|value| self.required || !value.is_null())
    }

    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("str")
    }

    fn type_error(&self, name: &str, value: &Json) -> Option<String> {
        if let Err(reason) = converts(self.kind(), value) {
            let class = class(value);
            let kind = self.kind();
            return Some(match kind {
                "dict" if !value.is_null() => reason,
                _ => format!(
                    "argument '{name}' is of type {class} and we were unable to convert to {kind}: \
                     {reason}"
                ),
            });
        }
        let (Some(elements), true) = (&self.elements, self.kind() == "list") else {
            return None;
        };
        items(value).iter().find_map(|item| {
            let reason = converts(elements, item).err()?;
            Some(format!(
                "Elements value for option '{name}' is of type {} and we were unable to convert to \
                 {elements}: {reason}",
                class(item)
            ))
        })
    }

    fn choice_error(&self, name: &str, value: &Json, path: &[&str]) -> Option<String> {
        let choices = self.choices.as_ref()?;
        let shown = |value: &Json| template::python_text(&template::from_json(value));
        let allowed: Vec<_> = choices.iter().map(shown).collect();
        let list = self.kind() == "list";
        let values = if list { items(value) } else { vec![value.clone()] };
        let wrong: Vec<_> =
            values.iter().map(shown).filter(|value| !allowed.contains(value)).collect();
        if wrong.is_empty() {
            return None;
        }
        let one = if list { "one or more of" } else { "one of" };
        Some(format!(
            "value of {name} must be {one}: {}, got{}: {}{}",
            allowed.join(", "),
            if list { " no match for" } else { "" },
            wrong.join(", "),
            place(path)
        ))
    }

    fn inner_errors(&self, name: &str, value: &Json, path: &[&str]) -> Vec<String> {
        let Some(options) = &self.options else {
            return Vec::new();
        };
        let inner: Vec<&str> = path.iter().copied().chain([name]).collect();
        let mut all = Vec::new();
        for entries in items(value).iter().filter_map(Json::as_object) {
            all.extend(self.group_errors(entries, &inner));
            all.extend(errors(options, entries, &inner));
            let known = |key: &str| {
                options.iter().any(|(name, o)| name == key || o.aliases.0.iter().any(|a| a == key))
            };
            let unknown: Vec<_> = entries
                .keys()
                .filter(|key| !known(key))
                .map(|key| format!("{}.{key}", inner.join(".")))
                .collect();
            if !unknown.is_empty() {
                let mut supported: Vec<_> = options.keys().map(String::as_str).collect();
                supported.sort_unstable();
                all.push(format!(
                    "{}. Supported parameters include: {}.",
                    unknown.join(", "),
                    supported.join(", ")
                ));
            }
        }
        all
    }

    fn group_errors(&self, entries: &Map<String, Json>, path: &[&str]) -> Vec<String> {
        let count = |names: &TextList| {
            names.0.iter().filter(|name| entries.get(*name).is_some_and(|v| !v.is_null())).count()
        };
        let mut all = Vec::new();
        for names in self.mutually_exclusive.iter().filter(|names| count(names) > 1) {
            let names = names.0.join("|");
            all.push(format!("parameters are mutually exclusive: {names}{}", place(path)));
        }
        for names in self.required_together.iter() {
            if !matches!(count(names), 0) && count(names) < names.0.len() {
                let names = names.0.join(", ");
                all.push(format!("parameters are required together: {names}{}", place(path)));
            }
        }
        for names in self.required_one_of.iter().filter(|names| count(names) == 0) {
            let names = names.0.join(", ");
            all.push(format!("one of the following is required: {names}{}", place(path)));
        }
        all
    }
}

fn place(path: &[&str]) -> String {
    if path.is_empty() { String::new() } else { format!(" found in {}", path.join(" -> ")) }
}

/// A list; text is one with commas between, anything else one with a single item.
fn items(value: &Json) -> Vec<Json> {
    match value {
        Json::Array(items) => items.clone(),
        Json::String(text) => {
            text.split(',').map(|item| Json::String(item.trim().to_owned())).collect()
        }
        other => vec![other.clone()],
    }
}

fn class(value: &Json) -> String {
    let value = template::from_json(value);
    format!("<class '{}'>", template::python_type(&value))
}

/// Whether a value is or can be read as one of this type.
fn converts(kind: &str, value: &Json) -> Result<(), String> {
    let quoted = || {
        let text = template::python_repr(&template::from_json(value));
        format!("\"{text}\" cannot be converted to")
    };
    let text = value.as_str();
    match kind {
        "raw" | "jsonarg" | "json" => Ok(()),
        "list" | "dict" if value.is_null() => {
            Err(format!("{} cannot be converted to a {kind}", class(value)))
        }
        "str" if value.is_null() => {
            Err("'None' is not a string and conversion is not allowed".to_owned())
        }
        "int" if value.is_i64() || text.is_some_and(|t| t.trim().parse::<i64>().is_ok()) => Ok(()),
        "int" if value.as_f64().is_some_and(|number| number.fract() == 0.0) => Ok(()),
        "int" => Err(format!("{} an int", quoted())),
        "float" if value.is_number() || text.is_some_and(|t| t.trim().parse::<f64>().is_ok()) => {
            Ok(())
        }
        "float" => Err(format!("{} a float", quoted())),
        "bool" => boolean(value),
        "list" if value.is_array() || value.is_string() || value.is_number() => Ok(()),
        "list" => Err(format!("{} a list", quoted())),
        "dict" if value.is_object() || text.is_some_and(is_mapping) => Ok(()),
        "dict" => Err("dictionary requested, could not parse JSON or key=value".to_owned()),
        _ => Ok(()),
    }
}

fn is_mapping(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Json::Object(_))) || text.contains('=')
}

fn boolean(value: &Json) -> Result<(), String> {
    let known = match value {
        Json::Bool(_) => true,
        Json::String(text) => source::boolean(text).is_some(),
        other => other.as_f64().is_some_and(|number| number == 0.0 || number == 1.0),
    };
    if known {
        return Ok(());
    }
    let shown = template::python_text(&template::from_json(value));
    Err(source::no_boolean(&shown))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors_of(spec: Json, values: Json) -> Vec<String> {
        let spec: Spec = serde_json::from_value(spec).expect("a specification");
        errors(&spec, values.as_object().expect("values"), &[])
    }

    #[test]
    fn what_is_missing_is_named() {
        let spec = json!({"a": {"required": true}, "b": {}, "c": {"required": true}});
        assert_eq!(errors_of(spec, json!({"b": 1})), ["missing required arguments: a, c"]);
    }

    #[test]
    fn values_are_of_their_type_or_can_be_read_as_it() {
        let spec = json!({"n": {"type": "int"}, "f": {"type": "bool"}, "d": {"type": "dict"}});
        assert!(errors_of(spec.clone(), json!({"n": "5", "f": "yes", "d": {"a": 1}})).is_empty());
        let wrong = errors_of(spec, json!({"n": "abc", "f": 3, "d": "x"}));
        assert!(wrong[0].contains("unable to convert to int: \"'abc'\" cannot be converted"));
        assert!(wrong[1].contains("The value '3' is not a valid boolean"));
        assert_eq!(wrong[2], "dictionary requested, could not parse JSON or key=value");
    }

    #[test]
    fn lists_of_mappings_are_checked_inside() {
        let spec = json!({"items": {"type": "list", "elements": "dict",
            "options": {"k": {"required": true}}}});
        assert_eq!(
            errors_of(spec, json!({"items": [{"z": 1}]})),
            [
                "missing required arguments: k found in items",
                "items.z. Supported parameters include: k."
            ]
        );
    }

    #[test]
    fn a_value_is_one_of_the_choices() {
        let spec = json!({"mode": {"choices": ["a", "b"]}});
        assert_eq!(
            errors_of(spec, json!({"mode": "c"})),
            ["value of mode must be one of: a, b, got: c"]
        );
    }
}
