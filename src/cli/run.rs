//! `kup-play run PATTERN -m MODULE -a ARGS`: one task, without a playbook.

use std::path::PathBuf;

use clap::Parser;
use serde_json::{Map, Value as Json, json};

use super::common::Common;
use super::{exit, extra_vars, start};
use crate::engine::{self, LoadError, Prepared};
use crate::report::{Callback, Look};
use crate::settings::Config;

/// Modules that make no sense without arguments.
const NEED_ARGUMENTS: &[&str] = &["command", "shell", "raw", "script"];

/// Runs one task on the hosts of a pattern, as `ansible` does.
#[derive(Debug, Parser)]
#[command(name = "kup-play run", version, args_override_self = false)]
pub struct Options {
    /// The hosts to run it on
    #[arg(value_name = "PATTERN")]
    pub pattern: String,

    /// The module to run
    #[arg(short, long, value_name = "MODULE", default_value = "command")]
    pub module_name: String,

    /// Its arguments: key=value, JSON, or the text of a command
    #[arg(short, long, value_name = "ARGS", default_value = "")]
    pub args: String,

    /// One line for each host
    #[arg(short, long)]
    pub one_line: bool,

    /// Let it run in the background, for so many seconds at most
    #[arg(short = 'B', long, value_name = "SECONDS")]
    pub background: Option<u64>,

    /// Seconds between two questions after what runs in the background [default: 15]
    #[arg(short = 'P', long, value_name = "SECONDS")]
    pub poll: Option<u64>,

    /// Seconds that the task may take
    #[arg(long, value_name = "SECONDS")]
    pub task_timeout: Option<u64>,

    /// Look here for group_vars, files and modules, in place of this folder (or the one
    /// that `playbook_dir` names)
    #[arg(long, value_name = "FOLDER")]
    pub playbook_dir: Option<PathBuf>,

    #[command(flatten)]
    pub common: Common,
}

/// Runs the task; returns the exit code.
pub fn run(options: Options) -> u8 {
    let name = options.module_name.trim_start_matches("ansible.builtin.");
    let listing = options.common.list_hosts;
    if options.args.is_empty() && !listing && NEED_ARGUMENTS.contains(&name) {
        let hint = match options.pattern.ends_with(".yml") {
            true => " (did you mean to run a playbook? leave out 'run')",
            false => "",
        };
        eprintln!("ERROR! No argument passed to {} module{hint}", options.module_name);
        return exit::OPTIONS;
    }
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
    options.common.tell_config(&config);
    if listing {
        return list_hosts(&prepared);
    }
    let nobody = hosts(&prepared).is_ok_and(|hosts| hosts.is_empty());
    match Look::of(&config) {
        Ok(look) => {
            let callback = callback(&options, &config, look.callback);
            let code = start::run(prepared, &config, &options.common, Look { callback, ..look });
            if nobody {
                eprintln!("[WARNING]: No hosts matched, nothing to do");
            }
            code
        }
        Err(error) => {
            eprintln!("ERROR! {error}");
            exit::ERROR
        }
    }
}

/// Results are shown by the callback minimal unless `bin_ansible_callbacks` says that the
/// one of playbooks is to do it.
fn callback(options: &Options, config: &Config, chosen: Callback) -> Callback {
    if options.one_line {
        Callback::Oneline
    } else if config.flag("DEFAULT_LOAD_CALLBACK_PLUGINS") {
        chosen
    } else {
        Callback::Minimal
    }
}

fn prepare(options: &Options, config: &Config) -> Result<Prepared, LoadError> {
    let passwords = options.common.passwords(config)?;
    options.common.vault.install(config, options.common.list_hosts)?;
    let mut settings = options.common.settings(config, passwords)?;
    settings.task_timeout = options.task_timeout.or(settings.task_timeout);
    let extra = extra_vars::parse(&options.common.extra_vars)?;
    let folder = options.playbook_dir.clone().or_else(|| config.path("PLAYBOOK_DIR"));
    let directory = folder.unwrap_or_else(|| PathBuf::from("."));
    Prepared::ad_hoc(&playbook(options).to_string(), &directory, settings, extra)
}

/// The play that does it; JSON is YAML too.
fn playbook(options: &Options) -> Json {
    let module = &options.module_name;
    let action = match serde_json::from_str::<Map<String, Json>>(&options.args) {
        Ok(mut arguments) => {
            arguments.insert("module".to_owned(), json!(module));
            Json::Object(arguments)
        }
        Err(_) => json!(format!("{module} {}", options.args)),
    };
    let mut task = Map::from_iter([("action".to_owned(), action)]);
    if let Some(seconds) = options.background {
        task.insert("async".to_owned(), json!(seconds));
        if let Some(poll) = options.poll {
            task.insert("poll".to_owned(), json!(poll));
        }
    }
    json!([{
        "name": "Ansible Ad-Hoc",
        "hosts": options.pattern,
        "gather_facts": false,
        "tasks": [task],
    }])
}

fn hosts(prepared: &Prepared) -> Result<Vec<String>, String> {
    let mut plays = prepared.playbooks.iter().flat_map(|(_, plays)| plays);
    plays
        .next()
        .map_or(Ok(Vec::new()), |play| engine::play_hosts(prepared, play).map(|(hosts, _)| hosts))
}

fn list_hosts(prepared: &Prepared) -> u8 {
    match hosts(prepared) {
        Ok(hosts) => {
            println!("  hosts ({}):", hosts.len());
            hosts.iter().for_each(|host| println!("    {host}"));
            0
        }
        Err(error) => {
            eprintln!("ERROR! {error}");
            exit::ERROR
        }
    }
}
