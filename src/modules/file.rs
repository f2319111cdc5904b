//! `file`: folders, links, empty files, and what is to be gone.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::args::{Flag, HostPath, Text};
use super::changes::Changes;
use super::files::{self, Attributes, failed};
use super::times::{self, Time};
use super::users::{self, Database};
use super::{Context, Failure, Module, Outcome};
use crate::real_path::real_path;

/// Sets attributes of files, makes folders and links, removes things.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    #[serde(alias = "dest", alias = "name")]
    path: HostPath,
    state: Option<State>,
    /// What a link points to.
    src: Option<HostPath>,
    /// Apply owner, group and mode to everything in a folder.
    #[serde(default)]
    recurse: Flag,
    /// Replace a file by a link, link to what does not exist.
    #[serde(default)]
    force: Flag,
    #[serde(default = "Flag::yes")]
    follow: Flag,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<super::mode::Mode>,
    /// `preserve`, `now`, or a time in `access_time_format`. A touched file gets `now`
    /// unless told otherwise.
    access_time: Option<Text>,
    #[serde(default = "time_format")]
    access_time_format: String,
    /// As `access_time`.
    modification_time: Option<Text>,
    #[serde(default = "time_format")]
    modification_time_format: String,
    /// Says whether the file looks binary, and does nothing else.
    #[serde(default, rename = "_diff_peek")]
    diff_peek: Flag,
}

fn time_format() -> String {
    times::FORMAT.to_owned()
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    File,
    Directory,
    Link,
    Hard,
    Touch,
    Absent,
}

impl Module for File {
    const NAME: &'static str = "file";
    const WRITES_FILES: bool = true;

    fn run(mut self, context: &Context) -> Result<Outcome, Failure> {
        if self.follow.0 && matches!(self.state, Some(State::File | State::Directory)) {
            self.path.0 = behind_links(self.path.0);
        }
        let path = self.path.0.clone();
        if self.diff_peek.0 {
            let outcome = Outcome::default().with("path", path.display().to_string());
            let outcome = outcome.with("appears_binary", appears_binary(&path));
            return Ok(files::describe(outcome, &path));
        }
        let warnings = if context.check { self.unknown_owners() } else { Vec::new() };
        let told = |result: &mut Map<String, Json>| {
            if !warnings.is_empty() {
                result.insert("warnings".to_owned(), json!(warnings));
            }
        };
        let ensured = self.ensure(context).map(|mut outcome| {
            told(&mut outcome.result);
            outcome
        });
        ensured.map_err(|mut failure| {
            told(&mut failure.result);
            // What is there says why it was refused.
            if path.symlink_metadata().is_ok() {
                failure.result.insert("path".to_owned(), path.display().to_string().into());
                let there = files::describe_existing(Outcome::default(), &path);
                failure.result.extend(there.result);
            }
            failure
        })
    }
}

impl File {
    /// A user or group who is not there may be one that an earlier task would have made.
    fn unknown_owners(&self) -> Vec<String> {
        let wanted = [
            ("user", "uid", Database::Users, &self.owner),
            ("group", "gid", Database::Groups, &self.group),
        ];
        let unknown = wanted.into_iter().filter_map(|(kind, id, database, name)| {
            let name = &name.as_ref()?.0;
            let (known, label) = match name.parse() {
                Ok(number) => {
                    (users::entry_of(database, number).is_some(), format!("{kind} with {id}"))
                }
                Err(_) => (users::named(database, name).is_some(), kind.to_owned()),
            };
            (!known && self.state != Some(State::Absent)).then(|| {
                format!(
                    "failed to look up {label} {name}. Create {kind} up to this point in real play"
                )
            })
        });
        unknown.collect()
    }

