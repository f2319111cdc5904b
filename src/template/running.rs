//! One rendering: from code that minijinja can read to a value, or to an error with its place.

use std::error::Error as _;
use std::sync::Arc;

use minijinja::{Environment, ErrorKind};

use super::context::Context;
use super::finish::finished;
use super::locate::{locate, name_in_code, name_in_template};
use super::scan::Delimiters;
use super::templar::{Reading, Templar};
use super::{TemplateError, Value, python};
use crate::agent::protocol::MAX_FRAME;
use crate::source::{SourceFile, Span};

/// Finds the file of a template by the name under which another one includes it.
type Included<'a> = dyn Fn(&str) -> Option<Arc<SourceFile>> + 'a;

/// What is to be rendered.
pub struct Piece<'a> {
    pub environment: &'a Environment<'static>,
    /// The text made ready for minijinja.
    pub code: &'a str,
    /// The operator's text.
    pub text: &'a str,
    pub delimiters: &'a Delimiters,
    /// Where the text begins.
    pub span: Option<&'a Span>,
    pub reading: Reading,
    /// The file of a template that the text includes, by the name it uses.
    pub included: Option<&'a Included<'a>>,
}

/// A text of more bytes fits no message to a host.
const MAX_RESULT: usize = MAX_FRAME;

/// The name under which minijinja knows the text itself.
const MAIN: &str = "<template>";

impl Templar {
    pub(super) fn run_piece(
        &self,
        piece: &Piece<'_>,
        context: &Arc<Context>,
    ) -> Result<Value, TemplateError> {
        let mark = context.mark();
        let result = match piece.reading {
            Reading::Expression => piece
                .environment
                .compile_expression_owned(piece.code.to_owned())
                .and_then(|compiled| compiled.eval(context.as_value())),
            Reading::Template => piece
                .environment
                .render_named_str(MAIN, piece.code, context.as_value())
                .map(Value::from),
        };
        let miss = context.take_misses(mark);
        let result = match result {
            // Nothing was missed: an inline `if` without `else`.
            Ok(value) if value.is_undefined() && miss.is_none() => Ok(Value::from("")),
            Ok(value) => finished(value).map_err(minijinja::Error::from),
            Err(error) => Err(error),
        };
        let error = match result {
            Ok(value) => return fitting(value).map_err(|error| error.at(piece.span)),
            Err(error) => error,
        };
        let elsewhere = piece.place_in_included(&error);
        let span = elsewhere.as_ref().or(piece.span);
        let place = |name: &str| match &elsewhere {
            Some(span) => name_on_line(span, name),
            None => piece.place_of(name),
        };
        let own = TemplateError::inside(&error);
        if let Some(own) = own.filter(|own| !own.undefined || own.span.is_some()) {
            return Err(own.at(span));
        }
        let undefined =
            matches!(error.kind(), ErrorKind::UndefinedError | ErrorKind::UnknownFunction)
                || elsewhere.is_some()
                || error.detail().is_some_and(|detail| detail.contains("undefined"));
        Err(match miss {
            Some(miss) if undefined => context.explain(miss, place).at(span),
            _ => self.failure(&error, piece, span),
        })
    }

    /// What minijinja could not do, in our words and at the operator's place.
    fn failure(
        &self,
        error: &minijinja::Error,
        piece: &Piece<'_>,
        span: Option<&Span>,
    ) -> TemplateError {
        if let Some(own) = TemplateError::inside(error) {
            return own.at(span);
        }
        let message = python::detail(innermost(error));
        if divides_by_zero(&message) {
            let exception = Some("ZeroDivisionError");
            return TemplateError { exception, ..TemplateError::new("division by zero") }.at(span);
        }
        match error.kind() {
            ErrorKind::SyntaxError => match span {
                Some(span) => self.syntax_error(error, piece.text, span, piece.reading),
                None => TemplateError::new(format!(
                    "template error while templating string: {message}. String: {}",
                    piece.text
                )),
            },
            ErrorKind::UndefinedError => TemplateError::undefined(message).at(span),
            ErrorKind::OutOfFuel => TemplateError::new(
                "the template does too much: it loops too often, or makes texts that are too large",
            )
            .at(span),
            _ => TemplateError::new(message).at(span),
        }
    }
}

/// As minijinja says it: `unable to calculate 5 / 0`.
fn divides_by_zero(message: &str) -> bool {
    let zero = |operator| {
        let divisor = message.rsplit_once(operator).and_then(|(_, b)| b.trim().parse::<f64>().ok());
        divisor == Some(0.0)
    };
    message.starts_with("unable to calculate") && (zero('/') || zero('%'))
}

/// The result, unless it is a text that another template would make still larger.
fn fitting(value: Value) -> Result<Value, TemplateError> {
    match value.as_str().map_or(0, str::len) {
        0..=MAX_RESULT => Ok(value),
        length => Err(TemplateError::new(format!("the result is too large: {length} bytes"))),
    }
}

impl Piece<'_> {
    /// Where in the operator's text a name is first used.
    fn place_of(&self, name: &str) -> Option<Span> {
        let offset = name_in_template(self.text, self.delimiters, name)
            .or_else(|| name_in_code(self.text, 0..self.text.len(), name))?;
        Some(locate(self.span?, self.text, offset))
    }

    /// The line of an included template that an error is about.
    fn place_in_included(&self, error: &minijinja::Error) -> Option<Span> {
        let inner = innermost(error);
        let name = inner.name().filter(|name| *name != MAIN)?;
        let file = (self.included?)(name)?;
        Some(Span { file, line: inner.line().unwrap_or(1), column: 1 })
    }
}

/// The name on this line, where it is to be seen there.
fn name_on_line(span: &Span, name: &str) -> Option<Span> {
    let line = span.file.line(span.line)?;
    let at = name_in_code(line, 0..line.len(), name)?;
    let column = line.get(..at)?.chars().count() + 1;
    Some(Span { file: span.file.clone(), line: span.line, column })
}

/// The error that began it all, in the template that was included last.
fn innermost(error: &minijinja::Error) -> &minijinja::Error {
    let mut found = error;
    while let Some(cause) = found.source().and_then(|cause| cause.downcast_ref()) {
        found = cause;
    }
    found
}
