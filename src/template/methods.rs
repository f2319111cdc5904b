//! Python's methods on texts, lists and dictionaries.

use indexmap::IndexMap;
use minijinja::State;
use minijinja::value::{Kwargs, ValueKind};

use super::filters::text::{centered, split_text};
use super::{TemplateError, Value, pyformat, python};

/// What minijinja calls for a method that it does not know.
pub fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, minijinja::Error> {
    // The sum of two lists is one as well.
    let list = match value.kind() {
        ValueKind::Iterable => Some(Value::from(python::items(value)?)),
        _ => None,
    };
    let value = list.as_ref().unwrap_or(value);
    let own = match value.kind() {
        ValueKind::String => on_text(value.as_str().unwrap_or_default(), method, arguments)?,
        ValueKind::Bytes if method == "decode" => Some(decoded(value)?),
        ValueKind::Map => on_dictionary(value, method, arguments)?,
        ValueKind::Seq => on_list(value, method, arguments)?,
        ValueKind::Number | ValueKind::Bool => on_number(value, method)?,
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None => {
            minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
        }
    }
}

fn decoded(value: &Value) -> Result<Value, TemplateError> {
    let bytes = value.as_bytes().unwrap_or_default().to_vec();
    String::from_utf8(bytes).map(Value::from).map_err(|error| TemplateError::new(error.to_string()))
}

fn missing(method: &str) -> TemplateError {
    TemplateError::new(format!("{method}(): wrong arguments"))
}

/// Arguments by position or name, as texts and numbers.
struct Arguments<'a> {
    method: &'a str,
    positional: Vec<Value>,
    named: Vec<(String, Value)>,
}

impl<'a> Arguments<'a> {
    fn new(method: &'a str, values: &[Value]) -> Result<Self, TemplateError> {
        let mut positional = values.to_vec();
        let mut named = Vec::new();
        if positional.last().is_some_and(Value::is_kwargs)
            && let Some(last) = positional.pop()
        {
            let keywords = Kwargs::try_from(last).map_err(|error| python::carried(&error))?;
            for name in keywords.args() {
                named.push((
                    name.to_owned(),
                    keywords.peek(name).map_err(|error| python::carried(&error))?,
                ));
            }
        }
        Ok(Self { method, positional, named })
    }

    fn get(&self, index: usize, name: &str) -> Option<&Value> {
        let named = || self.named.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        self.positional.get(index).or_else(named)
    }

    fn text(&self, index: usize, name: &str) -> Result<String, TemplateError> {
        let value = self.get(index, name).ok_or_else(|| missing(self.method))?;
        value.as_str().map(str::to_owned).ok_or_else(|| {
            TemplateError::new(format!(
                "{}(): expected str, not {}",
                self.method,
                python::type_name(value)
            ))
        })
    }

    fn number(&self, index: usize, name: &str, default: i64) -> Result<i64, TemplateError> {
        match self.get(index, name) {
            None => Ok(default),
            Some(value) => value.as_i64().ok_or_else(|| missing(self.method)),
        }
    }
}

