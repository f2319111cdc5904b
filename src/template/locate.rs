//! Where in the operator's file a place of a template's text stands.

use std::ops::Range;

use super::scan::{Delimiters, Kind, scan};
use super::tokens::{TokenKind, tokenize};
use crate::source::Span;

/// The place of byte `offset` of `text`, which is the scalar that begins at
/// `span`. Scalars may be quoted, folded or indented; where the text cannot be
/// found again in the file, this is the place of the scalar.
pub fn locate(span: &Span, text: &str, offset: usize) -> Span {
    find(span, text, offset).unwrap_or_else(|| span.clone())
}

fn find(span: &Span, text: &str, offset: usize) -> Option<Span> {
    let before = text.get(..offset)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    let line = text.get(line_start..line_end)?;
    let within = offset - line_start;
    let first = span.line.saturating_sub(1);
    // A scalar may take more lines in the file than its text has, never fewer.
    let skipped = before.matches('\n').count();
    let mut lines = span.file.lines().enumerate().skip(first + skipped);
    lines.find_map(|(number, source)| {
        let from = if number == first { byte_of_column(source, span.column) } else { 0 };
        let (start, within) = match source.get(from..)?.find(line.trim_end()) {
            Some(at) if !line.trim().is_empty() => (from + at, within),
            _ => folded(source, from, line, within)?,
        };
        let column = source.get(..start + within)?.chars().count() + 1;
        Some(Span { file: span.file.clone(), line: number + 1, column })
    })
}

/// A folded or escaped scalar has its words, but not its line: look for the tag alone.
fn folded(source: &str, from: usize, line: &str, within: usize) -> Option<(usize, usize)> {
    let tail: String = line.get(within..)?.chars().take(24).collect();
    let tail = tail.split(['"', '\'', '\\']).next().filter(|tail| tail.len() > 2)?;
    Some((from + source.get(from..)?.find(tail.trim_end())?, 0))
}

fn byte_of_column(line: &str, column: usize) -> usize {
    line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(at, _)| at)
}

/// The byte of `text` where a variable or attribute of this name is first used.
pub fn name_in_template(text: &str, delimiters: &Delimiters, name: &str) -> Option<usize> {
    scan(text, delimiters)
        .into_iter()
        .filter(|segment| matches!(segment.kind, Kind::Expression | Kind::Statement))
        .find_map(|segment| name_in_code(text, segment.inner, name))
}

/// The byte of `text` where the name stands in this code.
pub fn name_in_code(text: &str, code: Range<usize>, name: &str) -> Option<usize> {
    tokenize(&text[code.clone()])
        .into_iter()
        .map(|token| (token.kind, code.start + token.range.start..code.start + token.range.end))
        .find(|(kind, range)| match kind {
            TokenKind::Name => &text[range.clone()] == name,
            TokenKind::Text => text[range.clone()]
                .get(1..)
                .is_some_and(|t| t.strip_suffix(['\'', '"']) == Some(name)),
            _ => false,
        })
        .map(|(_, range)| range.start)
}
