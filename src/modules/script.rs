//! `script`, the host's half: runs a script that the controller sent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::HostPath;
use super::process::{Output, Process};
use super::words::files_matching;
use super::{Context, Failure, Module, Outcome, output};

/// Runs a script of the operator's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The script, in the agent's scratch folder.
    script: HostPath,
    /// The command line as the task has it; the first word is the script's name.
    command: String,
    /// The script's name in `command`.
    name: String,
    /// A file (or pattern): if it exists, the script is not run.
    creates: Option<HostPath>,
    /// A file (or pattern): if it does not exist, the script is not run.
    removes: Option<HostPath>,
    chdir: Option<HostPath>,
    /// What runs the script, in place of its first line.
    executable: Option<String>,
}

impl Module for Script {
    const NAME: &'static str = "script";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if let Some(reason) = self.not_needed() {
            return Ok(skipped(reason));
        }
        if let Some(folder) = self.chdir.as_ref().filter(|folder| folder.is_relative()) {
            return Err(Failure::new(format!(
                "chdir {} must be an absolute path for a Unix-aware remote node",
                folder.display()
            )));
        }
        if context.check {
            return Ok(match (&self.creates, &self.removes) {
                (None, None) => skipped("Check mode is not supported for this task.".to_owned()),
                _ => Outcome::changed(true),
            });
        }
        let output = self.process(context)?.run()?;
        let success = output.success();
        let outcome = described(output);
        if success {
            return Ok(outcome);
        }
        let msg = "non-zero return code".to_owned();
        Err(Failure { msg, changed: true, result: outcome.result })
    }
}

impl Script {
    fn not_needed(&self) -> Option<String> {
        let exists = |path: &Path| !files_matching(path).is_empty();
        if let Some(path) = self.creates.as_deref().filter(|path| exists(path)) {
            return Some(format!("{} exists, matching creates option", path.display()));
        }
        let path = self.removes.as_deref().filter(|path| !exists(path))?;
        Some(format!("{} does not exist, matching removes option", path.display()))
    }

    /// The script is put under its own name: it may ask for it, and a shell reads the
    /// command line with that name replaced by its path.
    fn process(&self, context: &Context) -> Result<Process, Failure> {
        let prepared = || {
            let folder = context.scratch.join("script");
            fs::create_dir_all(&folder)?;
            let path = folder.join(Path::new(&self.name).file_name().unwrap_or("script".as_ref()));
            fs::rename(&self.script, &path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
            Ok::<_, std::io::Error>(path)
        };
        let path = prepared()
            .map_err(|error| Failure::new(format!("the script cannot be put in place: {error}")))?;
        let line = self.command.trim().replacen(&self.name, &path.to_string_lossy(), 1);
        let line = match &self.executable {
            Some(executable) => format!("{executable} {line}"),
            None => line,
        };
        let process = Process::shell(line).in_context(context);
        Ok(match &self.chdir {
            Some(folder) => process.cwd(&**folder),
            None => process,
        })
    }
}

fn skipped(msg: String) -> Outcome {
    Outcome::default().with("skipped", true).with("msg", msg)
}

fn described(said: Output) -> Outcome {
    Outcome::changed(true)
        .with("rc", said.rc)
        .with("stdout_lines", output::lines(&said.stdout))
        .with("stdout", said.stdout)
        .with("stderr_lines", output::lines(&said.stderr))
        .with("stderr", said.stderr)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn script(more: serde_json::Value, check: bool) -> Result<Outcome, Failure> {
        let scratch = tempfile::tempdir().expect("a folder");
        let sent = scratch.path().join("sent");
        fs::write(&sent, "#!/bin/sh\necho \"$(basename \"$0\"):$1\"; exit ${2:-0}\n")
            .expect("written");
        let mut arguments = json!({"script": sent, "name": "my it.sh"});
        let map = arguments.as_object_mut().expect("a mapping");
        map.extend(more.as_object().expect("a mapping").clone());
        let context = Context { check, scratch: scratch.path().into(), ..Context::default() };
        serde_json::from_value::<Script>(arguments).expect("arguments").run(&context)
    }

    #[test]
    fn a_script_gets_its_arguments_as_a_shell_reads_them() {
        let outcome = script(json!({"command": "'my it.sh' \"a  b\""}), false).expect("run");
        assert_eq!(outcome.result["stdout"], "my it.sh:a  b\n");
        assert_eq!(outcome.result["stdout_lines"], json!(["my it.sh:a  b"]));
        let failure = script(json!({"command": "'my it.sh' x 3"}), false).expect_err("failed");
        assert_eq!((failure.msg.as_str(), failure.changed), ("non-zero return code", true));
        assert_eq!(failure.result["rc"], 3);
    }

    #[test]
    fn creates_removes_and_check_mode_say_why_it_was_not_run() {
        let msg = |more: serde_json::Value, check: bool| {
            script(more, check).expect("no failure").result.get("msg").cloned()
        };
        let line = "'my it.sh'";
        assert_eq!(
            msg(json!({"command": line, "creates": "/etc/passwd"}), false),
            Some(json!("/etc/passwd exists, matching creates option"))
        );
        assert_eq!(
            msg(json!({"command": line, "removes": "/nonexistent"}), false),
            Some(json!("/nonexistent does not exist, matching removes option"))
        );
        assert_eq!(
            msg(json!({"command": line}), true),
            Some(json!("Check mode is not supported for this task."))
        );
        let would = script(json!({"command": line, "creates": "/nonexistent"}), true);
        assert!(would.expect("checked").changed);
    }
}
