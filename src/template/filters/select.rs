//! Filters that apply another filter, a test or an attribute to each item.

use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::rewrite::short_name;
use super::super::{TemplateError, Value, access, python};
use super::lists;

pub const FILTERS: &[Plugin] = &[
    Plugin::lenient("map", &["value", "*", "**"], map),
    Plugin::lenient("select", &["value", "*", "**"], |call| select(call, None, true)),
    Plugin::lenient("reject", &["value", "*", "**"], |call| select(call, None, false)),
    Plugin::lenient("selectattr", &["value", "attribute", "*", "**"], |call| {
        by_attribute(call, true)
    }),
    Plugin::lenient("rejectattr", &["value", "attribute", "*", "**"], |call| {
        by_attribute(call, false)
    }),
    Plugin::new("groupby", &["value", "attribute", "default", "case_sensitive"], groupby),
    Plugin::lenient("extract", &["item", "container", "morekeys"], extract),
    Plugin::new("subelements", &["obj", "subelements", "skip_missing"], subelements),
];

fn items(call: &Call) -> Result<Vec<Value>, TemplateError> {
    let value = call.value()?;
    if value.is_undefined() {
        return Err(call.undefined());
    }
    python::items(value)
}

/// `map('filter', …)` or `map(attribute='name', default=…)`.
fn map(call: &mut Call) -> Result<Value, TemplateError> {
    let items = items(call)?;
    let keyword =
        |name: &str| call.keywords.iter().find(|(key, _)| key == name).map(|(_, v)| v.clone());
    if let (true, Some(attribute)) = (call.rest.is_empty(), keyword("attribute")) {
        let default = keyword("default");
        let mut mapped = Vec::with_capacity(items.len());
        for item in items {
            let mut found = access::path(call.state, &item, &attribute)?;
            if let (true, Some(default)) = (found.is_undefined(), &default) {
                call.context()?.forgive();
                found = default.clone();
            }
            mapped.push(found);
        }
        return Ok(Value::from(mapped));
    }
    let Some(name) = call.rest.first().and_then(|name| name.as_str().map(str::to_owned)) else {
        return Err(TemplateError::new("map requires a filter argument"));
    };
    let name = short_name(&name);
    let mut arguments: Vec<Value> = vec![Value::from(())];
    arguments.extend(call.rest.iter().skip(1).cloned());
    arguments.extend(call.keyword_argument());
    let mut mapped = Vec::with_capacity(items.len());
    for item in items {
        if let Some(first) = arguments.first_mut() {
            *first = item;
        }
        mapped.push(call.filter(name, &arguments)?);
    }
    Ok(Value::from(mapped))
}

fn by_attribute(call: &mut Call, keep: bool) -> Result<Value, TemplateError> {
    let attribute = call
        .get("attribute")
        .cloned()
        .ok_or_else(|| TemplateError::new("Missing parameter for attribute name"))?;
    select(call, Some(attribute), keep)
}

/// The items that pass (or fail) the test named by the first argument; without
/// a test, those that are true.
fn select(call: &mut Call, attribute: Option<Value>, keep: bool) -> Result<Value, TemplateError> {
    let items = items(call)?;
    let test = call.rest.first().map(python::text);
    let mut arguments: Vec<Value> = vec![Value::from(())];
    arguments.extend(call.rest.iter().skip(1).cloned());
    arguments.extend(call.keyword_argument());
    let mut kept = Vec::new();
    for item in items {
        let subject = match &attribute {
            Some(attribute) => access::path(call.state, &item, attribute)?,
            None => item.clone(),
        };
        let passed = match &test {
            Some(test) => {
                if let Some(first) = arguments.first_mut() {
                    *first = subject;
                }
                call.test(short_name(test), &arguments)?
            }
            None if subject.is_undefined() => return Err(call.undefined()),
            None => subject.is_true(),
        };
        if passed == keep {
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}

/// Pairs of a key and the items that have it, in the order of the keys.
fn groupby(call: &mut Call) -> Result<Value, TemplateError> {
    let attribute = call.need("attribute")?.clone();
    let case_sensitive = call.truth("case_sensitive", false);
    let default = call.get("default").cloned();
    let mut entries = Vec::new();
    for item in items(call)? {
        let mut group = access::path(call.state, &item, &attribute)?;
        if let (true, Some(default)) = (group.is_undefined(), &default) {
            call.context()?.forgive();
            group = default.clone();
        }
        let key = lists::key(call, &group, None, case_sensitive)?;
        entries.push((key, (group, item)));
    }
    python::sort_by_key(&mut entries, false)?;
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (key, (group, item)) in entries {
        match groups.last_mut() {
            Some((last, _, items)) if *last == key => items.push(item),
            _ => groups.push((key, group, vec![item])),
        }
    }
    Ok(groups.into_iter().map(|(_, group, items)| python::group(group, items)).collect())
}

/// `'key' | extract(container, ['more', 'keys'])`
fn extract(call: &mut Call) -> Result<Value, TemplateError> {
    let mut keys = vec![call.value()?.clone()];
    match call.some("morekeys") {
        None => {}
        Some(more) if more.kind() == ValueKind::Seq => keys.extend(python::items(more)?),
        Some(more) => keys.push(more.clone()),
    }
    let mut found = call.need("container")?.clone();
    for key in keys {
        if key.is_undefined() {
            return Err(call.undefined());
        }
        found = access::get(call.state, &found, &key)?;
    }
    Ok(found)
}

fn subelements(call: &mut Call) -> Result<Value, TemplateError> {
    let subject = call.value()?;
    let elements: Vec<Value> = match subject.kind() {
        ValueKind::Map => python::entries(subject)?.into_iter().map(|(_, item)| item).collect(),
        _ => python::items(subject)
            .map_err(|_| TemplateError::new("obj must be a list of dicts or a nested dict"))?,
    };
    let path = call.need("subelements")?;
    let path: Vec<Value> = match path.as_str() {
        Some(path) => path.split('.').map(Value::from).collect(),
        None => python::items(path)?,
    };
    subelement_pairs(elements, &path, call.truth("skip_missing", false))
}

/// Each element with each item of the list that the path leads to in it.
pub fn subelement_pairs(
    elements: Vec<Value>,
    path: &[Value],
    skip_missing: bool,
) -> Result<Value, TemplateError> {
    let mut pairs = Vec::new();
    for element in elements {
        let mut found = element.clone();
        for key in path {
            if found.kind() != ValueKind::Map {
                if skip_missing {
                    found = Value::UNDEFINED;
                    break;
                }
                return Err(TemplateError::new(format!(
                    "the key {} should point to a dictionary, got '{found}'",
                    python::text(key)
                )));
            }
            found = found.get_item(key).map_err(|error| python::carried(&error))?;
            if found.is_undefined() {
                break;
            }
        }
        let key = path.last().map(python::repr).unwrap_or_default();
        if found.is_undefined() {
            if skip_missing {
                continue;
            }
            return Err(TemplateError::new(format!(
                "could not find {key} key in iterated item {}",
                python::repr(&element)
            )));
        }
        if found.kind() != ValueKind::Seq {
            return Err(TemplateError::new(format!(
                "the key {key} should point to a list, got {}",
                python::repr(&found)
            )));
        }
        let items = python::items(&found)?.into_iter();
        pairs.extend(items.map(|item| python::tuple(vec![element.clone(), item])));
    }
    Ok(Value::from(pairs))
}
