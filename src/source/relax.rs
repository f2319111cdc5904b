//! Indentation inside of brackets and quotes, which PyYAML lets be what it likes.
//!
//! The parser demands that what a bracket or a quote has opened stays deeper than
//! the key before it. There blanks at the start of a line mean nothing, so lines that
//! are not deep enough are moved to the right, and places in them back to the left.

use std::collections::BTreeSet;

use saphyr_parser::{Parser, ScanError};

/// How far a line is moved: deeper than any key stands.
const SHIFT: usize = 256;
/// A file with more such places than this is given up.
const MAX_REPAIRS: usize = 500;

/// Each repair reads the text once more; this many bytes are read in all.
const MAX_READ: usize = 64 << 20;

/// A text that the parser reads as PyYAML reads the original.
#[derive(Default)]
pub struct Relaxed {
    pub text: String,
    moved: BTreeSet<usize>,
}

impl Relaxed {
    /// The column that a column in the moved text was before.
    pub fn column(&self, line: usize, column: usize) -> usize {
        if self.moved.contains(&line) { column.saturating_sub(SHIFT) } else { column }
    }
}

/// None when nothing has to be moved.
pub fn relax(text: &str) -> Option<Relaxed> {
    let mut relaxed = Relaxed { text: text.to_owned(), moved: BTreeSet::new() };
    let mut read = 0;
    for _ in 0..MAX_REPAIRS {
        read += relaxed.text.len();
        if read > MAX_READ {
            break;
        }
        let Some(error) = first_error(&relaxed.text) else {
            break;
        };
        let lines = match error.info() {
            "invalid indentation" | "invalid indentation in flow construct" => {
                vec![error.marker().line()]
            }
            "invalid indentation in quoted scalar" => quoted_lines(&relaxed.text, &error),
            _ => break,
        };
        let known = relaxed.moved.len();
        relaxed.moved.extend(lines);
        if relaxed.moved.len() == known {
            break;
        }
        relaxed.text = moved(text, &relaxed.moved);
    }
    (!relaxed.moved.is_empty()).then_some(relaxed)
}

fn first_error(text: &str) -> Option<ScanError> {
    Parser::new_from_str(text).find_map(Result::err)
}

/// The lines after the first of the quoted text that begins at the error.
fn quoted_lines(text: &str, error: &ScanError) -> Vec<usize> {
    let mut characters = text.chars().skip(error.marker().index());
    let Some(quote) = characters.next() else {
        return Vec::new();
    };
    let mut line = error.marker().line();
    let mut lines = Vec::new();
    let mut characters = characters.peekable();
    while let Some(c) = characters.next() {
        match c {
            '\n' => {
                line += 1;
                lines.push(line);
            }
            '\\' if quote == '"' => {
                characters.next_if(|c| *c != '\n');
            }
            // A doubled single quote stands for one.
            c if c == quote && !(quote == '\'' && characters.next_if_eq(&quote).is_some()) => break,
            _ => {}
        }
    }
    lines
}

fn moved(text: &str, lines: &BTreeSet<usize>) -> String {
    let mut result = String::with_capacity(text.len() + lines.len() * SHIFT);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if lines.contains(&(index + 1)) {
            result.extend(std::iter::repeat_n(' ', SHIFT));
        }
        result.push_str(line);
    }
    result
}
