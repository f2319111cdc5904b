//! `kup-play PLAYBOOK…`: ansible-playbook's options, and the run.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

use super::common::Common;
use super::passwords::Passwords;
use super::{exit, extra_vars, list, recorded, start};
use crate::actions::guard::BreakLock;
use crate::engine::{self, Settings};
use crate::journal::Recording;
use crate::report::Look;
use crate::settings::Config;

/// Runs Ansible playbooks over ssh, made for Kubernetes upgrades.
#[derive(Clone, Debug, Parser, Serialize, Deserialize)]
#[command(name = "kup-play", version, args_override_self = false)]
pub struct Options {
    /// Playbooks to run, in this order
    #[arg(required = true, value_name = "PLAYBOOK")]
    pub playbooks: Vec<PathBuf>,

    #[command(flatten)]
    pub common: Common,

    /// Only plays and tasks with these tags (commas between; may be repeated)
    #[arg(short, long, value_name = "TAGS", value_delimiter = ',')]
    pub tags: Vec<String>,

    /// Leave out plays and tasks with these tags
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub skip_tags: Vec<String>,

    /// Print the tasks that would run, and stop
    #[arg(long)]
    pub list_tasks: bool,

    /// Print the tags there are, and stop
    #[arg(long)]
    pub list_tags: bool,

    /// Run handlers even of hosts that failed
    #[arg(long)]
    pub force_handlers: bool,

    /// Begin with the task of this name; '*' stands for any text
    #[arg(long, value_name = "NAME")]
    pub start_at_task: Option<String>,

    /// Ask before each task
    #[arg(long)]
    pub step: bool,

    /// Keep a journal, for `kup-play resume`; runs that change clusters always do
    #[arg(long)]
    pub journal: bool,

    /// Take the lock of the cluster from another run: if that gives no sign of life, or always
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "dead", value_name = "WHEN")]
    pub break_lock: Option<Breaking>,
}

impl Options {
    /// Nothing is run.
    fn is_listing(&self) -> bool {
        let common = &self.common;
        common.list_hosts || common.syntax_check || self.list_tasks || self.list_tags
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Breaking {
    /// If its holder gives no sign of life
    Dead,
    Always,
}

/// Runs the playbooks; returns the exit code.
pub fn run(options: Options) -> u8 {
    run_recorded(options, None)
}

/// As [`run`], going on with what a journal tells of.
pub fn run_recorded(options: Options, resumed: Option<Recording>) -> u8 {
    let loaded = Config::load().map_err(engine::LoadError::of_settings).and_then(|config| {
        // What only looks at the playbooks asks for nothing.
        let passwords = match options.is_listing() {
            true => Passwords::default(),
            false => options.common.passwords(&config)?,
        };
        options.common.vault.install(&config, options.is_listing())?;
        let settings = settings(&options, &config, passwords)?;
        let extra = extra_vars::parse(&options.common.extra_vars)?;
        let prepared = engine::Prepared::load(&options.playbooks, settings, extra)?;
        Ok((config, prepared))
    });
    let (config, mut prepared) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("ERROR! {error}");
            return error.exit_code();
        }
    };
    let common = &options.common;
    common.tell_config(&config);
    if options.is_listing() {
        return list::print(&prepared, &options);
    }
    prepared.recording = match resumed {
        Some(recording) => Some(recording),
        None => match recorded::begin(&options, &prepared) {
            Ok(recording) => recording,
            Err(error) => {
                eprintln!("ERROR! the journal of the run cannot be written: {error}");
                return exit::ERROR;
            }
        },
    };
    match Look::of(&config) {
        Ok(look) => start::run(prepared, &config, common, look),
        Err(error) => {
            eprintln!("ERROR! {error}");
            exit::ERROR
        }
    }
}

fn settings(
    options: &Options,
    config: &Config,
    passwords: Passwords,
) -> Result<Settings, engine::LoadError> {
    let settings = options.common.settings(config, passwords)?;
    let or = |typed: &[String], name: &str| match typed {
        [] => config.list(name),
        typed => typed.to_vec(),
    };
    let mut tags = or(&options.tags, "TAGS_RUN");
    if options.list_tags && options.tags.is_empty() {
        // Those that run only when they are asked for are listed as well.
        tags = ["never", "all"].map(str::to_owned).to_vec();
    }
    Ok(Settings {
        tags,
        skip_tags: or(&options.skip_tags, "TAGS_SKIP"),
        force_handlers: options.force_handlers || settings.force_handlers,
        start_at_task: options.start_at_task.clone(),
        step: options.step,
        break_lock: match options.break_lock {
            None => BreakLock::Never,
            Some(Breaking::Dead) => BreakLock::Dead,
            Some(Breaking::Always) => BreakLock::Always,
        },
        ..settings
    })
}
