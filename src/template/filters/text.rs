//! Filters on texts.

use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, pyformat, python};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("capitalize", &["s"], capitalize),
    Plugin::new("title", &["s"], title),
    Plugin::new("trim", &["value", "chars"], trim),
    Plugin::new("replace", &["s", "old", "new", "count"], replace),
    Plugin::new("indent", &["s", "width", "first", "blank"], indent),
    Plugin::new("split", &["string", "separator", "maxsplit"], split),
    Plugin::new("format", &["value", "*", "**"], format),
    Plugin::new("center", &["value", "width"], center),
    Plugin::new("wordcount", &["s"], wordcount),
    Plugin::new(
        "wordwrap",
        &["s", "width", "break_long_words", "wrapstring", "break_on_hyphens"],
        wordwrap,
    ),
    Plugin::new("truncate", &["s", "length", "killwords", "end", "leeway"], truncate),
    Plugin::new("escape", &["value"], escape),
    Plugin::new("e", &["value"], escape),
    Plugin::new("forceescape", &["value"], escape),
    Plugin::new("striptags", &["value"], striptags),
    Plugin::new("pprint", &["value"], pprint),
    Plugin::new("quote", &["a"], quote),
    Plugin::new("comment", &["text", "style", "**"], comment),
    Plugin::new("expandvars", &["path"], expandvars),
];

fn subject(call: &Call) -> Result<String, TemplateError> {
    call.value().map(python::text)
}

fn capitalize(call: &mut Call) -> Result<Value, TemplateError> {
    Ok(Value::from(capitalized(&subject(call)?)))
}

pub fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    first + &characters.as_str().to_lowercase()
}

/// A capital after spaces, hyphens and opening brackets.
fn title(call: &mut Call) -> Result<Value, TemplateError> {
    let mut out = String::new();
    let mut start = true;
    for character in subject(call)?.chars() {
        if start {
            out.extend(character.to_uppercase());
        } else {
            out.extend(character.to_lowercase());
        }
        start = character.is_whitespace() || "-({[<".contains(character);
    }
    Ok(Value::from(out))
}

fn trim(call: &mut Call) -> Result<Value, TemplateError> {
    let text = subject(call)?;
    Ok(Value::from(match call.some("chars") {
        Some(characters) => {
            let characters: Vec<char> = python::text(characters).chars().collect();
            text.trim_matches(characters.as_slice())
        }
        None => text.trim(),
    }))
}

fn replace(call: &mut Call) -> Result<Value, TemplateError> {
    let (text, old, new) = (subject(call)?, call.text("old")?, call.text("new")?);
    let limit = usize::try_from(call.integer("count", -1)?).ok();
    python::replaced(&text, &old, &new, limit).map(Value::from)
}

fn indent(call: &mut Call) -> Result<Value, TemplateError> {
    let indention = match call.some("width").and_then(|width| width.as_str().map(str::to_owned)) {
        Some(text) => text,
        None => {
            " ".repeat(usize::try_from(call.integer("width", 4)?).unwrap_or_default().min(1000))
        }
    };
    let (first, blank) = (call.truth("first", false), call.truth("blank", false));
    let text = subject(call)? + "\n";
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in lines.iter_mut().skip(1) {
        if blank || !line.is_empty() {
            line.insert_str(0, &indention);
        }
    }
    let mut out = lines.join("\n");
    if first {
        out.insert_str(0, &indention);
    }
    Ok(Value::from(out))
}

/// `str.split` of Python; without a separator runs of space separate.
fn split(call: &mut Call) -> Result<Value, TemplateError> {
    let separator = call.some("separator").map(python::text);
    let limit = call.integer("maxsplit", -1)?;
    split_text(&subject(call)?, separator.as_deref(), limit)
}

