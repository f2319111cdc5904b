//! Lookups in CSV and INI files.

use std::path::PathBuf;

use super::super::filters::tables::{csv_rows, delimiter};
use super::super::filters::{Flags, is_match};
use super::super::ini::Ini;
use super::super::{TemplateError, Value, python};
use super::{Request, files};

/// A term's own words `option=value`, and what else it says.
struct Term {
    key: String,
    options: Vec<(String, String)>,
    /// The first name that is followed by `=` and is none of the lookup's options.
    unknown: Option<String>,
}

impl Term {
    fn read(term: &str, known: &[&str]) -> Self {
        let mut key = Vec::new();
        let mut options: Vec<(String, String)> = Vec::new();
        let mut unknown = None;
        for word in words(term) {
            match word.split_once('=') {
                Some((name, value)) if known.contains(&name) => {
                    options.push((name.to_owned(), unquoted(value).to_owned()));
                }
                Some((name, _)) if !options.is_empty() && unknown.is_none() => {
                    unknown = Some(name.to_owned());
                    key.push(word);
                }
                _ => key.push(word),
            }
        }
        Self { key: key.join(" "), options, unknown }
    }

    /// The option in the term, else that of the lookup.
    fn text(&self, request: &Request<'_>, name: &str, default: &str) -> String {
        let own = self.options.iter().rev().find(|(key, _)| key == name);
        let own = own.map(|(_, value)| value.clone());
        own.or_else(|| request.option(name).map(python::text)).unwrap_or_else(|| default.to_owned())
    }

    fn flag(&self, request: &Request<'_>, name: &str, default: bool) -> bool {
        match self.options.iter().rev().find(|(key, _)| key == name) {
            Some((_, value)) => {
                matches!(value.to_lowercase().as_str(), "yes" | "on" | "1" | "true")
            }
            None => request.flag(name, default),
        }
    }

    /// The file of the option `file`, and its text.
    fn contents(
        &self,
        request: &Request<'_>,
        default: &str,
    ) -> Result<(PathBuf, String), TemplateError> {
        let name = self.text(request, "file", default);
        let path = files::find(request, &["files"], &name).ok_or_else(|| {
            TemplateError::new(format!(
                "No such file or directory: '{name}', searched in {}",
                files::searched(request)
            ))
        })?;
        let text = files::read_as(&path, &self.text(request, "encoding", "utf-8"))?;
        Ok((path, text))
    }
}

/// What blanks part; those in quotes do not, and the quotes stay.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match quote {
            None if c.is_whitespace() => words.push(String::new()),
            _ => {
                quote = match quote {
                    Some(open) if open == c => None,
                    None if matches!(c, '"' | '\'') => Some(c),
                    same => same,
                };
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// The cell of a column in the row whose first cell is the term.
pub fn csvfile(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let known = ["file", "delimiter", "col", "keycol", "default", "encoding"];
    let failed = |error: TemplateError| TemplateError::new(format!("csvfile: {}", error.message));
    let mut found = Vec::new();
    if request.terms.is_empty() {
        return Err(TemplateError::new("Search key is required but was not found"));
    }
    for text in request.texts() {
        let term = Term::read(&text, &known);
        if term.key.is_empty() {
            return Err(TemplateError::new("Search key is required but was not found"));
        }
        if let Some(name) = term.unknown {
            return Err(TemplateError::new(format!("{name} is not a valid option")));
        }
        let separator = match term.text(request, "delimiter", "TAB").as_str() {
            "TAB" | "\\t" => b'\t',
            other => delimiter(other).map_err(failed)?,
        };
        let column = |name: &str, default: &str| {
            let column = term.text(request, name, default);
            let column = column.trim_end_matches(',');
            column.parse::<usize>().map_err(|_| {
                TemplateError::new(format!("csvfile: {name} has to be a number, not '{column}'"))
            })
        };
        let (column, key_column) = (column("col", "1")?, column("keycol", "0")?);
        let rows = csv_rows(&term.contents(request, "ansible.csv")?.1, separator, false)
            .map_err(failed)?;
        let row = rows.iter().find(|row| row.get(key_column) == Some(&term.key));
        match row {
            Some(row) => {
                let cell = row.get(column);
                found.push(Value::from(
                    cell.cloned()
                        .ok_or_else(|| TemplateError::new("csvfile: list index out of range"))?,
                ));
            }
            None => {
                let default = term.options.iter().find(|(name, _)| name == "default");
                let default = default.map(|(_, value)| Value::from(value.as_str()));
                found.extend(default.or_else(|| request.option("default").cloned()));
            }
        }
    }
    Ok(found)
}

/// The value under a name in a section of an INI file, or in a file of properties.
pub fn ini(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let known = ["type", "file", "section", "re", "encoding", "default", "case_sensitive"];
    let mut found = Vec::new();
    for text in request.texts() {
        let term = Term::read(&text, &known);
        if let Some((name, _)) = text.split_once('=').filter(|_| term.options.is_empty()) {
            return Err(TemplateError::new(format!("{name} is not a valid option")));
        }
        if term.key.is_empty() {
            return Err(TemplateError::new(format!(
                "No key to lookup was provided as first term with in string inline options: {text}"
            )));
        }
        let properties = term.text(request, "type", "ini") == "properties";
        let case_sensitive = term.flag(request, "case_sensitive", false);
        let (file, mut text) = term.contents(request, "ansible.ini")?;
        let mut section = term.text(request, "section", "global");
        if properties {
            section = "java_properties".to_owned();
            text.insert_str(0, "[java_properties]\n");
        }
        let allow = request.flag("allow_no_value", request.flag("allow_none", false));
        let ini = Ini::read(&text, case_sensitive, allow).map_err(|error| {
            let of =
                if error.message.contains("already exists") { "Duplicate option in " } else { "" };
            TemplateError::new(format!("{of}'{}': {}", file.display(), error.message))
        })?;
        let entries = ini.entries(&section).ok_or_else(|| {
            TemplateError::new(format!("No section '{section}' in {}", file.display()))
        })?;
        let value = |value: &Option<String>| match value {
            // A name without a value has none to give.
            None => Ok(Value::from(Vec::<Value>::new())),
            Some(value) if request.flag("interpolation", true) => {
                ini.interpolated(&section, value).map(Value::from)
            }
            Some(value) => Ok(Value::from(value.as_str())),
        };
        if term.flag(request, "re", false) {
            let flags = Flags { anchored: true, ..Flags::default() };
            for (name, item) in &entries {
                if is_match(name, &term.key, flags)? {
                    found.push(value(item)?);
                }
            }
            continue;
        }
        let key = if case_sensitive { term.key.clone() } else { term.key.to_lowercase() };
        match entries.iter().find(|(name, _)| *name == key) {
            Some((_, item)) => found.push(value(item)?),
            None => found.push(Value::from(term.text(request, "default", ""))),
        }
    }
    Ok(found)
}
