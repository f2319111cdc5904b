//! The engine: plays → batches → tasks on hosts.

mod ahead;
mod attempts;
mod background;
mod batch;
mod catalogue;
mod connection;
mod custom_stats;
mod debugger;
mod fact_modules;
mod failed_task;
mod failures;
mod foreseen;
mod gather;
mod handlers;
mod host_task;
mod hosts;
mod includes;
mod interrupt;
mod invoke;
mod kept;
mod keywords;
mod load;
mod looped;
mod loops;
mod meta;
mod notifying;
mod plays;
mod prompts;
mod recorder;
mod redone;
mod rejected;
mod relock;
mod result;
mod scopes;
mod stepping;
mod strategy;
mod tags;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};
use tokio::sync::Semaphore;

use crate::actions::guard::BreakLock;
use crate::actions::{Failure, Session};
use crate::cli::exit;
use crate::events::{CustomStats, Event, Stats, TaskInfo};
use crate::inventory::Inventory;
use crate::playbook::{Brought, Loader, Play, Task};
use crate::report::Events;
use crate::secret::Secret;
use crate::settings::Config;
use crate::source::{self, Node};
use crate::template::{Scope, Templar, Value};
use crate::vars::{FactCache, Layer, Manager, TaskScope, layer_of};
use catalogue::Catalogue;
use host_task::Finished;
use interrupt::Interrupt;
use recorder::Recorder;
use stepping::Stepping;

pub use load::{LoadError, Prepared};
pub use plays::{play_hosts, play_title};
pub use tags::Selection;

/// What the command line says of a run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where they come from, as far as not typed.
    pub config: Arc<Config>,
    pub inventory: Vec<String>,
    pub limit: Option<String>,
    pub tags: Vec<String>,
    pub skip_tags: Vec<String>,
    pub check: bool,
    pub diff: bool,
    /// Bytes of a file that is not too large to be shown as a diff.
    pub diff_limit: u64,
    /// Hosts at work at the same time.
    pub forks: usize,
    pub verbosity: u8,
    pub user: Option<String>,
    pub private_key: Option<PathBuf>,
    pub port: Option<u16>,
    pub connection: Option<String>,
    /// Seconds to wait for a connection.
    pub timeout: u64,
    /// The login's password on hosts that have none of their own.
    pub password: Option<Secret>,
    pub ssh_executable: Option<String>,
    pub ssh_args: Option<String>,
    pub ssh_common_args: Option<String>,
    pub ssh_extra_args: Option<String>,
    /// How often a connection that failed is tried again.
    pub ssh_retries: u64,
    pub host_key_checking: bool,
    pub become_: bool,
    pub become_method: Option<String>,
    pub become_user: Option<String>,
    pub become_password: Option<Secret>,
    pub force_handlers: bool,
    /// The strategy of plays that do not name one.
    pub strategy: Option<String>,
    /// The name of the task to begin with, or a glob of it.
    pub start_at_task: Option<String>,
    /// Ask before each task.
    pub step: bool,
    /// What plays that do not say so take for `any_errors_fatal`.
    pub any_errors_fatal: bool,
    /// What tasks that do not say so take for `no_log`.
    pub no_log: bool,
    /// Seconds between two questions after a task with `async`.
    pub poll_interval: f64,
    /// Seconds that a task may take.
    pub task_timeout: Option<u64>,
    /// Mappings of several levels are merged, not replaced.
    pub merge_hashes: bool,
    /// Every task that fails is looked at by the operator.
    pub debugger: bool,
    /// Failures that are ignored are none to look at.
    pub debugger_ignores_errors: bool,
    /// Reporters are told the arguments of tasks.
    pub show_arguments: bool,
    /// Facts are variables too, under names with `ansible_`.
    pub inject_facts: bool,
    /// Whether variables of roles are for the role alone, where somebody has said so.
    pub private_role_vars: Option<bool>,
    pub error_on_missing_handler: bool,
    /// Folders of roles beside those of the playbook.
    pub roles_path: Vec<PathBuf>,
    /// Folders of modules beside those of the playbook.
    pub module_path: Vec<PathBuf>,
    pub gathering: Gathering,
    /// The modules that gather facts; `smart` is the one for the host.
    pub facts_modules: Vec<String>,
    pub fact_cache: Option<FactCache>,
    /// Forget the cached facts first.
    pub flush_cache: bool,
    /// Write the hosts that were lost into a file: in this folder, or beside the playbook.
    pub retry_files: Option<Option<PathBuf>>,
    /// The ansible.cfg that was read.
    pub config_file: Option<PathBuf>,
    /// Whether the lock of a cluster may be taken from another run.
    pub break_lock: BreakLock,
}