pub fn split_text(text: &str, separator: Option<&str>, limit: i64) -> Result<Value, TemplateError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX - 1);
    let Some(separator) = separator else {
        let mut parts = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            if parts.len() == limit {
                parts.push(Value::from(rest.trim_end()));
                break;
            }
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            parts.push(Value::from(&rest[..end]));
            rest = rest[end..].trim_start();
        }
        return Ok(Value::from(parts));
    };
    if separator.is_empty() {
        return Err(TemplateError::new("empty separator"));
    }
    Ok(text.splitn(limit + 1, separator).map(Value::from).collect())
}

fn format(call: &mut Call) -> Result<Value, TemplateError> {
    let format = subject(call)?;
    let arguments = if call.keywords.is_empty() {
        python::tuple(call.rest.clone())
    } else {
        Value::from_pairs(call.keywords.clone())
    };
    pyformat::percent(&format, &arguments).map(Value::from)
}

fn center(call: &mut Call) -> Result<Value, TemplateError> {
    let width = call.integer("width", 80)?;
    Ok(Value::from(centered(&subject(call)?, width, ' ')))
}

/// `str.center` of Python, which puts the odd space left or right by the width.
pub fn centered(text: &str, width: i64, fill: char) -> String {
    let length = text.chars().count();
    let width = usize::try_from(width.min(100_000)).unwrap_or_default();
    let padding = width.saturating_sub(length);
    let left = padding / 2 + (padding & width & 1);
    let fill = |count: usize| fill.to_string().repeat(count);
    format!("{}{text}{}", fill(left), fill(padding - left))
}

fn wordcount(call: &mut Call) -> Result<Value, TemplateError> {
    let text = subject(call)?;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    Ok(Value::from(text.split(|c| !word(c)).filter(|part| !part.is_empty()).count()))
}

fn wordwrap(call: &mut Call) -> Result<Value, TemplateError> {
    let width = usize::try_from(call.integer("width", 79)?).unwrap_or(1).max(1);
    let break_long = call.truth("break_long_words", true);
    let joint = call.some("wrapstring").map_or_else(|| "\n".to_owned(), python::text);
    let text = subject(call)?;
    let paragraphs = text.lines().map(|line| wrapped(line, width, break_long).join(&joint));
    Ok(Value::from(paragraphs.collect::<Vec<_>>().join(&joint)))
}

/// A line as lines no wider than `width`, broken at spaces.
fn wrapped(line: &str, width: usize, break_long: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    let length = |text: &str| text.chars().count();
    for word in line.split(' ') {
        let mut word = word.to_owned();
        if !current.is_empty() && length(&current) + 1 + length(&word) > width {
            lines.push(std::mem::take(&mut current));
        }
        while break_long && length(&word) > width {
            let head: String = word.chars().take(width).collect();
            word = word.split_off(head.len());
            lines.push(head);
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(&word);
    }
    lines.push(current);
    lines
}

fn truncate(call: &mut Call) -> Result<Value, TemplateError> {
    let text = subject(call)?;
    let length = call.integer("length", 255)?;
    let leeway = call.integer("leeway", 5)?;
    let end = call.text_or("end", "...");
    let keep = usize::try_from(length - end.chars().count() as i64).map_err(|_| {
        call.error(format!("expected length >= {}, got {length}", end.chars().count()))
    })?;
    if (text.chars().count() as i64) <= length + leeway {
        return Ok(Value::from(text));
    }
    let mut kept: String = text.chars().take(keep).collect();
    if !call.truth("killwords", false)
        && let Some(space) = kept.rfind(' ')
    {
        kept.truncate(space);
    }
    Ok(Value::from(kept + &end))
}

fn escape(call: &mut Call) -> Result<Value, TemplateError> {
    let mut out = String::new();
    for character in subject(call)?.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            other => out.push(other),
        }
    }
    Ok(Value::from(out))
}

