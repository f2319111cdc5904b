//! A play on one batch of its hosts: sections, blocks, tasks in lockstep.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use futures::StreamExt;
use futures::future::{FutureExt, LocalBoxFuture};

use super::connection::Resolver;
use super::failures::Broke;
use super::handlers::Handlers;
use super::host_task::{Finished, HostTask};
use super::keywords::{flag_of, number_of};
use super::result;
use super::stepping::{Step, is_named};
use super::{Lost, Run, Stop, meta};
use crate::events::{Delegate, Event, HostResult, Status, TaskInfo};
use crate::playbook::{Block, Item, Play, Role, RoleTasks, Task};
use crate::source::Node;
use crate::template::Scope;
use crate::transport::ConnectionKind;
use crate::vars::Layer;

/// The state of a batch while its play runs.
pub struct Batch<'a> {
    pub run: &'a Run,
    pub play: &'a Play,
    /// What the play is called, filled in.
    pub name: String,
    /// All hosts of the batch, in order.
    pub hosts: Vec<String>,
    /// Hosts that it would have had if plays before had lost none.
    pub size: usize,
    pub handlers: Handlers,
    /// Roles whose variables all tasks see.
    pub roles: Vec<Arc<Role>>,
    /// Roles that `ansible_play_role_names` names: those of the play, and included ones.
    pub named_roles: Vec<Arc<Role>>,
    /// Of which role a task was not skipped on which host.
    pub ran: HashSet<(String, String)>,
    /// Which role has run to its end on which host.
    completed: HashSet<(String, String)>,
    /// Which role was ended on which host by `meta: end_role`.
    ended_roles: HashSet<(String, String)>,
    /// Play vars and vars_files of each host; highest first.
    pub layers: HashMap<String, Vec<Arc<Layer>>>,
    pub play_hosts_all: Vec<String>,
    pub failed: HashSet<String>,
    pub unreachable: HashSet<String>,
    /// Failed hosts that do what a block always does.
    pub excused: HashSet<String>,
    /// Hosts whose handlers are over, as one of them failed.
    pub handler_failed: HashSet<String>,
    /// Hosts that `meta: end_host` took out.
    ended: HashSet<String>,
    /// What `meta: end_batch` or `end_play` has ended, for all hosts of the batch.
    pub end: Arc<OnceLock<End>>,
    /// max_fail_percentage has stopped it.
    pub told: bool,
    /// The hosts of the batch that this is a part of.
    pub everyone: Vec<String>,
    /// Its one host goes through the play by itself.
    pub apart: bool,
    /// With `--step` the operator did not want the task that was asked for last.
    pub left_out: bool,
    /// `--start-at-task`: tasks before it are left out.
    pub first_task: Option<String>,
    /// The strategy is `debug`.
    pub debugs: bool,
    /// The answers of `vars_prompt`.
    pub prompted: Arc<Layer>,
    /// Hosts that no later play has: those that failed for good, and those that failed with
    /// another one, whatever rescued them.
    pub out: HashSet<String>,
    /// Hosts that the block right around does not take up again when it ends.
    pub spent: HashSet<String>,
    /// Hosts in a block that they do again, as the run was resumed.
    pub again: HashSet<String>,
}

/// Where in the play a list of tasks stands.
#[derive(Clone, Default)]
pub struct Place {
    /// A block around has a rescue that would take a failure.
    pub rescuable: bool,
    /// What a block around does always is still to come.
    pub has_always: bool,
    /// Variables of the includes around; highest first.
    pub includes: Vec<Arc<Layer>>,
    /// The role around.
    pub role: Option<Arc<Role>>,
    /// They are handlers: what they notify runs at once.
    pub of_handlers: bool,
}

impl Place {
    pub fn role_name(&self) -> &str {
        self.role.as_ref().map_or("", |role| &role.body.name)
    }
}

/// What a task has ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Batch,
    /// No further batch runs either.
    Play,
    /// Nothing runs any more.
    Run,
}

