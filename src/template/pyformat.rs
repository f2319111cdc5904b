//! Python's two ways to format a text: `'%s' % value` and `'{}'.format(value)`.
//!
//! minijinja formats single values; what it does not know is made ready for it
//! here: `%r`, `!r`, `{:%}`, attributes and items of fields, fields inside of a
//! field's format.

use minijinja::formatting::{FormatStyle, format as run_format};
use minijinja::value::{Kwargs, ValueKind};

use super::{TemplateError, Value, python};

fn failed(error: &minijinja::Error) -> TemplateError {
    python::carried(error)
}

/// A width or precision with more digits than this is a mistake, or an attack.
const MAX_DIGITS: usize = 5;

/// Refuses what would fill the memory with spaces.
fn check_width(spec: &str) -> Result<(), TemplateError> {
    let mut runs = spec.split(|c: char| !c.is_ascii_digit());
    match runs.any(|digits| digits.len() > MAX_DIGITS) {
        true => Err(TemplateError::new(format!("the format '{spec}' is too wide"))),
        false => Ok(()),
    }
}

/// `format % arguments`: a tuple has several values, a dictionary named ones.
pub fn percent(format: &str, arguments: &Value) -> Result<String, TemplateError> {
    let mut values =
        if arguments.is_tuple() { python::items(arguments)? } else { vec![arguments.clone()] };
    let format = with_reprs(format, &mut values)?;
    run_format(FormatStyle::Printf, &format, &values).map_err(|error| failed(&error))
}

/// Makes `%s` of every `%r`, and the value's `repr` of the value.
fn with_reprs(format: &str, values: &mut [Value]) -> Result<String, TemplateError> {
    let mut out = String::new();
    let (mut rest, mut position) = (format, 0);
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        out.push('%');
        let (name, spec) = match after.strip_prefix('(').and_then(|name| name.split_once(')')) {
            Some((name, spec)) => (Some(name), spec),
            None => (None, after),
        };
        let flags = spec.len()
            - spec
                .trim_start_matches(|c: char| c.is_ascii_digit() || "#-+ .*hlL".contains(c))
                .len();
        let (flags, kind) = spec.split_at(flags);
        check_width(flags)?;
        for _ in flags.matches('*') {
            values.get(position).map_or(Ok(()), |width| check_width(&python::text(width)))?;
            position += 1;
        }
        let kind = kind.chars().next();
        let is_repr = matches!(kind, Some('r' | 'a'));
        if name.is_none() && spec.starts_with('(') {
            return Err(TemplateError::new("incomplete format key"));
        }
        if let Some(name) = name {
            let shown = shown_name(name, is_repr);
            if shown != name
                && let Some(first) = values.first_mut()
            {
                add_under(first, name, &shown, is_repr)?;
            }
            out.push_str(&format!("({shown})"));
        } else if is_repr && let Some(value) = values.get_mut(position) {
            *value = Value::from(python::repr(value));
        }
        out.push_str(flags);
        match kind {
            Some('r' | 'a') => out.push('s'),
            other => out.extend(other),
        }
        position += usize::from(kind.is_some_and(|kind| kind != '%'));
        rest = spec.get(flags.len() + kind.map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

/// The name that stands for a value in the format that minijinja gets, which takes ASCII
/// alone; a value whose `repr` is wanted keeps its own name for other uses of it.
fn shown_name(name: &str, is_repr: bool) -> String {
    if name.is_ascii() && !is_repr {
        return name.to_owned();
    }
    let bytes: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{}{bytes}", if is_repr { "repr " } else { "name " })
}

/// Puts an entry of the mapping, or its `repr`, under another name too.
fn add_under(
    mapping: &mut Value,
    name: &str,
    shown: &str,
    is_repr: bool,
) -> Result<(), TemplateError> {
    let mut entries = python::entries(mapping)?;
    let value = entries.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, v)| v.clone());
    let Some(value) = value else {
        return Err(TemplateError::new(format!("the format names '{name}', which is not there")));
    };
    let value = if is_repr { Value::from(python::repr(&value)) } else { value };
    entries.push((Value::from(shown), value));
    *mapping = Value::from_pairs(entries);
    Ok(())
}

