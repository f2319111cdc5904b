//! Filters with regular expressions of Python's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use fancy_regex::{Captures, Regex};

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};
use crate::python_regex::{self, Replacement};

pub use crate::python_regex::Flags;

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

/// The flags that a filter is given by name.
pub fn flags_of(call: &Call) -> Flags {
    Flags {
        ignore_case: call.truth("ignorecase", false),
        multi_line: call.truth("multiline", false),
        ..Flags::default()
    }
}

/// Patterns compiled on this thread are kept for the next item of a loop. They are shared, for
/// a clone would have to build its working memory anew, which takes longer than most matches.
const KEPT: usize = 64;

thread_local! {
    static COMPILED: RefCell<HashMap<(String, Flags), Rc<Regex>>> = RefCell::default();
}

/// A pattern of Python's.
pub fn compile(pattern: &str, flags: Flags) -> Result<Rc<Regex>, TemplateError> {
    let key = (pattern.to_owned(), flags);
    if let Some(regex) = COMPILED.with_borrow(|compiled| compiled.get(&key).cloned()) {
        return Ok(regex);
    }
    let regex = Rc::new(python_regex::compile(pattern, flags).map_err(TemplateError::new)?);
    COMPILED.with_borrow_mut(|compiled| {
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(key, regex.clone());
    });
    Ok(regex)
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
    let count = call.integer("count", 0)?;
    let mandatory = call.integer("mandatory_count", 0)?;
    let regex = compile(&pattern, flags_of(call))?;
    let replacement = call.text_or("replacement", "");
    let replacement = Replacement::read(&replacement, &regex).map_err(TemplateError::new)?;
    let (mut out, mut copied, mut done) = (String::new(), 0, 0);
    let mut failure = None;
    each_match(&regex, &pattern, &text, |captures| {
        let Some(whole) = captures.get(0) else { return false };
        out.push_str(text.get(copied..whole.start()).unwrap_or_default());
        replacement.write(captures, &mut out);
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

/// The match, or the groups that further arguments name; `none` without a match.
fn regex_search(call: &mut Call) -> Result<Value, TemplateError> {
    let text = call.text("value")?;
    let pattern = call.text("regex")?;
    let keyword =
        |name: &str| call.keywords.iter().any(|(key, value)| key == name && value.is_true());
    let flags = Flags {
        ignore_case: keyword("ignorecase"),
        multi_line: keyword("multiline"),
        ..Flags::default()
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
    let regex = compile(&pattern, flags_of(call))?;
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
