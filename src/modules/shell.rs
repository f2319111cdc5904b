//! `shell`: a command line for a shell.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::command::{Invocation, refused, yes};
use super::lenient;
use super::process::Process;
use super::{Context, Failure, Module, Outcome};

/// Runs a command line in `/bin/sh` or the shell of `executable`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shell {
    /// The command line.
    #[serde(rename = "_raw_params")]
    raw_params: Option<String>,
    /// The command line, when the task is written as a mapping.
    cmd: Option<String>,
    /// Change into this folder first.
    chdir: Option<String>,
    /// A file (or pattern): if it exists, the command is not run.
    creates: Option<String>,
    /// A file (or pattern): if it does not exist, the command is not run.
    removes: Option<String>,
    /// The shell, by its absolute path.
    executable: Option<String>,
    /// What the command reads on its standard input.
    stdin: Option<String>,
    /// End `stdin` with a newline.
    #[serde(default = "yes", deserialize_with = "lenient::boolean")]
    stdin_add_newline: bool,
    /// Take line ends off the end of the output.
    #[serde(default = "yes", deserialize_with = "lenient::boolean")]
    strip_empty_ends: bool,
}

impl Module for Shell {
    const NAME: &'static str = "shell";
    const FREE_FORM: Option<&'static str> = Some("_raw_params");

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let line = self.raw_params.or(self.cmd).filter(|line| !line.trim().is_empty());
        let line = line.ok_or_else(|| refused("no command given"))?;
        let shell = self.executable.unwrap_or_else(|| "/bin/sh".to_owned());
        Invocation {
            shown: json!(line),
            chdir: self.chdir,
            creates: self.creates,
            removes: self.removes,
            stdin: self.stdin,
            stdin_add_newline: self.stdin_add_newline,
            strip_empty_ends: self.strip_empty_ends,
        }
        .run(context, |_| Process::new(shell).arg("-c").arg(&line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_line() {
        let arguments = json!({"_raw_params": "echo a b | tr a-z A-Z && pwd", "chdir": "/usr"});
        let module: Shell = serde_json::from_value(arguments).unwrap();
        let outcome = module.run(&Context::default()).unwrap();
        assert_eq!(outcome.result["stdout"], "A B\n/usr");
        assert_eq!(outcome.result["cmd"], "echo a b | tr a-z A-Z && pwd");
    }

    #[test]
    fn the_shell_can_be_chosen() {
        let arguments = json!({"cmd": "echo $0", "executable": "/bin/bash"});
        let module: Shell = serde_json::from_value(arguments).unwrap();
        assert_eq!(module.run(&Context::default()).unwrap().result["stdout"], "/bin/bash");
    }
}
