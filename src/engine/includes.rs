//! `include_tasks` and `include_role`: what they name is read when they run.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::batch::{Batch, Place};
use super::failures::Broke;
use super::host_task::{Finished, Include};
use super::invoke::Target;
use super::{Stop, result};
use crate::actions::Failure;
use crate::events::{EXPLANATION, Event, Status};
use crate::playbook::{Brought, Item, Task};
use crate::source::Error;
use crate::template::{Scope, normal_path};

/// A file that includes itself until something is so has to come to that by then.
const MAX_LEVELS: usize = 300;

impl Batch<'_> {
    /// Runs the files that include_tasks asked for: each file once, with all the
    /// hosts that asked for it alike.
    pub(super) async fn included(
        &mut self,
        task: &Task,
        wanted: Vec<(Vec<String>, Vec<Include>)>,
        place: &Place,
    ) -> Result<(), Stop> {
        // Each level brings a layer of variables at least.
        if !wanted.is_empty() && place.includes.len() >= MAX_LEVELS {
            let error = task.span.error("files of tasks include each other without an end");
            return Err(Stop::Error(error.to_string()));
        }
        let mut groups: Vec<(Include, Vec<String>)> = Vec::new();
        for (hosts, includes) in wanted {
            for include in includes {
                // An item that comes twice is included twice.
                let same = groups.iter_mut().find(|(other, members)| {
                    other.target == include.target
                        && other.item == include.item
                        && !hosts.iter().any(|host| members.contains(host))
                });
                match same {
                    Some((_, members)) => members.extend(hosts.iter().cloned()),
                    None => groups.push((include, hosts.clone())),
                }
            }
        }
        // All are read and told before the first one's tasks run.
        let mut ready = Vec::new();
        for (include, hosts) in groups {
            match self.bring(task, &include.target) {
                Ok((name, brought)) => {
                    self.tell_include(task, &hosts, place);
                    self.tell_included(name, &include, &hosts);
                    ready.push((include, hosts, brought));
                }
                // A file with a mistake in it ends the run, as in Ansible; one that is not
                // there is a failure of the hosts that wanted it.
                Err(error) if error.ends_run || lies_elsewhere(&error, task) => {
                    return Err(Stop::Parse(error.to_string()));
                }
                Err(error) => {
                    self.include_failed(task, &include.target, &hosts, error, place)?;
                }
            }
        }
        // A handler that several of them bring is the last one's.
        let within = |include: &Include| {
            let mut inner = place.clone();
            // What the include itself sets wins over what its loop's item brings.
            inner.includes.insert(0, Arc::new(include.locals.clone()));
            let own = task.keywords.vars.iter().skip(task.outer.vars.len());
            own.for_each(|layer| inner.includes.insert(0, layer.clone()));
            inner
        };
        for (include, _, brought) in &ready {
            self.handlers.add(&brought.handlers, &within(include).includes);
        }
        for (include, hosts, brought) in ready {
            self.include(within(&include), brought, hosts).await?;
        }
        Ok(())
    }

    /// Where hosts go on by themselves nothing has named the task yet.
    fn tell_include(&self, task: &Task, hosts: &[String], place: &Place) {
        if let Some(host) = hosts.first().filter(|_| self.apart) {
            let scope: Arc<dyn Scope> = Arc::new(self.scope(host, task, place));
            self.run.tell_task_of_result(&Arc::new(self.info(task, &scope)));
        }
    }

    fn tell_included(&self, file: String, include: &Include, hosts: &[String]) {
        let item = include.item.clone().map(|item| match include.no_log {
            true => "(censored due to no_log)".to_owned(),
            false => item,
        });
        self.run.events.emit(Event::Included { file, hosts: hosts.to_vec(), item });
        for host in hosts {
            self.run.count(host, |stats| stats.ok += 1);
        }
    }

    async fn include(
        &mut self,
        place: Place,
        brought: Brought,
        hosts: Vec<String>,
    ) -> Result<(), Stop> {
        self.roles.extend(brought.roles);
        self.named_roles.extend(brought.items.iter().filter_map(Item::role).cloned());
        self.items(&brought.items, hosts, place).await?;
        // The tasks of the include are a block of their own.
        self.spent.clear();
        Ok(())
    }

    /// What an include names, read; and what it is called.
    fn bring(&self, task: &Task, target: &Target) -> Result<(String, Brought), Error> {
        match target {
            Target::Tasks { file, .. } => {
                let path = self.include_path(task, file)?;
                let brought = self.run.load_tasks(&path, task, self.play);
                Ok((path.display().to_string(), brought?))
            }
            Target::Role { name, arguments } => {
                let brought = self.run.load_role(task, arguments, self.play);
                Ok((name.clone(), brought?))
            }
        }
    }

    fn include_failed(
        &mut self,
        task: &Task,
        target: &Target,
        hosts: &[String],
        error: Error,
        place: &Place,
    ) -> Result<(), Stop> {
        for host in hosts {
            let scope: Arc<dyn Scope> = Arc::new(self.scope(host, task, place));
            let info = Arc::new(self.info(task, &scope));
            let mut result = result::of_failure(Failure::new(""));
            result.insert("reason".to_owned(), json!(error.in_result()));
            result.shift_remove("msg");
            if let Some(file) = target.file() {
                result.insert("include".to_owned(), json!(file));
            }
            let explanation = match (&error.help, &error.span) {
                (Some(_), _) => Some(error.to_string()),
                (None, Some(_)) => Some(format!("ERROR! {}", error.in_result().trim_end())),
                (None, None) => None,
            };
            if let Some(text) = explanation {
                result.insert(EXPLANATION.to_owned(), json!(text));
            }
            let done = Finished::failed(host, result);
            self.report(&info, &done, place);
            self.count(task, &done, place);
        }
        let Some(first) = hosts.first() else {
            return Ok(());
        };
        let scope: Arc<dyn Scope> = Arc::new(self.scope(first, task, place));
        let broke = Broke { failed: hosts.to_vec(), ..Broke::default() };
        self.after(task, &broke, false, &scope)
    }

    /// Beside the including file first, then beside the playbook, in `tasks/` too.
    fn include_path(&self, task: &Task, file: &str) -> Result<PathBuf, Error> {
        let candidates: Vec<PathBuf> = if file.starts_with('/') {
            vec![PathBuf::from(file)]
        } else {
            let own = task.span.path().parent().map(PathBuf::from);
            let bases = own.into_iter().chain(self.search(task));
            bases.flat_map(|base| [base.join(file), base.join("tasks").join(file)]).collect()
        };
        let found = candidates.iter().find(|path| path.is_file());
        let found = found.map(|path| PathBuf::from(normal_path(&path.to_string_lossy())));
        found.ok_or_else(|| {
            let place = candidates.first().map(|path| path.display().to_string());
            Error::new(format!(
                "Could not find or access '{}' on the Ansible Controller.",
                place.unwrap_or_else(|| file.to_owned())
            ))
        })
    }
}

impl Finished {
    fn failed(host: &str, result: result::Result) -> Self {
        Self {
            host: host.to_owned(),
            status: Status::Failed,
            result,
            delegated_to: None,
            address: None,
            effects: Vec::new(),
            includes: Vec::new(),
            notices: Vec::new(),
            no_log: false,
            turn: None,
            resumed: false,
            duration: std::time::Duration::ZERO,
        }
    }
}

/// Whether the fault is in another file than the task that includes it.
fn lies_elsewhere(error: &Error, task: &Task) -> bool {
    error.span.as_ref().is_some_and(|span| span.path() != task.span.path())
}