fn striptags(call: &mut Call) -> Result<Value, TemplateError> {
    let mut out = String::new();
    let mut inside = false;
    for character in subject(call)?.chars() {
        match character {
            '<' => inside = true,
            '>' if inside => inside = false,
            other if !inside => out.push(other),
            _ => {}
        }
    }
    let words: Vec<&str> = out.split_whitespace().collect();
    let plain = words.join(" ");
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&#34;", "\""), ("&amp;", "&")];
    Ok(Value::from(entities.iter().fold(plain, |text, (from, to)| text.replace(from, to))))
}

fn pprint(call: &mut Call) -> Result<Value, TemplateError> {
    Ok(Value::from(python::repr(&sorted(call.value()?)?)))
}

/// The value with its dictionaries in the order of their keys.
fn sorted(value: &Value) -> Result<Value, TemplateError> {
    match value.kind() {
        ValueKind::Map => {
            let entries = python::entries(value)?;
            let mut keyed = entries
                .into_iter()
                .map(|(key, item)| Ok((key.clone(), (key, sorted(&item)?))))
                .collect::<Result<Vec<_>, TemplateError>>()?;
            python::sort_by_key(&mut keyed, false)?;
            Ok(Value::from_pairs(keyed.into_iter().map(|(_, entry)| entry)))
        }
        ValueKind::Seq if !value.is_tuple() => python::items(value)?.iter().map(sorted).collect(),
        _ => Ok(value.clone()),
    }
}

/// `shlex.quote` of Python.
fn quote(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let text = if value.is_none() { String::new() } else { python::text(value) };
    Ok(Value::from(quoted_for_shell(&text)))
}

pub fn quoted_for_shell(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// A text as a comment of a programming language.
fn comment(call: &mut Call) -> Result<Value, TemplateError> {
    let (beginning, decoration, end) = match call.text_or("style", "plain").as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => return Err(call.error(format!("no style '{other}'"))),
    };
    let given = |name: &str| {
        call.keywords.iter().find(|(key, _)| key == name).map(|(_, value)| python::text(value))
    };
    let count =
        |name: &str| given(name).and_then(|count| count.parse().ok()).unwrap_or(1usize).min(1000);
    let newline = given("newline").unwrap_or_else(|| "\n".to_owned());
    let decoration = given("decoration").unwrap_or_else(|| decoration.to_owned());
    let bare = decoration.trim_end().to_owned();
    let beginning = given("beginning").unwrap_or_else(|| beginning.to_owned());
    let end = given("end").unwrap_or_else(|| end.to_owned());
    let prefix = given("prefix").unwrap_or_else(|| bare.clone());
    let postfix = given("postfix").unwrap_or_else(|| bare.clone());
    let mut out = String::new();
    if !beginning.is_empty() {
        out.push_str(&format!("{beginning}{newline}"));
    }
    if !prefix.is_empty() {
        let line = if prefix == newline { newline.clone() } else { format!("{prefix}{newline}") };
        out.push_str(&line.repeat(count("prefix_count")));
    }
    let text = subject(call)?.replace(&newline, &format!("{newline}{decoration}"));
    let text = format!("{decoration}{text}")
        .replace(&format!("{decoration}{newline}"), &format!("{bare}{newline}"));
    out.push_str(&text);
    out.push_str(&format!("{newline}{postfix}").repeat(count("postfix_count")));
    if !end.is_empty() {
        out.push_str(&format!("{newline}{end}"));
    }
    Ok(Value::from(out))
}

/// `os.path.expandvars` of Python: `$NAME` and `${NAME}` that are set.
fn expandvars(call: &mut Call) -> Result<Value, TemplateError> {
    let text = subject(call)?;
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, used) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = after.find(|c| !word(c)).unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match std::env::var(name) {
            Ok(value) if !name.is_empty() => out.push_str(&value),
            _ => {
                out.push('$');
                out.push_str(&after[..used]);
            }
        }
        rest = &after[used..];
    }
    out.push_str(rest);
    Ok(Value::from(out))
}