    fn ensure(self, context: &Context) -> Result<Outcome, Failure> {
        let path = self.path.0.clone();
        let missing = if self.recurse.0 { State::Directory } else { State::File };
        let state = self.state.or_else(|| current(&path)).unwrap_or(missing);
        if self.recurse.0 && state != State::Directory {
            return Err(Failure::new("recurse option requires state to be 'directory'"));
        }
        if self.src.is_some() && !matches!(state, State::Link | State::Hard) {
            let msg = "src option requires state to be 'link' or 'hard'";
            return Err(Failure::new(msg).with("path", path.display().to_string()));
        }
        let mut changes = Changes::default();
        changes.note("path", path.display().to_string(), path.display().to_string());
        let before = kind(&path);
        if before != word(Some(state)) {
            changes.note("state", before, word(Some(state)));
        }
        let changed = match state {
            State::Absent => self.remove(context, &mut changes)?,
            State::Directory => self.directory(context, &mut changes)?,
            State::Link => self.link(context, &mut changes)?,
            State::Hard => self.hard(context, &mut changes)?,
            State::Touch => self.touch(context, &mut changes)?,
            State::File => self.existing(context, &mut changes)?,
        };
        let changed = match state {
            State::Absent | State::Touch => changed,
            _ => self.times(context, Time::Preserve, &mut changes)? | changed,
        };
        let mut outcome = Outcome::changed(changed);
        let key = if matches!(state, State::Absent | State::Directory | State::File) {
            "path"
        } else {
            "dest"
        };
        outcome = outcome.with(key, path.display().to_string());
        if matches!(state, State::Link | State::Hard) {
            outcome = outcome.with("src", self.source_of());
            if state == State::Link && self.follow.0 && !context.check && !path.exists() {
                let warning = "Cannot set fs attributes on a non-existent symlink target. follow \
                               should be set to False to avoid this.";
                outcome = outcome.with("warnings", json!([warning]));
            }
        }
        if state == State::Absent {
            outcome = outcome.with("state", "absent");
        } else {
            outcome = files::describe_existing(outcome, &path);
        }
        if state == State::Absent && !changed {
            return Ok(outcome);
        }
        Ok(outcome.with_diff(changes.into_diff()))
    }
}

/// What a link leads to, there or not; the path itself where it is none.
fn behind_links(path: PathBuf) -> PathBuf {
    if path.is_symlink() { real_path(&path) } else { path }
}

/// Whether one of the first bytes is none of a text's.
fn appears_binary(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(8192).read_to_end(&mut head));
    read.is_ok() && head.contains(&0)
}

/// The names of all files and folders below one, each with its whole path.
fn content(folder: &Path) -> Json {
    let (mut directories, mut files) = (Vec::new(), Vec::new());
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                directories.push(path.display().to_string());
                folders.push(path);
            } else {
                files.push(path.display().to_string());
            }
        }
    }
    json!({"directories": directories, "files": files})
}

fn current(path: &Path) -> Option<State> {
    let metadata = path.symlink_metadata().ok()?;
    Some(if metadata.is_symlink() {
        State::Link
    } else if metadata.is_dir() {
        State::Directory
    } else {
        State::File
    })
}

/// What is there, in the words of `state`: a name that shares its file with another one is
/// `hard`.
fn kind(path: &Path) -> &'static str {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() && found.nlink() > 1 => word(Some(State::Hard)),
        _ => word(current(path)),
    }
}

fn word(state: Option<State>) -> &'static str {
    match state {
        None | Some(State::Absent) => "absent",
        Some(State::File) => "file",
        Some(State::Directory) => "directory",
        Some(State::Link) => "link",
        Some(State::Hard) => "hard",
        Some(State::Touch) => "touch",
    }
}

impl File {
    fn attributes(&self) -> Attributes {
        Attributes { owner: self.owner.clone(), group: self.group.clone(), mode: self.mode.clone() }
    }

