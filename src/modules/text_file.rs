//! A text file that a module edits: read, compared, written with its backup, its
//! validation and its attributes. `lineinfile`, `blockinfile` and `replace` use it.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::Text;
use super::changes::Changes;
use super::files::{self, Attributes};
use super::{Context, Diff, Failure, Outcome, validation};

/// A file with the text it had.
pub struct TextFile {
    /// As the task has it.
    given: PathBuf,
    path: PathBuf,
    pub text: String,
    pub existed: bool,
}

/// How the new text is to be written.
#[derive(Debug, Default)]
pub struct Writing<'a> {
    pub backup: bool,
    /// A command that must accept the new file (`%s`).
    pub validate: Option<&'a Text>,
    pub attributes: Attributes,
    /// Whether the diff of the attributes is shown too, behind that of what is in the file.
    pub two_diffs: bool,
}

impl TextFile {
    /// Reads the file behind all links; one that does not exist is empty.
    pub fn read(given: &Path) -> Result<Self, Failure> {
        let path = fs::canonicalize(given).unwrap_or_else(|_| given.to_owned());
        if path.is_dir() {
            let msg = format!("Path {} is a directory !", path.display());
            return Err(Failure::new(msg).with("rc", 256));
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(files::failed("cannot be read", &path, &error)),
        };
        let existed = bytes.is_some();
        let text = String::from_utf8(bytes.unwrap_or_default())
            .map_err(|_| Failure::new(format!("{} is no UTF-8 text", path.display())))?;
        Ok(Self { given: given.to_owned(), path, text, existed })
    }

    /// Writes the text if it differs or there is no file yet, and sets the attributes. `msg` is told when the
    /// text is new; what the attributes do is added to it.
    pub fn finish(
        &self,
        new: &str,
        msg: &str,
        writing: &Writing,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let changed = new != self.text || !self.existed;
        let mut outcome = Outcome::changed(changed);
        let mut msg = if changed { msg.to_owned() } else { String::new() };
        if changed && !context.check {
            self.make_folder()?;
            if writing.backup && self.existed {
                let backup = files::back_up(&self.path)?.display().to_string();
                outcome = outcome.with("backup", backup.clone()).with("backup_file", backup);
            }
            let validate = |path: &Path| validation::accepted(writing.validate, path, context);
            let in_place = context.unsafe_writes;
            files::write(&self.path, &mut new.as_bytes(), Some(&validate), in_place)?;
        }
        let mut changes = Changes::default();
        // A link's own, as in Ansible: whose it is says where it leads.
        let given = &self.given;
        let others = writing.attributes.apply_noting(given, false, context.check, &mut changes)?;
        if others {
            outcome.changed = true;
            msg += if msg.is_empty() { "" } else { " and " };
            msg += "ownership, perms or SE linux context changed";
        }
        let header = |part: &str| match writing.two_diffs {
            true => format!("{} ({part})", self.path.display()),
            false => self.path.display().to_string(),
        };
        if context.diff && changed {
            outcome = outcome.with_diff(Diff {
                before_header: header("content"),
                after_header: header("content"),
                before: self.text.clone().into(),
                after: new.into(),
                ..Diff::default()
            });
        }
        if context.diff && others && writing.two_diffs {
            outcome = outcome.with_diff(Diff {
                before_header: header("file attributes"),
                after_header: header("file attributes"),
                ..changes.into_diff()
            });
        }
        Ok(outcome.with("msg", msg))
    }

    fn make_folder(&self) -> Result<(), Failure> {
        match self.path.parent() {
            Some(folder) if !folder.exists() => fs::create_dir_all(folder)
                .map_err(|error| files::failed("Error creating the folder", folder, &error)),
            _ => Ok(()),
        }
    }
}
