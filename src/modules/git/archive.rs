//! A version packed into a file.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::super::{Failure, Outcome, files};
use super::repository::{Repository, failed};

impl Repository<'_> {
    /// Packs the version if the task asks for it and the file is not the same already.
    pub fn pack(&self, outcome: &mut Outcome) -> Result<(), Failure> {
        let Some(archive) = &self.task.archive else { return Ok(()) };
        if self.context.check {
            outcome.changed = true;
            return Ok(());
        }
        let Some(format) = format_of(archive) else {
            return Err(Failure::new(
                "Unable to get file extension from archive file name : ".to_owned()
                    + &archive.display().to_string(),
            ));
        };
        let new = self.context.scratch.join(format!("archive.{format}"));
        let mut arguments = vec![
            "archive".to_owned(),
            format!("--format={format}"),
            format!("--output={}", new.display()),
        ];
        if let Some(prefix) = &self.task.archive_prefix {
            arguments.push(format!("--prefix={}", prefix.0));
        }
        arguments.push(self.version().to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = self.run(&arguments)?;
        if !output.success() {
            let msg = "Failed to perform archive operation";
            return Err(failed(msg, &output).with(
                "details",
                format!("Git archive command failed to create archive {}.", archive.display()),
            ));
        }
        let same = fs::read(archive).is_ok_and(|old| fs::read(&new).is_ok_and(|new| new == old));
        if same {
            return Ok(());
        }
        let mut file =
            fs::File::open(&new).map_err(|error| files::failed("cannot be read", &new, &error))?;
        files::write(archive, &mut file, None, false)?;
        outcome.changed = true;
        outcome.result.insert("archive".to_owned(), json!(archive.display().to_string()));
        Ok(())
    }
}

/// Git's name of the format that a file's name ends with.
fn format_of(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    let formats = [
        (".zip", "zip"),
        (".tar.gz", "tar.gz"),
        (".tgz", "tgz"),
        (".tar", "tar"),
        (".gz", "tar.gz"),
    ];
    formats.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, format)| format)
}
