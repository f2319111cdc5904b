//! `copy`, the host's half: puts a file that the controller sent, or that is on
//! the host already, in its place.

mod tree;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::args::{Flag, HostPath, Text};
use super::changes::Changes;
use super::files::{self, Attributes};
use super::mode::Mode;
use super::{Context, Diff, Failure, Module, Outcome, validation};

/// Puts a file in its place when its contents differ.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// The file on the host (in the agent's scratch folder when it was sent).
    src: Option<HostPath>,
    /// SHA-1 of the file to be placed: when the destination has it nothing is needed;
    /// when it has not and there is no `src`, the answer is `needs_source`.
    source_checksum: Option<String>,
    /// Path on the host; one that ends in `/` is a folder.
    dest: HostPath,
    /// The file's name on the controller, for a destination that is a folder.
    original_basename: Option<String>,
    /// What the diff calls the new file.
    diff_header: Option<String>,
    /// Bytes of a file that is not too large to be shown as a diff (MAX_FILE_SIZE_FOR_DIFF).
    #[serde(default = "no_limit")]
    diff_limit: u64,
    #[serde(default)]
    backup: Flag,
    #[serde(default = "Flag::yes")]
    force: Flag,
    /// Follow a link at the destination.
    #[serde(default)]
    follow: Flag,
    validate: Option<Text>,
    directory_mode: Option<Mode>,
    #[serde(default)]
    remote_src: Flag,
    /// Whether links in a folder on the host are copied as what they point to.
    #[serde(default = "Flag::yes")]
    local_follow: Flag,
    /// SHA-1 that the source must have.
    checksum: Option<String>,
    /// Name or number of the owner.
    owner: Option<Text>,
    /// Name or number of the group.
    group: Option<Text>,
    /// Octal text or symbolic; `preserve` is the mode of a source on the host.
    mode: Option<CopyMode>,
}

/// A mode, or that of the source.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(with = "String")]
enum CopyMode {
    Preserve,
    Given(Mode),
}

impl<'de> Deserialize<'de> for CopyMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        if value == "preserve" {
            return Ok(Self::Preserve);
        }
        Mode::deserialize(value).map(Self::Given).map_err(D::Error::custom)
    }
}

impl Module for Copy {
    const NAME: &'static str = "copy";
    const WRITES_FILES: bool = true;

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        self.put(context).map_err(|mut failure| {
            if let Some(checksum) = &self.source_checksum {
                failure.result.insert("checksum".to_owned(), checksum.clone().into());
            }
            failure
        })
    }
}

impl Copy {
    fn put(&self, context: &Context) -> Result<Outcome, Failure> {
        let wanted = match (&self.source_checksum, &self.src) {
            (Some(checksum), _) => checksum.clone(),
            (None, Some(src)) if !src.exists() => {
                return Err(Failure::new(format!("Source {} not found", src.display())));
            }
            (None, Some(src)) if src.is_dir() => return tree::copy(self, src, context),
            (None, Some(src)) if !src.is_file() => {
                let src = src.display();
                return Err(Failure::new(format!(
                    "Cannot copy invalid source '{src}': not a file"
                )));
            }
            (None, Some(src)) => files::checksum(src)
                .map_err(|error| files::failed("cannot be read", src, &error))?,
            (None, None) => return Err(Failure::new("src (or content) is required")),
        };
        if self.checksum.as_ref().is_some_and(|checksum| *checksum != wanted) {
            return Err(Failure::new(
                "Copied file does not match the expected checksum. Transfer failed.",
            )
            .with("checksum", wanted)
            .with("expected_checksum", self.checksum.clone()));
        }
        let dest = self.destination()?;
        if dest.is_dir() {
            return Err(Failure::new(format!("{} is a directory", dest.display())));
        }
        let old = files::checksum(&dest).ok();
        // A link that is not followed gives way to a file, whatever is in what it leads to.
        let differs = old.as_deref() != Some(wanted.as_str()) || dest.is_symlink();
        let replace = differs && (self.force.0 || dest.symlink_metadata().is_err());
        let mut outcome = Outcome::changed(replace);
        if replace {
            let Some(src) = &self.src else {
                return Ok(Outcome::default().with("needs_source", true));
            };
            if context.diff {
                outcome = outcome.with_diff(self.diff(src, &dest));
            }
            outcome = self.place(src, &dest, outcome, old.is_some(), context)?;
            if context.check && !self.remote_src.0 {
                // As Ansible: a file that would come from the controller is not described.
                return Ok(outcome);
            }
        }
        let mut changes = Changes::default();
        changes.note("path", dest.display().to_string(), dest.display().to_string());
        let attributes = self.attributes(replace)?;
        if attributes.apply_noting(&dest, false, context.check, &mut changes)? {
            outcome.changed = true;
            if context.diff && !replace && !self.remote_src.0 {
                outcome = outcome.with_diff(changes.into_diff());
            }
        }
        outcome = outcome.with("dest", dest.display().to_string()).with("checksum", wanted);
        if !replace {
            outcome = outcome.with("path", dest.display().to_string());
        } else if !context.check
            && let Ok(digest) = files::digest_of::<md5::Md5>(&dest)
        {
            outcome = outcome.with("md5sum", digest);
            outcome = outcome.with("src", self.src.as_ref().map(|src| src.display().to_string()));
        }
        Ok(if context.check && !dest.exists() { outcome } else { files::describe(outcome, &dest) })
    }
}

