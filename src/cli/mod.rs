//! The command line: one file per command, and the exit codes.

mod common;
mod config;
mod extra_vars;
mod inventory;
mod list;
mod passwords;
mod playbook;
mod precheck;
mod recorded;
mod resume;
mod run;
mod runs;
mod start;
mod vault;
mod vault_options;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::agent;
use crate::transport::askpass;

/// Ansible's exit codes.
pub mod exit {
    /// A fault before or beside the tasks: a missing file, an unknown handler.
    pub const ERROR: u8 = 1;
    /// What was typed does not parse, and also: a host failed.
    pub const FAILED: u8 = 2;
    /// A playbook or inventory does not parse, and also: a host was unreachable.
    pub const PARSE: u8 = 4;
    /// Options that do not go together.
    pub const OPTIONS: u8 = 5;
    pub const INTERRUPTED: u8 = 99;
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = askpass::main(&arguments).or_else(|| agent::main(&arguments)) {
        return code;
    }
    let arguments = by_name(arguments);
    // The first word may be a command; a playbook of that name is written `./config`.
    match arguments.get(1).and_then(|first| first.to_str()) {
        Some("config") => command(arguments, config::run),
        Some("inventory") => command(arguments, inventory::run),
        Some("precheck") => command(arguments, precheck::run),
        Some("resume") => command(arguments, resume::run),
        Some("run") => command(arguments, run::run),
        Some("runs") => command(arguments, runs::list),
        Some("show") => command(arguments, runs::show),
        Some("vault") => command(arguments, vault::run),
        _ => command(arguments, playbook::run),
    }
}

/// Called by the name of one of Ansible's programs it does what that program does.
fn by_name(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    let command = match name.and_then(|name| name.to_str()) {
        Some("ansible") => "run",
        Some("ansible-config") => "config",
        Some("ansible-inventory") => "inventory",
        Some("ansible-vault") => "vault",
        _ => return arguments,
    };
    arguments.insert(1, command.into());
    arguments
}

/// Runs a command with its options.
fn command<O: Parser + CommandFactory>(
    mut arguments: Vec<OsString>,
    run: impl Fn(O) -> u8,
) -> ExitCode {
    if O::command().get_name() != "kup-play" {
        arguments.remove(1);
    }
    let options = match O::try_parse_from(arguments) {
        Ok(options) => options,
        // clap prints help and version to stdout with success, mistakes to stderr.
        Err(error) => {
            let failed = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if failed { exit::FAILED } else { 0 });
        }
    };
    ExitCode::from(run(options))
}
