//! Filters on lists: their items, order and sums.

use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, access, python};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("list", &["value"], list),
    Plugin::new("length", &["obj"], length),
    Plugin::new("count", &["obj"], length),
    Plugin::new("first", &["seq"], first),
    Plugin::new("last", &["seq"], last),
    Plugin::new("reverse", &["value"], reverse),
    Plugin::new("join", &["value", "d", "attribute"], join),
    Plugin::new("min", &["value", "case_sensitive", "attribute"], min),
    Plugin::new("max", &["value", "case_sensitive", "attribute"], max),
    Plugin::new("sum", &["iterable", "attribute", "start"], sum),
    Plugin::new("sort", &["value", "reverse", "case_sensitive", "attribute"], sort),
    Plugin::new("unique", &["value", "case_sensitive", "attribute"], unique),
    Plugin::new("batch", &["value", "linecount", "fill_with"], batch),
    Plugin::new("slice", &["value", "slices", "fill_with"], slice),
    Plugin::new("flatten", &["mylist", "levels", "skip_nulls"], flatten),
];

fn items(call: &Call) -> Result<Vec<Value>, TemplateError> {
    python::items(call.value()?)
}

fn list(call: &mut Call) -> Result<Value, TemplateError> {
    items(call).map(Value::from)
}

fn length(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let length = match value.kind() {
        ValueKind::Iterable => Some(python::items(value)?.len()),
        _ => value.len(),
    };
    length.map(Value::from).ok_or_else(|| {
        TemplateError::new(format!("object of type '{}' has no len()", python::type_name(value)))
    })
}

fn first(call: &mut Call) -> Result<Value, TemplateError> {
    let first = items(call)?.into_iter().next();
    Ok(found(call, first, "No first item, sequence was empty."))
}

fn last(call: &mut Call) -> Result<Value, TemplateError> {
    let last = items(call)?.pop();
    Ok(found(call, last, "No last item, sequence was empty."))
}

/// The item, or an undefined value that says why there is none.
fn found(call: &Call, item: Option<Value>, message: &str) -> Value {
    item.unwrap_or_else(|| {
        if let Ok(context) = call.context() {
            context.missed(message.to_owned());
        }
        Value::UNDEFINED
    })
}

