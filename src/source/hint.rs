//! What the classic slips in YAML look like, and what to do about them.

use super::{Error, Node, Span, Yaml};

const TEMPLATE: &str = "a value that begins with {{ needs quotes around all of it: \"{{ … }}\"";

/// `{{ x }}` without quotes is read as a mapping, which begins at `start`, whose key
/// is a mapping.
pub fn unhashable_key(key: &Node, start: &Span) -> Error {
    let message = "found unhashable key: the key of a mapping must be a plain value";
    match &key.value {
        Yaml::Map(_) => start.error(message).with_help(TEMPLATE),
        _ => key
            .span
            .error(message)
            .with_help("a value that begins with [ needs quotes around all of it"),
    }
}

/// A syntax error at the place where the slip is, as far as it can be told.
pub fn explain(info: &str, span: Span) -> Error {
    let error = |span: Span| span.error(format!("Syntax Error while loading YAML: {info}"));
    // The parser may notice only on the next line of text what is wrong with this one.
    let file = span.file.clone();
    let last = span.line + usize::from(info.contains("tab"));
    let lines: Vec<(usize, &str)> = file
        .lines()
        .enumerate()
        .take(last)
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .collect();
    for (index, line) in lines.iter().rev().take(2) {
        let bracket = || unclosed_bracket(line).filter(|_| info.contains("illegal placement"));
        if let Some((column, help)) = slip(line).or_else(bracket) {
            return error(Span { file: file.clone(), line: index + 1, column }).with_help(help);
        }
    }
    if let [.., (_, previous), (last, line)] = lines.as_slice()
        && last + 1 == span.line
        && let Some((column, help)) = indentation(previous, line)
    {
        return error(Span { file: file.clone(), line: last + 1, column }).with_help(help);
    }
    error(span)
}

/// The column of a slip in a line, and what helps.
fn slip(line: &str) -> Option<(usize, &'static str)> {
    let blanks = line.chars().take_while(|c| c.is_whitespace()).count();
    if let Some(tab) = line.chars().take(blanks).position(|c| c == '\t') {
        return Some((tab + 1, "YAML is indented with spaces; this line begins with a tab"));
    }
    let content = line.get(blanks..)?;
    let content = content.strip_prefix("- ").unwrap_or(content);
    let (key, value) = match content.split_once(": ") {
        Some((key, value)) => (key, value.trim_start()),
        None => ("", content),
    };
    let column = line.chars().count() - value.chars().count() + 1;
    if key.contains(['"', '\'', '{']) {
        return None;
    }
    match value.chars().next()? {
        '{' if value.starts_with("{{") => Some((column, TEMPLATE)),
        quote @ ('"' | '\'') if !closes(value, quote) => Some((
            column,
            "a value that begins with a quote must end with it: put quotes around all of it",
        )),
        '[' | '{' if goes_on_behind_bracket(value) => {
            Some((column, "a value that begins with a bracket needs quotes around all of it"))
        }
        '%' | '@' | '`' => {
            Some((column, "a value that begins with % @ or ` needs quotes around all of it"))
        }
        '*' if !key.is_empty() => {
            Some((column, "a value that begins with * needs quotes around all of it"))
        }
        c if !key.is_empty() && !matches!(c, '"' | '\'' | '{' | '[' | '|' | '>' | '#' | '&') => {
            value
                .find(": ")
                .or_else(|| value.ends_with(':').then(|| value.len() - 1))
                .map(|_| (column, "a value that holds ': ' needs quotes around all of it"))
        }
        c if key.is_empty() && !matches!(c, '-' | '[' | '{') => missing_space(value, column),
        _ => None,
    }
}

/// `[a] b`
fn goes_on_behind_bracket(value: &str) -> bool {
    let flat = value.matches(['[', '{']).count() == 1 && !value.contains(['"', '\'']);
    let behind = value.split_once([']', '}']).map(|(_, behind)| behind.trim_start());
    flat && behind
        .is_some_and(|behind| behind.starts_with(|c: char| c.is_alphanumeric() || c == '/'))
}

/// The column of a bracket that begins a value and is not closed in its line.
fn unclosed_bracket(line: &str) -> Option<(usize, &'static str)> {
    let (key, value) = line.split_once(": ")?;
    let count = |brackets: [char; 2]| value.matches(brackets).count();
    let open = value.trim_start().starts_with(['[', '{']) && count(['[', '{']) > count([']', '}']);
    open.then(|| (key.chars().count() + 3, "the bracket that is opened here is not closed"))
}

/// Whether the quote at the start is closed at the end, before a comment at most.
fn closes(value: &str, quote: char) -> bool {
    let mut rest = value.chars().skip(1).peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if quote == '"' => {
                rest.next();
            }
            c if c == quote && quote == '\'' && rest.peek() == Some(&'\'') => {
                rest.next();
            }
            c if c == quote => {
                let after: String = rest.collect();
                return after.trim().is_empty()
                    || after.trim_start().starts_with(['#', ',', '}', ']', ':']);
            }
            _ => {}
        }
    }
    // It may go on in the next line.
    true
}

/// `key:value`
fn missing_space(content: &str, column: usize) -> Option<(usize, &'static str)> {
    let (key, value) = content.split_once(':')?;
    let word =
        !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    (word && !value.is_empty() && !value.starts_with("//"))
        .then(|| (column + key.chars().count(), "after the colon of a key there must be a space"))
}

/// A key that stands deeper or less deep than its neighbours.
fn indentation(previous: &str, line: &str) -> Option<(usize, &'static str)> {
    let depth = |line: &str| line.chars().take_while(|c| *c == ' ').count();
    let (above, here) = (depth(previous), depth(line));
    let item = |line: &str| line.trim_start().starts_with("- ");
    let own = if item(previous) { above + 2 } else { above };
    let opens = previous.trim_end().ends_with([':', '|', '>', '-']);
    if here > above && here != own && !opens {
        Some((here + 1, "this line is indented deeper than the line above allows"))
    } else if here < own {
        Some((here + 1, "the indentation of this line matches no line above it"))
    } else {
        None
    }
}
