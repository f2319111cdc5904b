//! Lookups that put lists and dictionaries in another form, mostly for loops.

use minijinja::value::ValueKind;
use rand::Rng;

use super::super::filters::{lists, select, sets};
use super::super::{TemplateError, Value, python};
use super::{Request, listed};

/// Lists in the terms become part of the list, one level deep.
pub fn items(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    flat(&request.terms, Some(1))
}

pub fn flattened(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    flat(&request.terms, None)
}

fn flat(terms: &[Value], levels: Option<i64>) -> Result<Vec<Value>, TemplateError> {
    let mut flat = Vec::new();
    lists::flatten_into(&mut flat, terms, levels, false)?;
    Ok(flat)
}

pub fn list(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    Ok(request.terms.clone())
}

/// `{'key': …, 'value': …}` for each entry.
pub fn dict(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let mut found = Vec::new();
    for term in &request.terms {
        if term.kind() != ValueKind::Map {
            return Err(TemplateError::new("with_dict expects a dict"));
        }
        let entries = python::entries(term)?.into_iter();
        found.extend(
            entries.map(|(key, value)| Value::from_pairs([("key", key), ("value", value)])),
        );
    }
    Ok(found)
}

pub fn indexed_items(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let items = flat(&request.terms, Some(1))?.into_iter().enumerate();
    Ok(items.map(|(index, item)| python::tuple(vec![Value::from(index), item])).collect())
}

/// Each item of the first list with each of the next, and so on.
pub fn nested(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    if request.terms.is_empty() {
        return Err(TemplateError::new(
            "with_nested requires at least one element in the nested list",
        ));
    }
    let lists = request.terms.iter().cloned().map(listed).collect::<Result<Vec<_>, _>>()?;
    let rows = sets::cartesian(&lists)?;
    rows.iter().map(|row| flat(row, Some(1)).map(Value::from)).collect()
}

/// The first items of all lists, then the second ones; `none` where a list has ended.
pub fn together(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let lists = request.terms.iter().cloned().map(listed).collect::<Result<Vec<_>, _>>()?;
    let length = lists.iter().map(Vec::len).max();
    let length = length.ok_or_else(|| {
        TemplateError::new("with_together requires at least one element in each list")
    })?;
    let row = |index: usize| {
        let items = lists.iter().map(|list| list.get(index).cloned().unwrap_or(Value::from(())));
        flat(&items.collect::<Vec<_>>(), Some(1)).map(Value::from)
    };
    (0..length).map(row).collect()
}

/// Terms: the list, the path of the inner list, and `{'skip_missing': …}`.
pub fn subelements(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let (elements, path, flags) = match request.terms.as_slice() {
        [elements, path] if path.as_str().is_some() => (elements, path, None),
        [elements, path, flags] if path.as_str().is_some() => (elements, path, Some(flags)),
        _ => {
            return Err(TemplateError::new(
                "subelements lookup expects a list of two or three items, first a dict or a list, second a string pointing to the subkey",
            ));
        }
    };
    if let Some(flags) = flags.filter(|flags| flags.kind() != ValueKind::Map) {
        return Err(TemplateError::new(format!(
            "the optional third item must be a dict with flags skip_missing, got {}",
            python::repr(flags)
        )));
    }
    let skipped = |item: &Value| item.get_attr("skipped").is_ok_and(|skipped| skipped.is_true());
    let elements = match elements.kind() {
        ValueKind::Number | ValueKind::Bool | ValueKind::String => {
            return Err(TemplateError::new(format!(
                "subelements lookup expects a dictionary, got '{elements}'"
            )));
        }
        // What a skipped task has registered has no such list.
        ValueKind::Map if skipped(elements) => Vec::new(),
        ValueKind::Map => python::entries(elements)?.into_iter().map(|(_, item)| item).collect(),
        _ => python::items(elements)?,
    };
    let elements = elements.into_iter().filter(|item| !skipped(item)).collect();
    let path: Vec<Value> = python::text(path).split('.').map(Value::from).collect();
    let skip = flags.and_then(|flags| flags.get_attr("skip_missing").ok());
    let skip = skip.is_some_and(|skip| skip.is_true());
    let pairs = python::items(&select::subelement_pairs(elements, &path, skip)?)?;
    let [key] = path.as_slice() else { return Ok(pairs) };
    pairs.iter().map(|pair| without_key(pair, key)).collect()
}

/// As Ansible has it, the element of a pair no longer holds the list that its items come from.
fn without_key(pair: &Value, key: &Value) -> Result<Value, TemplateError> {
    let mut parts = python::items(pair)?;
    if let Some(element) = parts.first_mut() {
        let entries = python::entries(element)?.into_iter().filter(|(name, _)| name != key);
        *element = Value::from_pairs(entries);
    }
    Ok(python::tuple(parts))
}

pub fn random_choice(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    if request.terms.is_empty() {
        return Ok(Vec::new());
    }
    let index = rand::rng().random_range(0..request.terms.len());
    Ok(request.terms.get(index).cloned().into_iter().collect())
}