fn reverse(call: &mut Call) -> Result<Value, TemplateError> {
    if let Some(text) = call.value()?.as_str() {
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let mut items = items(call)?;
    items.reverse();
    Ok(Value::from(items))
}

fn join(call: &mut Call) -> Result<Value, TemplateError> {
    let separator = call.text_or("d", "");
    let mut items = items(call)?;
    if let Some(attribute) = call.some("attribute").cloned() {
        for item in &mut items {
            *item = access::path(call.state, item, &attribute)?;
        }
    }
    if items.iter().any(Value::is_undefined) {
        return Err(call.undefined());
    }
    python::check_length(items.len(), separator.len())?;
    Ok(Value::from(items.iter().map(python::text).collect::<Vec<_>>().join(&separator)))
}

/// What an item is compared by: its attribute, without case unless case matters.
pub fn key(
    call: &Call,
    item: &Value,
    attribute: Option<&Value>,
    case_sensitive: bool,
) -> Result<Value, TemplateError> {
    let key = match attribute {
        Some(attribute) => access::path(call.state, item, attribute)?,
        None => item.clone(),
    };
    if key.is_undefined() {
        return Err(call.undefined());
    }
    Ok(match key.as_str() {
        Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
        _ => key,
    })
}

fn min(call: &mut Call) -> Result<Value, TemplateError> {
    extreme(call, std::cmp::Ordering::Less)
}

fn max(call: &mut Call) -> Result<Value, TemplateError> {
    extreme(call, std::cmp::Ordering::Greater)
}

/// The first of the items that no other item beats.
fn extreme(call: &mut Call, wins: std::cmp::Ordering) -> Result<Value, TemplateError> {
    let attribute = call.some("attribute").cloned();
    let case_sensitive = call.truth("case_sensitive", false);
    let mut best: Option<(Value, Value)> = None;
    for item in items(call)? {
        let key = key(call, &item, attribute.as_ref(), case_sensitive)?;
        let better = match &best {
            None => true,
            Some((best, _)) => python::compare(&key, best)? == wins,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(found(call, best.map(|(_, item)| item), "No aggregated item, sequence was empty."))
}

fn sum(call: &mut Call) -> Result<Value, TemplateError> {
    let attribute = call.some("attribute").cloned();
    let mut total = call.get("start").cloned().unwrap_or_else(|| Value::from(0));
    for item in items(call)? {
        let item = match &attribute {
            Some(attribute) => access::path(call.state, &item, attribute)?,
            None => item,
        };
        if item.is_undefined() {
            return Err(call.undefined());
        }
        total = add(&total, &item)?;
    }
    Ok(total)
}

/// `a + b` of Python, for numbers and lists.
pub fn add(a: &Value, b: &Value) -> Result<Value, TemplateError> {
    let unsupported = || {
        TemplateError::new(format!(
            "unsupported operand type(s) for +: '{}' and '{}'",
            python::type_name(a),
            python::type_name(b)
        ))
    };
    if a.kind() == ValueKind::Seq && b.kind() == ValueKind::Seq {
        let mut items = python::items(a)?;
        items.extend(python::items(b)?);
        return Ok(Value::from(items));
    }
    let number = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(Value::from(i64::from(value.is_true()))),
        ValueKind::Number => Some(value.clone()),
        _ => None,
    };
    let (a, b) = number(a).zip(number(b)).ok_or_else(unsupported)?;
    if a.is_integer() && b.is_integer() {
        let sum =
            i128::try_from(a).ok().zip(i128::try_from(b).ok()).and_then(|(a, b)| a.checked_add(b));
        return sum.map(Value::from).ok_or_else(unsupported);
    }
    let float = |value: Value| f64::try_from(value).unwrap_or_default();
    Ok(Value::from(float(a) + float(b)))
}

fn sort(call: &mut Call) -> Result<Value, TemplateError> {
    let case_sensitive = call.truth("case_sensitive", false);
    let attributes: Option<Vec<Value>> =
        call.some("attribute").map(|attribute| match attribute.as_str() {
            Some(names) => names.split(',').map(Value::from).collect(),
            None => vec![attribute.clone()],
        });
    let mut entries = Vec::new();
    for item in items(call)? {
        let sort_key = match &attributes {
            None => key(call, &item, None, case_sensitive)?,
            Some(names) => Value::from(
                names
                    .iter()
                    .map(|name| key(call, &item, Some(name), case_sensitive))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
        };
        entries.push((sort_key, item));
    }
    python::sort_by_key(&mut entries, call.truth("reverse", false))?;
    Ok(entries.into_iter().map(|(_, item)| item).collect())
}

fn unique(call: &mut Call) -> Result<Value, TemplateError> {
    let attribute = call.some("attribute").cloned();
    let with_parameters = call.some("case_sensitive").is_some() || attribute.is_some();
    let case_sensitive = call.truth("case_sensitive", false);
    let mut seen = Vec::new();
    let mut kept = Vec::new();
    for item in items(call)? {
        let key = key(call, &item, attribute.as_ref(), case_sensitive)?;
        // Python falls back to a comparison of its own when no parameters are given.
        if with_parameters && matches!(key.kind(), ValueKind::Map | ValueKind::Seq) {
            return Err(TemplateError::new(format!(
                "Jinja2's unique filter failed and we cannot fall back to Ansible's version as it \
                 does not support the parameters supplied: unhashable type: '{}'",
                python::type_name(&key)
            )));
        }
        if !seen.contains(&key) {
            seen.push(key);
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}

fn batch(call: &mut Call) -> Result<Value, TemplateError> {
    let size = usize::try_from(call.integer("linecount", 0)?).unwrap_or_default().max(1);
    if call.some("fill_with").is_some() {
        python::check_length(size, 1)?;
    }
    let items = items(call)?;
    let rows = items.chunks(size).map(|row| {
        let mut row = row.to_vec();
        if let Some(fill) = call.some("fill_with") {
            row.resize(size, fill.clone());
        }
        Value::from(row)
    });
    Ok(rows.collect())
}

fn slice(call: &mut Call) -> Result<Value, TemplateError> {
    let count = usize::try_from(call.integer("slices", 0)?).unwrap_or_default().max(1);
    python::check_length(count, size_of::<Value>())?;
    let items = items(call)?;
    let (size, longer) = (items.len() / count, items.len() % count);
    let mut rest = items.into_iter();
    let columns = (0..count).map(|index| {
        let mut column: Vec<Value> =
            rest.by_ref().take(size + usize::from(index < longer)).collect();
        if let Some(fill) = call.some("fill_with")
            && index >= longer
        {
            column.push(fill.clone());
        }
        Value::from(column)
    });
    Ok(columns.collect())
}

fn flatten(call: &mut Call) -> Result<Value, TemplateError> {
    let levels = call.some("levels").is_some().then(|| call.integer("levels", 0)).transpose()?;
    let mut flat = Vec::new();
    flatten_into(&mut flat, &items(call)?, levels, call.truth("skip_nulls", true))?;
    Ok(Value::from(flat))
}

/// Lists in lists become one list, `levels` deep (all the way when None).
pub fn flatten_into(
    flat: &mut Vec<Value>,
    items: &[Value],
    levels: Option<i64>,
    skip_nulls: bool,
) -> Result<(), TemplateError> {
    for item in items {
        let null = item.is_none() || matches!(item.as_str(), Some("None" | "null"));
        if skip_nulls && null {
            continue;
        }
        let list = matches!(item.kind(), ValueKind::Seq | ValueKind::Iterable);
        if list && levels.is_none_or(|levels| levels >= 1) {
            flatten_into(flat, &python::items(item)?, levels.map(|levels| levels - 1), skip_nulls)?;
        } else {
            flat.push(item.clone());
        }
    }
    Ok(())
}
