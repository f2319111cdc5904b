//! Filters of community.general and ansible.utils that playbooks use like built-in ones.

use std::cmp::Ordering;

use indexmap::IndexMap;
use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::tests::versions::loose;
use super::super::{TemplateError, Value, access, python};
use super::dicts::{ListMerge, merged};
use super::lists::add;
use super::regex::{Flags, compile};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("dict_kv", &["value", "key"], |call| {
        Ok(Value::from_pairs([(call.need("key")?.clone(), call.value()?.clone())]))
    }),
    Plugin::new("groupby_as_dict", &["sequence", "attribute"], groupby_as_dict),
    Plugin::new("counter", &["sequence"], counter),
    Plugin::new("accumulate", &["sequence"], accumulate),
    Plugin::new("version_sort", &["value", "reverse"], version_sort),
    Plugin::new("crc32", &["value"], crc32),
    Plugin::new("lists_union", &["*", "**"], |call| lists(call, union)),
    Plugin::new("lists_intersect", &["*", "**"], |call| {
        lists(call, |a, b| only(a, |item| b.contains(item)))
    }),
    Plugin::new("lists_difference", &["*", "**"], |call| {
        lists(call, |a, b| only(a, |item| !b.contains(item)))
    }),
    Plugin::new("lists_symmetric_difference", &["*", "**"], |call| {
        lists(call, |a, b| only(&union(a, b), |item| !(a.contains(item) && b.contains(item))))
    }),
    Plugin::new("lists_mergeby", &["*", "**"], lists_mergeby),
    Plugin::new("to_time_unit", &["human_time", "unit", "year", "month"], |call| {
        let unit = call.text_or("unit", "ms");
        time_in(call, &unit)
    }),
    Plugin::new("to_milliseconds", &["human_time", "year", "month"], |call| time_in(call, "ms")),
    Plugin::new("to_seconds", &["human_time", "year", "month"], |call| time_in(call, "s")),
    Plugin::new("to_minutes", &["human_time", "year", "month"], |call| time_in(call, "m")),
    Plugin::new("to_hours", &["human_time", "year", "month"], |call| time_in(call, "h")),
    Plugin::new("to_days", &["human_time", "year", "month"], |call| time_in(call, "d")),
    Plugin::new("to_weeks", &["human_time", "year", "month"], |call| time_in(call, "w")),
    Plugin::new("to_months", &["human_time", "year", "month"], |call| time_in(call, "mo")),
    Plugin::new("to_years", &["human_time", "year", "month"], |call| time_in(call, "y")),
    Plugin::new("get_path", &["var", "path", "wantlist"], get_path),
    Plugin::new("to_paths", &["var", "prepend", "wantlist"], to_paths),
    Plugin::new(
        "index_of",
        &["data", "test", "value", "key", "wantlist", "fail_on_missing"],
        index_of,
    ),
];

/// Each element under the value of one of its attributes, which has to be its alone.
fn groupby_as_dict(call: &mut Call) -> Result<Value, TemplateError> {
    let attribute = call.need("attribute")?;
    let mut found = IndexMap::new();
    for (index, element) in call.items("sequence")?.into_iter().enumerate() {
        if element.kind() != ValueKind::Map {
            return Err(TemplateError::new(format!("Sequence element #{index} is not a mapping")));
        }
        let key = element.get_item(attribute).ok().filter(|key| !key.is_undefined());
        let key = key.ok_or_else(|| {
            TemplateError::new(format!("Attribute not contained in element #{index} of sequence"))
        })?;
        let repeated = python::repr(&key);
        if found.insert(key, element).is_some() {
            return Err(TemplateError::new(format!(
                "Multiple sequence entries have attribute value {repeated}"
            )));
        }
    }
    Ok(Value::from_pairs(found))
}

fn counter(call: &mut Call) -> Result<Value, TemplateError> {
    let mut counts: IndexMap<Value, u64> = IndexMap::new();
    for item in call.items("sequence")? {
        if matches!(item.kind(), ValueKind::Seq | ValueKind::Map) {
            return Err(call.error(format!(
                "needs a sequence with hashable elements (int, float or str), not '{}'",
                python::type_name(&item)
            )));
        }
        *counts.entry(item).or_default() += 1;
    }
    Ok(Value::from_pairs(counts))
}

/// The sums of the first, the first two, … items.
fn accumulate(call: &mut Call) -> Result<Value, TemplateError> {
    let mut sums: Vec<Value> = Vec::new();
    for item in call.items("sequence")? {
        let sum = match sums.last() {
            None => item,
            Some(sum) => match (sum.as_str(), item.as_str()) {
                (Some(sum), Some(item)) => Value::from(format!("{sum}{item}")),
                _ => add(sum, &item)?,
            },
        };
        sums.push(sum);
    }
    Ok(Value::from(sums))
}