impl Copy {
    /// A file that is on the host already keeps its mode where it is put, unless told otherwise.
    fn attributes(&self, is_put: bool) -> Result<Attributes, Failure> {
        let mode = match (&self.mode, &self.src) {
            (Some(CopyMode::Given(mode)), _) => Some(mode.clone()),
            (preserve, Some(src)) if self.remote_src.0 && (is_put || preserve.is_some()) => {
                let metadata = fs::metadata(src)
                    .map_err(|error| files::failed("cannot be read", src, &error))?;
                Some(Mode::of(metadata.permissions().mode()))
            }
            _ => None,
        };
        Ok(Attributes { owner: self.owner.clone(), group: self.group.clone(), mode })
    }

    /// `Path` does not tell a slash at the end.
    fn is_folder(&self) -> bool {
        self.dest.as_os_str().as_encoded_bytes().ends_with(b"/")
    }

    /// The file itself: below a destination that is a folder it keeps its name.
    fn destination(&self) -> Result<PathBuf, Failure> {
        let mut dest = self.dest.0.clone();
        if self.follow.0
            && let Ok(target) = fs::canonicalize(&dest)
        {
            dest = target;
        }
        if self.is_folder() || dest.is_dir() {
            let name = match (&self.original_basename, &self.src) {
                (Some(name), _) => Path::new(name).file_name(),
                (None, Some(src)) if self.remote_src.0 => src.file_name(),
                _ => None,
            };
            let Some(name) = name else {
                return Err(Failure::new(format!(
                    "can not use content with a dir as dest: {}",
                    self.dest.display()
                )));
            };
            dest.push(name);
        }
        Ok(dest)
    }

    fn place(
        &self,
        src: &Path,
        dest: &Path,
        mut outcome: Outcome,
        existed: bool,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        if context.check {
            return Ok(outcome);
        }
        self.make_folder(dest)?;
        if self.backup.0 && existed {
            outcome = outcome.with("backup_file", files::back_up(dest)?.display().to_string());
        }
        let mut file =
            fs::File::open(src).map_err(|error| files::failed("cannot be read", src, &error))?;
        let validate = |path: &Path| self.validated(path, context);
        let mode = self.attributes(true)?.mode;
        let writing = files::Writing {
            validate: Some(&validate),
            in_place: context.unsafe_writes,
            mode: mode.as_ref(),
            follow: false,
        };
        files::write_with(dest, &mut file, &writing)?;
        Ok(outcome)
    }

    /// `dest: /a/b/` makes the folders; the folder of a file must be there.
    fn make_folder(&self, dest: &Path) -> Result<(), Failure> {
        let above = dest.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Some(folder) = above.filter(|folder| !folder.exists()) else {
            return Ok(());
        };
        if !self.is_folder() {
            return Err(Failure::new(format!(
                "Destination directory {} does not exist",
                folder.display()
            )));
        }
        fs::create_dir_all(folder)
            .map_err(|error| files::failed("cannot be made", folder, &error))?;
        let attributes = Attributes { mode: self.directory_mode.clone(), ..self.attributes(true)? };
        attributes.apply(folder, true, false).map(drop)
    }

    fn validated(&self, path: &Path, context: &Context) -> Result<(), Failure> {
        match validation::judged(self.validate.as_ref(), path, context)? {
            Some(output) if !output.success() => Err(Failure::new("failed to validate")
                .with("exit_status", output.rc)
                .with("stdout", output.stdout)
                .with("stderr", output.stderr)),
            _ => Ok(()),
        }
    }

