//! Files of YAML into [`Node`]s.

use std::io::Read;
use std::path::Path;

use super::compose::Composer;
use super::relax::{Relaxed, relax};
use super::{Error, Node, SourceFile, Span, Yaml};
use crate::vault;

/// The one document of a file; an empty file is null.
pub fn load(path: &Path) -> Result<Node, Error> {
    load_noting(path, &mut Vec::new())
}

/// As [`load`]; what is allowed but most likely a slip (a key that is written
/// twice) is added to `warnings`.
pub fn load_noting(path: &Path, warnings: &mut Vec<Error>) -> Result<Node, Error> {
    single(load_documents(&read(path)?, path, warnings)?, || SourceFile::new(path, ""))
}

/// As [`load`], of text; `path` is what errors call it.
pub fn load_str(text: &str, path: &Path) -> Result<Node, Error> {
    single(load_all_str(text, path)?, || SourceFile::new(path, text))
}

/// All documents of a file.
pub fn load_all(path: &Path) -> Result<Vec<Node>, Error> {
    load_all_str(&read(path)?, path)
}

/// All documents of a text; `path` is what errors call it.
pub fn load_all_str(text: &str, path: &Path) -> Result<Vec<Node>, Error> {
    load_documents(text, path, &mut Vec::new())
}

/// No playbook, inventory or file of variables is larger; what is has another content
/// than it should, and all of it would stand in memory several times.
const MAX_FILE: usize = 32 << 20;

/// The text of a file; one that is encrypted is decrypted.
pub fn read(path: &Path) -> Result<String, Error> {
    let content = std::fs::File::open(path).and_then(|file| {
        let mut content = Vec::new();
        // Not by its size: a device or a pipe has none.
        file.take(MAX_FILE as u64 + 1).read_to_end(&mut content)?;
        Ok(content)
    });
    if content.as_ref().is_ok_and(|content| content.len() > MAX_FILE) {
        return Err(Error::new(format!("{} is larger than {} MB", path.display(), MAX_FILE >> 20))
            .with_help("no playbook, inventory or file of variables is read that is larger"));
    }
    content.and_then(|content| vault::text_of(content, path)).map_err(|error| {
        let path = path.display();
        Error::new(match error.kind() {
            std::io::ErrorKind::NotFound => format!("{path} could not be found"),
            // Of the vault, which says what is wrong itself.
            std::io::ErrorKind::Other => error.to_string(),
            std::io::ErrorKind::InvalidData => format!("{path} is not UTF-8 text"),
            _ => format!("{path} cannot be read: {error}"),
        })
    })
}

fn load_documents(text: &str, path: &Path, warnings: &mut Vec<Error>) -> Result<Vec<Node>, Error> {
    // A byte order mark is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file = SourceFile::new(path, text);
    let noted = warnings.len();
    let strict = Composer::new(text, &Relaxed::default(), file.clone(), warnings).documents();
    let Err(error) = strict else {
        return strict;
    };
    match relax(text) {
        None => Err(as_json(error, text, path)),
        Some(relaxed) => {
            warnings.truncate(noted);
            Composer::new(&relaxed.text, &relaxed, file, warnings).documents()
        }
    }
}

/// A file that is called JSON has most likely a mistake in its JSON.
fn as_json(error: Error, text: &str, path: &Path) -> Error {
    if path.extension().is_none_or(|extension| extension != "json") {
        return error;
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Err(json) => error.with_help(format!("JSON: {json}")),
        Ok(_) => error,
    }
}

fn single(
    mut documents: Vec<Node>,
    file: impl FnOnce() -> std::sync::Arc<SourceFile>,
) -> Result<Node, Error> {
    match documents.get(1) {
        Some(second) => Err(second
            .span
            .error("expected a single document in the stream, but here another begins")
            .with_help("a line '---' begins a new document")),
        None => Ok(documents.pop().unwrap_or_else(|| Node::new(Yaml::Null, Span::start(&file())))),
    }
}
