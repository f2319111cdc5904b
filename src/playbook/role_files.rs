//! Where the parts of a role are.

use std::path::{Path, PathBuf};

use crate::source::{Error, Node, SourceFile, Span, Yaml, suggest};

/// The names of a role's files that are taken; `main` unless a task says otherwise.
#[derive(Clone, Debug)]
pub struct Names {
    pub tasks: String,
    pub vars: String,
    pub defaults: String,
    pub handlers: String,
}

impl Default for Names {
    fn default() -> Self {
        let main = || "main".to_owned();
        Self { tasks: main(), vars: main(), defaults: main(), handlers: main() }
    }
}

const ENDINGS: &[&str] = &["", ".yml", ".yaml", ".json"];

/// `main` in a folder.
pub fn main(folder: &Path) -> Option<PathBuf> {
    named(folder, "main")
}

fn named(folder: &Path, name: &str) -> Option<PathBuf> {
    // A file without an ending is taken last but for `main.yml` and its like.
    let endings = ENDINGS.iter().skip(1).chain(ENDINGS.first());
    endings.map(|ending| folder.join(format!("{name}{ending}"))).find(|path| path.is_file())
}

/// The file of tasks or handlers; one that is named and is not there is an error.
pub fn find(role: &Path, folder: &str, name: &str, node: &Node) -> Result<Option<PathBuf>, Error> {
    match named(&role.join(folder), name) {
        None if name != "main" => Err(missing(folder, name, node)),
        Some(file) => inside(role, file, node).map(Some),
        None => Ok(None),
    }
}

/// The files of variables: one, or all of a folder `main/`, in the order of their names.
pub fn all(role: &Path, folder: &str, name: &str, node: &Node) -> Result<Vec<PathBuf>, Error> {
    let base = role.join(folder);
    if let Some(file) = named(&base, name) {
        return Ok(vec![inside(role, file, node)?]);
    }
    let mut files = Vec::new();
    walk(&base.join(name), &mut files);
    if files.is_empty() && name != "main" {
        return Err(missing(folder, name, node));
    }
    Ok(files)
}

/// A role's parts are below it, with all links followed.
fn inside(role: &Path, file: PathBuf, node: &Node) -> Result<PathBuf, Error> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if real(&file).starts_with(real(role)) {
        return Ok(file);
    }
    let message = format!(
        "Failed to find '{}' as it is not inside the expected role path: '{}'",
        file.display(),
        role.display()
    );
    Err(node.span.error(message).ending_run())
}

fn missing(folder: &str, name: &str, node: &Node) -> Error {
    let message = format!("Could not find specified file in role: {folder}/{name}");
    node.span.error(message).ending_run()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, files);
            continue;
        }
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if matches!(ending, "" | "yml" | "yaml" | "json") {
            files.push(path);
        }
    }
}

/// The name of a role without that of its collection.
pub fn short_name(name: &str) -> &str {
    match name.split('.').collect::<Vec<_>>()[..] {
        [_, _, short] => short,
        _ => name,
    }
}

/// `namespace.collection.role` in the folders of collections.
pub fn in_collections(name: &str, directory: &Path) -> Option<PathBuf> {
    let [namespace, collection, role] = name.split('.').collect::<Vec<_>>()[..] else {
        return None;
    };
    let named = std::env::var_os("ANSIBLE_COLLECTIONS_PATH").unwrap_or_default();
    let home =
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ansible/collections"));
    std::iter::once(directory.join("collections"))
        .chain(std::env::split_paths(&named))
        .chain(home)
        .chain([PathBuf::from("/usr/share/ansible/collections")])
        .map(|folder| folder.join("ansible_collections"))
        .map(|folder| folder.join(namespace).join(collection).join("roles").join(role))
        .find(|path| path.is_dir())
}

/// The role that may have been meant.
pub fn nearest(name: &str, folders: &[PathBuf]) -> Option<String> {
    let names: Vec<String> = folders
        .iter()
        .filter(|folder| folder.ends_with("roles"))
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(|entries| entries.flatten())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    suggest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

/// A mapping with nothing in it.
pub fn empty(path: &Path) -> Node {
    let file = SourceFile::new(path, "");
    Node::new(Yaml::Map(Vec::new()), Span::start(&file))
}
