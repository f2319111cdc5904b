//! What runs on the host: `kup-play agent` reads framed requests on stdin, runs
//! host modules and writes framed responses on stdout. Plain threads: it starts
//! in milliseconds and holds no runtime.

mod external;
pub mod job;
pub mod protocol;
mod scratch;
mod serve;
mod work;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

pub use serve::{serve, serve_stdio};

/// What the program does on hosts, if its arguments ask for that: `agent [FOLDER]`
/// and `agent-job FOLDER`.
pub fn main(arguments: &[OsString]) -> Option<ExitCode> {
    let folder = arguments.get(2).map(Path::new);
    let code = match arguments.get(1)?.to_str()? {
        "agent" => serve_stdio(folder),
        job::COMMAND => job::run(folder.unwrap_or(Path::new(""))),
        _ => return None,
    };
    Some(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
