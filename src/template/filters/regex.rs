//! Regular expressions as Python's `re` has them, on fancy-regex.

use std::cell::RefCell;
use std::collections::HashMap;

use fancy_regex::{Captures, Regex};

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};

pub const FILTERS: &[Plugin] = &[
    Plugin::new(
        "regex_replace",
        &["value", "pattern", "replacement", "ignorecase", "multiline", "count", "mandatory_count"],
        regex_replace,
    ),
    Plugin::new("regex_search", &["value", "regex", "*", "**"], regex_search),
    Plugin::new("regex_findall", &["value", "regex", "multiline", "ignorecase"], regex_findall),
    Plugin::new("regex_escape", &["string", "re_type"], regex_escape),
];

/// Python's `re.I` and `re.M`, and whether the pattern has to match at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    pub ignore_case: bool,
    pub multi_line: bool,
    pub anchored: bool,
}

impl Flags {
    pub fn of(call: &Call) -> Self {
        Self {
            ignore_case: call.truth("ignorecase", false),
            multi_line: call.truth("multiline", false),
            anchored: false,
        }
    }
}

/// Patterns compiled on this thread are kept for the next item of a loop.
const KEPT: usize = 64;

thread_local! {
    static COMPILED: RefCell<HashMap<(String, Flags), Regex>> = RefCell::default();
}

/// A pattern of Python's.
pub fn compile(pattern: &str, flags: Flags) -> Result<Regex, TemplateError> {
    let key = (pattern.to_owned(), flags);
    if let Some(regex) = COMPILED.with_borrow(|compiled| compiled.get(&key).cloned()) {
        return Ok(regex);
    }
    let mut translated = String::from("(?");
    translated.push_str(if flags.ignore_case { "i" } else { "" });
    translated.push_str(if flags.multi_line { "m" } else { "" });
    translated.push_str(if flags.anchored { ":\\A(?:" } else { ":" });
    translated.push_str(&translate(pattern, flags.multi_line));
    translated.push_str(if flags.anchored { "))" } else { ")" });
    let regex = Regex::new(&translated).map_err(|error| {
        TemplateError::new(format!("'{pattern}' is not a valid regular expression: {error}"))
    })?;
    COMPILED.with_borrow_mut(|compiled| {
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(key, regex.clone());
    });
    Ok(regex)
}

/// Python's syntax in fancy-regex's where they differ: `\Z`, `$` before a last
/// line end, `[` and `&&` inside of a class, escapes of `<` and `>`.
fn translate(pattern: &str, multi_line: bool) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars().peekable();
    let mut class_start = None;
    while let Some(character) = characters.next() {
        let first_in_class = class_start == Some(out.len());
        match character {
            '\\' => match characters.next() {
                Some('Z') if class_start.is_none() => out.push_str("\\z"),
                Some(escaped @ ('<' | '>')) => out.push(escaped),
                Some(escaped) => {
                    out.push('\\');
                    out.push(escaped);
                }
                None => out.push('\\'),
            },
            '[' if class_start.is_none() => {
                out.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                class_start = Some(out.len());
            }
            ']' if first_in_class => out.push_str("\\]"),
            ']' if class_start.is_some() => {
                class_start = None;
                out.push(']');
            }
            '[' | '&' | '~' if class_start.is_some() => {
                out.push('\\');
                out.push(character);
            }
            '$' if class_start.is_none() && !multi_line => out.push_str("(?=\\n?\\z)"),
            other => out.push(other),
        }
    }
    out
}

/// Whether a pattern is found (at the start, when the flags say so).
pub fn is_match(text: &str, pattern: &str, flags: Flags) -> Result<bool, TemplateError> {
    compile(pattern, flags)?.is_match(text).map_err(|error| too_hard(pattern, &error))
}

fn too_hard(pattern: &str, error: &fancy_regex::Error) -> TemplateError {
    TemplateError::new(format!("the regular expression '{pattern}' failed: {error}"))
}

/// Calls `found` for each match as `re.finditer` gives them, until it returns false.
fn each_match<'t>(
    regex: &Regex,
    pattern: &str,
    text: &'t str,
    mut found: impl FnMut(&Captures<'t, str>) -> bool,
) -> Result<(), TemplateError> {
    let mut position = 0;
    while position <= text.len() {
        let captures =
            regex.captures_from_pos(text, position).map_err(|error| too_hard(pattern, &error))?;
        let Some(captures) = captures else { break };
        let Some(whole) = captures.get(0) else { break };
        if !found(&captures) {
            break;
        }
        position = if whole.end() > whole.start() {
            whole.end()
        } else {
            let next = text.get(whole.end()..).and_then(|rest| rest.chars().next());
            whole.end() + next.map_or(1, char::len_utf8)
        };
    }
    Ok(())
}