impl<'a> Batch<'a> {
    pub fn new(
        run: &'a Run,
        play: &'a Play,
        name: String,
        hosts: Vec<String>,
        play_hosts_all: Vec<String>,
        prompted: Arc<Layer>,
    ) -> Result<Self, Stop> {
        let mut batch = Self {
            run,
            play,
            name,
            handlers: Handlers::of(play),
            roles: play.roles.clone(),
            named_roles: play.roles.clone(),
            ran: HashSet::new(),
            completed: HashSet::new(),
            ended_roles: HashSet::new(),
            layers: HashMap::new(),
            play_hosts_all,
            failed: HashSet::new(),
            unreachable: HashSet::new(),
            excused: HashSet::new(),
            handler_failed: HashSet::new(),
            ended: HashSet::new(),
            end: Arc::default(),
            told: false,
            out: HashSet::new(),
            spent: HashSet::new(),
            again: HashSet::new(),
            everyone: hosts.clone(),
            apart: false,
            left_out: false,
            first_task: None,
            debugs: false,
            prompted,
            size: hosts.len(),
            hosts,
        };
        for host in batch.hosts.clone() {
            let layers = batch.play_layers(&host)?;
            batch.layers.insert(host, layers);
        }
        Ok(batch)
    }

    /// A batch of this host alone.
    pub fn alone(&self, host: &str) -> Self {
        let layers = self.layers.get(host).map(|layers| (host.to_owned(), layers.clone()));
        Self {
            run: self.run,
            play: self.play,
            name: self.name.clone(),
            hosts: vec![host.to_owned()],
            size: 1,
            handlers: Handlers::of(self.play),
            roles: self.roles.clone(),
            named_roles: self.named_roles.clone(),
            ran: HashSet::new(),
            completed: HashSet::new(),
            ended_roles: HashSet::new(),
            layers: layers.into_iter().collect(),
            play_hosts_all: self.play_hosts_all.clone(),
            failed: HashSet::new(),
            unreachable: HashSet::new(),
            excused: HashSet::new(),
            handler_failed: HashSet::new(),
            ended: HashSet::new(),
            end: self.end.clone(),
            told: false,
            everyone: self.hosts.clone(),
            apart: true,
            left_out: false,
            first_task: self.first_task.clone(),
            debugs: self.debugs,
            prompted: self.prompted.clone(),
            out: HashSet::new(),
            spent: HashSet::new(),
            again: HashSet::new(),
        }
    }

    /// Takes in what became of a host that was alone.
    pub fn take_in(&mut self, single: Self) {
        self.failed.extend(single.failed);
        self.unreachable.extend(single.unreachable);
        self.ended.extend(single.ended);
    }

    /// Runs a section of the play (pre_tasks, tasks, post_tasks) and the handlers that it notified.
    pub async fn section(&mut self, items: &[Item]) -> Result<(), Stop> {
        let hosts = self.alive();
        self.spent.clear();
        self.items(items, hosts, Place::default()).await?;
        let hosts = self.hosts.clone();
        self.flush_handlers(&hosts, false).await
    }

    /// The hosts that still take part.
    pub fn alive(&self) -> Vec<String> {
        self.hosts.iter().filter(|host| self.is_alive(host)).cloned().collect()
    }

    pub fn is_alive(&self, host: &str) -> bool {
        (!self.failed.contains(host) || self.excused.contains(host))
            && !self.unreachable.contains(host)
            && !self.ended.contains(host)
            && self.end.get().is_none()
    }

    /// `meta: end_host` took it out.
    pub fn has_ended(&self, host: &str) -> bool {
        self.ended.contains(host)
    }

    pub fn lost(&self) -> impl Iterator<Item = (String, Lost)> {
        let failed = self.failed.iter().map(|host| (host.clone(), Lost::Failed));
        failed.chain(self.unreachable.iter().map(|host| (host.clone(), Lost::Unreachable)))
    }

