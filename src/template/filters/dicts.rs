//! Filters on dictionaries.

use indexmap::IndexMap;
use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, access, python};
use super::lists;

pub const FILTERS: &[Plugin] = &[
    Plugin::new("items", &["value"], items),
    Plugin::new("dictsort", &["value", "case_sensitive", "by", "reverse"], dictsort),
    Plugin::new("combine", &["value", "*", "**"], combine),
    Plugin::new("dict2items", &["mydict", "key_name", "value_name"], dict2items),
    Plugin::new("items2dict", &["mylist", "key_name", "value_name"], items2dict),
    Plugin::new("rekey_on_member", &["data", "key", "duplicates"], rekey_on_member),
    Plugin::new("attr", &["obj", "name"], attr),
    Plugin::new("dict", &["sequence"], dict),
];

type Map = IndexMap<Value, Value>;

fn map(value: &Value) -> Result<Map, TemplateError> {
    Ok(python::entries(value)?.into_iter().collect())
}

fn value_of(map: Map) -> Value {
    Value::from_pairs(map)
}

fn items(call: &mut Call) -> Result<Value, TemplateError> {
    let pairs = python::entries(call.value()?)?;
    Ok(pairs.into_iter().map(|(key, item)| python::tuple(vec![key, item])).collect())
}

fn dictsort(call: &mut Call) -> Result<Value, TemplateError> {
    let by_value = match call.text_or("by", "key").as_str() {
        "key" => false,
        "value" => true,
        _ => return Err(TemplateError::new("You can only sort by either \"key\" or \"value\"")),
    };
    let case_sensitive = call.truth("case_sensitive", false);
    let mut entries = Vec::new();
    for (key, item) in python::entries(call.value()?)? {
        let subject = if by_value { &item } else { &key };
        entries.push((lists::key(call, subject, None, case_sensitive)?, (key, item)));
    }
    python::sort_by_key(&mut entries, call.truth("reverse", false))?;
    Ok(entries.into_iter().map(|(_, (key, item))| python::tuple(vec![key, item])).collect())
}

/// `combine(…, recursive=False, list_merge='replace')`
fn combine(call: &mut Call) -> Result<Value, TemplateError> {
    let mut recursive = false;
    let mut merge = ListMerge::Replace;
    for (name, value) in &call.keywords {
        match name.as_str() {
            "recursive" => recursive = value.is_true(),
            "list_merge" => merge = ListMerge::named(&python::text(value))?,
            _ => {
                return Err(TemplateError::new(
                    "'recursive' and 'list_merge' are the only valid keyword arguments",
                ));
            }
        }
    }
    let terms: Vec<Value> = std::iter::once(call.value()?).chain(&call.rest).cloned().collect();
    let mut dictionaries = Vec::new();
    lists::flatten_into(&mut dictionaries, &terms, Some(1), true)?;
    if dictionaries.iter().any(Value::is_undefined) {
        return Err(call.undefined());
    }
    let mut dictionaries = dictionaries.into_iter();
    let Some(mut result) = dictionaries.next() else { return Ok(value_of(Map::new())) };
    for next in dictionaries {
        result = merged(&result, &next, recursive, merge)?;
    }
    Ok(result)
}

/// What becomes of two lists under the same key.
#[derive(Clone, Copy)]
pub enum ListMerge {
    Replace,
    Keep,
    Append,
    Prepend,
    AppendNew,
    PrependNew,
}

impl ListMerge {
    pub fn named(name: &str) -> Result<Self, TemplateError> {
        Ok(match name {
            "replace" => Self::Replace,
            "keep" => Self::Keep,
            "append" => Self::Append,
            "prepend" => Self::Prepend,
            "append_rp" => Self::AppendNew,
            "prepend_rp" => Self::PrependNew,
            _ => {
                return Err(TemplateError::new(
                    "merge_hash: 'list_merge' argument can only be equal to 'replace', 'keep', 'append', 'prepend', 'append_rp' or 'prepend_rp'",
                ));
            }
        })
    }

    fn apply(self, low: &Value, high: &Value) -> Result<Value, TemplateError> {
        let (mut a, mut b) = (python::items(low)?, python::items(high)?);
        Ok(match self {
            Self::Replace => high.clone(),
            Self::Keep => low.clone(),
            Self::Append => {
                a.extend(b);
                Value::from(a)
            }
            Self::Prepend => {
                b.extend(a);
                Value::from(b)
            }
            Self::AppendNew => {
                a.retain(|item| !b.contains(item));
                a.extend(b);
                Value::from(a)
            }
            Self::PrependNew => {
                a.retain(|item| !b.contains(item));
                b.extend(a);
                Value::from(b)
            }
        })
    }
}

