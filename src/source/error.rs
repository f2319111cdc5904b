//! An error that points at what the operator wrote.

use std::fmt;

use super::Span;

/// What is wrong, where it stands, and what would help.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub message: String,
    /// None when the fault has no place in a file (a missing file, a flag).
    pub span: Option<Span>,
    /// What to do about it; shown on a line of its own.
    pub help: Option<String>,
}

impl Error {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, help: None }
    }

    pub fn at(span: Span, message: impl Into<String>) -> Self {
        Self { message: message.into(), span: Some(span), help: None }
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
            number.checked_sub(1).and_then(|at| span.file.text.lines().nth(at)).unwrap_or_default()
        };
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
            " ".repeat(span.column.saturating_sub(1))
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
        f.write_str(&self.message)?;
        if let Some(span) = &self.span {
            write!(f, "\n  --> {span}")?;
            if let Some(line) = span.file.text.lines().nth(span.line.saturating_sub(1)) {
                let number = span.line.to_string();
                let gutter = " ".repeat(number.len());
                // A tab before the caret stays a tab, so that the caret stands under its character.
                let indent: String = line
                    .chars()
                    .take(span.column.saturating_sub(1))
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
