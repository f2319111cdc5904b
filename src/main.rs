use std::process::ExitCode;

fn main() -> ExitCode {
    kup_play::cli::main()
}
