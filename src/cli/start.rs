//! From prepared plays to the run and its output.

use std::io::IsTerminal;
use std::path::Path;

use super::common::Common;
use super::exit;
use crate::engine::{self, Prepared};
use crate::events::Event;
use crate::report::{self, Live, Log, Look, Reporter, Settings, TimingReporter, Watchers};
use crate::settings::Config;

/// Runs to the end; returns the exit code.
pub fn run(prepared: Prepared, config: &Config, common: &Common, look: Look) -> u8 {
    let mut config = config.clone();
    config.warnings.extend(look.enabled.warnings.iter().cloned());
    let mut reporters = report::reporters(report_settings(common, &config, look));
    if common.timing {
        reporters.push(Box::new(TimingReporter::start()));
    }
    watched(prepared, &config, reporters)
}

/// As [`run`], told to these reporters.
pub fn watched(prepared: Prepared, config: &Config, reporters: Vec<Box<dyn Reporter>>) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ERROR! the asynchronous runtime does not start: {error}");
            return exit::ERROR;
        }
    };
    let code = runtime.block_on(async {
        let (events, watchers) = Watchers::start(reporters);
        for text in &config.warnings {
            events.emit(Event::Warning { text: text.clone() });
        }
        let code = engine::run(prepared, events).await;
        watchers.finish();
        code
    });
    // Blocking reads (a prompt that nobody answers) must not hold the program up.
    runtime.shutdown_background();
    code
}

fn report_settings(common: &Common, config: &Config, look: Look) -> Settings {
    let terminal = std::io::stdout().is_terminal();
    let forced = config.flag("ANSIBLE_FORCE_COLOR");
    // Any value of NO_COLOR switches colours off (no-color.org).
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || config.flag("ANSIBLE_NOCOLOR");
    Settings {
        verbosity: common.verbosity(config),
        check: common.check,
        colour: forced || (terminal && !no_colour),
        columns: common.columns(),
        live: terminal.then(Live::start),
        look,
        log: config.path("DEFAULT_LOG_PATH").and_then(|path| log(&path)),
    }
}

fn log(path: &Path) -> Option<Log> {
    match Log::open(path) {
        Ok(log) => Some(log),
        Err(error) => {
            let path = path.display();
            eprintln!(
                "[WARNING]: log file at '{path}' cannot be written ({error}), going on without"
            );
            None
        }
    }
}
