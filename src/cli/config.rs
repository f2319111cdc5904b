//! `kup-play config dump|list|view|init`: the settings, their values and where these come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Parser, ValueEnum};
use serde_json::json;

use super::exit;
use crate::engine::LoadError;
use crate::settings::{Config, Entry, Origin};
use crate::{source, template};

/// Shows the settings.
#[derive(Debug, Parser)]
#[command(name = "kup-play config", version)]
pub struct Options {
    #[arg(value_enum)]
    what: What,

    /// Only what differs from the defaults
    #[arg(long, visible_alias = "changed-only")]
    only_changed: bool,

    /// Of init: every line is a comment
    #[arg(long)]
    disabled: bool,

    /// This file in place of the ansible.cfg that would be found
    #[arg(short, long = "config", value_name = "FILE")]
    config_file: Option<PathBuf>,

    /// Say which file is used
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Every setting with its value and where it comes from
    Dump,
    /// Every setting with its names, type and default
    List,
    /// The ansible.cfg that is used
    View,
    /// An ansible.cfg with every setting at its default
    Init,
}

/// Runs the command; returns the exit code.
pub fn run(options: Options) -> u8 {
    let config = match load(options.config_file.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("ERROR! {error}");
            return error.exit_code();
        }
    };
    if options.verbose > 0 {
        config.tell_file();
    }
    match options.what {
        What::Dump => dump(&config, options.only_changed),
        What::List => list(),
        What::View => return view(&config),
        What::Init => init(options.disabled),
    }
    0
}

/// The settings with the file that is named, or the one that is found.
fn load(named: Option<&Path>) -> Result<Config, LoadError> {
    let Some(path) = named else {
        return Config::load().map_err(LoadError::of_settings);
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if std::fs::File::open(&path).is_err() {
        return Err(LoadError::options(format!(
            "The provided configuration file is missing or not accessible: {}",
            path.display()
        ))
        .with_code(exit::OPTIONS));
    }
    let extension = path.extension().unwrap_or_default();
    if extension != "cfg" && extension != "ini" {
        return Err(LoadError::options(format!(
            "Unsupported configuration file extension for {}: {}",
            path.display(),
            extension.display()
        ))
        .with_code(exit::OPTIONS));
    }
    Config::of_file(&path).map_err(LoadError::of_settings)
}

fn dump(config: &Config, only_changed: bool) {
    let mut lines = Vec::new();
    match config.file() {
        Some(path) => lines.push(format!("CONFIG_FILE() = {}", path.display())),
        None if !only_changed => lines.push("CONFIG_FILE() = None".to_owned()),
        None => {}
    }
    for entry in Config::entries() {
        let (_, origin) = config.text_of(entry);
        if !only_changed || origin != Origin::Default {
            lines.push(format!("{}({origin}) = {}", entry.name, value(config, entry)));
        }
    }
    if !only_changed {
        lines.push(format!("KUP_PLAY_TEXT_STYLE(built in) = {TEXT_STYLE}"));
    }
    lines.sort();
    println!("{}", lines.join("\n"));
}

/// Whose lines and messages are printed: versions of Ansible have different ones.
const TEXT_STYLE: &str = "ansible-core 2.18";

/// As Python prints it.
fn value(config: &Config, entry: &Entry) -> String {
    template::python_text(&template::from_json(&config.value(entry.name).unwrap_or_default()))
}

fn list() {
    for entry in Config::entries() {
        println!("{}:", entry.name);
        println!("  default: {}", json!(entry.default));
        println!("  env: {}", json!(entry.environment));
        let keys: Vec<_> =
            entry.ini.iter().map(|(section, key)| format!("[{section}] {key}")).collect();
        println!("  ini: {}", json!(keys));
        println!("  type: {:?}", entry.kind);
    }
}

/// Each setting under the first of its names.
fn init(disabled: bool) {
    let mut sections: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mark = if disabled { ";" } else { "" };
    for entry in Config::entries() {
        if let Some((section, key)) = entry.ini.first() {
            let about = format!("# {} ({:?})", entry.name, entry.kind);
            let line = format!("{mark}{key}={}", entry.default);
            sections.entry(section).or_default().extend([about, line, String::new()]);
        }
    }
    for (section, lines) in sections {
        println!("[{section}]\n{}", lines.join("\n"));
    }
}

fn view(config: &Config) -> u8 {
    let Some(path) = config.file() else {
        eprintln!("ERROR! Invalid or no config file was supplied");
        return exit::ERROR;
    };
    match source::read(path) {
        Ok(text) => {
            print!("{text}");
            0
        }
        Err(error) => {
            eprintln!("ERROR! {error}");
            exit::ERROR
        }
    }
}
