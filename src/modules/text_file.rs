//! A text file that a module edits: read, compared, written with its backup, its
//! validation and its attributes. `lineinfile`, `blockinfile` and `replace` use it.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::Text;
use super::files::{self, Attributes};
use super::process::Process;
use super::words;
use super::{Context, Diff, Failure, Outcome};

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
    /// What the headers of a diff say behind the path.
    pub header: &'static str,
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

    /// Writes the text if it differs and sets the attributes. `msg` is told when the
    /// text is new; what the attributes do is added to it.
    pub fn finish(
        &self,
        new: &str,
        msg: &str,
        writing: &Writing,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let changed = new != self.text;
        let mut outcome = Outcome::changed(changed);
        let mut msg = if changed { msg.to_owned() } else { String::new() };
        if changed && !context.check {
            self.make_folder()?;
            if writing.backup && self.existed {
                let backup = files::back_up(&self.path)?.display().to_string();
                outcome = outcome.with("backup", backup.clone()).with("backup_file", backup);
            }
            let validate = |path: &Path| validated(writing.validate, path, context);
            let in_place = context.unsafe_writes;
            files::write(&self.path, &mut new.as_bytes(), Some(&validate), in_place)?;
        }
        // A link's own, as in Ansible: whose it is says where it leads.
        if writing.attributes.apply(&self.given, false, context.check)? {
            outcome.changed = true;
            msg += if msg.is_empty() { "" } else { " and " };
            msg += "ownership, perms or SE linux context changed";
        }
        if context.diff && changed {
            let header = format!("{}{}", self.path.display(), writing.header);
            outcome = outcome.with_diff(Diff {
                before_header: header.clone(),
                after_header: header,
                before: self.text.clone(),
                after: new.to_owned(),
                ..Diff::default()
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

/// Runs the command that judges a new file; there is no shell between.
pub fn validated(command: Option<&Text>, path: &Path, context: &Context) -> Result<(), Failure> {
    let Some(command) = command else {
        return Ok(());
    };
    if !command.0.contains("%s") {
        return Err(Failure::new(format!("validate must contain %s: {}", command.0)));
    }
    let split = words::split(&command.0).map_err(Failure::new)?;
    let name = path.to_string_lossy();
    let mut split = split.iter().map(|word| word.replace("%s", &name));
    let program = split.next().unwrap_or_default();
    let output = Process::new(program).args(split).in_context(context).run()?;
    if output.success() {
        return Ok(());
    }
    Err(Failure::new(format!("failed to validate: rc:{} error:{}", output.rc, output.stderr))
        .with("exit_status", output.rc)
        .with("stdout", output.stdout)
        .with("stderr", output.stderr))
}
