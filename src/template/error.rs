//! What can go wrong in a template.

use std::error::Error as _;
use std::fmt;

use crate::source::{self, Span};

/// A template that could not be rendered.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateError {
    pub message: String,
    /// The place in the operator's file, as near as it is known.
    pub span: Option<Span>,
    pub help: Option<String>,
    /// The reason is a variable that is not defined (`debug: var=` shows this and goes on).
    pub undefined: bool,
    /// What Python calls an error of its own kind, which results tell as `exception`.
    pub exception: Option<&'static str>,
}

impl TemplateError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, help: None, undefined: false, exception: None }
    }

    /// An error about something that is not defined.
    pub fn undefined(message: impl Into<String>) -> Self {
        Self { undefined: true, ..Self::new(message) }
    }

    /// Says where, unless a nearer place is already known.
    pub fn at(mut self, span: Option<&Span>) -> Self {
        if self.span.is_none() {
            self.span = span.cloned();
        }
        self
    }

    pub(super) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = self.help.or(help);
        self
    }

    /// The error of ours that minijinja carries, if there is one in it.
    pub(super) fn inside(error: &minijinja::Error) -> Option<Self> {
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(own) = cause.downcast_ref::<TemplateError>() {
                return Some(own.clone());
            }
            source = cause.source();
        }
        None
    }
}

impl std::error::Error for TemplateError {}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<TemplateError> for source::Error {
    fn from(error: TemplateError) -> Self {
        Self {
            message: error.message,
            span: error.span,
            help: error.help,
            refused: false,
            ends_run: false,
        }
    }
}

/// Carries an error of ours through minijinja.
impl From<TemplateError> for minijinja::Error {
    fn from(error: TemplateError) -> Self {
        let kind = if error.undefined {
            minijinja::ErrorKind::UndefinedError
        } else {
            minijinja::ErrorKind::InvalidOperation
        };
        minijinja::Error::new(kind, error.message.clone()).with_source(error)
    }
}
