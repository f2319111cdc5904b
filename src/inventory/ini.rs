//! INI inventories: lines of hosts, `[group]`, `[group:children]`, `[group:vars]`.

use std::sync::Arc;

use indexmap::IndexMap;

use super::literal;
use super::load::Reader;
use crate::source::{Error, Node, SourceFile, Span, suggest};
use crate::template::Variable;

/// A longer line is no host with its variables.
const MAX_LINE: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq)]
enum Section {
    Hosts,
    Children,
    Vars,
}

/// A group that a section speaks of before it is declared.
struct Pending {
    span: Span,
    section: Section,
    parents: Vec<String>,
    /// The section that speaks of it.
    title: String,
}

pub fn read(reader: &mut Reader<'_>, file: &Arc<SourceFile>) -> Result<(), Error> {
    let mut group = "ungrouped".to_owned();
    let mut section = Section::Hosts;
    let mut pending: IndexMap<String, Pending> = IndexMap::new();
    for (index, raw) in file.lines().enumerate() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let column = raw.chars().take_while(|c| c.is_whitespace()).count() + 1;
        let span = Span { file: file.clone(), line: index + 1, column };
        if raw.len() > MAX_LINE {
            let error = span.error(format!("the line is longer than {MAX_LINE} bytes"));
            return Err(error.with_help("a host and its variables are one line"));
        }
        if let Some((name, kind)) = header(line) {
            section = kind_of(kind, line, &span)?;
            group = reader.inventory.used_name(name);
            declare(reader, &group, section, &span, &mut pending)?;
        } else if line.starts_with('[') && (line.ends_with(']') || !line.contains(']')) {
            return Err(span.error(format!("Invalid section entry: '{line}'.")).with_help(
                "a section is [group], [group:children] or [group:vars], without spaces",
            ));
        } else {
            match section {
                Section::Hosts => host_line(reader, &group, raw, &span)?,
                Section::Vars => variable_line(reader, &group, line, &span)?,
                Section::Children => child_line(reader, &group, line, &span, &mut pending)?,
            }
        }
    }
    match pending.first() {
        Some((name, undefined)) => Err(undefined_group(reader, name, undefined)),
        None => Ok(()),
    }
}

/// `[name]` or `[name:kind]`, and a comment behind it.
fn header(line: &str) -> Option<(&str, &str)> {
    let (inner, rest) = line.strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim_start();
    if !rest.is_empty() && !rest.starts_with('#') {
        return None;
    }
    let (name, kind) = inner.split_once(':').unwrap_or((inner, ""));
    let plain = !name.is_empty() && !name.contains(char::is_whitespace);
    let word = kind.chars().all(|c| c.is_alphanumeric() || c == '_');
    (plain && word && !inner.ends_with(':')).then_some((name, kind))
}

fn kind_of(kind: &str, line: &str, span: &Span) -> Result<Section, Error> {
    match kind {
        "" | "hosts" => Ok(Section::Hosts),
        "children" => Ok(Section::Children),
        "vars" => Ok(Section::Vars),
        other => {
            let error = span.error(format!("Section {line} has unknown type: {other}"));
            Err(match suggest(other, ["hosts", "children", "vars"]) {
                Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
                None => error.with_help("there are [group], [group:children] and [group:vars]"),
            })
        }
    }
}

fn declare(
    reader: &mut Reader<'_>,
    group: &str,
    section: Section,
    span: &Span,
    pending: &mut IndexMap<String, Pending>,
) -> Result<(), Error> {
    let known = reader.inventory.contains_group(group) && !pending.contains_key(group);
    if section == Section::Vars {
        if !known && !pending.contains_key(group) {
            let title = format!("{group}:vars");
            let span = span.clone();
            pending.insert(group.to_owned(), Pending { span, section, parents: Vec::new(), title });
        }
        reader.inventory.declare_group(group);
        return Ok(());
    }
    reader.inventory.declare_group(group);
    for parent in pending.shift_remove(group).map(|found| found.parents).unwrap_or_default() {
        reader.inventory.declare_child(&parent, group).map_err(|error| span.error(error))?;
    }
    Ok(())
}

