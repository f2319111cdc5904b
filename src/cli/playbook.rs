//! `kup-play PLAYBOOK…`: ansible-playbook's options, and the run.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Parser;

use super::common::Common;
use super::{exit, extra_vars, list};
use crate::engine::{self, Settings};
use crate::events::Event;
use crate::report::{self, Look, Settings as ReportSettings, Watchers};
use crate::settings::Config;

/// Runs Ansible playbooks over ssh, made for Kubernetes upgrades.
#[derive(Debug, Parser)]
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
}

/// Runs the playbooks; returns the exit code.
pub fn run(options: Options) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ERROR! the asynchronous runtime does not start: {error}");
            return exit::ERROR;
        }
    };
    let code = runtime.block_on(run_playbooks(options));
    // Blocking reads (a prompt that nobody answers) must not hold the program up.
    runtime.shutdown_background();
    code
}

async fn run_playbooks(options: Options) -> u8 {
    let loaded = Config::load().map_err(engine::LoadError::from).and_then(|config| {
        options.common.vault.install(&config)?;
        let settings = settings(&options, &config)?;
        let extra = extra_vars::parse(&options.common.extra_vars)?;
        let prepared = engine::Prepared::load(&options.playbooks, settings, extra)?;
        Ok((config, prepared))
    });
    let (config, prepared) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("ERROR! {error}");
            return error.exit_code();
        }
    };
    let common = &options.common;
    common.tell_config(&config);
    if common.list_hosts || options.list_tasks || options.list_tags || common.syntax_check {
        return list::print(&prepared, &options);
    }
    let look = match Look::of(&config) {
        Ok(look) => look,
        Err(error) => {
            eprintln!("ERROR! {error}");
            return exit::ERROR;
        }
    };
    let reporter = report::reporter(report_settings(&options, &config, look));
    let (events, watchers) = Watchers::start(vec![reporter]);
    for text in &config.warnings {
        events.emit(Event::Warning { text: text.clone() });
    }
    let code = engine::run(prepared, events).await;
    watchers.finish();
    code
}

fn settings(options: &Options, config: &Config) -> Result<Settings, engine::LoadError> {
    let settings = options.common.settings(config)?;
    let or = |typed: &[String], name: &str| match typed {
        [] => config.list(name),
        typed => typed.to_vec(),
    };
    Ok(Settings {
        tags: or(&options.tags, "TAGS_RUN"),
        skip_tags: or(&options.skip_tags, "TAGS_SKIP"),
        force_handlers: options.force_handlers || settings.force_handlers,
        start_at_task: options.start_at_task.clone(),
        step: options.step,
        ..settings
    })
}

fn report_settings(options: &Options, config: &Config, look: Look) -> ReportSettings {
    let terminal = std::io::stdout().is_terminal();
    let width = usize::from(console::Term::stdout().size().1);
    let columns = if terminal { width.saturating_sub(1) } else { 79 };
    let forced = config.flag("ANSIBLE_FORCE_COLOR");
    // Any value of NO_COLOR switches colours off (no-color.org).
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || config.flag("ANSIBLE_NOCOLOR");
    ReportSettings {
        verbosity: options.common.verbosity(config),
        check: options.common.check,
        colour: forced || (terminal && !no_colour),
        columns,
        live: terminal,
        look,
    }
}