fn regex_replace(call: &mut Call) -> Result<Value, TemplateError> {
    let text = call.text("value")?;
    let pattern = call.text_or("pattern", "");
    let replacement = Replacement::read(&call.text_or("replacement", ""))?;
    let count = call.integer("count", 0)?;
    let mandatory = call.integer("mandatory_count", 0)?;
    let regex = compile(&pattern, Flags::of(call))?;
    let (mut out, mut copied, mut done) = (String::new(), 0, 0);
    let mut failure = None;
    each_match(&regex, &pattern, &text, |captures| {
        let Some(whole) = captures.get(0) else { return false };
        out.push_str(text.get(copied..whole.start()).unwrap_or_default());
        if let Err(error) = replacement.write(captures, &mut out) {
            failure = Some(error);
            return false;
        }
        copied = whole.end();
        done += 1;
        if let Err(error) = python::check_length(out.len(), 1).or_else(|error| {
            // A long text may well stay a long text.
            if out.len() <= text.len().saturating_mul(2) { Ok(()) } else { Err(error) }
        }) {
            failure = Some(error);
            return false;
        }
        count == 0 || done < count
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    if mandatory != 0 && mandatory != done {
        return Err(TemplateError::new(format!(
            "'{pattern}' should match {mandatory} times, but matches {done} times in '{text}'"
        )));
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Ok(Value::from(out))
}

/// What a match is replaced by: `\1`, `\g<1>`, `\g<name>`, `\n` and plain text.
struct Replacement(Vec<Part>);

enum Part {
    Text(String),
    Number(usize),
    Name(String),
}

impl Replacement {
    fn read(template: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            let escape = &rest[at + 1..];
            let digits =
                escape.len() - escape.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (part, used) = if digits > 0 && !escape.starts_with('0') {
                let digits = digits.min(2);
                (Some(Part::Number(escape[..digits].parse().unwrap_or_default())), digits)
            } else if let Some(named) = escape.strip_prefix("g<") {
                let end = named.find('>').ok_or_else(|| {
                    TemplateError::new(format!("missing >, unterminated name in '{template}'"))
                })?;
                let name = &named[..end];
                let part = name.parse().map_or_else(|_| Part::Name(name.to_owned()), Part::Number);
                (Some(part), end + 3)
            } else {
                let character = escape.chars().next();
                text.push_str(&match character {
                    Some('n') => "\n".to_owned(),
                    Some('t') => "\t".to_owned(),
                    Some('r') => "\r".to_owned(),
                    Some('0') => "\0".to_owned(),
                    Some('\\') | None => "\\".to_owned(),
                    Some(letter) if letter.is_ascii_alphabetic() => {
                        return Err(TemplateError::new(format!(
                            "bad escape \\{letter} in the replacement '{template}'"
                        )));
                    }
                    Some(other) => format!("\\{other}"),
                });
                (None, character.map_or(0, char::len_utf8))
            };
            if let Some(part) = part {
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(part);
            }
            rest = &escape[used..];
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        Ok(Self(parts))
    }

    fn write(&self, captures: &Captures<'_, str>, out: &mut String) -> Result<(), TemplateError> {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Number(number) if *number >= captures.len() => {
                    return Err(TemplateError::new(format!("invalid group reference {number}")));
                }
                Part::Number(number) => {
                    out.push_str(captures.get(*number).map_or("", |group| group.as_str()));
                }
                Part::Name(name) => {
                    out.push_str(captures.name(name).map_or("", |group| group.as_str()));
                }
            }
        }
        Ok(())
    }
}

/// The match, or the groups that further arguments name; `none` without a match.
fn regex_search(call: &mut Call) -> Result<Value, TemplateError> {
    let text = call.text("value")?;
    let pattern = call.text("regex")?;
    let keyword =
        |name: &str| call.keywords.iter().any(|(key, value)| key == name && value.is_true());
    let flags = Flags {
        ignore_case: keyword("ignorecase"),
        multi_line: keyword("multiline"),
        anchored: false,
    };
    let wanted: Vec<String> = call.rest.iter().map(python::text).collect();
    let number = |group: &str| group.starts_with(|c: char| c.is_ascii_digit());
    let is_group = |group: &String| {
        group.strip_prefix('\\').is_some_and(|name| number(name) || name.starts_with("g<"))
    };
    if !wanted.iter().all(is_group) {
        return Err(TemplateError::new("Unknown argument"));
    }
    let captures =
        compile(&pattern, flags)?.captures(&text).map_err(|error| too_hard(&pattern, &error))?;
    let Some(captures) = captures else { return Ok(Value::from(())) };
    if wanted.is_empty() {
        return Ok(Value::from(captures.get(0).map_or("", |whole| whole.as_str())));
    }
    let groups = wanted.iter().map(|group| {
        let name = group
            .strip_prefix("\\g<")
            .and_then(|name| name.strip_suffix('>'))
            .unwrap_or(group.trim_start_matches('\\'));
        let found = match name.parse::<usize>() {
            Ok(number) if number < captures.len() => captures.get(number),
            Ok(_) => return Err(TemplateError::new("no such group")),
            Err(_) => captures.name(name),
        };
        Ok(found.map_or(Value::from(()), |group| Value::from(group.as_str())))
    });
    groups.collect::<Result<Vec<_>, _>>().map(Value::from)
}

fn regex_findall(call: &mut Call) -> Result<Value, TemplateError> {
    let text = call.text("value")?;
    let pattern = call.text("regex")?;
    let regex = compile(&pattern, Flags::of(call))?;
    let mut found = Vec::new();
    each_match(&regex, &pattern, &text, |captures| {
        let group =
            |index: usize| Value::from(captures.get(index).map_or("", |group| group.as_str()));
        found.push(match captures.len() {
            1 => group(0),
            2 => group(1),
            count => python::tuple((1..count).map(group).collect()),
        });
        true
    })?;
    Ok(Value::from(found))
}

fn regex_escape(call: &mut Call) -> Result<Value, TemplateError> {
    let special = match call.text_or("re_type", "python").as_str() {
        "python" => "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}",
        "posix_basic" => "].[^$*\\",
        other => return Err(TemplateError::new(format!("Invalid regex type ({other})"))),
    };
    let mut out = String::new();
    for character in call.text("string")?.chars() {
        if special.contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    Ok(Value::from(out))
}
