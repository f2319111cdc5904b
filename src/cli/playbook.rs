//! `kup-play PLAYBOOK…`: ansible-playbook's options, and the run.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{ArgAction, Parser};

use super::{exit, extra_vars, list};
use crate::engine::{self, Settings};
use crate::report::{self, Look, Settings as ReportSettings, Watchers};
use crate::secret::Secret;

/// Runs Ansible playbooks over ssh, made for Kubernetes upgrades.
#[derive(Debug, Parser)]
#[command(name = "kup-play", version, args_override_self = false)]
pub struct Options {
    /// Playbooks to run, in this order
    #[arg(required = true, value_name = "PLAYBOOK")]
    pub playbooks: Vec<PathBuf>,

    /// Inventory: a file, a folder, an executable, or hosts with commas ('a,b,'); may be repeated
    #[arg(short, long, value_name = "INVENTORY", visible_alias = "inventory-file")]
    pub inventory: Vec<String>,

    /// Only these hosts of what the plays select
    #[arg(short, long, value_name = "PATTERN")]
    pub limit: Option<String>,

    /// Variables: key=value, JSON, YAML, or @file; may be repeated
    #[arg(short, long, value_name = "VARS")]
    pub extra_vars: Vec<String>,

    /// Only plays and tasks with these tags (commas between; may be repeated)
    #[arg(short, long, value_name = "TAGS", value_delimiter = ',')]
    pub tags: Vec<String>,

    /// Leave out plays and tasks with these tags
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub skip_tags: Vec<String>,

    /// Change nothing; say what would change
    #[arg(short = 'C', long)]
    pub check: bool,

    /// Show the differences in changed files
    #[arg(short = 'D', long)]
    pub diff: bool,

    /// Hosts that are worked on at the same time
    #[arg(short, long, default_value_t = 5, value_name = "N", value_parser = positive)]
    pub forks: usize,

    /// Show results (-v), task paths (-vv), arguments (-vvv), connections (-vvvv)
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Print the hosts that each play selects, and stop
    #[arg(long)]
    pub list_hosts: bool,

    /// Print the tasks that would run, and stop
    #[arg(long)]
    pub list_tasks: bool,

    /// Print the tags there are, and stop
    #[arg(long)]
    pub list_tags: bool,

    /// Check the playbooks and stop
    #[arg(long)]
    pub syntax_check: bool,

    /// Connect as this user
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,

    /// Use this private key for ssh
    #[arg(long, value_name = "FILE", visible_alias = "key-file")]
    pub private_key: Option<PathBuf>,

    /// Connection: ssh or local
    #[arg(short, long, value_name = "CONNECTION")]
    pub connection: Option<String>,

    /// Seconds to wait for a connection
    #[arg(short = 'T', long, value_name = "SECONDS", default_value_t = 10)]
    pub timeout: u64,

    /// Further arguments for ssh
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub ssh_common_args: Option<String>,

    /// Further arguments for ssh, after the common ones
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub ssh_extra_args: Option<String>,

    /// Become another user for every task (root unless --become-user)
    #[arg(short = 'b', long = "become")]
    pub become_: bool,

    /// How to become: sudo or su
    #[arg(long, value_name = "METHOD")]
    pub become_method: Option<String>,

    /// Whom to become
    #[arg(long, value_name = "USER")]
    pub become_user: Option<String>,

    /// Ask for the password of become
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,

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

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 up is wanted".to_owned()),
        Ok(number) => Ok(number),
    }
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
    let prepared = settings(&options).and_then(|settings| {
        let extra = extra_vars::parse(&options.extra_vars)?;
        engine::Prepared::load(&options.playbooks, settings, extra)
    });
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("ERROR! {error}");
            return error.exit_code();
        }
    };
    if options.list_hosts || options.list_tasks || options.list_tags || options.syntax_check {
        return list::print(&prepared, &options);
    }
    let look = match Look::from_environment() {
        Ok(look) => look,
        Err(error) => {
            eprintln!("ERROR! {error}");
            return exit::ERROR;
        }
    };
    let (events, watchers) =
        Watchers::start(vec![report::reporter(report_settings(&options, look))]);
    let code = engine::run(prepared, events).await;
    watchers.finish();
    code
}

fn settings(options: &Options) -> Result<Settings, engine::LoadError> {
    let become_password =
        if options.ask_become_pass { Some(ask("BECOME password: ")?) } else { None };
    let ssh_args = [&options.ssh_common_args, &options.ssh_extra_args]
        .into_iter()
        .flatten()
        .map(|text| {
            shlex::split(text).ok_or_else(|| {
                engine::LoadError::options(format!("ssh arguments '{text}': a quote is not closed"))
            })
        })
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    Ok(Settings {
        inventory: options.inventory.clone(),
        limit: options.limit.clone(),
        tags: options.tags.clone(),
        skip_tags: options.skip_tags.clone(),
        check: options.check,
        diff: options.diff,
        forks: options.forks,
        verbosity: options.verbose,
        user: options.user.clone(),
        private_key: options.private_key.clone(),
        connection: options.connection.clone(),
        timeout: options.timeout,
        ssh_args,
        become_: options.become_,
        become_method: options.become_method.clone(),
        become_user: options.become_user.clone(),
        become_password,
        force_handlers: options.force_handlers,
        strategy: std::env::var("ANSIBLE_STRATEGY").ok(),
        start_at_task: options.start_at_task.clone(),
        step: options.step,
    })
}

fn report_settings(options: &Options, look: Look) -> ReportSettings {
    let terminal = std::io::stdout().is_terminal();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("ANSIBLE_NOCOLOR").is_some();
    let forced = std::env::var_os("ANSIBLE_FORCE_COLOR").is_some();
    let columns = if terminal { usize::from(console::Term::stdout().size().1) - 1 } else { 79 };
    ReportSettings {
        verbosity: options.verbose,
        check: options.check,
        colour: forced || (terminal && !no_colour),
        columns,
        live: terminal,
        look,
    }
}

/// Asks on the terminal, without an echo.
fn ask(prompt: &str) -> Result<Secret, engine::LoadError> {
    let terminal = console::Term::stderr();
    terminal
        .write_str(prompt)
        .and_then(|()| terminal.read_secure_line())
        .map(Secret::new)
        .map_err(|error| engine::LoadError::options(format!("no password could be read: {error}")))
}
