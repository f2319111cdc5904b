//! An error that points at what the operator wrote.

use std::fmt;

use super::Span;

/// Longer lines are shown around the place of the error only.
const MAX_SHOWN: usize = 200;
/// As above, in results.
const MAX_IN_RESULT: usize = 4000;
/// Messages quote what the operator wrote; no terminal is there to read more of it.
const MAX_MESSAGE: usize = 8000;

/// What is wrong, where it stands, and what would help.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub message: String,
    /// None when the fault has no place in a file (a missing file, a flag).
    pub span: Option<Span>,
    /// What to do about it; shown on a line of its own.
    pub help: Option<String>,
    /// The file parses, but what it asks for is refused: another exit code in Ansible.
    pub refused: bool,
    /// Of what an include brings: it ends the run, and not what its hosts do alone.
    pub ends_run: bool,
}

impl Error {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, help: None, refused: false, ends_run: false }
    }

    pub fn at(span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::new(message) }
    }

    pub fn refused(self) -> Self {
        Self { refused: true, ..self }
    }

    pub fn ending_run(self) -> Self {
        Self { ends_run: true, ..self }
    }

    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The message with its place as ansible-core 2.18 tells it: for results, where
    /// playbooks and programs read it.
    pub fn in_result(&self) -> String {
        let Some(span) = &self.span else { return self.message.clone() };
        let line = |number: usize| {
            excerpt(span.file.line(number).unwrap_or_default(), span.column, MAX_IN_RESULT).0
        };
        let offending = span.file.line(span.line).unwrap_or_default();
        let (_, caret) = excerpt(offending, span.column, MAX_IN_RESULT);
        format!(
            "{}\n\nThe error appears to be in '{}': line {}, column {}, but may\n\
             be elsewhere in the file depending on the exact syntax problem.\n\n\
             The offending line appears to be:\n\n{}\n{}\n{}^ here\n",
            self.message,
            span.path().display(),
            span.line,
            span.column,
            line(span.line.saturating_sub(1)),
            line(span.line),
            " ".repeat(caret.saturating_sub(1))
        )
    }
}

impl std::error::Error for Error {}

/// The message, then `--> file:line:column`, the line and a caret under it:
///
/// ```text
/// 'hots' is not a valid attribute for a Play
///   --> site.yml:3:3
///    |
///  3 |   hots: all
///    |   ^
///    = help: did you mean 'hosts'?
/// ```
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message.char_indices().nth(MAX_MESSAGE) {
            None => f.write_str(&self.message)?,
            Some((end, _)) => write!(f, "{}…", self.message.get(..end).unwrap_or_default())?,
        }
        if let Some(span) = &self.span {
            write!(f, "\n  --> {span}")?;
            if let Some(line) = span.file.line(span.line) {
                let (line, column) = excerpt(line, span.column, MAX_SHOWN);
                let number = span.line.to_string();
                let gutter = " ".repeat(number.len());
                // A tab before the caret stays a tab, so that the caret stands under its character.
                let indent: String = line
                    .chars()
                    .take(column.saturating_sub(1))
                    .map(|c| if c == '\t' { '\t' } else { ' ' })
                    .collect();
                write!(f, "\n {gutter} |\n {number} | {line}\n {gutter} | {indent}^")?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n  = help: {help}")?;
        }
        Ok(())
    }
}

/// What of a line is shown, and the column in it that was `column` in the line.
fn excerpt(line: &str, column: usize, longest: usize) -> (String, usize) {
    // No more bytes, so no more characters.
    if line.len() <= longest {
        return (line.to_owned(), column);
    }
    let start = column.saturating_sub(1).saturating_sub(longest / 2);
    let mut rest = line.chars().skip(start);
    let mut shown: String = if start > 0 { "…" } else { "" }.to_owned();
    shown.extend(rest.by_ref().take(longest));
    if rest.next().is_some() {
        shown.push('…');
    }
    (shown, column - start + usize::from(start > 0))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::source::SourceFile;

    fn shown(text: &str, line: usize, column: usize) -> String {
        let file = SourceFile::new(Path::new("x.yml"), text);
        Span { file, line, column }.error("wrong").to_string()
    }

    #[test]
    fn the_caret_stands_under_the_column_of_the_line() {
        assert_eq!(
            shown("a\r\n\tb: c\n", 2, 5),
            "wrong\n  --> x.yml:2:5\n   |\n 2 | \tb: c\n   | \t   ^"
        );
        assert_eq!(shown("a\n", 2, 1), "wrong\n  --> x.yml:2:1");
        assert_eq!(shown("a\rb\rc", 2, 1), "wrong\n  --> x.yml:2:1\n   |\n 2 | b\n   | ^");
    }

    #[test]
    fn of_a_line_without_end_only_the_place_is_shown() {
        let text = format!("{}WRONG{}", "é".repeat(5_000_000), "x".repeat(5_000_000));
        let shown = shown(&text, 1, 5_000_001);
        assert!(shown.len() < 2_000, "{} bytes are shown", shown.len());
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[4].chars().position(|c| c == '^').unwrap();
        assert!(lines[3].chars().skip(caret).collect::<String>().starts_with("WRONGx"));
    }

    #[test]
    fn a_message_without_end_is_cut() {
        assert!(Error::new("x".repeat(1_000_000)).to_string().len() < 10_000);
    }
}