fn version_sort(call: &mut Call) -> Result<Value, TemplateError> {
    let mut versions = call.items("value")?;
    let mut failure = None;
    versions.sort_by(|a, b| {
        loose(&python::text(a), &python::text(b)).unwrap_or_else(|reason| {
            failure.get_or_insert(reason);
            Ordering::Equal
        })
    });
    if let Some(reason) = failure {
        return Err(call.error(reason));
    }
    if call.truth("reverse", false) {
        versions.reverse();
    }
    Ok(Value::from(versions))
}

fn crc32(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let text = value.as_str().ok_or_else(|| {
        TemplateError::new(format!(
            "Invalid value type (<class '{}'>) for crc32 ({})",
            python::type_name(value),
            python::repr(value)
        ))
    })?;
    let mut crc = flate2::Crc::new();
    crc.update(text.as_bytes());
    Ok(Value::from(format!("{:x}", crc.sum())))
}

fn only(items: &[Value], keep: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if keep(item) && !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    kept
}

fn union(a: &[Value], b: &[Value]) -> Vec<Value> {
    only(&[a, b].concat(), |_| true)
}

/// The lists that were given; lists of nothing but lists are taken apart.
fn given(call: &Call, flatten: bool) -> Result<Vec<Vec<Value>>, TemplateError> {
    let mut lists = Vec::new();
    for list in &call.rest {
        let items = python::items(list)?;
        let is_list = |item: &Value| item.kind() == ValueKind::Seq;
        if flatten && !items.is_empty() && items.iter().all(is_list) {
            lists.extend(items.iter().map(python::items).collect::<Result<Vec<_>, _>>()?);
        } else if !flatten || !items.is_empty() {
            lists.push(items);
        }
    }
    Ok(lists)
}

/// An option behind any number of lists.
fn option<'a>(call: &'a Call, name: &str) -> Result<Option<&'a Value>, TemplateError> {
    let known = ["flatten", "recursive", "list_merge"];
    match call.keywords.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        Some((other, _)) => Err(call.error(format!("got unexpected keyword argument '{other}'"))),
        None => Ok(call.keywords.iter().find(|(key, _)| key == name).map(|(_, value)| value)),
    }
}

fn lists(
    call: &mut Call,
    merge: fn(&[Value], &[Value]) -> Vec<Value>,
) -> Result<Value, TemplateError> {
    let lists = given(call, option(call, "flatten")?.is_some_and(Value::is_true))?;
    let mut lists = lists.into_iter();
    let Some(first) = lists.next() else { return Ok(Value::from(Vec::<Value>::new())) };
    Ok(Value::from(lists.fold(first, |merged, list| merge(&merged, &list))))
}

/// Dictionaries of several lists with the same value under a key become one.
fn lists_mergeby(call: &mut Call) -> Result<Value, TemplateError> {
    let index = call.rest.pop().ok_or_else(|| call.error("one list and an index are needed"))?;
    let merge = option(call, "list_merge")?.map_or_else(|| "replace".to_owned(), python::text);
    let merge = ListMerge::named(&merge)?;
    let recursive = option(call, "recursive")?.is_some_and(Value::is_true);
    let lists = given(call, true)?;
    if let [only] = lists.as_slice() {
        return Ok(Value::from(only.clone()));
    }
    let mut found: IndexMap<Value, Value> = IndexMap::new();
    for element in lists.iter().flatten() {
        if element.kind() != ValueKind::Map {
            return Err(TemplateError::new(format!(
                "Elements of list arguments for lists_mergeby must be dictionaries. {} is <class '{}'>",
                python::text(element),
                python::type_name(element)
            )));
        }
        let Some(key) = element.get_item(&index).ok().filter(|key| !key.is_undefined()) else {
            continue;
        };
        let whole = match found.get(&key) {
            Some(low) => merged(low, element, recursive, merge)?,
            None => element.clone(),
        };
        found.insert(key, whole);
    }
    let mut entries: Vec<(Value, Value)> = found.into_iter().collect();
    python::sort_by_key(&mut entries, false)?;
    Ok(entries.into_iter().map(|(_, element)| element).collect())
}

/// Milliseconds of a unit of time, under its short or long name.
fn milliseconds(unit: &str, year: f64, month: f64) -> Option<f64> {
    const DAY: f64 = 86_400_000.0;
    let bare = unit.trim_end_matches('s');
    Some(match if bare.is_empty() || unit == "ms" { unit } else { bare } {
        "ms" | "msec" | "msecond" | "millisecond" => 1.0,
        "s" | "sec" | "second" => 1000.0,
        "m" | "min" | "minute" => 60_000.0,
        "h" | "hour" => 3_600_000.0,
        "d" | "day" => DAY,
        "w" | "week" => 7.0 * DAY,
        "mo" | "month" => month * DAY,
        "y" | "year" => year * DAY,
        _ => return None,
    })
}

