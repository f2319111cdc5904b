//! Filters on paths, as `os.path` of Python has them.

use std::path::Path;

use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};
use crate::real_path::real_path;

pub const FILTERS: &[Plugin] = &[
    Plugin::new("basename", &["path"], |call| on_text(call, |path| split(path).1.to_owned())),
    Plugin::new("dirname", &["path"], |call| on_text(call, |path| split(path).0.to_owned())),
    Plugin::new("splitext", &["path"], splitext),
    Plugin::new("path_join", &["paths"], path_join),
    Plugin::new("normpath", &["path"], |call| on_text(call, normal)),
    Plugin::new("relpath", &["path", "start"], relpath),
    Plugin::new("commonpath", &["paths"], commonpath),
    Plugin::new("realpath", &["path"], |call| on_text(call, real)),
    Plugin::new("expanduser", &["path"], |call| on_text(call, expanded)),
    Plugin::new("fileglob", &["pathname"], fileglob),
    Plugin::new("win_basename", &["path"], |call| on_text(call, |path| windows(path).1)),
    Plugin::new("win_dirname", &["path"], |call| on_text(call, |path| windows(path).0)),
    Plugin::new("win_splitdrive", &["path"], win_splitdrive),
];

fn on_text(call: &mut Call, of: fn(&str) -> String) -> Result<Value, TemplateError> {
    Ok(Value::from(of(&python::text(call.value()?))))
}

/// What is before and after the last `/`.
fn split(path: &str) -> (&str, &str) {
    let (head, tail) = path.split_at(path.rfind('/').map_or(0, |at| at + 1));
    let bare = head.trim_end_matches('/');
    (if bare.is_empty() { head } else { bare }, tail)
}

fn splitext(call: &mut Call) -> Result<Value, TemplateError> {
    let path = python::text(call.value()?);
    let name_start = path.rfind('/').map_or(0, |at| at + 1);
    let name = &path[name_start..];
    let leading = name.len() - name.trim_start_matches('.').len();
    let dot = name.rfind('.').filter(|dot| *dot >= leading.max(1));
    let (root, extension) = path.split_at(dot.map_or(path.len(), |dot| name_start + dot));
    Ok(python::tuple(vec![Value::from(root), Value::from(extension)]))
}

fn path_join(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    match value.kind() {
        ValueKind::String => Ok(value.clone()),
        ValueKind::Seq | ValueKind::Iterable => {
            let parts: Vec<String> = python::items(value)?.iter().map(python::text).collect();
            Ok(Value::from(join(&parts)))
        }
        _ => Err(TemplateError::new(format!(
            "|path_join expects string or sequence, got <class '{}'> instead.",
            python::type_name(value)
        ))),
    }
}

/// `os.path.join`: an absolute part begins anew.
pub fn join(parts: &[String]) -> String {
    let mut path = String::new();
    for part in parts {
        if part.starts_with('/') {
            path.clear();
        } else if !path.is_empty() && !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(part);
    }
    path
}

/// `os.path.normpath`
pub fn normal(path: &str) -> String {
    let root = match path.len() - path.trim_start_matches('/').len() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if !root.is_empty() => {}
            other => parts.push(other),
        }
    }
    match format!("{root}{}", parts.join("/")) {
        empty if empty.is_empty() => ".".to_owned(),
        path => path,
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        return normal(path);
    }
    let here = std::env::current_dir().unwrap_or_default();
    normal(&format!("{}/{path}", here.display()))
}

fn relpath(call: &mut Call) -> Result<Value, TemplateError> {
    let path = absolute(&python::text(call.value()?));
    let start = absolute(&call.text_or("start", "."));
    let parts =
        |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let (path, start): (Vec<String>, Vec<String>) = (parts(&path), parts(&start));
    let common = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let mut relative: Vec<&str> = vec![".."; start.len() - common];
    relative.extend(path.iter().skip(common).map(String::as_str));
    Ok(Value::from(if relative.is_empty() { ".".to_owned() } else { relative.join("/") }))
}

fn commonpath(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(TemplateError::new(format!(
            "|commonpath expects sequence, got <class '{}'> instead.",
            python::type_name(value)
        )));
    }
    let paths: Vec<String> = python::items(value)?.iter().map(python::text).collect();
    let rooted = paths.iter().filter(|path| path.starts_with('/')).count();
    if paths.is_empty() || (rooted > 0 && rooted < paths.len()) {
        return Err(call.error("Can't mix absolute and relative paths"));
    }
    let parts = |path: &String| -> Vec<String> {
        path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
    };
    let mut common = paths.first().map(parts).unwrap_or_default();
    for path in &paths {
        let same = parts(path).iter().zip(&common).take_while(|(a, b)| a == b).count();
        common.truncate(same);
    }
    Ok(Value::from(format!("{}{}", if rooted > 0 { "/" } else { "" }, common.join("/"))))
}

fn real(path: &str) -> String {
    real_path(Path::new(path)).display().to_string()
}

/// `~` and `~/…` of the operator; other users' folders are not looked up.
pub fn expanded(path: &str) -> String {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            std::env::var("HOME").map_or_else(|_| path.to_owned(), |home| home + rest)
        }
        _ => path.to_owned(),
    }
}

fn fileglob(call: &mut Call) -> Result<Value, TemplateError> {
    let pattern = python::text(call.value()?);
    let files = super::super::lookups::glob::files(Path::new(&pattern));
    Ok(files.iter().map(|path| Value::from(path.display().to_string())).collect())
}

/// The parts of a Windows path before and after the last separator.
fn windows(path: &str) -> (String, String) {
    let (drive, rest) = drive(path);
    let separators = ['\\', '/'];
    let (head, tail) = rest.split_at(rest.rfind(separators).map_or(0, |at| at + 1));
    let bare = head.trim_end_matches(separators);
    (format!("{drive}{}", if bare.is_empty() { head } else { bare }), tail.to_owned())
}

fn drive(path: &str) -> (&str, &str) {
    let has_drive = path.chars().nth(1) == Some(':') && path.is_char_boundary(2);
    path.split_at(if has_drive { 2 } else { 0 })
}

fn win_splitdrive(call: &mut Call) -> Result<Value, TemplateError> {
    let path = python::text(call.value()?);
    let (drive, rest) = drive(&path);
    Ok(python::tuple(vec![Value::from(drive), Value::from(rest)]))
}
