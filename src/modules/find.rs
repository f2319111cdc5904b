//! `find`: files below folders.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fancy_regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::args::{Flag, Number, TextList};
use super::{Context, Failure, Module, Outcome, glob};

/// Finds files by name and kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Find {
    #[serde(alias = "name", alias = "path")]
    paths: TextList,
    /// Patterns of names with `*`, or regular expressions.
    #[serde(default, alias = "pattern")]
    patterns: TextList,
    #[serde(default, alias = "exclude")]
    excludes: TextList,
    #[serde(default)]
    use_regex: Flag,
    #[serde(default)]
    file_type: FileType,
    #[serde(default)]
    recurse: Flag,
    /// How deep to look.
    depth: Option<Number>,
    /// Look at names that begin with a dot too.
    #[serde(default)]
    hidden: Flag,
    #[serde(default)]
    follow: Flag,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FileType {
    Any,
    Directory,
    #[default]
    File,
    Link,
}

impl Module for Find {
    const NAME: &'static str = "find";

    fn run(self, _: &Context) -> Result<Outcome, Failure> {
        let mut files = Vec::new();
        let mut examined = 0usize;
        let mut skipped = serde_json::Map::new();
        for path in &self.paths.0 {
            let path = PathBuf::from(path);
            if !path.is_dir() {
                let why = format!("'{}' is not a directory", path.display());
                skipped.insert(path.display().to_string(), json!(why));
                continue;
            }
            self.walk(&path, 1, &mut files, &mut examined)?;
        }
        Ok(Outcome::default()
            .with("matched", files.len())
            .with("files", files)
            .with("examined", examined)
            .with("skipped_paths", skipped)
            .with("msg", "All paths examined"))
    }
}

impl Find {
    fn walk(
        &self,
        folder: &Path,
        depth: i64,
        files: &mut Vec<Json>,
        examined: &mut usize,
    ) -> Result<(), Failure> {
        if self.depth.is_some_and(|limit| depth > limit.0) {
            return Ok(());
        }
        // A folder that vanishes or may not be read holds nothing for us.
        let Ok(entries) = fs::read_dir(folder) else {
            return Ok(());
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            *examined += 1;
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            if name.starts_with('.') && !self.hidden.0 {
                continue;
            }
            let metadata =
                if self.follow.0 { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
            let Ok(metadata) = metadata else {
                continue;
            };
            let right_type = match self.file_type {
                FileType::Any => true,
                FileType::Directory => metadata.is_dir(),
                FileType::File => metadata.is_file(),
                FileType::Link => metadata.is_symlink(),
            };
            if right_type && self.named(&name)? {
                files.push(describe(&path, &metadata));
            }
            if metadata.is_dir() && self.recurse.0 {
                self.walk(&path, depth + 1, files, examined)?;
            }
        }
        Ok(())
    }

    fn named(&self, name: &str) -> Result<bool, Failure> {
        let any = |patterns: &TextList| -> Result<bool, Failure> {
            for pattern in &patterns.0 {
                let matched = if self.use_regex.0 {
                    let regex = Regex::new(&format!("^(?:{pattern})"))
                        .map_err(|error| Failure::new(format!("'{pattern}': {error}")))?;
                    regex.is_match(name).unwrap_or(false)
                } else {
                    glob::matches(pattern, name)
                };
                if matched {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        Ok((self.patterns.0.is_empty() || any(&self.patterns)?) && !any(&self.excludes)?)
    }
}

fn describe(path: &Path, metadata: &fs::Metadata) -> Json {
    json!({
        "path": path.display().to_string(),
        "mode": format!("{:04o}", metadata.mode() & 0o7777),
        "isdir": metadata.is_dir(), "isreg": metadata.is_file(), "islnk": metadata.is_symlink(),
        "size": metadata.len(), "uid": metadata.uid(), "gid": metadata.gid(),
        "inode": metadata.ino(), "nlink": metadata.nlink(), "dev": metadata.dev(),
        "mtime": metadata.mtime(), "atime": metadata.atime(), "ctime": metadata.ctime(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_kinds_and_depth_select() {
        let base = tempfile::tempdir().expect("a folder");
        fs::create_dir(base.path().join("sub")).expect("made");
        for name in ["a.conf", "b.txt", "sub/c.conf", ".hidden.conf"] {
            fs::write(base.path().join(name), "").expect("written");
        }
        let find = |extra: Json| -> usize {
            let mut arguments = json!({"paths": base.path(), "patterns": "*.conf"});
            for (key, value) in extra.as_object().into_iter().flatten() {
                arguments[key] = value.clone();
            }
            let module: Find = serde_json::from_value(arguments).expect("arguments");
            let outcome = module.run(&Context::default()).expect("found");
            outcome.result["matched"].as_u64().expect("a number") as usize
        };
        assert_eq!(find(json!({})), 1);
        assert_eq!(find(json!({"recurse": true})), 2);
        assert_eq!(find(json!({"hidden": true})), 2);
        assert_eq!(find(json!({"patterns": "*", "file_type": "directory"})), 1);
        assert_eq!(find(json!({"patterns": "[ab][.].*", "use_regex": true})), 2);
    }
}
