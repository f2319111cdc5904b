//! Filters on texts.

use super::super::call::Plugin;
use super::super::{TemplateError, Value, python};

pub const FILTERS: &[Plugin] = &[];

/// `format % arguments` of Python.
pub fn percent_format(format: &str, arguments: &Value) -> Result<String, TemplateError> {
    use minijinja::formatting::{FormatStyle, format as run};
    let arguments =
        if arguments.is_tuple() { python::items(arguments)? } else { vec![arguments.clone()] };
    run(FormatStyle::Printf, format, &arguments).map_err(|error| python::carried(&error))
}
