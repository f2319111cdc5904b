//! A template cut into data, expressions, statements and comments.

use std::ops::Range;

/// The marks between which tags stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimiters {
    pub variable: (String, String),
    pub block: (String, String),
    pub comment: (String, String),
}

impl Default for Delimiters {
    fn default() -> Self {
        let pair = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        Self { variable: pair("{{", "}}"), block: pair("{%", "%}"), comment: pair("{#", "#}") }
    }
}

impl Delimiters {
    /// Whether anything in this text is for the template engine.
    pub fn found_in(&self, text: &str) -> bool {
        [&self.variable, &self.block, &self.comment].iter().any(|(start, _)| text.contains(start))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Data,
    Expression,
    Statement,
    Comment,
}

/// A piece of a template, as byte ranges of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub kind: Kind,
    /// All of it, marks included.
    pub outer: Range<usize>,
    /// What stands between the marks (and their `-` and `+`).
    pub inner: Range<usize>,
}

/// Cuts a template. A tag without an end is left as data: the compiler of the
/// template says what is wrong with it.
pub fn scan(text: &str, delimiters: &Delimiters) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut position = 0;
    let mut data_from = 0;
    let mut marks = Marks::new(text, delimiters);
    while let Some((start, kind)) = marks.after(position) {
        let (open, close) = match kind {
            Kind::Expression => &delimiters.variable,
            Kind::Statement => &delimiters.block,
            _ => &delimiters.comment,
        };
        let Some(mut tag) = read_tag(text, start, kind, open, close) else { break };
        if kind == Kind::Statement && text[tag.inner.clone()].trim() == "raw" {
            let Some(end) = end_of_raw(text, tag.outer.end, delimiters) else { break };
            tag.kind = Kind::Data;
            tag.outer.end = end;
            tag.inner = tag.outer.clone();
        }
        if data_from < start {
            segments.push(data(data_from..start));
        }
        position = tag.outer.end;
        data_from = position;
        segments.push(tag);
    }
    if data_from < text.len() {
        segments.push(data(data_from..text.len()));
    }
    segments
}

fn data(range: Range<usize>) -> Segment {
    Segment { kind: Kind::Data, outer: range.clone(), inner: range }
}

/// Finds opening marks from the start of a text to its end. Each is looked for
/// only once: most templates have no comments, and many have many tags.
struct Marks<'a> {
    text: &'a str,
    /// The mark, and where it stands next; None when it does not stand there again.
    next: [(Kind, &'a str, Option<usize>); 3],
}

impl<'a> Marks<'a> {
    fn new(text: &'a str, delimiters: &'a Delimiters) -> Self {
        let mark = |kind, mark: &'a String| (kind, mark.as_str(), text.find(mark.as_str()));
        let next = [
            mark(Kind::Expression, &delimiters.variable.0),
            mark(Kind::Statement, &delimiters.block.0),
            mark(Kind::Comment, &delimiters.comment.0),
        ];
        Self { text, next }
    }

    /// The nearest one from here on; of two at the same place the longer one.
    fn after(&mut self, from: usize) -> Option<(usize, Kind)> {
        for (_, mark, next) in &mut self.next {
            if next.is_some_and(|at| at < from) {
                let found = self.text.get(from..).and_then(|rest| rest.find(*mark));
                *next = found.map(|at| from + at);
            }
        }
        self.next
            .iter()
            .filter_map(|(kind, mark, next)| Some(((*next)?, mark.len(), *kind)))
            .min_by_key(|(at, length, _)| (*at, usize::MAX - length))
            .map(|(at, _, kind)| (at, kind))
    }
}

fn read_tag(text: &str, start: usize, kind: Kind, open: &str, close: &str) -> Option<Segment> {
    let mut inner = start + open.len();
    if text[inner..].starts_with(['-', '+']) {
        inner += 1;
    }
    let end = if kind == Kind::Comment {
        inner + text[inner..].find(close)?
    } else {
        end_of_code(text, inner, close)?
    };
    let outer_end = end + close.len();
    let inner_end = if end > inner && text[..end].ends_with(['-', '+']) { end - 1 } else { end };
    Some(Segment { kind, outer: start..outer_end, inner: inner..inner_end })
}

/// Where the closing mark begins: outside of strings and of any bracket.
fn end_of_code(text: &str, from: usize, close: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut characters = text[from..].char_indices();
    while let Some((offset, character)) = characters.next() {
        let at = from + offset;
        if depth == 0 && text[at..].starts_with(close) {
            return Some(at);
        }
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '"' | '\'' => loop {
                match characters.next()?.1 {
                    '\\' => drop(characters.next()?),
                    other if other == character => break,
                    _ => {}
                }
            },
            _ => {}
        }
    }
    None
}

/// The end of the `endraw` tag that closes a raw block.
fn end_of_raw(text: &str, from: usize, delimiters: &Delimiters) -> Option<usize> {
    let (open, close) = &delimiters.block;
    let mut position = from;
    loop {
        let start = position + text.get(position..)?.find(open.as_str())?;
        let inside = text[start + open.len()..].trim_start_matches(['-', '+']).trim_start();
        if let Some(rest) = inside.strip_prefix("endraw") {
            let rest = rest.trim_start().trim_start_matches(['-', '+']);
            if let Some(rest) = rest.strip_prefix(close.as_str()) {
                return Some(text.len() - rest.len());
            }
        }
        position = start + open.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        scan(text, &Delimiters::default())
            .into_iter()
            .map(|segment| (segment.kind, &text[segment.inner]))
            .collect()
    }

    #[test]
    fn tags_end_outside_of_strings_and_brackets() {
        assert_eq!(
            kinds("a{{ {'x': {}} }}b"),
            [(Kind::Data, "a"), (Kind::Expression, " {'x': {}} "), (Kind::Data, "b")]
        );
        assert_eq!(kinds("{{ '}}' }}"), [(Kind::Expression, " '}}' ")]);
        assert_eq!(kinds("{%- if x -%}"), [(Kind::Statement, " if x ")]);
    }

    #[test]
    fn raw_blocks_are_data_and_an_open_tag_is_left_alone() {
        assert_eq!(
            kinds("{% raw %}{{ a.b }}{% endraw %}"),
            [(Kind::Data, "{% raw %}{{ a.b }}{% endraw %}")]
        );
        assert_eq!(kinds("a {{ b"), [(Kind::Data, "a {{ b")]);
    }
}
