//! `kup-play inventory --list|--graph|--host`: the hosts and groups, and what is given for them.

mod document;
mod given;
mod graph;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgAction, Parser};

use super::vault_options::VaultOptions;
use super::{common, exit, extra_vars};
use crate::engine::{LoadError, Prepared, Settings};
use crate::report;
use crate::settings::Config;
use crate::source::Error;
use given::{Form, Given};

/// Shows the inventory, as `ansible-inventory` does.
#[derive(Debug, Parser)]
#[command(name = "kup-play inventory", version, args_override_self = false)]
pub struct Options {
    /// The group to begin with, for --graph
    #[arg(value_name = "GROUP")]
    pub group: Option<String>,

    /// All hosts and groups, as an inventory script answers
    #[arg(long)]
    pub list: bool,

    /// The variables of one host, as an inventory script answers
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,

    /// The groups as a tree; --limit has no effect
    #[arg(long)]
    pub graph: bool,

    /// YAML in place of JSON
    #[arg(short, long)]
    pub yaml: bool,

    /// TOML in place of JSON
    #[arg(long, conflicts_with = "yaml")]
    pub toml: bool,

    /// Variables too, for --graph
    #[arg(long)]
    pub vars: bool,

    /// Variables where they are given, not all of them for each host
    #[arg(long)]
    pub export: bool,

    /// Write to this file
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Look here for group_vars and host_vars, in place of this folder
    #[arg(long, value_name = "FOLDER")]
    pub playbook_dir: Option<PathBuf>,

    /// Inventory: a file, a folder, an executable, hosts with commas ('a,b,') or the nodes of a
    /// cluster (cluster:KUBECONFIG); may be repeated
    #[arg(short, long, value_name = "INVENTORY", visible_alias = "inventory-file")]
    pub inventory: Vec<String>,

    /// Only these hosts
    #[arg(short, long, value_name = "PATTERN")]
    pub limit: Vec<String>,

    /// Variables: key=value, JSON, YAML, or @file; may be repeated
    #[arg(short, long, value_name = "VARS")]
    pub extra_vars: Vec<String>,

    /// Say which settings are used
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    #[command(flatten)]
    pub vault: VaultOptions,
}

/// Runs the command; returns the exit code.
pub fn run(options: Options) -> u8 {
    let shown = wanted(&options).and_then(|()| {
        let config = Config::load()?;
        if common::verbosity(options.verbose, &config) > 0 {
            config.tell_file();
        }
        let (text, warnings) = text(&options, &config)?;
        tell(&config.warnings);
        tell(&warnings);
        Ok(text)
    });
    let written = shown.and_then(|text| match &options.output {
        None => {
            // A text that ends its last line itself gets no second end.
            print!("{text}{}", if text.ends_with('\n') { "" } else { "\n" });
            Ok(())
        }
        Some(path) => std::fs::write(path, text).map_err(|error| {
            let path = path.display();
            Error::new(format!("Unable to write to destination file ({path}): {error}")).into()
        }),
    });
    match written {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("ERROR! {error}");
            error.exit_code()
        }
    }
}

/// Options that do not go together, or lack something.
fn wrong_use(message: &str) -> LoadError {
    LoadError::options(message).with_code(exit::OPTIONS)
}

/// One thing is to be shown.
fn wanted(options: &Options) -> Result<(), LoadError> {
    let wanted = [options.list, options.host.is_some(), options.graph];
    match wanted.into_iter().filter(|wanted| *wanted).count() {
        1 => Ok(()),
        0 => Err(wrong_use(
            "No action selected, at least one of --host, --graph or --list needs to be specified.",
        )),
        _ => Err(wrong_use(
            "Conflicting options used, only one of --host, --graph or --list can be used at the \
             same time.",
        )),
    }
}

fn tell(warnings: &[String]) {
    for text in warnings {
        eprintln!("{}", report::warning(text, common::columns()));
    }
}

/// What is to be shown, and what is to be warned of.
fn text(options: &Options, config: &Config) -> Result<(String, Vec<String>), LoadError> {
    options.vault.install(config, false)?;
    let extra = extra_vars::parse(&options.extra_vars)?;
    let folder = options.playbook_dir.clone().or_else(|| config.path("PLAYBOOK_DIR"));
    let here = folder.as_deref().unwrap_or(Path::new("."));
    let prepared = Prepared::inventory(here, settings(options, config)?, extra)?;
    let inventory = prepared.manager.inventory();
    let mut warnings = prepared.warnings;
    let form = match (options.graph, options.yaml, options.toml) {
        (true, _, _) => Form::Text,
        (false, true, _) => Form::Yaml,
        (false, false, true) => Form::Toml,
        (false, false, false) => Form::Json,
    };
    let export = options.export || config.flag("INVENTORY_EXPORT");
    let files = folder.is_some();
    let given = Given::new(prepared.manager.clone(), form, export, files);
    if let Some(pattern) = &options.host {
        let (hosts, unmatched) = inventory.select(pattern)?;
        warnings.extend(unmatched);
        let [host] = hosts.as_slice() else {
            tell(&warnings);
            let text = "You must pass a single valid host to --host parameter";
            return Err(wrong_use(text));
        };
        return Ok((document::write(&given.of_host(host)?, form, &mut warnings)?, warnings));
    }
    if options.graph {
        let group = options.group.as_deref().unwrap_or("all");
        if !inventory.contains_group(group) {
            tell(&warnings);
            let text = "Pattern must be valid group name when using --graph";
            return Err(wrong_use(text));
        }
        return Ok((graph::draw(&given, group, options.vars)?, warnings));
    }
    let hosts = if options.limit.is_empty() {
        inventory.group_hosts("all")
    } else {
        let (hosts, unmatched) = inventory.limited(&options.limit.join(","))?;
        warnings.extend(unmatched);
        hosts
    };
    let listing = document::list(&given, hosts.into_iter().collect())?;
    Ok((document::write(&listing, form, &mut warnings)?, warnings))
}

fn settings(options: &Options, config: &Config) -> Result<Settings, LoadError> {
    Ok(Settings {
        inventory: common::sources(&options.inventory, config),
        verbosity: common::verbosity(options.verbose, config),
        merge_hashes: config.text("DEFAULT_HASH_BEHAVIOUR").as_deref() == Some("merge"),
        inject_facts: config.flag("INJECT_FACTS_AS_VARS"),
        fact_cache: common::fact_cache(config)?,
        config: Arc::new(config.clone()),
        ..Settings::default()
    })
}
