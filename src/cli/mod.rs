//! The command line: one file per command, and the exit codes.

mod extra_vars;
mod list;
mod playbook;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// Ansible's exit codes.
pub mod exit {
    /// A fault before or beside the tasks: a missing file, an unknown handler.
    pub const ERROR: u8 = 1;
    /// What was typed does not parse, and also: a host failed.
    pub const FAILED: u8 = 2;
    /// A playbook or inventory does not parse, and also: a host was unreachable.
    pub const PARSE: u8 = 4;
    pub const INTERRUPTED: u8 = 99;
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "agent") {
        let base = arguments.get(2).map(std::path::Path::new);
        return ExitCode::from(
            u8::try_from(crate::agent::serve_stdio(base)).unwrap_or(exit::ERROR),
        );
    }
    if arguments.get(1).is_some_and(|first| first == crate::agent::job::COMMAND) {
        let folder = arguments.get(2).map(std::path::Path::new).unwrap_or(std::path::Path::new(""));
        return ExitCode::from(u8::try_from(crate::agent::job::run(folder)).unwrap_or(exit::ERROR));
    }
    let options = match playbook::Options::try_parse_from(arguments) {
        Ok(options) => options,
        // clap prints help and version to stdout with success, mistakes to stderr.
        Err(error) => {
            let failed = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if failed { exit::FAILED } else { 0 });
        }
    };
    ExitCode::from(playbook::run(options))
}