/// `1h 30m` in another unit.
fn time_in(call: &mut Call, unit: &str) -> Result<Value, TemplateError> {
    let days = |name: &str, default: f64| match call.some(name) {
        None => Ok(default),
        Some(days) => f64::try_from(days.clone()).map_err(|error| python::carried(&error)),
    };
    let (year, month) = (days("year", 365.0)?, days("month", 30.0)?);
    let text = call.text("human_time")?;
    if text == "0" {
        return Ok(Value::from(0));
    }
    let unknown =
        || TemplateError::new(format!("to_time_unit() can not interpret following string: {text}"));
    let regex = compile(r"(-?\d+)(\w+)", Flags { anchored: true, ..Flags::default() })?;
    let mut total = 0.0;
    for word in text.split_whitespace() {
        let captures = regex.captures(word).ok().flatten().ok_or_else(unknown)?;
        let part = |index| captures.get(index).map_or("", |part| part.as_str());
        let amount: f64 = part(1).parse().map_err(|_| unknown())?;
        total += amount * milliseconds(part(2), year, month).ok_or_else(unknown)?;
    }
    let target = milliseconds(unit, year, month).ok_or_else(|| {
        TemplateError::new(format!("to_time_unit() can not convert to the following unit: {unit}"))
    })?;
    Ok(Value::from((total / target * 1e12).round() / 1e12))
}

/// The value at `a.b[0]['c']`.
fn get_path(call: &mut Call) -> Result<Value, TemplateError> {
    let mut found = call.value()?.clone();
    let path = call.text("path")?;
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        let bare = part.trim_end_matches(']');
        let key = match bare.trim_matches(['\'', '"']) {
            quoted if quoted.len() < bare.len() => Value::from(quoted),
            plain => plain.parse::<i64>().map_or_else(|_| Value::from(plain), Value::from),
        };
        found = access::get(call.state, &found, &key)?;
    }
    if found.is_undefined() {
        return Err(call.undefined());
    }
    let list = call.truth("wantlist", false) && found.kind() != ValueKind::Seq;
    Ok(if list { Value::from(vec![found]) } else { found })
}

/// Every value of a nested one, under its path.
fn to_paths(call: &mut Call) -> Result<Value, TemplateError> {
    let mut found = Vec::new();
    let name = call.text_or("prepend", "");
    collect_paths(call.value()?, &name, 0, &mut found)?;
    let found = Value::from_pairs(found);
    Ok(if call.truth("wantlist", false) { Value::from(vec![found]) } else { found })
}

fn collect_paths(
    value: &Value,
    name: &str,
    depth: usize,
    found: &mut Vec<(String, Value)>,
) -> Result<(), TemplateError> {
    if depth > 100 {
        return Err(TemplateError::new("to_paths: the value nests too deep"));
    }
    match value.kind() {
        ValueKind::Map if value.len() != Some(0) => {
            for (key, item) in python::entries(value)? {
                let key = python::text(&key);
                let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let path = match (name.is_empty(), plain) {
                    (true, _) => key,
                    (false, true) => format!("{name}.{key}"),
                    (false, false) => format!("{name}['{key}']"),
                };
                collect_paths(&item, &path, depth + 1, found)?;
            }
        }
        ValueKind::Seq if value.len() != Some(0) => {
            for (index, item) in python::items(value)?.iter().enumerate() {
                collect_paths(item, &format!("{name}[{index}]"), depth + 1, found)?;
            }
        }
        _ => found.push((name.to_owned(), value.clone())),
    }
    Ok(())
}

/// The places in a list of what a test holds for; a lone one is given back without a list.
fn index_of(call: &mut Call) -> Result<Value, TemplateError> {
    let test = call.text("test")?;
    let (name, wanted) = match test.strip_prefix("not ").or_else(|| test.strip_prefix('!')) {
        Some("=") => ("==", false),
        Some(name) => (name, false),
        None => (test.as_str(), true),
    };
    let name = super::super::rewrite::short_name(name).to_owned();
    let (value, key) = (call.some("value").cloned(), call.some("key").cloned());
    let mut found = Vec::new();
    for (index, entry) in call.items("data")?.into_iter().enumerate() {
        let mut subject = entry.clone();
        if let Some(key) = &key {
            subject = entry.get_item(key).map_err(|error| python::carried(&error))?;
            if subject.is_undefined() && call.truth("fail_on_missing", false) {
                return Err(call.error(format!(
                    "'{}' was not found in '{}' at [{index}]",
                    python::text(key),
                    python::text(&entry)
                )));
            }
            if subject.is_undefined() {
                continue;
            }
        }
        let arguments: Vec<Value> = std::iter::once(subject).chain(value.clone()).collect();
        if call.test(&name, &arguments)? == wanted {
            found.push(Value::from(index));
        }
    }
    match found.as_slice() {
        [only] if !call.truth("wantlist", false) => Ok(only.clone()),
        _ => Ok(Value::from(found)),
    }
}
