//! `ansible.cfg`: sections of `key = value`, as Python's ConfigParser reads them.

use std::path::Path;

use indexmap::IndexMap;

use crate::source::{Error, SourceFile, Span};

/// Values by section and key; keys are in lower case.
pub type Sections = IndexMap<String, IndexMap<String, Written>>;

/// A value as it is written, and where its line begins.
#[derive(Clone, Debug)]
pub struct Written {
    pub text: String,
    pub span: Span,
}

/// Reads the text of a file; `path` is what errors call it.
pub fn parse(text: &str, path: &Path) -> Result<Sections, Error> {
    let file = SourceFile::new(path, text);
    let mut sections = Sections::new();
    let mut section: Option<String> = None;
    let mut key: Option<String> = None;
    for (index, written) in file.lines().enumerate() {
        let line = without_comment(written);
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |message: &str| {
            Error::at(Span { file: file.clone(), line: index + 1, column: 1 }, message)
        };
        let indented = written.starts_with([' ', '\t']);
        if let (true, Some(section), Some(key)) = (indented, &section, &key) {
            let value = sections.get_mut(section).and_then(|keys| keys.get_mut(key));
            if let Some(value) = value {
                value.text.push('\n');
                value.text.push_str(line.trim());
            }
        } else if let Some(name) = line.trim().strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or_else(|| wrong("']' is missing"))?;
            section = Some(name.to_owned());
            key = None;
            sections.entry(name.to_owned()).or_default();
        } else {
            let (name, value) = line
                .split_once(['=', ':'])
                .ok_or_else(|| wrong("this is neither a [section] nor 'key = value'"))?;
            let section = section.as_ref().ok_or_else(|| {
                wrong("a key before the first section").with_help("settings stand under [defaults]")
            })?;
            let name = name.trim().to_lowercase();
            let keys = sections.entry(section.clone()).or_default();
            let column = written.chars().count() - written.trim_start().chars().count() + 1;
            let span = Span { file: file.clone(), line: index + 1, column };
            keys.insert(name.clone(), Written { text: value.trim().to_owned(), span });
            key = Some(name);
        }
    }
    Ok(sections)
}

/// `#` and `;` begin a comment at the start of a line, ` ;` within one.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    line.split_once(" ;").map_or(line, |(line, _)| line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_their_sections() {
        let text = "# c\n[defaults]\nForks = 10 ; ten\ninventory = a,\n  b\n\n[tags]\nrun: x\n";
        let sections = parse(text, Path::new("ansible.cfg")).unwrap();
        assert_eq!(sections["defaults"]["forks"].text, "10");
        assert_eq!(sections["defaults"]["inventory"].text, "a,\nb");
        assert_eq!(sections["tags"]["run"].text, "x");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line) in [("forks = 1\n", 1), ("[defaults]\nnonsense\n", 2), ("[x\n", 1)] {
            let error = parse(text, Path::new("ansible.cfg")).unwrap_err();
            assert_eq!(error.span.map(|span| span.line), Some(line), "{text}");
        }
    }
}