/// When plays gather facts that do not say whether they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gathering {
    #[default]
    Implicit,
    Explicit,
    /// Only of hosts whose facts are not known.
    Smart,
}

/// A run under way.
pub struct Run {
    pub settings: Settings,
    pub manager: Arc<Manager>,
    pub session: Arc<Session>,
    pub events: Events,
    catalogue: Arc<Catalogue>,
    interrupt: Interrupt,
    selection: Selection,
    /// The one that runs.
    playbook: Mutex<Option<PathBuf>>,
    stepping: Stepping,
    /// As many tasks run at once as there are forks.
    slots: Semaphore,
    /// As many hosts run a task at once as its `throttle` says, by the task's place and
    /// that number.
    throttles: Mutex<HashMap<(String, usize), Arc<Semaphore>>>,
    /// The task whose header was told last.
    told: Mutex<Option<Arc<TaskInfo>>>,
    stats: Mutex<IndexMap<String, Stats>>,
    custom_stats: Mutex<CustomStats>,
    /// Hosts that failed or were unreachable in an earlier play.
    lost: Mutex<HashMap<String, Lost>>,
    /// Hosts that are lost as soon as another batch begins.
    condemned: Mutex<HashSet<String>>,
    /// Hosts whose variables' names were looked at.
    named: Mutex<HashSet<String>>,
    /// More hosts failed than max_fail_percentage allows, or nobody answered.
    broke_off: AtomicBool,
    recorder: Recorder,
}

/// How a host was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Failed,
    Unreachable,
}

/// Why a run ends before its last task.
#[derive(Debug)]
pub enum Stop {
    /// Not a host's failure but a fault of the playbook's.
    Error(String),
    /// A file that was included while the playbook ran does not parse.
    Parse(String),
    Interrupted,
}

impl Stop {
    /// A keyword of a play that cannot be filled in.
    fn of_keyword(name: &str, node: &Node, failure: Failure) -> Self {
        let text = format!("Error processing keyword '{name}': {}", failure.msg);
        Self::Parse(node.span.error(text).to_string())
    }

    fn of_failure(failure: Failure) -> Self {
        Self::Error(failure.msg)
    }
}

/// Runs prepared playbooks; returns the exit code.
pub async fn run(prepared: Prepared, events: Events) -> u8 {
    let interrupt = match Interrupt::listen(events.clone()) {
        Ok(interrupt) => interrupt,
        Err(error) => {
            let text = format!("signals cannot be listened to: {error}");
            events.emit(Event::Error { text });
            return exit::ERROR;
        }
    };
    for text in &prepared.warnings {
        events.emit(Event::Warning { text: text.clone() });
    }
    let (run, playbooks) = Run::start(prepared, events, interrupt);
    let mut ended = run.playbooks(&playbooks).await;
    if let Some(name) = run.stepping.not_found() {
        let text = format!(
            "No matching task \"{name}\" found. Note: --start-at-task can only follow static includes."
        );
        run.events.emit(Event::Error { text });
    }
    if ended.is_ok() && run.interrupt.requested() {
        ended = Err(Stop::Interrupted);
    }
    // It ended as its playbook wants (a playbook may cordon a node and leave it so), or somebody
    // else has the cluster now and may be at work on the same nodes.
    if ended.is_ok() && !run.lost_any() || run.session.guard.has_lost() {
        run.session.undo.forget();
    }
    run.session.undo.run(&run.events).await;
    run.session.guard.leave(&run.events).await;
    let code = run.finish(ended);
    run.recorder.finish(code);
    run.session.pool.close().await;
    run.interrupt.end();
    code
}