/// `high` laid over `low`.
pub fn merged(
    low: &Value,
    high: &Value,
    recursive: bool,
    merge: ListMerge,
) -> Result<Value, TemplateError> {
    if low.kind() != ValueKind::Map || high.kind() != ValueKind::Map {
        return Err(TemplateError::new(format!(
            "failed to combine variables, expected dicts but got a '{}' and a '{}'.",
            python::type_name(low),
            python::type_name(high)
        )));
    }
    let mut result = map(low)?;
    for (key, value) in python::entries(high)? {
        let laid = match result.get(&key) {
            Some(old)
                if recursive && old.kind() == ValueKind::Map && value.kind() == ValueKind::Map =>
            {
                merged(old, &value, recursive, merge)?
            }
            Some(old) if old.kind() == ValueKind::Seq && value.kind() == ValueKind::Seq => {
                merge.apply(old, &value)?
            }
            _ => value,
        };
        result.insert(key, laid);
    }
    Ok(value_of(result))
}

fn dict2items(call: &mut Call) -> Result<Value, TemplateError> {
    let (key_name, value_name) = names(call);
    let value = call.value()?;
    if value.kind() != ValueKind::Map {
        return Err(TemplateError::new(format!(
            "dict2items requires a dictionary, got <class '{}'> instead.",
            python::type_name(value)
        )));
    }
    let pair =
        |(key, item)| Value::from_pairs([(key_name.as_str(), key), (value_name.as_str(), item)]);
    Ok(python::entries(value)?.into_iter().map(pair).collect())
}

fn names(call: &Call) -> (String, String) {
    (call.text_or("key_name", "key"), call.text_or("value_name", "value"))
}

fn items2dict(call: &mut Call) -> Result<Value, TemplateError> {
    let (key_name, value_name) = names(call);
    let value = call.value()?;
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(TemplateError::new(format!(
            "items2dict requires a list, got <class '{}'> instead.",
            python::type_name(value)
        )));
    }
    let mut result = Map::new();
    for item in python::items(value)? {
        let part = |name: &str| match item.get_attr(name) {
            Ok(found) if !found.is_undefined() => Ok(found),
            _ => Err(TemplateError::new(format!(
                "items2dict requires each dictionary in the list to contain the keys '{key_name}' and '{value_name}', got {} instead.",
                python::repr(&item)
            ))),
        };
        result.insert(part(&key_name)?, part(&value_name)?);
    }
    Ok(value_of(result))
}

fn rekey_on_member(call: &mut Call) -> Result<Value, TemplateError> {
    let member = call.need("key")?.clone();
    let duplicates = call.text_or("duplicates", "error");
    if !matches!(duplicates.as_str(), "error" | "overwrite") {
        return Err(TemplateError::new(format!(
            "duplicates parameter to rekey_on_member has unknown value: {duplicates}"
        )));
    }
    let value = call.value()?;
    let items = match value.kind() {
        ValueKind::Map => python::entries(value)?.into_iter().map(|(_, item)| item).collect(),
        ValueKind::String => {
            return Err(TemplateError::new("Type is not a valid list, set, or dict"));
        }
        _ => python::items(value)?,
    };
    let mut result = Map::new();
    for item in items {
        if item.kind() != ValueKind::Map {
            return Err(TemplateError::new("List item is not a valid dict"));
        }
        let key = item.get_item(&member).map_err(|error| python::carried(&error))?;
        let named = python::text(if key.is_undefined() { &member } else { &key });
        if key.is_undefined() {
            return Err(TemplateError::new(format!("Key {named} was not found")));
        }
        if result.insert(key, item).is_some() && duplicates == "error" {
            return Err(TemplateError::new(format!(
                "Key {named} is not unique, cannot correctly turn into dict"
            )));
        }
    }
    Ok(value_of(result))
}

/// An attribute, never an item; the values of templates have items only.
fn attr(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?.clone();
    let name = call.need("name")?.clone();
    access::get(call.state, &value, &name)
}

/// `community.general.dict`: pairs to a dictionary.
fn dict(call: &mut Call) -> Result<Value, TemplateError> {
    pairs_to_map(call.value()?)
}

/// A dictionary of pairs, as `dict()` makes it.
pub fn pairs_to_map(pairs: &Value) -> Result<Value, TemplateError> {
    let mut result = Map::new();
    for pair in python::items(pairs)? {
        match python::items(&pair)?.as_slice() {
            [key, value] => result.insert(key.clone(), value.clone()),
            _ => return Err(TemplateError::new("a dictionary is made of pairs")),
        };
    }
    Ok(value_of(result))
}
