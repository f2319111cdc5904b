//! Playbooks and their plays, one after the other.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use tokio::sync::Semaphore;

use super::batch::{Batch, End};
use super::hosts::Directory;
use super::interrupt::Interrupt;
use super::recorder::Recorder;
use super::stepping::Stepping;
use super::strategy::Strategy;
use super::{Prepared, Run, Stop, gather, keywords};
use crate::actions::Session;
use crate::events::Event;
use crate::journal::{self, Record};
use crate::playbook::{Play, list_of, serial};
use crate::report::Events;
use crate::source::Node;
use crate::template::{Scope, Templar};
use crate::transport::{Pool, Settings as PoolSettings};
use crate::vars::{BatchVars, Layer, Manager, TaskLayers, reserved};

/// Playbooks with their paths.
pub type Playbooks = Vec<(PathBuf, Vec<Play>)>;

/// So many hosts of a batch keep their connections from task to task, or as many as there are
/// forks: each is a process, and some files that are open.
const CONNECTIONS: usize = 200;

impl Run {
    pub(super) fn start(
        prepared: Prepared,
        events: Events,
        interrupt: Interrupt,
    ) -> (Self, Playbooks) {
        let Prepared { settings, playbooks, manager, selection, catalogue, recording, .. } =
            prepared;
        let recorder = Recorder::of(recording);
        let guarding = recorder.guarding(settings.break_lock);
        let pool = Arc::new(Pool::new(PoolSettings::default()));
        let hosts =
            Directory { settings: settings.clone(), manager: manager.clone(), pool: pool.clone() };
        let session = Arc::new(Session::new(
            pool,
            events.clone(),
            Arc::new(hosts),
            guarding,
            settings.diff_limit,
        ));
        let stats = Mutex::new(IndexMap::new());
        let lost = Mutex::default();
        let stepping = Stepping::new(settings.start_at_task.clone(), settings.step);
        let slots = Semaphore::new(settings.forks.clamp(1, Semaphore::MAX_PERMITS));
        let run = Self {
            stepping,
            playbook: Mutex::default(),
            slots,
            throttles: Mutex::default(),
            told: Mutex::default(),
            settings,
            manager,
            session,
            events,
            catalogue,
            interrupt,
            selection,
            stats,
            custom_stats: Mutex::default(),
            lost,
            condemned: Mutex::default(),
            named: Mutex::default(),
            broke_off: AtomicBool::new(false),
            recorder,
        };
        (run, playbooks)
    }

