//! `find`: files below folders, by name, kind, age, size, mode and contents.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use fancy_regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::args::{Flag, HostPath, Number, Text, TextList};
use super::mode::Mode;
use super::stat::{self, Algorithm};
use super::{Context, Failure, Module, Outcome, glob, pattern};

/// Finds files.
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
    /// At least so old (`2d`, `1w`, `90` seconds); with `-` at most.
    age: Option<Text>,
    /// Which time the age is of.
    #[serde(default)]
    age_stamp: Stamp,
    /// At least so large (`10m`, `1g`, `90` bytes); with `-` at most.
    size: Option<Text>,
    /// A regular expression that a line of the file has to match from its start.
    contains: Option<Text>,
    /// `contains` is looked for in the whole file, anywhere.
    #[serde(default)]
    read_whole_file: Flag,
    /// Permissions that the file has to have, octal or symbolic.
    mode: Option<Mode>,
    /// The permissions have to be exactly these; else at least these.
    #[serde(default = "Flag::yes")]
    exact_mode: Flag,
    #[serde(default)]
    get_checksum: Flag,
    #[serde(default, alias = "checksum", alias = "checksum_algo")]
    checksum_algorithm: Algorithm,
    /// End when so many are found.
    limit: Option<Number>,
    /// In which the files are that `contains` is looked for in; one that is not in it ends
    /// the search of its folder. Without, bytes that are no UTF-8 match nothing.
    encoding: Option<Text>,
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Stamp {
    Atime,
    Ctime,
    #[default]
    Mtime,
}

impl Module for Find {
    const NAME: &'static str = "find";

    fn run(self, _: &Context) -> Result<Outcome, Failure> {
        let mut search = Search::new(&self)?;
        for path in &self.paths.0 {
            let HostPath(path) = HostPath::expanded(path);
            if !path.is_dir() {
                let why = format!("'{}' is not a directory", path.display());
                search.skipped.insert(path.display().to_string(), json!(why));
                continue;
            }
            search.walk(&path, 1)?;
            if let Some(why) = search.undecodable.take() {
                search.skipped.insert(path.display().to_string(), json!(why));
            }
        }
        let msg = match search.skipped.is_empty() {
            true => "All paths examined",
            false => "Not all paths examined, check warnings for details",
        };
        let warning = |(path, why): (&String, &Json)| {
            let why = why.as_str().unwrap_or_default();
            json!(format!("Skipped '{path}' path due to this access issue: {why}\n"))
        };
        let warnings: Vec<_> = search.skipped.iter().map(warning).collect();
        let outcome = Outcome::default()
            .with("matched", search.files.len())
            .with("files", search.files)
            .with("examined", search.examined)
            .with("skipped_paths", search.skipped)
            .with("msg", msg);
        Ok(if warnings.is_empty() { outcome } else { outcome.with("warnings", warnings) })
    }
}

/// What is looked for, read once, and what was found.
struct Search<'a> {
    find: &'a Find,
    contains: Option<Regex>,
    age: Option<i64>,
    size: Option<i64>,
    limit: usize,
    files: Vec<Json>,
    examined: usize,
    skipped: Map<String, Json>,
    /// Why a file could not be read as text, which ends the search.
    undecodable: Option<String>,
}

impl<'a> Search<'a> {
    fn new(find: &'a Find) -> Result<Self, Failure> {
        let pattern = |text: &Text| pattern::compile(&text.0, false);
        let limit = find.limit.map_or(usize::MAX, |limit| limit.0.try_into().unwrap_or_default());
        Ok(Self {
            find,
            contains: find.contains.as_ref().map(pattern).transpose()?,
            age: amount(find.age.as_ref(), AGES, "age")?,
            size: amount(find.size.as_ref(), SIZES, "size")?,
            limit,
            files: Vec::new(),
            examined: 0,
            skipped: Map::new(),
            undecodable: None,
        })
    }

