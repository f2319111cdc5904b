//! The agent alone: what a release build of kup-play carries within itself and copies
//! to the hosts. It is a tenth of the whole, so that copying, proving and starting it
//! cost a tenth.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    kup_play::agent::main(&arguments).unwrap_or_else(|| {
        eprintln!("kup-play-agent: this is the part of kup-play that it starts on its hosts");
        ExitCode::from(2)
    })
}
