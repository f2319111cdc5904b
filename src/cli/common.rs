//! Options that commands which run tasks have in common, over the settings.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgAction, Args};
use serde::{Deserialize, Serialize};

use super::passwords::{PasswordOptions, Passwords};
use super::vault_options::VaultOptions;
use crate::engine::{Gathering, LoadError, Settings};
use crate::settings::Config;
use crate::vars::FactCache;

#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Common {
    /// Inventory: a file, a folder, an executable, hosts with commas ('a,b,') or the nodes of a
    /// cluster (cluster:KUBECONFIG); may be repeated
    #[arg(short, long, value_name = "INVENTORY", visible_alias = "inventory-file")]
    pub inventory: Vec<String>,

    /// Only these hosts of what is selected
    #[arg(short, long, value_name = "PATTERN")]
    pub limit: Vec<String>,

    /// Variables: key=value, JSON, YAML, or @file; may be repeated
    #[arg(short, long, value_name = "VARS")]
    pub extra_vars: Vec<String>,

    /// Change nothing; say what would change
    #[arg(short = 'C', long)]
    pub check: bool,

    /// Show the differences in changed files
    #[arg(short = 'D', long)]
    pub diff: bool,

    /// Hosts that are worked on at the same time [default: 5]
    #[arg(short, long, value_name = "N", value_parser = positive)]
    pub forks: Option<usize>,

    /// Show results (-v), task paths (-vv), arguments (-vvv), connections (-vvvv)
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Print at the end where the time went: by module, by host, and outside of all tasks
    #[arg(long)]
    #[serde(default)]
    pub timing: bool,

    /// Print the hosts that would be worked on, and stop
    #[arg(long)]
    pub list_hosts: bool,

    /// Check the syntax and stop
    #[arg(long)]
    pub syntax_check: bool,

    /// Forget the facts that are cached
    #[arg(long)]
    pub flush_cache: bool,

    /// Folders with modules of your own, with ':' between
    #[arg(short = 'M', long, value_name = "PATHS")]
    pub module_path: Vec<String>,

    /// Connect as this user
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,

    /// Use this private key for ssh
    #[arg(long, value_name = "FILE", visible_alias = "key-file")]
    pub private_key: Option<PathBuf>,

    /// Connection: ssh or local
    #[arg(short, long, value_name = "CONNECTION")]
    pub connection: Option<String>,

    /// Seconds to wait for a connection [default: 10]
    #[arg(short = 'T', long, value_name = "SECONDS")]
    pub timeout: Option<u64>,

    /// Further arguments for ssh
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub ssh_common_args: Option<String>,

    /// Further arguments for ssh, after the common ones
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub ssh_extra_args: Option<String>,

    /// Taken for compatibility: files go over the same connection
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, hide = true)]
    pub scp_extra_args: Option<String>,

    /// Taken for compatibility: files go over the same connection
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, hide = true)]
    pub sftp_extra_args: Option<String>,

    /// Become another user for every task (root unless --become-user)
    #[arg(short = 'b', long = "become")]
    pub become_: bool,

    /// How to become: sudo or su
    #[arg(long, value_name = "METHOD")]
    pub become_method: Option<String>,

    /// Whom to become
    #[arg(long, value_name = "USER")]
    pub become_user: Option<String>,

    #[command(flatten)]
    pub passwords: PasswordOptions,

    #[command(flatten)]
    pub vault: VaultOptions,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 up is wanted".to_owned()),
        Ok(number) => Ok(number),
    }
}