/// The values of one call of `str.format`.
struct Fields {
    positional: Vec<Value>,
    named: Vec<(String, Value)>,
    /// The number of the next `{}`.
    next: usize,
}

/// `format.format(arguments)`
pub fn braces(format: &str, arguments: &[Value]) -> Result<String, TemplateError> {
    let mut positional = arguments.to_vec();
    let mut named = Vec::new();
    if positional.last().is_some_and(Value::is_kwargs)
        && let Some(last) = positional.pop()
    {
        let keywords = Kwargs::try_from(last).map_err(|error| failed(&error))?;
        for name in keywords.args() {
            named.push((name.to_owned(), keywords.peek(name).map_err(|error| failed(&error))?));
        }
    }
    Fields { positional, named, next: 0 }.fill(format, 0)
}

impl Fields {
    fn fill(&mut self, format: &str, depth: usize) -> Result<String, TemplateError> {
        if depth > 2 {
            return Err(TemplateError::new("Max string recursion exceeded"));
        }
        let mut out = String::new();
        let mut rest = format;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, mark) = rest.split_at(at);
            out.push_str(before);
            let doubled = mark.strip_prefix("{{").map(|rest| ('{', rest));
            if let Some((brace, behind)) =
                doubled.or_else(|| mark.strip_prefix("}}").map(|rest| ('}', rest)))
            {
                out.push(brace);
                rest = behind;
                continue;
            }
            let Some(field) = mark.strip_prefix('{') else {
                return Err(TemplateError::new("Single '}' encountered in format string"));
            };
            let end = end_of_field(field)
                .ok_or_else(|| TemplateError::new("expected '}' before end of string"))?;
            let (field, behind) = field.split_at(end);
            out.push_str(&self.field(field, depth)?);
            rest = behind.get(1..).unwrap_or_default();
        }
        out.push_str(rest);
        Ok(out)
    }

    /// `name.attribute[item]!conversion:spec`
    fn field(&mut self, field: &str, depth: usize) -> Result<String, TemplateError> {
        let bracket = field.find(']').unwrap_or(0);
        let name_end = field.get(bracket..).and_then(|rest| rest.find(['!', ':']));
        let (name, rest) = field.split_at(name_end.map_or(field.len(), |end| bracket + end));
        let mut value = self.value(name)?;
        let rest = match rest.strip_prefix('!') {
            None => rest,
            Some(rest) => {
                let kind = rest.chars().next().unwrap_or_default();
                value = match kind {
                    's' => Value::from(python::text(&value)),
                    'r' | 'a' => Value::from(python::repr(&value)),
                    other => {
                        return Err(TemplateError::new(format!(
                            "Unknown conversion specifier '{other}'"
                        )));
                    }
                };
                rest.get(kind.len_utf8()..).unwrap_or_default()
            }
        };
        let spec = self.fill(rest.strip_prefix(':').unwrap_or_default(), depth + 1)?;
        formatted(&value, &spec)
    }

    fn value(&mut self, name: &str) -> Result<Value, TemplateError> {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut path) = name.split_at(end);
        let index = match first {
            "" => {
                self.next += 1;
                Some(self.next - 1)
            }
            digits => digits.parse().ok(),
        };
        let mut value = match index {
            Some(index) => self.positional.get(index).cloned().ok_or_else(|| {
                TemplateError::new(format!(
                    "Replacement index {index} out of range for positional args tuple"
                ))
            })?,
            None => {
                let found = self.named.iter().find(|(key, _)| key == first);
                found
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| TemplateError::new(python::quoted(first)))?
            }
        };
        while !path.is_empty() {
            let (key, rest) = match path.strip_prefix('[') {
                Some(inner) => inner
                    .split_once(']')
                    .map(|(key, rest)| {
                        (key.parse::<i64>().map_or(Value::from(key), Value::from), rest)
                    })
                    .ok_or_else(|| TemplateError::new("Missing ']' in format string"))?,
                None => {
                    let name = path.strip_prefix('.').unwrap_or(path);
                    let end = name.find(['.', '[']).unwrap_or(name.len());
                    (Value::from(&name[..end]), &name[end..])
                }
            };
            let found = value.get_item(&key).map_err(|error| failed(&error))?;
            if found.is_undefined() {
                return Err(TemplateError::new(python::repr(&key)));
            }
            (value, path) = (found, rest);
        }
        Ok(value)
    }
}

