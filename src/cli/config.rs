//! `kup-play config dump|list|view`: the settings, their values and where these come from.

use clap::{Parser, ValueEnum};
use serde_json::json;

use super::exit;
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
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Every setting with its value and where it comes from
    Dump,
    /// Every setting with its names, type and default
    List,
    /// The ansible.cfg that is used
    View,
}

/// Runs the command; returns the exit code.
pub fn run(options: Options) -> u8 {
    let config = match Config::load() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("ERROR! {error}");
            return exit::ERROR;
        }
    };
    match options.what {
        What::Dump => dump(&config, options.only_changed),
        What::List => list(),
        What::View => return view(&config),
    }
    0
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
    lines.sort();
    println!("{}", lines.join("\n"));
}

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

fn view(config: &Config) -> u8 {
    let Some(path) = config.file() else {
        eprintln!("ERROR! no ansible.cfg is used");
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