impl Common {
    /// The engine's settings: what is typed wins over the configuration.
    pub fn settings(&self, config: &Config, passwords: Passwords) -> Result<Settings, LoadError> {
        let text = |typed: &Option<String>, name: &str| typed.clone().or_else(|| config.text(name));
        let mut module_path: Vec<PathBuf> =
            self.module_path.iter().flat_map(|paths| std::env::split_paths(paths)).collect();
        module_path.extend(config.paths("DEFAULT_MODULE_PATH"));
        let number = |name: &str| config.number(name).and_then(|n| u64::try_from(n).ok());
        Ok(Settings {
            inventory: sources(&self.inventory, config),
            // As for every option that is no list, the last one counts.
            limit: self.limit.last().cloned(),
            check: self.check,
            diff: self.diff || config.flag("DIFF_ALWAYS"),
            diff_limit: number("MAX_FILE_SIZE_FOR_DIFF").unwrap_or(u64::MAX),
            forks: self
                .forks
                .unwrap_or_else(|| number("DEFAULT_FORKS").unwrap_or(5).max(1) as usize),
            verbosity: self.verbosity(config),
            user: text(&self.user, "DEFAULT_REMOTE_USER"),
            private_key: self
                .private_key
                .clone()
                .or_else(|| config.path("DEFAULT_PRIVATE_KEY_FILE")),
            port: config.number("DEFAULT_REMOTE_PORT").and_then(|port| u16::try_from(port).ok()),
            connection: text(&self.connection, "DEFAULT_TRANSPORT"),
            timeout: self.timeout.or_else(|| number("DEFAULT_TIMEOUT")).unwrap_or(10),
            password: passwords.connection,
            ssh_executable: config.text("SSH_EXECUTABLE"),
            ssh_args: config.text("SSH_ARGS"),
            ssh_common_args: text(&self.ssh_common_args, "SSH_COMMON_ARGS"),
            ssh_extra_args: text(&self.ssh_extra_args, "SSH_EXTRA_ARGS"),
            ssh_retries: number("SSH_RETRIES").unwrap_or(0),
            host_key_checking: config.flag("HOST_KEY_CHECKING"),
            become_: self.become_ || config.flag("DEFAULT_BECOME"),
            become_method: Some(self.become_method(config)),
            become_user: self.become_user.clone(),
            become_password: passwords.become_,
            force_handlers: config.flag("DEFAULT_FORCE_HANDLERS"),
            strategy: config.text("DEFAULT_STRATEGY"),
            any_errors_fatal: config.flag("ANY_ERRORS_FATAL"),
            no_log: config.flag("DEFAULT_NO_LOG"),
            poll_interval: number("DEFAULT_POLL_INTERVAL").unwrap_or(15) as f64,
            task_timeout: number("TASK_TIMEOUT").filter(|seconds| *seconds > 0),
            debugger: config.flag("ENABLE_TASK_DEBUGGER"),
            debugger_ignores_errors: config.flag("TASK_DEBUGGER_IGNORE_ERRORS"),
            show_arguments: config.flag("DISPLAY_ARGS_TO_STDOUT"),
            merge_hashes: config.text("DEFAULT_HASH_BEHAVIOUR").as_deref() == Some("merge"),
            inject_facts: config.flag("INJECT_FACTS_AS_VARS"),
            private_role_vars: config
                .said("DEFAULT_PRIVATE_ROLE_VARS")
                .then(|| config.flag("DEFAULT_PRIVATE_ROLE_VARS")),
            error_on_missing_handler: config.flag("ERROR_ON_MISSING_HANDLER"),
            roles_path: config.paths("DEFAULT_ROLES_PATH"),
            module_path,
            gathering: gathering(config)?,
            facts_modules: config.list("FACTS_MODULES"),
            fact_cache: fact_cache(config)?,
            flush_cache: self.flush_cache,
            retry_files: config
                .flag("RETRY_FILES_ENABLED")
                .then(|| config.path("RETRY_FILES_SAVE_PATH")),
            config_file: config.file().map(PathBuf::from),
            config: Arc::new(config.clone()),
            ..Settings::default()
        })
    }

    /// The passwords that are typed or in files; asked for before anything is read.
    pub fn passwords(&self, config: &Config) -> Result<Passwords, LoadError> {
        self.passwords.load(config, &self.become_method(config))
    }

    fn become_method(&self, config: &Config) -> String {
        let typed = self.become_method.clone();
        typed.or_else(|| config.text("DEFAULT_BECOME_METHOD")).unwrap_or_else(|| "sudo".to_owned())
    }