    pub(super) async fn playbooks(&self, playbooks: &Playbooks) -> Result<(), Stop> {
        if self.settings.flush_cache {
            for host in self.manager.inventory().host_names() {
                self.manager.clear_facts(&host);
            }
        }
        for (index, (path, plays)) in playbooks.iter().enumerate() {
            if index > 0 {
                self.recap();
            }
            *self.playbook.lock().unwrap_or_else(PoisonError::into_inner) =
                std::path::absolute(path).ok();
            let path = path.display().to_string();
            self.events.emit(Event::PlaybookStarted { path, plays: plays.len() });
            for play in plays {
                if !self.play(play).await? {
                    return Ok(());
                }
            }
            if self.lost_any() {
                // As Ansible: a playbook after one that lost hosts is not started.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the next play may run.
    async fn play(&self, play: &Play) -> Result<bool, Stop> {
        if self.interrupt.requested() {
            return Err(Stop::Interrupted);
        }
        // Its hosts may be what is asked for.
        let prompted = Arc::new(self.prompts(play, &self.play_scope(play)).await?);
        let scope = scope_of(&self.manager, play, Some(prompted.clone()));
        let name = play_name(self.templar(), play, &scope);
        let hosts = self.play_hosts(play, &scope)?;
        let started = |hosts: Vec<String>| Event::PlayStarted {
            name: name.clone(),
            path: format!("{}:{}", play.span.path().display(), play.span.line),
            hosts,
            check: self.checks(&play.keywords, &scope),
        };
        if hosts.is_empty() {
            self.events.emit(started(Vec::new()));
            self.events.emit(Event::NoHostsMatched);
            return Ok(true);
        }
        self.warn_of_names(&scope.names());
        for host in &hosts {
            if self.named().insert(host.clone()) {
                self.warn_of_names(&self.manager.inventory().names(host));
            }
        }
        let Ok(first_task) = self.stepping.first_task(play) else {
            self.events.emit(started(hosts));
            return Ok(true);
        };
        let strategy = self.strategy(play, &scope)?;
        // Hosts that earlier plays have lost have their places in the batches, as in Ansible.
        let everyone = hosts;
        let sizes = self.batch_sizes(play, &scope, everyone.len())?;
        for batch in serial::batches(&everyone, &sizes) {
            self.condemn();
            let size = batch.len();
            let batch: Vec<_> = batch.into_iter().filter(|host| !self.is_lost(host)).collect();
            if batch.is_empty() {
                self.events.emit(started(batch));
                continue;
            }
            // Hosts of earlier batches and plays may be needed again, but not all of them at once.
            let connections = self.settings.forks.max(batch.len().min(CONNECTIONS));
            self.session.pool.keep_at_most(connections);
            let all = everyone.clone();
            let mut batch = Batch::new(self, play, name.clone(), batch, all, prompted.clone())?;
            batch.size = size;
            self.events.emit(started(batch.hosts.clone()));
            self.recorder.put(|| Record::Play {
                at: journal::now(),
                name: name.clone(),
                hosts: batch.hosts.clone(),
            });
            batch.first_task = first_task.clone();
            batch.debugs = strategy == Strategy::Debug;
            let ran = match strategy {
                Strategy::Linear | Strategy::Debug => self.sections(play, &mut batch).await,
                apart => self.independent(play, &mut batch, apart).await,
            };
            self.lost().extend(batch.lost());
            self.condemned().extend(batch.condemned());
            let has_lost_all = batch.count_lost() == size;
            ran?;
            if batch.told {
                // Ansible says it once for the task and once for the play.
                self.events.emit(Event::NoMoreHosts);
                self.broke_off.store(true, Ordering::Relaxed);
            }
            if batch.told || has_lost_all {
                return Ok(false);
            }
            match batch.end.get() {
                None | Some(End::Batch) => {}
                Some(End::Play) => break,
                Some(End::Run) => {
                    self.broke_off.store(true, Ordering::Relaxed);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    pub(super) async fn sections(&self, play: &Play, batch: &mut Batch<'_>) -> Result<(), Stop> {
        gather::facts(self, play, batch).await?;
        for items in [&play.pre_tasks, &play.tasks, &play.post_tasks] {
            batch.section(items).await?;
        }
        Ok(())
    }

    /// What can be seen before a host is chosen: extra variables and the play's own.
    pub(super) fn play_scope(&self, play: &Play) -> Arc<dyn Scope> {
        scope_of(&self.manager, play, None)
    }

    /// Names that keywords have already.
    pub(super) fn warn_of_names<T: AsRef<str>>(&self, names: &[T]) {
        for text in reserved::warnings(names.iter().map(T::as_ref)) {
            self.warn(text);
        }
    }

    /// The hosts of a play, as its pattern and `--limit` select them.
    fn play_hosts(&self, play: &Play, scope: &Arc<dyn Scope>) -> Result<Vec<String>, Stop> {
        let (hosts, warnings) = select(&self.manager, &play.hosts, &self.settings.limit, scope)?;
        for text in warnings {
            self.warn(text);
        }
        let order = match &play.order {
            Some(node) => keywords::text_of(self.templar(), node, scope)
                .map_err(|failure| Stop::of_keyword("order", node, failure))?,
            None => None,
        };
        ordered(hosts, order.as_deref(), play)
    }

    fn batch_sizes(
        &self,
        play: &Play,
        scope: &Arc<dyn Scope>,
        hosts: usize,
    ) -> Result<Vec<usize>, Stop> {
        let mut sizes = Vec::new();
        for node in &play.serial {
            let value = keywords::value_of(self.templar(), node, scope)
                .map_err(|failure| Stop::of_keyword("serial", node, failure))?;
            let values: Vec<_> = match value.as_str() {
                None if value.kind() == minijinja::value::ValueKind::Seq => {
                    value.try_iter().map(Iterator::collect).unwrap_or_default()
                }
                _ => vec![value],
            };
            for value in values.into_iter().filter(|value| !crate::template::is_omit(value)) {
                let size = serial::size(&value.to_string(), hosts).ok_or_else(|| {
                    let error = node.span.error(format!(
                        "serial must be a number of hosts or a percentage of them, not '{value}'"
                    ));
                    Stop::Error(error.to_string())
                })?;
                sizes.push(size);
            }
        }
        Ok(sizes)
    }
}

/// The variables of a play itself: extra ones, what was asked for, and its own. What all hosts
/// have is seen too, unlike in Ansible: the inventory may say how large batches are.
pub(super) fn scope_of(
    manager: &Arc<Manager>,
    play: &Play,
    prompted: Option<Arc<Layer>>,
) -> Arc<dyn Scope> {
    let own = prompted.into_iter().chain([play.vars.clone()]).collect();
    let layers = TaskLayers { play: own, ..TaskLayers::default() };
    let batch = BatchVars {
        of_play: true,
        play_name: play.name.clone(),
        playbook_dir: play.directory().display().to_string(),
        ..BatchVars::default()
    };
    Arc::new(manager.task_scope("localhost", &Arc::new(batch), &layers))
}

/// What a play is called; a name that cannot be filled in stays as it is written.
fn play_name(templar: &Templar, play: &Play, scope: &Arc<dyn Scope>) -> String {
    let rendered = templar.render_text(&play.name, None, scope);
    rendered.map_or_else(|_| play.name.clone(), |value| value.to_string())
}

/// What a play is called, and the parts of its pattern, without running it.
pub fn play_title(prepared: &Prepared, play: &Play) -> (String, Vec<String>) {
    let templar = prepared.manager.templar();
    let scope = scope_of(&prepared.manager, play, None);
    let written =
        || list_of(&play.hosts).iter().filter_map(Node::as_str).map(str::to_owned).collect();
    let pattern = keywords::texts_of(templar, &play.hosts, &scope);
    (play_name(templar, play, &scope), pattern.unwrap_or_else(|_| written()))
}

/// The hosts that a play would run on, without running it, and what is to be warned of.
pub fn play_hosts(prepared: &Prepared, play: &Play) -> Result<(Vec<String>, Vec<String>), String> {
    let scope = scope_of(&prepared.manager, play, None);
    select(&prepared.manager, &play.hosts, &prepared.settings.limit, &scope).map_err(|stop| {
        match stop {
            Stop::Error(text) | Stop::Parse(text) => text,
            Stop::Interrupted => "interrupted".to_owned(),
        }
    })
}

/// Hosts that a play's pattern selects within the limit, and what is to be warned of.
fn select(
    manager: &Manager,
    pattern: &Node,
    limit: &Option<String>,
    scope: &Arc<dyn Scope>,
) -> Result<(Vec<String>, Vec<String>), Stop> {
    let parts = keywords::texts_of(manager.templar(), pattern, scope)
        .map_err(|failure| Stop::of_keyword("hosts", pattern, failure))?;
    let pattern_text = parts.join(",");
    let wrong = |error: crate::source::Error| {
        Stop::Error(crate::source::Error { span: Some(pattern.span.clone()), ..error }.to_string())
    };
    let inventory = manager.inventory();
    let (mut hosts, warnings) = inventory.select(&pattern_text).map_err(wrong)?;
    if let Some(limit) = limit {
        hosts = inventory.limit(hosts, limit).map_err(wrong)?;
    }
    Ok((hosts, warnings))
}

fn ordered(mut hosts: Vec<String>, order: Option<&str>, play: &Play) -> Result<Vec<String>, Stop> {
    match order {
        None | Some("inventory") => {}
        Some("sorted") => hosts.sort(),
        Some("reverse_sorted") => {
            hosts.sort();
            hosts.reverse();
        }
        Some("reverse_inventory") => hosts.reverse(),
        Some("shuffle") => {
            use rand::seq::SliceRandom;
            hosts.shuffle(&mut rand::rng());
        }
        Some(other) => {
            let span = play.order.as_ref().map_or(&play.span, |node| &node.span);
            let known = "inventory, reverse_inventory, sorted, reverse_sorted and shuffle";
            let error =
                span.error(format!("Invalid 'order' specified: '{other}'; there are {known}"));
            return Err(Stop::Error(error.to_string()));
        }
    }
    Ok(hosts)
}