impl Run {
    pub fn templar(&self) -> &Templar {
        self.manager.templar()
    }

    fn selects(&self, play: &Play, task: &Task) -> bool {
        let tags = tags::templated(task.tags(), self.templar(), || self.play_scope(play));
        self.selection.selects(&tags)
    }

    /// Reads the inventory's sources anew.
    fn refresh_inventory(&self) -> Result<(), source::Error> {
        let directory = &self.templar().settings().playbook_dir;
        let reading =
            load::reading(&self.settings, Some(directory), self.templar(), self.manager.extra())?;
        let (inventory, warnings) = Inventory::load(&self.settings.inventory, &reading)?;
        for text in warnings {
            self.warn(text);
        }
        self.named().clear();
        self.manager.change_inventory(|old| old.refresh(inventory))
    }

    fn checker(&self) -> load::Checker<'_> {
        load::Checker {
            catalogue: &self.catalogue,
            templar: self.templar(),
            extra: self.manager.extra(),
            settings: &self.settings,
            warnings: Mutex::default(),
        }
    }

    fn load_tasks(&self, path: &Path, task: &Task, play: &Play) -> Result<Brought, source::Error> {
        self.loading(|loader| loader.tasks_file(path, task, &play.directory()))
    }

    fn load_role(
        &self,
        task: &Task,
        arguments: &Map<String, Json>,
        play: &Play,
    ) -> Result<Brought, source::Error> {
        let arguments = Node::from_json(&Json::Object(arguments.clone()), &task.span);
        self.loading(|loader| loader.included_role(task, &arguments, &play.directory()))
    }

    /// Reads what is included while the playbook runs.
    fn loading<T>(&self, load: impl FnOnce(&Loader<'_>) -> T) -> T {
        let checker = self.checker();
        let loaded = load(&Loader::new(&checker));
        checker.take_warnings().into_iter().for_each(|text| self.warn(text));
        loaded
    }

    /// The variables of a host outside of any task; a name that the inventory does
    /// not have is taken for an address.
    fn scope_of(&self, host: &str) -> TaskScope {
        self.manager
            .host_scope(host)
            .unwrap_or_else(|| self.manager.task_scope(host, &Arc::default(), &Default::default()))
    }

    /// A file of `vars_files`: the first of a list that exists; none if none does.
    fn vars_file(
        &self,
        node: &Node,
        directory: &Path,
        scope: &Arc<dyn Scope>,
    ) -> Result<Option<Arc<Layer>>, Stop> {
        let candidates = match node.as_seq() {
            Some(items) => items.to_vec(),
            None => vec![node.clone()],
        };
        for candidate in &candidates {
            let name = keywords::text_of(self.templar(), candidate, scope)
                .map_err(Stop::of_failure)?
                .unwrap_or_default();
            let path = [directory.join(&name), directory.join("vars").join(&name)]
                .into_iter()
                .find(|path| path.is_file());
            if let Some(path) = path {
                let node = source::load(&path).map_err(|error| match error.span {
                    Some(_) => Stop::Parse(error.to_string()),
                    None => Stop::Error(invalid_vars_file(candidate, &path, error).to_string()),
                })?;
                return Ok(Some(Arc::new(layer_of(&node))));
            }
        }
        let error = node.span.error("none of these vars_files could be found");
        Err(Stop::Error(error.to_string()))
    }

    fn warn(&self, text: impl Into<String>) {
        self.events.emit(Event::Warning { text: text.into() });
    }

    /// A fact cache that cannot be written is no reason to stop.
    fn add_facts(&self, host: &str, facts: impl IntoIterator<Item = (String, Value)>) {
        if let Err(error) = self.manager.add_facts(host, facts) {
            let text = format!("the facts of {host} cannot be cached: {error}");
            self.warn(text);
        }
    }

    fn tell_task(&self, task: &Arc<TaskInfo>, hosts: usize) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
        self.events.emit(Event::TaskStarted { task: task.clone(), hosts });
    }

    /// Where hosts go on by themselves a header stands before each result of another task.
    fn tell_task_of_result(&self, task: &Arc<TaskInfo>) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if told.is_none_or(|told| (&told.name, &told.path) != (&task.name, &task.path)) {
            self.tell_task(task, 1);
        }
    }

    /// What the hosts of a task with a `throttle` share, whichever batch they are in.
    fn throttle(&self, path: &str, hosts: usize) -> Arc<Semaphore> {
        let mut throttles = self.throttles.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (path.to_owned(), hosts);
        throttles
            .entry(key)
            .or_insert_with(|| Arc::new(Semaphore::new(hosts.min(Semaphore::MAX_PERMITS))))
            .clone()
    }

    fn count_own(&self, done: &Finished) {
        let mut stats = self.custom_stats.lock().unwrap_or_else(PoisonError::into_inner);
        custom_stats::take_in(&mut stats, &done.host, &done.result);
    }

    fn count(&self, host: &str, change: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        change(stats.entry(host.to_owned()).or_default());
    }

    fn lost(&self) -> MutexGuard<'_, HashMap<String, Lost>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn condemned(&self) -> MutexGuard<'_, HashSet<String>> {
        self.condemned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn named(&self) -> MutexGuard<'_, HashSet<String>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another batch begins: hosts that only failed with others do not come back.
    fn condemn(&self) {
        let mut lost = self.lost();
        for host in self.condemned().drain() {
            lost.entry(host).or_insert(Lost::Failed);
        }
    }

    fn is_lost(&self, host: &str) -> bool {
        self.lost().contains_key(host)
    }

    fn lost_any(&self) -> bool {
        !self.lost().is_empty()
    }

    /// `meta: clear_host_errors` brings back what earlier plays have lost, too.
    fn regain(&self, hosts: &[String]) {
        self.lost().retain(|host, _| !hosts.contains(host));
        self.condemned().retain(|host| !hosts.contains(host));
    }

    /// Hosts that were lost, for `--limit @FILE`.
    fn write_retry_file(&self) {
        let Some(folder) = &self.settings.retry_files else {
            return;
        };
        let hosts: BTreeSet<String> = self.lost().keys().cloned().collect();
        let playbook = self.playbook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some(playbook), false) = (playbook, hosts.is_empty()) else {
            return;
        };
        let path = match folder {
            Some(folder) => folder.join(playbook.file_name().unwrap_or_default()),
            None => playbook,
        };
        let path = path.with_extension("retry");
        let text: String = hosts.iter().map(|host| format!("{host}\n")).collect();
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let event = match made.and_then(|()| std::fs::write(&path, text)) {
            Ok(()) => {
                Event::Message { text: format!("\tto retry, use: --limit @{}", path.display()) }
            }
            Err(error) => Event::Warning {
                text: format!("Could not create retry file '{}': {error}", path.display()),
            },
        };
        self.events.emit(event);
    }

    /// What became of the hosts so far, at the end of each playbook.
    fn recap(&self) {
        let stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = stats.iter().map(|(host, stats)| (host.clone(), *stats)).collect();
        let custom = self.custom_stats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.events.emit(Event::Recap { stats, custom });
    }

    /// Prints the last recap; the exit code is the worst of what happened.
    fn finish(&self, ended: Result<(), Stop>) -> u8 {
        self.write_retry_file();
        let code = match &ended {
            Err(Stop::Error(text) | Stop::Parse(text)) => {
                self.events.emit(Event::Error { text: text.clone() });
                let parse = matches!(ended, Err(Stop::Parse(_)));
                return if parse { exit::PARSE } else { exit::ERROR };
            }
            Err(Stop::Interrupted) => {
                self.events.emit(Event::Interrupted);
                exit::INTERRUPTED
            }
            Ok(()) if self.broke_off.load(Ordering::Relaxed) => exit::FAILED,
            Ok(()) if self.lost().values().any(|lost| *lost == Lost::Unreachable) => exit::PARSE,
            Ok(()) if self.lost_any() => exit::FAILED,
            Ok(()) => 0,
        };
        self.recap();
        code
    }
}

/// A file that cannot be read at all, where the play names it.
fn invalid_vars_file(named: &Node, path: &Path, error: source::Error) -> source::Error {
    let message = format!("Invalid vars_file '{}'.. {}", path.display(), error.message);
    source::Error { message, span: Some(named.span.clone()), ..error }
}