    fn remove(&self, context: &Context, changes: &mut Changes) -> Result<bool, Failure> {
        let Ok(metadata) = self.path.symlink_metadata() else {
            return Ok(false);
        };
        if metadata.is_dir() {
            changes.lose("path_content", content(&self.path));
        }
        if context.check {
            return Ok(true);
        }
        let removed = if metadata.is_dir() {
            fs::remove_dir_all(&self.path)
        } else {
            fs::remove_file(&self.path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("cannot be removed", &self.path, &error))
            }
            _ => Ok(true),
        }
    }

    fn directory(&self, context: &Context, changes: &mut Changes) -> Result<bool, Failure> {
        let mut changed = false;
        match current(&self.path) {
            Some(State::Directory) => {}
            Some(_) => {
                return Err(Failure::new(format!(
                    "{} already exists as a {}",
                    self.path.display(),
                    kind(&self.path)
                )));
            }
            None => {
                changed = true;
                if !context.check {
                    // Folders on the way are made too and get the same attributes.
                    let missing: Vec<_> =
                        self.path.ancestors().take_while(|path| is_missing(path)).collect();
                    for path in missing.into_iter().rev() {
                        fs::create_dir(path).map_err(|error| {
                            failed("There was an issue creating it", path, &error)
                        })?;
                        self.attributes().apply_noting(path, true, false, changes)?;
                    }
                }
            }
        }
        changed |=
            self.attributes().apply_noting(&self.path, self.follow.0, context.check, changes)?;
        if self.recurse.0 {
            changed |= self.apply_below(&self.path, context)?;
        }
        Ok(changed)
    }

    fn apply_below(&self, folder: &Path, context: &Context) -> Result<bool, Failure> {
        self.apply_in(folder, context, &mut BTreeSet::new())
    }

    /// `seen` are the folders that were gone into: links may lead back to one.
    fn apply_in(
        &self,
        folder: &Path,
        context: &Context,
        seen: &mut BTreeSet<(u64, u64)>,
    ) -> Result<bool, Failure> {
        let mut changed = false;
        if fs::metadata(folder).is_ok_and(|found| !seen.insert((found.dev(), found.ino()))) {
            return Ok(false);
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(_) if context.check => return Ok(false),
            Err(error) => return Err(failed("cannot be read", folder, &error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| failed("cannot be read", folder, &error))?.path();
            changed |= self.attributes().apply(&path, false, context.check)?;
            let is_link = path.is_symlink();
            if path.is_dir() && (self.follow.0 || !is_link) {
                changed |= self.apply_in(&path, context, seen)?;
            }
            if is_link && self.follow.0 && path.exists() {
                changed |= self.attributes().apply(&path, true, context.check)?;
            }
        }
        Ok(changed)
    }

    /// What the task gives, or else what a link points to that leads somewhere and is followed.
    fn source_of(&self) -> Option<String> {
        let given = self.src.as_deref().map(Path::to_owned);
        let followed = || fs::read_link(&self.path).ok().filter(|_| self.follow.0);
        let found = given.or_else(|| followed().filter(|_| self.path.exists()));
        found.map(|path| path.display().to_string())
    }

    fn source(&self, kind: &str) -> Result<&Path, Failure> {
        self.src.as_deref().ok_or_else(|| {
            Failure::new(format!("src is required for creating new {kind}"))
                .with("dest", self.path.display().to_string())
        })
    }

    fn link(&self, context: &Context, changes: &mut Changes) -> Result<bool, Failure> {
        if self.src.is_none() && current(&self.path) == Some(State::Link) {
            return self.link_attributes(context.check, changes);
        }
        let src = self.source("symlinks")?;
        let target = match self.path.parent() {
            // It would be looked for in a folder that is in the way.
            _ if current(&self.path) == Some(State::Directory) => self.path.join(src),
            Some(folder) => folder.join(src),
            None => src.to_owned(),
        };
        if !target.exists() && !self.force.0 {
            return Err(Failure::new(format!(
                "src file does not exist, use \"force=yes\" if you really want to create the link: {}",
                target.display()
            ))
            .with("src", src.display().to_string()));
        }
        let old = fs::read_link(&self.path).ok();
        if old.as_deref() == Some(src) {
            return self.link_attributes(context.check, changes);
        }
        if let Some(old) = old {
            changes.note("src", old.display().to_string(), src.display().to_string());
        }
        self.clear_way(context, "symlink")?;
        if !context.check {
            self.in_place(|path| symlink(src, path))?;
            self.link_attributes(false, changes)?;
        }
        Ok(true)
    }

    /// A link that is followed hands on what its target is to have.
    fn link_attributes(&self, check: bool, changes: &mut Changes) -> Result<bool, Failure> {
        if self.follow.0 && !self.path.exists() {
            return Ok(false);
        }
        self.attributes().apply_noting(&self.path, self.follow.0, check, changes)
    }

    fn hard(&self, context: &Context, changes: &mut Changes) -> Result<bool, Failure> {
        let src = self.source("hardlinks")?;
        let source = fs::metadata(src).map_err(|_| {
            Failure::new("src does not exist")
                .with("dest", self.path.display().to_string())
                .with("src", src.display().to_string())
        })?;
        let same = fs::symlink_metadata(&self.path)
            .is_ok_and(|old| old.ino() == source.ino() && old.dev() == source.dev());
        if same {
            return self.attributes().apply_noting(&self.path, true, context.check, changes);
        }
        self.clear_way(context, "hard link")?;
        if !context.check {
            self.in_place(|path| fs::hard_link(src, path))?;
            self.attributes().apply_noting(&self.path, true, false, changes)?;
        }
        Ok(true)
    }

    /// A link may take the place of a link; of anything else only by force.
    fn clear_way(&self, context: &Context, kind: &str) -> Result<(), Failure> {
        match current(&self.path) {
            None | Some(State::Link) => Ok(()),
            Some(State::Directory) if self.force.0 => {
                if context.check {
                    return Ok(());
                }
                fs::remove_dir(&self.path).map_err(|error| match error.kind() {
                    io::ErrorKind::DirectoryNotEmpty => Failure::new(format!(
                        "the directory {} is not empty, refusing to convert it",
                        self.path.display()
                    )),
                    _ => failed("cannot be replaced", &self.path, &error),
                })
            }
            Some(_) if self.force.0 => Ok(()),
            Some(state) => Err(Failure::new(format!(
                "refusing to convert from {} to {kind} for {}",
                word(Some(state)),
                self.path.display()
            ))),
        }
    }

    /// Makes a link under another name and renames it over the old one.
    fn in_place(&self, make: impl Fn(&Path) -> io::Result<()>) -> Result<(), Failure> {
        let name = format!(".kup-play.{}", std::process::id());
        let temporary = self.path.with_file_name(name);
        make(&temporary)
            .and_then(|()| fs::rename(&temporary, &*self.path))
            .map_err(|error| failed("Error while linking", &self.path, &error))
    }

    fn touch(&self, context: &Context, changes: &mut Changes) -> Result<bool, Failure> {
        let existed =
            if self.follow.0 { self.path.exists() } else { self.path.symlink_metadata().is_ok() };
        if context.check && !existed {
            return Ok(true);
        }
        if !existed {
            fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&*self.path)
                .map_err(|error| failed("Error, could not touch target", &self.path, &error))?;
        }
        let mut set = || {
            let times = self.times(context, Time::Now, changes)?;
            let follow = self.follow.0;
            let owned =
                self.attributes().apply_noting(&self.path, follow, context.check, changes)?;
            Ok(times || owned)
        };
        set().map(|changed| changed || !existed).inspect_err(|_| {
            // Half of what was asked for is not left there.
            if !existed {
                let _ = fs::remove_file(&*self.path);
            }
        })
    }

    /// Sets the times; `default` is for those that the task does not give.
    fn times(
        &self,
        context: &Context,
        default: Time,
        changes: &mut Changes,
    ) -> Result<bool, Failure> {
        let wanted = |text: &Option<Text>, format: &str| match text {
            Some(text) => Time::parse(&text.0, format),
            None => Ok(default),
        };
        let access = wanted(&self.access_time, &self.access_time_format)?;
        let modification = wanted(&self.modification_time, &self.modification_time_format)?;
        let follow = self.follow.0 && self.path.exists();
        times::apply(&self.path, follow, access, modification, context.check, changes)
            .map_err(|error| failed("Error while updating times", &self.path, &error))
    }

    fn existing(&self, context: &Context, changes: &mut Changes) -> Result<bool, Failure> {
        let Some(there) = current(&self.path) else {
            return Err(Failure::new(format!(
                "file ({}) is absent, cannot continue",
                self.path.display()
            ))
            .with("path", self.path.display().to_string())
            .with("state", "absent"));
        };
        if there != State::File {
            return Err(Failure::new(format!(
                "file ({}) is {}, cannot continue",
                self.path.display(),
                word(Some(there))
            )));
        }
        self.attributes().apply_noting(&self.path, self.follow.0, context.check, changes)
    }
}

