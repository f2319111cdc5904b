//! Lookups that run a command here, on the controller.

use std::process::{Command, Stdio};

use super::super::{TemplateError, Value};
use super::Request;

/// The output of each command, without the line ends at its end.
pub fn pipe(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let texts = request.texts();
    texts.iter().map(|text| Ok(Value::from(output(request, text, "pipe")?.trim_end()))).collect()
}

pub fn lines(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let mut found = Vec::new();
    for text in request.texts() {
        let output = output(request, &text, "lines")?;
        found.extend(output.lines().map(Value::from));
    }
    Ok(found)
}

fn output(request: &Request<'_>, command: &str, lookup: &str) -> Result<String, TemplateError> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stderr(Stdio::inherit());
    let folder = &request.context.templar.settings().playbook_dir;
    if folder.is_dir() {
        shell.current_dir(folder);
    }
    let failed = |reason: String| {
        TemplateError::new(format!("lookup_plugin.{lookup}({command}) returned {reason}"))
    };
    let output = shell.output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(
            output.status.code().map_or("no exit code".to_owned(), |code| code.to_string()),
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