    /// Characters in a line of output.
    pub fn columns(&self) -> usize {
        columns()
    }

    /// With `-v`: where the settings come from; with `-vv` what is running, before that.
    pub fn tell_config(&self, config: &Config) {
        if self.verbosity(config) > 1 {
            print!("{}", about(config));
        }
        if self.verbosity(config) > 0 {
            config.tell_file();
        }
    }

    pub fn verbosity(&self, config: &Config) -> u8 {
        verbosity(self.verbose, config)
    }
}

/// The lines about the program, as `ansible-playbook -vv` begins.
fn about(config: &Config) -> String {
    let file = config.file().map_or_else(|| "None".to_owned(), |path| path.display().to_string());
    let program = std::env::current_exe().unwrap_or_default();
    format!(
        "kup-play [{}]\n  config file = {file}\n  executable location = {}\n",
        env!("CARGO_PKG_VERSION"),
        program.display()
    )
}

/// Characters in a line of output.
pub fn columns() -> usize {
    let width = usize::from(console::Term::stdout().size().1);
    if std::io::stdout().is_terminal() { width.saturating_sub(1) } else { 79 }
}

/// The `-v` that were typed, or what the settings say.
pub fn verbosity(typed: u8, config: &Config) -> u8 {
    let wished = config.number("DEFAULT_VERBOSITY").unwrap_or(0);
    typed.max(u8::try_from(wished).unwrap_or(0))
}

/// The sources of the inventory: what is typed, or what the settings name; Ansible's own
/// default counts only if it is there.
pub fn sources(typed: &[String], config: &Config) -> Vec<String> {
    if !typed.is_empty() {
        return typed.to_vec();
    }
    let named = config.text("DEFAULT_HOST_LIST").unwrap_or_default();
    if named == "/etc/ansible/hosts" && !std::path::Path::new(&named).exists() {
        return Vec::new();
    }
    if named.ends_with(',') {
        return vec![named];
    }
    let paths = config.paths("DEFAULT_HOST_LIST").into_iter();
    let words = config.list("DEFAULT_HOST_LIST").into_iter().zip(paths);
    words
        .map(|(word, path)| match word.starts_with("cluster:") {
            true => word,
            false => path.display().to_string(),
        })
        .collect()
}

fn gathering(config: &Config) -> Result<Gathering, LoadError> {
    match config.text("DEFAULT_GATHERING").as_deref() {
        None | Some("implicit") => Ok(Gathering::Implicit),
        Some("explicit") => Ok(Gathering::Explicit),
        Some("smart") => Ok(Gathering::Smart),
        Some(other) => Err(LoadError::options(format!(
            "Invalid value '{other}' for DEFAULT_GATHERING: there are implicit, explicit and smart"
        ))),
    }
}

pub fn fact_cache(config: &Config) -> Result<Option<FactCache>, LoadError> {
    let name = config.text("CACHE_PLUGIN").unwrap_or_default();
    match name.strip_prefix("ansible.builtin.").unwrap_or(&name) {
        "" | "memory" => Ok(None),
        "jsonfile" | "community.general.jsonfile" => {
            let folder = config.path("CACHE_PLUGIN_CONNECTION").ok_or_else(|| {
                LoadError::options("the jsonfile fact cache needs a folder").with_help(
                    "set fact_caching_connection in ansible.cfg, or ANSIBLE_CACHE_PLUGIN_CONNECTION",
                )
            })?;
            let timeout = config.number("CACHE_PLUGIN_TIMEOUT").unwrap_or(86400);
            let timeout = u64::try_from(timeout).ok().filter(|seconds| *seconds > 0);
            // Names of files have a prefix only where one is set.
            let prefix = config.text("CACHE_PLUGIN_PREFIX").unwrap_or_default();
            let prefix = if prefix == "ansible_facts" { String::new() } else { prefix };
            Ok(Some(FactCache { folder, prefix, timeout }))
        }
        other => Err(LoadError::options(format!("there is no fact cache '{other}'"))
            .with_help("there are memory and jsonfile")),
    }
}