fn child_line(
    reader: &mut Reader<'_>,
    group: &str,
    line: &str,
    span: &Span,
    pending: &mut IndexMap<String, Pending>,
) -> Result<(), Error> {
    let child = line.split('#').next().unwrap_or_default().trim();
    if child.is_empty() || child.contains(char::is_whitespace) || child.contains([':', '[', ']']) {
        return Err(span.error(format!("Expected group name, got: {line}")));
    }
    let child = &*reader.inventory.used_name(child);
    let known = reader.inventory.contains_group(child) && !pending.contains_key(child);
    if known {
        return reader.inventory.declare_child(group, child).map_err(|error| span.error(error));
    }
    let entry = pending.entry(child.to_owned()).or_insert_with(|| Pending {
        span: span.clone(),
        section: Section::Children,
        parents: Vec::new(),
        title: format!("{group}:children"),
    });
    entry.parents.push(group.to_owned());
    Ok(())
}

fn undefined_group(reader: &Reader<'_>, name: &str, pending: &Pending) -> Error {
    let error = pending.span.error(match pending.section {
        Section::Children => {
            format!("Section [{}] includes undefined group: {name}", pending.title)
        }
        _ => format!("Section [{}] not valid for undefined group: {name}", pending.title),
    });
    let groups = reader.inventory.groups.keys().map(String::as_str).filter(|group| *group != name);
    match suggest(name, groups) {
        Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
        None => error.with_help(format!("a line [{name}] declares the group")),
    }
}

fn variable_line(
    reader: &mut Reader<'_>,
    group: &str,
    line: &str,
    span: &Span,
) -> Result<(), Error> {
    let Some((name, value)) = line.split_once('=') else {
        return Err(span.error(format!("Expected key=value, got: {line}")));
    };
    let node = Node::new(literal::value(value.trim(), span), span.clone());
    reader.inventory.set_group_variable(group, name.trim(), node)
}

fn host_line(reader: &mut Reader<'_>, group: &str, line: &str, span: &Span) -> Result<(), Error> {
    let words = words(line, span)?;
    let mut words = words.into_iter();
    let Some((pattern, at)) = words.next() else {
        return Ok(());
    };
    let mut variables = Vec::new();
    for (word, at) in words {
        let Some((name, value)) = word.split_once('=') else {
            let error =
                at.error(format!("Expected key=value host variable assignment, got: {word}"));
            return Err(error.with_help("a value that holds spaces needs quotes around it"));
        };
        let node = Node::new(literal::value(value, &at), at.clone());
        variables.push((name.to_owned(), Variable::Source(Arc::new(node))));
    }
    for name in reader.hosts(&pattern, group, &at)? {
        for (variable, value) in &variables {
            reader.inventory.set_host_variable(&name, variable, value.clone());
        }
    }
    Ok(())
}

/// The words of a line as a shell would cut them, up to a comment, each with its place.
fn words(line: &str, span: &Span) -> Result<Vec<(String, Span)>, Error> {
    let mut words: Vec<(String, Span)> = Vec::new();
    let mut open = false;
    let mut characters = line.chars().enumerate();
    let at = |column: usize| Span { column: column + 1, ..span.clone() };
    while let Some((column, c)) = characters.next() {
        if c.is_whitespace() {
            open = false;
            continue;
        }
        // As Python's shlex, on which Ansible's reader stands: even within a word.
        if c == '#' {
            break;
        }
        if !open {
            words.push((String::new(), at(column)));
            open = true;
        }
        let Some((word, _)) = words.last_mut() else {
            continue;
        };
        match c {
            '\\' => match characters.next() {
                Some((_, escaped)) => word.push(escaped),
                None => return Err(at(column).error("the line ends after a backslash")),
            },
            '"' | '\'' => loop {
                match characters.next() {
                    Some((_, end)) if end == c => break,
                    Some((_, '\\')) if c == '"' => match characters.next() {
                        Some((_, escaped @ ('"' | '\\'))) => word.push(escaped),
                        Some((_, other)) => word.extend(['\\', other]),
                        None => return Err(at(column).error("No closing quotation")),
                    },
                    Some((_, quoted)) => word.push(quoted),
                    None => return Err(at(column).error("No closing quotation")),
                }
            },
            other => word.push(other),
        }
    }
    Ok(words)
}