    fn diff(&self, src: &Path, dest: &Path) -> Diff {
        let after = self.diff_header.clone();
        let mut diff = Diff {
            before_header: if dest.exists() { dest.display().to_string() } else { String::new() },
            after_header: after.unwrap_or_else(|| dest.display().to_string()),
            ..Diff::default()
        };
        match self.shown(dest) {
            Ok(text) => diff.before = text.into(),
            Err(Unshown::Large) => diff.skipped.dst_larger = Some(self.diff_limit),
            Err(Unshown::Binary) => diff.skipped.dst_binary = Some(1),
        }
        match self.shown(src) {
            Ok(text) => diff.after = text.into(),
            Err(Unshown::Large) => diff.skipped.src_larger = Some(self.diff_limit),
            Err(Unshown::Binary) => diff.skipped.src_binary = Some(1),
        }
        diff
    }

    /// The text of a file; a file that is not there is empty.
    fn shown(&self, path: &Path) -> Result<String, Unshown> {
        match fs::metadata(path) {
            Err(_) => Ok(String::new()),
            Ok(metadata) if metadata.len() > self.diff_limit => Err(Unshown::Large),
            Ok(_) => match fs::read_to_string(path) {
                Ok(text) if !text.contains('\0') => Ok(text),
                _ => Err(Unshown::Binary),
            },
        }
    }
}

/// Why a file is not shown in a diff.
enum Unshown {
    Large,
    Binary,
}

fn no_limit() -> u64 {
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn copy(arguments: serde_json::Value, context: &Context) -> Result<Outcome, Failure> {
        serde_json::from_value::<Copy>(arguments).expect("arguments").run(context)
    }

    #[test]
    fn an_equal_file_is_not_touched_and_a_different_one_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (src, dest) = (folder.path().join("src"), folder.path().join("dest"));
        fs::write(&src, "new").expect("written");
        let arguments = json!({"src": src, "dest": dest, "mode": "0600"});
        let context = Context::default();
        assert!(copy(arguments.clone(), &context).expect("copied").changed);
        assert!(!copy(arguments.clone(), &context).expect("copied").changed);
        fs::write(&dest, "other").expect("written");
        let check = Context { check: true, diff: true, ..Context::default() };
        let outcome = copy(arguments, &check).expect("checked");
        assert!(outcome.changed && outcome.diff[0].after == "new");
        assert_eq!(fs::read_to_string(&dest).expect("read"), "other");
    }

    #[test]
    fn the_source_is_asked_for_only_when_the_contents_differ() {
        let folder = tempfile::tempdir().expect("a folder");
        let dest = folder.path().join("dest");
        fs::write(&dest, "same").expect("written");
        let ask = |checksum: &str| {
            copy(json!({"source_checksum": checksum, "dest": dest}), &Context::default())
                .expect("answered")
        };
        let same = files::checksum(&dest).expect("checksum");
        assert!(ask(&same).result.get("needs_source").is_none());
        assert_eq!(ask("0000").result["needs_source"], true);
    }

    #[test]
    fn a_folder_of_the_host_is_copied_with_its_modes_once() {
        let base = tempfile::tempdir().expect("a folder");
        let (src, dest) = (base.path().join("src"), base.path().join("dest"));
        fs::create_dir_all(src.join("sub")).expect("made");
        fs::write(src.join("sub/f"), "x").expect("written");
        fs::set_permissions(src.join("sub/f"), fs::Permissions::from_mode(0o604)).expect("mode");
        let arguments = json!({
            "src": format!("{}/", src.display()), "dest": dest, "remote_src": true,
            "mode": "preserve",
        });
        let context = Context::default();
        assert!(copy(arguments.clone(), &context).expect("copied").changed);
        let metadata = fs::metadata(dest.join("sub/f")).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o604);
        assert!(!copy(arguments, &context).expect("copied").changed);
    }

    #[test]
    fn a_file_that_does_not_pass_validation_is_not_placed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (src, dest) = (folder.path().join("src"), folder.path().join("dest"));
        fs::write(&src, "new").expect("written");
        let arguments = json!({"src": src, "dest": dest, "validate": "grep -q old %s"});
        let failure = copy(arguments, &Context::default()).expect_err("refused");
        assert_eq!(failure.msg, "failed to validate");
        assert!(!dest.exists());
    }
}