/// Where the field's closing brace stands; fields in its format have their own.
fn end_of_field(field: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, character) in field.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// `format(value, spec)`
fn formatted(value: &Value, spec: &str) -> Result<String, TemplateError> {
    if spec.is_empty() {
        return Ok(python::text(value));
    }
    check_width(spec)?;
    let run = |spec: &str, value: Value| {
        run_format(FormatStyle::StrFormat, &format!("{{:{spec}}}"), &[value])
            .map_err(|error| failed(&error))
    };
    match spec.strip_suffix('%') {
        Some(number) if value.kind() == ValueKind::Number => {
            let percent = f64::try_from(value.clone()).unwrap_or_default() * 100.0;
            // The width counts the sign as well.
            let plain = run(&format!(".{}f", precision(number)), Value::from(percent))? + "%";
            let width = number.split('.').next().unwrap_or_default();
            if width.is_empty() {
                Ok(plain)
            } else {
                run(&format!("{}s", aligned(width)), Value::from(plain))
            }
        }
        _ => run(spec, value.clone()),
    }
}

fn precision(spec: &str) -> &str {
    spec.split_once('.').map_or("6", |(_, digits)| digits)
}

/// A number's width for a text: numbers stand to the right.
fn aligned(width: &str) -> String {
    if width.contains(['<', '>', '^']) { width.to_owned() } else { format!(">{width}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reprs_and_plain_values_may_stand_side_by_side() {
        let pair = python::tuple(vec![Value::from("a"), Value::from("b")]);
        assert_eq!(percent("%s %r%%", &pair).as_deref(), Ok("a 'b'%"));
        let named = Value::from_pairs([("k", Value::from("v"))]);
        assert_eq!(percent("%(k)s %(k)r", &named).as_deref(), Ok("v 'v'"));
    }

    #[test]
    fn names_may_be_of_any_letters_and_have_to_be_closed() {
        let named = Value::from_pairs([("größe", Value::from(3))]);
        assert_eq!(percent("%(größe)02d %(größe)r", &named).as_deref(), Ok("03 3"));
        assert!(percent("%(größe", &named).is_err());
        assert!(percent("%(ä)s", &named).is_err());
    }

    #[test]
    fn fields_have_parts_conversions_and_fields_in_their_format() {
        let list = Value::from(vec![Value::from(7), Value::from("x")]);
        assert_eq!(
            braces("{0[0]:>{1}} {0[1]!r}", &[list, Value::from(3)]).as_deref(),
            Ok("  7 'x'")
        );
        assert_eq!(braces("{:.1%} {{}}", &[Value::from(0.256)]).as_deref(), Ok("25.6% {}"));
        assert_eq!(braces("{:8.0%}|", &[Value::from(0.5)]).as_deref(), Ok("     50%|"));
    }

    #[test]
    fn what_is_not_closed_is_an_error() {
        for format in ["{", "}", "{0", "{0[}", "{!x}", "{9}", "{nope}", "{:{:{:{}}}}"] {
            assert!(braces(format, &[Value::from(1)]).is_err(), "{format}");
        }
    }
}