/// The empty path above a relative one is the folder that the host works in.
fn is_missing(path: &Path) -> bool {
    !path.as_os_str().is_empty() && !path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(arguments: serde_json::Value, check: bool) -> Result<Outcome, Failure> {
        let context = Context { check, ..Context::default() };
        serde_json::from_value::<File>(arguments).expect("arguments").run(&context)
    }

    #[test]
    fn a_folder_is_made_once_with_its_parents_and_removed_once() {
        let base = tempfile::tempdir().expect("a folder");
        let path = base.path().join("a/b");
        let make = json!({"path": path, "state": "directory", "mode": "0700"});
        assert!(file(make.clone(), true).expect("checked").changed);
        assert!(!path.exists());
        assert!(file(make.clone(), false).expect("made").changed);
        assert!(!file(make, false).expect("there").changed);
        let remove = json!({"path": path, "state": "absent"});
        assert!(file(remove.clone(), false).expect("removed").changed);
        assert!(!file(remove, false).expect("gone").changed);
    }

    #[test]
    fn a_link_is_changed_in_place_and_a_file_is_not_replaced_without_force() {
        let base = tempfile::tempdir().expect("a folder");
        let (one, two, link) =
            (base.path().join("1"), base.path().join("2"), base.path().join("l"));
        fs::write(&one, "1").expect("written");
        fs::write(&two, "2").expect("written");
        let to = |src: &Path| json!({"path": link, "src": src, "state": "link"});
        assert!(file(to(&one), false).expect("linked").changed);
        assert!(!file(to(&one), false).expect("linked").changed);
        assert!(file(to(&two), false).expect("linked").changed);
        assert_eq!(fs::read_to_string(&link).expect("read"), "2");
        let over = json!({"path": one, "src": two, "state": "link"});
        assert!(file(over, false).expect_err("refused").msg.contains("refusing to convert"));
    }

    #[test]
    fn a_missing_file_is_a_failure() {
        let failure = file(json!({"path": "/nonexistent/x", "state": "file"}), false);
        assert_eq!(
            failure.expect_err("absent").msg,
            "file (/nonexistent/x) is absent, cannot continue"
        );
    }
}