    pub fn end_host(&mut self, host: &str) {
        self.ended.insert(host.to_owned());
    }

    pub fn clear_errors(&mut self) {
        // Who is doing what a block always does goes on; the others are out of the play,
        // but not lost.
        let out: Vec<_> = self.failed.difference(&self.excused).cloned().collect();
        self.ended.extend(out);
        self.ended.extend(self.unreachable.drain());
        self.failed.clear();
        self.out.clear();
        self.run.regain(&self.play_hosts_all);
    }

    /// Boxed, as blocks hold items.
    pub fn items<'b>(
        &'b mut self,
        items: &'b [Item],
        hosts: Vec<String>,
        place: Place,
    ) -> LocalBoxFuture<'b, Result<(), Stop>> {
        async move {
            for item in items {
                if self.run.interrupt.requested() {
                    return Err(Stop::Interrupted);
                }
                let active: Vec<_> = hosts
                    .iter()
                    .filter(|host| self.is_alive(host) && !self.is_role_over(host, &place))
                    .cloned()
                    .collect();
                if active.is_empty() {
                    break;
                }
                match item {
                    Item::Task(task) => self.task(task, active, &place).await?,
                    Item::Block(block) => self.block(block, active, &place).await?,
                    Item::Role(tasks) => self.role(tasks, active, &place).await?,
                }
            }
            Ok(())
        }
        .boxed_local()
    }

    /// A role's tasks on the hosts where it has not run yet.
    async fn role(
        &mut self,
        tasks: &RoleTasks,
        mut hosts: Vec<String>,
        place: &Place,
    ) -> Result<(), Stop> {
        let role = &tasks.role;
        let mark = |host: &String| (role.identity.clone(), host.clone());
        if !role.allow_duplicates {
            hosts.retain(|host| !self.completed.contains(&mark(host)));
        }
        self.ended_roles.retain(|(identity, _)| *identity != role.identity);
        let inner = Place { role: Some(role.clone()), ..place.clone() };
        self.items(&tasks.items, hosts.clone(), inner).await?;
        let done = hosts.iter().filter(|host| self.is_alive(host)).map(mark);
        let done: Vec<_> = done.filter(|mark| self.ran.contains(mark)).collect();
        self.completed.extend(done);
        Ok(())
    }

    fn is_role_over(&self, host: &str, place: &Place) -> bool {
        place.role.as_ref().is_some_and(|role| {
            self.ended_roles.contains(&(role.identity.clone(), host.to_owned()))
        })
    }

    /// `meta: reset_connection`: the next task connects anew.
    pub async fn reset_connections(
        &self,
        task: &Task,
        hosts: &[String],
        place: &Place,
    ) -> Result<(), Stop> {
        for host in hosts {
            let scope: Arc<dyn Scope> = Arc::new(self.scope(host, task, place));
            let resolver = Resolver {
                settings: &self.run.settings,
                templar: self.run.templar(),
                scope: &scope,
                of_task: &scope,
                keywords: Some(&task.keywords),
            };
            let pool = &self.run.session.pool;
            let remote = resolver.remote(host, pool).map_err(Stop::of_failure)?;
            if remote.endpoint.connection == ConnectionKind::Local {
                self.run.warn("Reset is not implemented for this connection");
            }
            pool.reset(&remote.endpoint).await;
        }
        Ok(())
    }

    /// `meta: end_role`
    pub fn end_role(&mut self, host: &str, place: &Place) {
        if let Some(role) = &place.role {
            self.ended_roles.insert((role.identity.clone(), host.to_owned()));
        }
    }

    async fn block(
        &mut self,
        block: &Block,
        hosts: Vec<String>,
        place: &Place,
    ) -> Result<(), Stop> {
        let has_rescue = !block.rescue.is_empty();
        let has_always = place.has_always || !block.always.is_empty();
        let rescuable = place.rescuable || has_rescue;
        let inner = Place { rescuable, has_always, ..place.clone() };
        let again = self.again.clone();
        let keys = self.enter_block(block, &hosts);
        self.items(&block.block, hosts.clone(), inner).await?;
        let spent = std::mem::take(&mut self.spent);
        if has_rescue {
            let failed = hosts.iter().filter(|host| !spent.contains(*host));
            let rescued: Vec<_> =
                failed.filter(|host| self.failed.remove(*host)).cloned().collect();
            if !rescued.is_empty() {
                let inner = Place { has_always, ..place.clone() };
                self.items(&block.rescue, rescued, inner).await?;
            }
        }
        let spent_twice = std::mem::take(&mut self.spent);
        if !block.always.is_empty() {
            // A failed host does what always has to be done, and stays failed.
            let excused = self.excused.clone();
            let failed = hosts.iter().filter(|host| self.failed.contains(*host));
            let does = failed.filter(|host| has_rescue || !spent.contains(*host));
            let does = does.filter(|host| !spent_twice.contains(*host));
            let does: Vec<_> = does.cloned().collect();
            self.leave_block(&keys, &does, place);
            self.again = again;
            self.excused.extend(does);
            let result = self.items(&block.always, hosts, place.clone()).await;
            self.excused = excused;
            self.spent.clear();
            result?;
        }
        Ok(())
    }

    /// A task on its hosts, if its tags select it. Boxed, as includes hold tasks.
    pub fn task<'b>(
        &'b mut self,
        task: &'b Task,
        hosts: Vec<String>,
        place: &'b Place,
    ) -> LocalBoxFuture<'b, Result<(), Stop>> {
        self.run_task(task, hosts, place).boxed_local()
    }

    async fn run_task(
        &mut self,
        task: &Task,
        mut hosts: Vec<String>,
        place: &Place,
    ) -> Result<(), Stop> {
        // Who is notified runs, whatever tags are selected.
        if !task.handler && !self.run.selects(self.play, task) {
            return Ok(());
        }
        if let Some(wanted) = &self.first_task {
            if !is_named(task, wanted) {
                return Ok(());
            }
            self.first_task = None;
        }
        let Some(first) = hosts.first().cloned() else {
            return Ok(());
        };
        let scope: Arc<dyn Scope> = Arc::new(self.scope(&first, task, place));
        let info = Arc::new(self.info(task, &scope));
        self.warn_of_vars(task);
        if task.module == "meta" {
            return meta::run(self, task, &hosts, place).await;
        }
        // A host that goes by itself runs what would run once, as in Ansible.
        if self.apart {
            self.warn_of_apart(task, &scope)?;
        }
        let once = !self.apart
            && (self.flag(task.keywords.run_once.as_ref(), &scope)?
                || self.run.catalogue.runs_once(&task.module));
        if once {
            hosts.truncate(1);
        }
        match self.run.step(&info).await? {
            Step::Run => {}
            Step::LeaveOut => {
                self.left_out = true;
                return Ok(());
            }
            Step::End => {
                let _ = self.end.set(End::Run);
                return Ok(());
            }
        }
        if !self.apart {
            self.run.tell_task(&info, hosts.len());
        }
        let finished = self.on_hosts(task, &info, hosts, place, &scope, once).await?;
        let mut includes = Vec::new();
        let mut broke = Broke::default();
        for done in finished {
            let mut done = self.debugged(task, &info, done, place, once).await?;
            match done.status {
                Status::Failed => broke.failed.push(done.host.clone()),
                Status::Unreachable => broke.unreachable.push(done.host.clone()),
                _ => {}
            }
            let wanted = std::mem::take(&mut done.includes);
            let targets = if once { self.reached() } else { vec![done.host.clone()] };
            if !wanted.is_empty() {
                includes.push((vec![done.host.clone()], wanted));
            }
            self.keep(task, &done, &targets, place)?;
        }
        self.after(task, &broke, once, &scope)?;
        self.included(task, includes, place).await
    }

    /// Who learns what a task with `run_once` brings: as in Ansible all hosts of the batch, those
    /// that failed too.
    fn reached(&self) -> Vec<String> {
        let all = self.everyone.iter();
        all.filter(|host| !self.unreachable.contains(*host)).cloned().collect()
    }

    /// Runs the task on the hosts, so many at a time; results are reported as they come.
    pub(super) async fn on_hosts(
        &mut self,
        task: &Task,
        info: &Arc<TaskInfo>,
        hosts: Vec<String>,
        place: &Place,
        scope: &Arc<dyn Scope>,
        once: bool,
    ) -> Result<Vec<Finished>, Stop> {
        let mut forks = self.run.settings.forks;
        let mut throttled = None;
        if let Some(node) = &task.keywords.throttle {
            let throttle = number_of(self.run.templar(), node, scope, "throttle")
                .map_err(Stop::of_failure)? as usize;
            if throttle > 0 {
                forks = forks.min(throttle);
                throttled = Some(self.run.throttle(&info.path, throttle));
            }
        }
        let search = self.search(task);
        let vars = self.vars();
        let jobs: Vec<_> = hosts
            .iter()
            .map(|host| HostTask {
                run: self.run,
                task,
                info: info.clone(),
                scope: self.scope_with(host, task, place, &vars),
                delegation: task
                    .keywords
                    .delegate_to
                    .as_ref()
                    .map(|_| (vars.clone(), self.task_layers(host, task, place))),
                search: search.clone(),
                apart: self.apart,
                throttled: throttled.clone(),
                // Whoever it was that ran it: it is done for all.
                turn: self.run.recorder.turn(if once { "*" } else { host }, task),
                again: self.again.contains(host) || once && !self.again.is_empty(),
            })
            .collect();
        let mut running = futures::stream::iter(jobs.into_iter().map(|job| {
            let event =
                Event::HostStarted { task: info.clone(), host: job.scope.host().to_owned() };
            self.run.events.emit(event);
            job.run()
        }))
        .buffer_unordered(forks.max(1));
        let mut finished = Vec::with_capacity(hosts.len());
        while let Some(done) = running.next().await {
            if let Some(text) = self.run.session.guard.refused() {
                // With the exit code of what cannot begin at all.
                return Err(Stop::Parse(text));
            }
            self.report(info, &done, place);
            finished.push(done);
        }
        drop(running);
        // Whoever finished first, what follows happens in the inventory's order.
        let order: HashMap<&str, usize> =
            hosts.iter().enumerate().map(|(index, host)| (host.as_str(), index)).collect();
        finished.sort_by_key(|done| order.get(done.host.as_str()).copied());
        Ok(finished)
    }

    pub fn report(&self, info: &Arc<TaskInfo>, done: &Finished, place: &Place) {
        self.run.recorder.through(done.turn.as_ref(), info, done.status, place.rescuable);
        if done.resumed {
            return;
        }
        let includes = !done.includes.is_empty() && done.status == Status::Ok;
        if self.apart && !includes {
            self.run.tell_task_of_result(info);
        }
        let hidden = done.no_log || result::is_secret(&done.result);
        let result = if hidden { result::censored(&done.result) } else { done.result.clone() };
        let outcome = HostResult {
            task: info.clone(),
            host: done.host.clone(),
            delegated_to: done.delegated_to.clone().map(|name| {
                let address = done.address.clone();
                Delegate { name, address }
            }),
            status: done.status,
            item: None,
            rescued: place.rescuable,
            result,
            duration: done.duration,
        };
        self.run.events.emit(if includes {
            Event::IncludeFinished(outcome)
        } else {
            Event::HostFinished(outcome)
        });
    }

    pub fn flag(&self, node: Option<&Node>, scope: &Arc<dyn Scope>) -> Result<bool, Stop> {
        match node {
            Some(node) => flag_of(self.run.templar(), node, scope).map_err(Stop::of_failure),
            None => Ok(false),
        }
    }
}
