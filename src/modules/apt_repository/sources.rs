//! The files that list apt's sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::files::{self, Attributes};
use super::super::mode::Mode;
use super::super::{Context, Failure, tools};

/// All files, each with its lines.
pub struct Sources {
    folder: PathBuf,
    files: BTreeMap<String, Vec<Line>>,
    /// Files that were there.
    existing: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Line {
    enabled: bool,
    valid: bool,
    source: String,
    comment: String,
}

impl Line {
    /// A line that is commented out is a source that is switched off.
    fn read(text: &str) -> Self {
        let text = text.trim();
        let (enabled, text) = match text.strip_prefix('#') {
            Some(rest) => (false, rest),
            None => (true, text),
        };
        let (text, comment) = match text.split_once('#') {
            Some((before, after)) if !before.is_empty() => (before, after.trim()),
            _ => (text, ""),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let valid = matches!(words.first(), Some(&("deb" | "deb-src")));
        let source = if valid { words.join(" ") } else { text.trim().to_owned() };
        Self { enabled, valid, source, comment: comment.to_owned() }
    }

    fn render(&self) -> String {
        let mark = if self.enabled { "" } else { "# " };
        let blank = if self.comment.is_empty() { "" } else { " # " };
        format!("{mark}{}{blank}{}\n", self.source, self.comment)
    }
}

/// A source that is switched on, with one blank between its words.
pub fn without_extra_blanks(text: &str) -> Option<String> {
    let line = Line::read(text);
    (line.valid && line.enabled).then_some(line.source)
}

impl Sources {
    pub fn read(context: &Context) -> Result<Self, Failure> {
        let (list, folder) = places(context);
        let mut paths = vec![list];
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut more: Vec<_> = entries.map(|entry| entry.path()).collect();
        more.retain(|path| path.extension().is_some_and(|extension| extension == "list"));
        more.sort();
        paths.extend(more);
        let mut files = BTreeMap::new();
        for path in paths.into_iter().filter(|path| path.is_file()) {
            let text = fs::read_to_string(&path)
                .map_err(|error| files::failed("cannot be read", &path, &error))?;
            files.insert(path.display().to_string(), text.lines().map(Line::read).collect());
        }
        let existing = files.keys().cloned().collect();
        Ok(Self { folder, files, existing })
    }

    /// The files that hold something.
    pub fn texts(&self) -> BTreeMap<String, String> {
        let files = self.files.iter().filter(|(_, lines)| !lines.is_empty());
        files
            .map(|(name, lines)| (name.clone(), lines.iter().map(Line::render).collect()))
            .collect()
    }

    pub fn has(&self, source: &str) -> bool {
        let mut lines = self.files.values().flatten();
        lines.any(|line| line.valid && line.enabled && line.source == source)
    }

    /// Switches the source on wherever it is; gives the file that it is new in.
    pub fn add(&mut self, source: &str, file: &str) -> Option<String> {
        let mut found = false;
        for line in self.files.values_mut().flatten() {
            if line.valid && line.source == source {
                line.enabled = true;
                found = true;
            }
        }
        if found {
            return None;
        }
        let path = match file.contains('/') {
            true => PathBuf::from(file),
            false => self.folder.join(file),
        };
        let name = path.display().to_string();
        self.files.entry(name.clone()).or_default().push(Line::read(source));
        Some(name)
    }

    pub fn remove(&mut self, source: &str) {
        for lines in self.files.values_mut() {
            lines.retain(|line| !(line.valid && line.enabled && line.source == source));
        }
    }

    /// Writes all files, and removes those that are empty; the mode is for the new one.
    pub fn write(&self, new: Option<&str>, mode: Option<&Mode>) -> Result<(), Failure> {
        for (name, text) in self.texts() {
            let path = fs::canonicalize(&name).unwrap_or_else(|_| PathBuf::from(&name));
            if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
                fs::create_dir_all(folder).map_err(|error| {
                    Failure::new(format!(
                        "Failed to create directory {}: {error}",
                        folder.display()
                    ))
                })?;
            }
            let same = fs::read_to_string(&path).is_ok_and(|old| old == text);
            if !same {
                files::write(&path, &mut text.as_bytes(), None, false)?;
            }
            if new == Some(name.as_str()) {
                let mode = mode.cloned().unwrap_or_else(|| Mode::of(0o644));
                let attributes = Attributes { mode: Some(mode), ..Attributes::default() };
                attributes.apply(&path, true, false)?;
            }
        }
        let empty =
            self.existing.iter().filter(|name| self.files.get(*name).is_some_and(Vec::is_empty));
        for name in empty {
            fs::remove_file(name)
                .map_err(|error| files::failed("cannot be removed", Path::new(name), &error))?;
        }
        Ok(())
    }
}

/// The list, and the folder of lists.
fn places(context: &Context) -> (PathBuf, PathBuf) {
    let asked = tools::command(context, "apt-config").and_then(|command| {
        let names = ["shell", "L", "Dir::Etc::sourcelist/f", "P", "Dir::Etc::sourceparts/d"];
        command.args(names).run()
    });
    let text = asked.map(|output| output.stdout).unwrap_or_default();
    let value = |name: &str, usual: &str| {
        let lines = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        PathBuf::from(lines.map_or(usual, |value| value.trim_matches('\'')))
    };
    (value("L", "/etc/apt/sources.list"), value("P", "/etc/apt/sources.list.d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(folder: &Path, text: &str) -> Sources {
        let name = folder.join("a.list").display().to_string();
        fs::write(&name, text).expect("written");
        let files = BTreeMap::from([(name.clone(), text.lines().map(Line::read).collect())]);
        Sources { folder: folder.to_owned(), files, existing: vec![name] }
    }

    #[test]
    fn a_source_is_added_to_a_file_of_its_own_or_switched_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut all = sources(folder.path(), "# note\n# deb http://x y  z # why\n");
        assert_eq!(all.add("deb http://x y z", "b.list"), None);
        let texts = all.texts();
        assert_eq!(texts.values().next().expect("one"), "# note\ndeb http://x y z # why\n");
        let new = all.add("deb http://other y", "b.list").expect("a new file");
        all.write(Some(&new), None).expect("written");
        assert_eq!(fs::read_to_string(new).expect("read"), "deb http://other y\n");
    }

    #[test]
    fn a_file_without_a_source_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut all = sources(folder.path(), "deb http://x y z\n");
        all.remove("deb http://x y z");
        assert!(all.texts().is_empty());
        all.write(None, None).expect("written");
        assert!(!folder.path().join("a.list").exists());
    }
}
