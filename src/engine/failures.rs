//! What failures do: to the recap, to their host, to the other hosts of the batch.

use std::sync::Arc;

use super::Stop;
use super::batch::{Batch, Place};
use super::failed_task::FailedTask;
use super::host_task::Finished;
use super::keywords::number_of;
use super::result;
use crate::events::{Event, Status};
use crate::playbook::Task;
use crate::template::{Scope, Variable};

/// The hosts on which a task failed, and those that it could not reach.
#[derive(Default)]
pub struct Broke {
    pub failed: Vec<String>,
    pub unreachable: Vec<String>,
}

impl Batch<'_> {
    /// Counts a result for the recap and takes a failed host out.
    pub fn count(&mut self, task: &Task, done: &Finished, place: &Place) {
        let rescuable = place.rescuable;
        self.run.count(&done.host, |stats| match done.status {
            // An include is counted by the tasks that it brings.
            Status::Ok if matches!(task.module.as_str(), "include_tasks" | "include_role") => {}
            Status::Ok => stats.ok += 1,
            Status::Changed => {
                stats.ok += 1;
                stats.changed += 1;
            }
            Status::Skipped => stats.skipped += 1,
            Status::Failed if rescuable => stats.rescued += 1,
            Status::Failed => stats.failed += 1,
            Status::FailedIgnored => {
                stats.ok += 1;
                stats.ignored += 1;
                if result::flag(&done.result, "changed") {
                    stats.changed += 1;
                }
            }
            Status::Unreachable => stats.unreachable += 1,
            Status::UnreachableIgnored => {
                stats.ok += 1;
                stats.ignored += 1;
            }
        });
        match done.status {
            Status::Failed => {
                self.fail(&done.host);
                if place.rescuable {
                    self.remember_failure(task, done, place);
                }
                if !place.rescuable && !place.has_always {
                    self.out.insert(done.host.clone());
                }
            }
            Status::Unreachable => {
                self.unreachable.insert(done.host.clone());
            }
            _ => {}
        }
    }

    /// What a rescue can ask about: ansible_failed_task and ansible_failed_result.
    fn remember_failure(&self, task: &Task, done: &Finished, place: &Place) {
        let result = result::registered(&done.result);
        let failed = FailedTask {
            task,
            templar: self.run.templar().without_lookups(),
            scope: Arc::new(self.scope(&done.host, task, place)),
            no_log: done.no_log,
        };
        self.run.manager.set(
            &done.host,
            [
                ("ansible_failed_result".to_owned(), Variable::Data(result)),
                ("ansible_failed_task".to_owned(), Variable::Data(failed.value())),
            ],
        );
    }

    fn fail(&mut self, host: &str) {
        self.failed.insert(host.to_owned());
        self.excused.remove(host);
    }

    /// What failures do to the other hosts of the batch.
    pub fn after(
        &mut self,
        task: &Task,
        broke: &Broke,
        once: bool,
        scope: &Arc<dyn Scope>,
    ) -> Result<(), Stop> {
        if broke.failed.is_empty() && broke.unreachable.is_empty() {
            return Ok(());
        }
        let gone =
            |host: &&String| self.unreachable.contains(*host) && !broke.unreachable.contains(*host);
        let others = self.hosts.iter().filter(|host| !gone(host) && !broke.failed.contains(host));
        let others: Vec<String> = others.cloned().collect();
        let fatal = match &task.keywords.any_errors_fatal {
            _ if once => true,
            Some(node) => self.flag(Some(node), scope)?,
            None => self.run.settings.any_errors_fatal,
        };
        let ignored = self.flag(task.keywords.ignore_errors.as_ref(), scope)?;
        if fatal && !ignored {
            // As in Ansible the others fail twice where all depended on one: the rescue, or
            // what always follows, of the block right around is not for them.
            if once && !broke.failed.is_empty() {
                self.spent.extend(others.iter().cloned());
            }
            self.fail_all(others);
        }
        // Strategies in which hosts go by themselves do not know it, as in Ansible.
        if let Some(node) = self.play.max_fail_percentage.as_ref().filter(|_| !self.apart) {
            let limit = number_of(self.run.templar(), node, scope, "max_fail_percentage")
                .map_err(Stop::of_failure)?;
            if self.out.len() as f64 * 100.0 / self.size.max(1) as f64 > limit {
                let alive = self.alive();
                self.fail_all(alive);
                self.told = true;
                self.run.events.emit(Event::NoMoreHosts);
            }
        }
        Ok(())
    }

    fn fail_all(&mut self, hosts: Vec<String>) {
        for host in &hosts {
            if self.is_alive(host) {
                self.fail(host);
            }
        }
        self.out.extend(hosts);
    }

    /// How many hosts the batch has lost, as Ansible counts them: one that could not be
    /// reached and failed with the others as well counts twice.
    pub fn count_lost(&self) -> usize {
        self.failed.union(&self.out).count() + self.unreachable.len()
    }

    /// Hosts that are lost to the plays that follow, though they have not failed in this one.
    pub fn condemned(&self) -> impl Iterator<Item = String> {
        self.out.difference(&self.failed).cloned()
    }
}
