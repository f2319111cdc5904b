//! Lookups of files here, on the controller.

use std::path::{Path, PathBuf};

use minijinja::value::ValueKind;

use super::super::charset::Charset;
use super::super::filters::paths::expanded;
use super::super::{FileOptions, TemplateError, Value, python};
use super::{Request, glob, listed};

/// The file of this name: as it is, else in the folders of the search path,
/// first in their own folder for such files.
pub fn find(request: &Request<'_>, folders: &[&str], name: &str) -> Option<PathBuf> {
    let name = expanded(name);
    let path = Path::new(&name);
    if path.is_absolute() {
        return path.exists().then(|| path.to_owned());
    }
    let candidates = request.search_path().into_iter().flat_map(|base| {
        let inner: Vec<PathBuf> =
            folders.iter().map(|folder| base.join(folder).join(path)).collect();
        inner.into_iter().chain([base.join(path)])
    });
    candidates.into_iter().find(|candidate| candidate.exists())
}

pub fn file(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let mut found = Vec::new();
    for term in request.texts() {
        let path = find(request, &["files"], &term).ok_or_else(|| {
            TemplateError::new(format!(
                "The 'file' lookup had an issue accessing the file '{term}'. file not found, searched in {}",
                searched(request)
            ))
        })?;
        let text = read(&path)?;
        let text = if request.flag("rstrip", true) { text.trim_end() } else { &text };
        let text = if request.flag("lstrip", false) { text.trim_start() } else { text };
        found.push(Value::from(text));
    }
    Ok(found)
}

/// The text of a file that may be encrypted, as it is.
pub fn unvault(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let mut found = Vec::new();
    for term in request.texts() {
        let path = find(request, &["files"], &term).ok_or_else(|| {
            TemplateError::new(format!("Unable to find file matching \"{term}\" "))
        })?;
        found.push(Value::from(read(&path)?));
    }
    Ok(found)
}

pub fn searched(request: &Request<'_>) -> String {
    let folders: Vec<String> =
        request.search_path().iter().map(|path| path.display().to_string()).collect();
    folders.join(", ")
}

pub fn read(path: &Path) -> Result<String, TemplateError> {
    read_as(path, "utf-8")
}

/// A file's text in an encoding that Python has a name for.
pub fn read_as(path: &Path, encoding: &str) -> Result<String, TemplateError> {
    let bytes = crate::vault::read(path).map_err(|error| {
        TemplateError::new(format!("could not read {}: {error}", path.display()))
    })?;
    let charset = Charset::named(encoding)?;
    charset
        .decode(&bytes)
        .ok_or_else(|| TemplateError::new(format!("{} is not {charset} text", path.display())))
}

/// A template file, rendered with this task's variables.
pub fn template(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let mut found = Vec::new();
    for term in request.texts() {
        let path = find(request, &["templates"], &term).ok_or_else(|| {
            TemplateError::new(format!(
                "the template file {term} could not be found for the lookup"
            ))
        })?;
        let mut options = FileOptions { path: Some(path.clone()), ..FileOptions::default() };
        options.written_path = Some(term.clone());
        options.search_path = request.search_path();
        options.trim_blocks = request.flag("trim_blocks", true);
        options.lstrip_blocks = request.flag("lstrip_blocks", false);
        for (name, place) in [
            ("variable_start_string", &mut options.delimiters.variable.0),
            ("variable_end_string", &mut options.delimiters.variable.1),
            ("block_start_string", &mut options.delimiters.block.0),
            ("block_end_string", &mut options.delimiters.block.1),
            ("comment_start_string", &mut options.delimiters.comment.0),
            ("comment_end_string", &mut options.delimiters.comment.1),
        ] {
            if let Some(mark) = request.option(name) {
                *place = python::text(mark);
            }
        }
        let extra = request.option("template_vars").cloned();
        let text = request.context.templar.render_lookup(
            &read(&path)?,
            &options,
            request.context,
            extra,
        )?;
        found.push(Value::from(text));
    }
    Ok(found)
}

/// The files that match, by name; a pattern's folder is looked for as a file is.
pub fn fileglob(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let mut found = Vec::new();
    for term in request.texts() {
        let term = expanded(&term);
        let pattern = Path::new(&term);
        let bases = if pattern.is_absolute() {
            vec![PathBuf::from("/")]
        } else {
            request.search_path().into_iter().flat_map(|base| [base.join("files"), base]).collect()
        };
        let matches = bases.iter().map(|base| glob::files(&base.join(pattern)));
        let first = matches.into_iter().find(|files| !files.is_empty()).unwrap_or_default();
        found.extend(first.iter().map(|path| Value::from(path.display().to_string())));
    }
    Ok(found)
}

/// The option by which a loop says in which folders files of its task's kind are.
pub const FOLDER: &str = "folder of the task";

/// The first of some files that is there.
pub fn first_found(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let mut names: Vec<String> = Vec::new();
    let mut skip = request.flag("skip", false);
    let mut add = |files: Option<&Value>, paths: Option<&Value>| -> Result<(), TemplateError> {
        let files = texts(files, &[',', ';'])?;
        let paths = texts(paths, &[',', ';', ':'])?;
        for file in &files {
            names.extend(paths.iter().map(|path| format!("{}/{file}", path.trim_end_matches('/'))));
            if paths.is_empty() {
                names.push(file.clone());
            }
        }
        Ok(())
    };
    add(request.option("files"), request.option("paths"))?;
    for term in &request.terms {
        for term in listed(term.clone())? {
            if term.kind() == ValueKind::Map {
                let part =
                    |name: &str| term.get_attr(name).ok().filter(|part| !part.is_undefined());
                add(part("files").as_ref(), part("paths").as_ref())?;
                skip |= part("skip").is_some_and(|skip| skip.is_true());
            } else {
                add(Some(&term), request.option("paths"))?;
            }
        }
    }
    let folder = request.option(FOLDER).map_or_else(|| "files".to_owned(), python::text);
    let found = names.iter().find_map(|name| find(request, &[&folder], name));
    match found {
        Some(path) => Ok(vec![Value::from(path.display().to_string())]),
        None if skip => Ok(Vec::new()),
        None => Err(TemplateError::new(format!(
            "No file was found when using first_found: {} (searched in {})",
            names.join(", "),
            searched(request)
        ))),
    }
}

/// A list of names, or one text with several of them.
fn texts(value: Option<&Value>, separators: &[char]) -> Result<Vec<String>, TemplateError> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for item in listed(value.clone())? {
        let text = python::text(&item);
        found.extend(
            text.split(separators)
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty()),
        );
    }
    Ok(found)
}