    fn walk(&mut self, folder: &Path, depth: i64) -> Result<(), Failure> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let folder = folder.display().to_string();
                self.skipped.insert(folder, json!(error.to_string()));
                return Ok(());
            }
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        // What lies below the depth is looked at too, as Ansible counts.
        self.examined += paths.len();
        if self.find.depth.is_some_and(|limit| depth > limit.0) {
            return Ok(());
        }
        for path in paths {
            if self.files.len() >= self.limit || self.undecodable.is_some() {
                return Ok(());
            }
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            if name.starts_with('.') && !self.find.hidden.0 {
                continue;
            }
            let follow = self.find.follow.0;
            let metadata = if follow { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
            let Ok(metadata) = metadata else {
                continue;
            };
            if self.find.named(&name)? && self.wanted(&path, &metadata)? {
                self.files.push(self.describe(&path, &metadata));
            }
            if metadata.is_dir() && self.find.recurse.0 {
                self.walk(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn wanted(&mut self, path: &Path, metadata: &fs::Metadata) -> Result<bool, Failure> {
        let right_type = match self.find.file_type {
            FileType::Any => true,
            FileType::Directory => metadata.is_dir(),
            FileType::File => metadata.is_file(),
            FileType::Link => metadata.is_symlink(),
        };
        let stamp = match self.find.age_stamp {
            Stamp::Atime => metadata.atime(),
            Stamp::Ctime => metadata.ctime(),
            Stamp::Mtime => metadata.mtime(),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let size = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
        let bits = metadata.mode() & 0o7777;
        let mode = self.find.mode.as_ref().and_then(|mode| mode.apply(0, false));
        let right_mode = mode.is_none_or(|mode| match self.find.exact_mode.0 {
            true => bits == mode,
            false => bits & mode != 0,
        });
        let sized = !metadata.is_file() || reaches(size, self.size);
        if !(right_type && right_mode && sized && reaches(now.saturating_sub(stamp), self.age)) {
            return Ok(false);
        }
        let Some(regex) = self.contains.clone().filter(|_| metadata.is_file()) else {
            return Ok(true);
        };
        match self.text_of(path) {
            Ok(text) => self.holds(&regex, &text),
            Err(why) => {
                self.undecodable = Some(why);
                Ok(false)
            }
        }
    }

    /// What is in the file; nothing where it cannot be read.
    fn text_of(&self, path: &Path) -> Result<String, String> {
        let bytes = fs::read(path).unwrap_or_default();
        let Some(Text(name)) = &self.find.encoding else {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        };
        let encoding = encoding_rs::Encoding::for_label(name.as_bytes());
        let encoding = encoding.ok_or_else(|| format!("unknown encoding: {name}"))?;
        let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes);
        text.map(std::borrow::Cow::into_owned).ok_or_else(|| {
            format!(
                "Failed to read the file {} due to an encoding error. current encoding: {name}",
                path.display()
            )
        })
    }

    fn holds(&self, regex: &Regex, text: &str) -> Result<bool, Failure> {
        if self.find.read_whole_file.0 {
            return Ok(pattern::search(regex, text)?.is_some());
        }
        for line in text.split_inclusive('\n') {
            let found = pattern::search(regex, line)?;
            if found.and_then(|found| found.get(0)).is_some_and(|whole| whole.start() == 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn describe(&self, path: &Path, metadata: &fs::Metadata) -> Json {
        let mut found = stat::fields(metadata);
        for only_of_stat in OF_STAT {
            found.shift_remove(*only_of_stat);
        }
        found.insert("path".to_owned(), json!(path.display().to_string()));
        if self.find.get_checksum.0
            && metadata.is_file()
            && let Ok(checksum) = self.find.checksum_algorithm.of(path)
        {
            found.insert("checksum".to_owned(), json!(checksum));
        }
        Json::Object(found)
    }
}

/// What `stat` tells and `find` does not.
const OF_STAT: &[&str] = &["exists", "blocks", "block_size", "device_type"];

const AGES: &[(char, i64)] = &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)];
const SIZES: &[(char, i64)] =
    &[('b', 1), ('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30), ('t', 1 << 40)];

/// A number with a unit, in the smallest unit.
fn amount(text: Option<&Text>, units: &[(char, i64)], name: &str) -> Result<Option<i64>, Failure> {
    let Some(Text(text)) = text else { return Ok(None) };
    let lower = text.trim().to_lowercase();
    let unit = units.iter().find(|(letter, _)| lower.ends_with(*letter));
    let number = unit.map_or(&*lower, |(letter, _)| lower.trim_end_matches(*letter));
    let factor = unit.map_or(1, |(_, factor)| *factor);
    number
        .parse::<i64>()
        .map(|number| Some(number.saturating_mul(factor)))
        .map_err(|_| Failure::new(format!("failed to process {name}")).with(name, text.as_str()))
}

/// Whether a value is at least so much, or with a negative limit at most.
fn reaches(value: i64, limit: Option<i64>) -> bool {
    match limit {
        None => true,
        Some(limit) if limit >= 0 => value >= limit,
        Some(limit) => value <= limit.saturating_abs(),
    }
}

impl Find {
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
