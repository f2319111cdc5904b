//! `kup-play precheck`: what would stop an upgrade, without a playbook.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Parser, ValueEnum};
use serde_json::{Value as Json, json};

use super::common::Common;
use super::{exit, extra_vars, start};
use crate::engine::{LoadError, Prepared};
use crate::events::{Event, Status};
use crate::modules::Version;
use crate::precheck::{Id, Report};
use crate::report::Reporter;
use crate::settings::Config;
use crate::template::{Variable, from_json};

/// The play that the command runs.
const PLAY: &str = include_str!("precheck.yml");

/// Looks for everything that would stop or harm an upgrade, and changes nothing but for --pull.
#[derive(Debug, Parser)]
#[command(name = "kup-play precheck", version, args_override_self = false)]
pub struct Options {
    /// The version to upgrade to
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub to: Version,

    /// Findings that do not count, by their ids (commas between; may be repeated)
    #[arg(long, value_name = "ID", value_delimiter = ',', hide_possible_values = true)]
    pub ignore: Vec<Id>,

    /// Pull the target's images that are not on the hosts, to see that they can be
    #[arg(long)]
    pub pull: bool,

    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).ok_or_else(|| "a version such as v1.21.2 is wanted".to_owned())
}

/// Runs the check; returns the exit code.
pub fn run(options: Options) -> u8 {
    let loaded = Config::load().map_err(LoadError::of_settings).and_then(|config| {
        let prepared = prepare(&options, &config)?;
        Ok((config, prepared))
    });
    let (config, prepared) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("ERROR! {error}");
            return error.exit_code();
        }
    };
    let seen = Arc::new(Mutex::new(Seen::default()));
    let code = start::watched(prepared, &config, vec![Box::new(Listener(seen.clone()))]);
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    for text in std::mem::take(&mut seen.told) {
        eprintln!("{text}");
    }
    match seen.report.take() {
        Some(report) => print(&options, &report),
        None if code == 0 => {
            eprintln!("ERROR! the inventory has no hosts in kube_control_plane or kube_node");
            exit::ERROR
        }
        None => code,
    }
}

fn prepare(options: &Options, config: &Config) -> Result<Prepared, LoadError> {
    let passwords = options.common.passwords(config)?;
    options.common.vault.install(config, false)?;
    let settings = options.common.settings(config, passwords)?;
    let mut extra = extra_vars::parse(&options.common.extra_vars)?;
    let mut set = |name: &str, value: Json| {
        extra.insert(name.to_owned(), Variable::Data(from_json(&value)));
    };
    set("kube_version", json!(options.to.to_string()));
    if !options.ignore.is_empty() {
        set("precheck_ignore", json!(options.ignore));
    }
    if options.pull {
        set("precheck_pull_images", json!(true));
    }
    Prepared::ad_hoc(PLAY, Path::new("."), settings, extra)
}

fn print(options: &Options, report: &Report) -> u8 {
    match options.format {
        Format::Text => print!("{}", report.text(options.common.columns())),
        Format::Json => match serde_json::to_string_pretty(report) {
            Ok(text) => println!("{text}"),
            Err(error) => {
                eprintln!("ERROR! the report cannot be written: {error}");
                return exit::ERROR;
            }
        },
    }
    if report.errors > 0 { exit::FAILED } else { 0 }
}

/// What was heard of the run.
#[derive(Default)]
struct Seen {
    report: Option<Report>,
    /// For stderr.
    told: Vec<String>,
}

/// Hears the result of the one task.
struct Listener(Arc<Mutex<Seen>>);

impl Reporter for Listener {
    fn event(&mut self, event: &Event) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::HostFinished(result) if result.task.module == "precheck" => {
                let report = serde_json::from_value(Json::Object(result.result.clone()));
                match report {
                    Ok(report) => seen.report = Some(report),
                    Err(_) if !matches!(result.status, Status::Ok | Status::Skipped) => {
                        let msg = result.result.get("msg").and_then(Json::as_str);
                        let msg = msg.unwrap_or("it failed without a message");
                        seen.told.push(format!("ERROR! {}: {msg}", result.host));
                    }
                    Err(_) => {}
                }
            }
            Event::Warning { text } => seen.told.push(format!("[WARNING]: {text}")),
            Event::Error { text } => seen.told.push(format!("ERROR! {text}")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Result<Options, clap::Error> {
        Options::try_parse_from([&["kup-play precheck", "-i", "inv"], words].concat())
    }

    #[test]
    fn findings_to_ignore_are_named_and_checked() {
        let options_of = options(&["--to", "v1.21.2", "--ignore", "node-cordoned,bare-pod"]);
        let ignored = options_of.expect("options").ignore;
        assert_eq!(ignored, [Id::NodeCordoned, Id::BarePod]);
        assert!(options(&["--to", "1.21.2", "--ignore", "node-cordonned"]).is_err());
        assert!(options(&["--to", "latest"]).is_err());
    }
}