fn on_text(text: &str, method: &str, values: &[Value]) -> Result<Option<Value>, TemplateError> {
    let arguments = Arguments::new(method, values)?;
    let prefixes = |name| match arguments.get(0, name) {
        Some(value) if value.kind() == ValueKind::Seq => {
            Ok(python::items(value)?.iter().map(python::text).collect::<Vec<_>>())
        }
        _ => arguments.text(0, name).map(|text| vec![text]),
    };
    Ok(Some(match method {
        "split" | "rsplit" => {
            let separator =
                arguments.get(0, "sep").filter(|value| !value.is_none()).map(python::text);
            let limit = arguments.number(1, "maxsplit", -1)?;
            match (method, separator) {
                ("rsplit", Some(separator)) if limit >= 0 && !separator.is_empty() => {
                    let count = usize::try_from(limit).unwrap_or_default() + 1;
                    let mut parts: Vec<Value> =
                        text.rsplitn(count, &separator).map(Value::from).collect();
                    parts.reverse();
                    Value::from(parts)
                }
                (_, separator) => split_text(text, separator.as_deref(), limit)?,
            }
        }
        "partition" | "rpartition" => {
            partition(text, &arguments.text(0, "sep")?, method == "partition")
        }
        "startswith" => {
            let (_, part) = part_of(text, &arguments)?;
            Value::from(prefixes("prefix")?.iter().any(|prefix| part.starts_with(prefix)))
        }
        "endswith" => {
            let (_, part) = part_of(text, &arguments)?;
            Value::from(prefixes("suffix")?.iter().any(|suffix| part.ends_with(suffix)))
        }
        "replace" => {
            let (old, new) = (arguments.text(0, "old")?, arguments.text(1, "new")?);
            let limit = usize::try_from(arguments.number(2, "count", -1)?).ok();
            Value::from(python::replaced(text, &old, &new, limit)?)
        }
        "removeprefix" => {
            let prefix = arguments.text(0, "prefix")?;
            Value::from(text.strip_prefix(&prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let suffix = arguments.text(0, "suffix")?;
            Value::from(text.strip_suffix(&suffix).unwrap_or(text))
        }
        "index" => {
            let (before, part) = part_of(text, &arguments)?;
            let found = part.find(&arguments.text(0, "sub")?);
            let at = found.ok_or_else(|| TemplateError::new("substring not found"))?;
            Value::from(before + part.get(..at).unwrap_or_default().chars().count())
        }
        "zfill" => {
            let width = usize::try_from(arguments.number(0, "width", 0)?).unwrap_or_default();
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            let zeros = width.min(100_000).saturating_sub(text.chars().count());
            Value::from(format!("{sign}{}{digits}", "0".repeat(zeros)))
        }
        "ljust" | "rjust" | "center" => {
            let width = arguments.number(0, "width", 0)?;
            let fill = arguments.get(1, "fillchar").and_then(|fill| fill.as_str()?.chars().next());
            Value::from(justified(text, method, width, fill.unwrap_or(' ')))
        }
        "swapcase" => {
            let swapped = text.chars().flat_map(|c| -> Vec<char> {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            });
            Value::from(swapped.collect::<String>())
        }
        "format" => Value::from(pyformat::braces(text, values)?),
        "join" => Value::from(joined(text, arguments.get(0, "iterable"))?),
        "casefold" => Value::from(text.to_lowercase()),
        "title" => Value::from(titled(text)),
        "expandtabs" => Value::from(expand_tabs(text, arguments.number(0, "tabsize", 8)?)),
        "encode" => Value::from_bytes(text.as_bytes().to_vec()),
        "translate" => Value::from(translated(text, arguments.get(0, "table"))?),
        "isidentifier" => Value::from(
            text.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && text.chars().all(|c| c.is_alphanumeric() || c == '_'),
        ),
        _ => return Ok(None),
    }))
}

/// `separator.join(texts)`: unlike the filter, Python joins nothing but texts.
fn joined(separator: &str, items: Option<&Value>) -> Result<String, TemplateError> {
    let items = python::items(items.ok_or_else(|| missing("join"))?)?;
    let texts = items.iter().enumerate().map(|(index, item)| {
        item.as_str().ok_or_else(|| {
            TemplateError::new(format!(
                "sequence item {index}: expected str instance, {} found",
                python::type_name(item)
            ))
        })
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    python::check_length(texts.len(), separator.len())?;
    Ok(texts.join(separator))
}

fn on_number(value: &Value, method: &str) -> Result<Option<Value>, TemplateError> {
    let whole = i128::try_from(value.clone()).ok().filter(|_| value.is_integer());
    let float = f64::try_from(value.clone()).unwrap_or_default();
    Ok(Some(match (method, whole) {
        ("bit_length", Some(number)) => {
            Value::from(u128::BITS - number.unsigned_abs().leading_zeros())
        }
        ("is_integer", whole) => Value::from(whole.is_some() || float.fract() == 0.0),
        ("conjugate", _) => value.clone(),
        _ => return Ok(None),
    }))
}

fn partition(text: &str, separator: &str, first: bool) -> Value {
    let found = if first { text.split_once(separator) } else { text.rsplit_once(separator) };
    let parts = match found {
        Some((before, after)) => [before, separator, after],
        None if first => [text, "", ""],
        None => ["", "", text],
    };
    python::tuple(parts.map(Value::from).to_vec())
}

fn justified(text: &str, method: &str, width: i64, fill: char) -> String {
    let missing = usize::try_from(width.min(100_000)).unwrap_or_default();
    let space = fill.to_string().repeat(missing.saturating_sub(text.chars().count()));
    match method {
        "ljust" => format!("{text}{space}"),
        "rjust" => format!("{space}{text}"),
        _ => centered(text, width, fill),
    }
}

/// `str.title`: a capital after everything that is no letter.
fn titled(text: &str) -> String {
    let mut out = String::new();
    let mut start = true;
    for character in text.chars() {
        if start {
            out.extend(character.to_uppercase());
        } else {
            out.extend(character.to_lowercase());
        }
        start = !character.is_alphabetic();
    }
    out
}

fn expand_tabs(text: &str, size: i64) -> String {
    let size = usize::try_from(size.min(1000)).unwrap_or_default();
    let (mut out, mut column) = (String::new(), 0);
    for character in text.chars() {
        match character {
            '\t' if size > 0 => {
                let spaces = size - column % size;
                out.push_str(&" ".repeat(spaces));
                column += spaces;
            }
            '\t' => {}
            '\n' | '\r' => {
                out.push(character);
                column = 0;
            }
            other => {
                out.push(other);
                column += 1;
            }
        }
    }
    out
}

/// `str.translate`: code points to texts, code points or nothing.
fn translated(text: &str, table: Option<&Value>) -> Result<String, TemplateError> {
    let table = table.ok_or_else(|| missing("translate"))?;
    let mut out = String::new();
    for character in text.chars() {
        let found = table
            .get_item(&Value::from(character as u32))
            .map_err(|error| python::carried(&error))?;
        match found.as_str() {
            _ if found.is_undefined() => out.push(character),
            _ if found.is_none() => {}
            Some(replacement) => out.push_str(replacement),
            None => out.extend(u32::try_from(found).ok().and_then(char::from_u32)),
        }
    }
    Ok(out)
}

fn on_list(
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Option<Value>, TemplateError> {
    Ok(Some(match (method, arguments) {
        ("index", [item]) => {
            let found = python::items(value)?.iter().position(|found| found == item);
            Value::from(found.ok_or_else(|| {
                TemplateError::new(format!("{} is not in list", python::repr(item)))
            })?)
        }
        ("copy", []) => value.clone(),
        (
            "append" | "extend" | "insert" | "pop" | "remove" | "clear" | "sort" | "__setitem__",
            _,
        ) => {
            return Err(unchangeable(method));
        }
        _ => return Ok(None),
    }))
}

fn unchangeable(method: &str) -> TemplateError {
    TemplateError::new(format!(
        "{method}() changes only what this template has stored with {{% set %}}; use `+`, `combine` or a copy made with {{% set %}}"
    ))
}

fn on_dictionary(
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Option<Value>, TemplateError> {
    Ok(Some(match (method, arguments) {
        ("keys", []) => python::items(value).map(Value::from)?,
        ("values", []) => python::entries(value)?.into_iter().map(|(_, item)| item).collect(),
        ("items", []) => python::entries(value)?
            .into_iter()
            .map(|(key, item)| python::tuple(vec![key, item]))
            .collect(),
        ("get", [key, rest @ ..]) => {
            let found = value.get_item(key).map_err(|error| python::carried(&error))?;
            let found = python::valid(found).map_err(|error| python::carried(&error))?;
            if found.is_undefined() {
                rest.first().cloned().unwrap_or(Value::from(()))
            } else {
                found
            }
        }
        ("copy", []) => value.clone(),
        // What Python changes in place is lost here anyway; it gives back none.
        ("update", arguments)
            if value.downcast_object_ref::<IndexMap<Value, Value>>().is_some() =>
        {
            update_entries(arguments)?;
            return Err(unchangeable(method));
        }
        ("setdefault" | "pop" | "clear" | "__setitem__" | "popitem", _) => {
            return Err(unchangeable(method));
        }
        _ => return Ok(None),
    }))
}

/// What `update` is given: a dictionary or pairs, and names.
pub fn update_entries(values: &[Value]) -> Result<Vec<(Value, Value)>, TemplateError> {
    let arguments = Arguments::new("update", values)?;
    let mut entries = match arguments.positional.first() {
        None => Vec::new(),
        Some(map) if map.kind() == ValueKind::Map => python::entries(map)?,
        Some(pairs) => python::entries(&super::filters::dicts::pairs_to_map(pairs)?)?,
    };
    entries.extend(arguments.named.into_iter().map(|(name, value)| (Value::from(name), value)));
    Ok(entries)
}

/// What the second and third argument of a method leave of a text, as Python's slices do, and
/// how many characters are before it.
fn part_of(text: &str, arguments: &Arguments) -> Result<(usize, String), TemplateError> {
    let length = text.chars().count();
    let at = |index, name, default: usize| {
        let given = arguments.number(index, name, i64::try_from(default).unwrap_or(i64::MAX))?;
        let from_end = usize::try_from(given.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(if given < 0 { length.saturating_sub(from_end) } else { from_end.min(length) })
    };
    let (start, end) = (at(1, "start", 0)?, at(2, "end", length)?);
    Ok((start, text.chars().skip(start).take(end.saturating_sub(start)).collect()))
}
