//! Python's regular expressions, with failures of modules.

use fancy_regex::Regex;

use super::Failure;
use crate::python_regex::{self, Flags};

pub use crate::python_regex::Replacement;

pub type Captures<'t> = fancy_regex::Captures<'t, str>;

/// A pattern of Python's. `multi_line` is `re.M`.
pub fn compile(pattern: &str, multi_line: bool) -> Result<Regex, Failure> {
    python_regex::compile(pattern, Flags { multi_line, ..Flags::default() }).map_err(Failure::new)
}

/// The match in `text`; a pattern that takes too long is a failure.
pub fn search<'t>(regex: &Regex, text: &'t str) -> Result<Option<Captures<'t>>, Failure> {
    regex.captures(text).map_err(|error| {
        Failure::new(format!("the regular expression '{}' failed: {error}", regex.as_str()))
    })
}

/// What `match.expand(template)` gives.
pub fn expand(regex: &Regex, template: &str, captures: &Captures) -> Result<String, Failure> {
    let mut out = String::new();
    Replacement::read(template, regex).map_err(Failure::new)?.write(captures, &mut out);
    Ok(out)
}
