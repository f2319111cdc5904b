//! The handlers of a batch: notified by its tasks, run when they are flushed.

use std::sync::Arc;

use super::Stop;
use super::batch::{Batch, Place};
use super::handlers::Titles;
use super::host_task::{Finished, HostTask};
use super::keywords::texts_of;
use crate::actions::Failure;
use crate::playbook::Task;
use crate::source::{Node, Span};
use crate::template::{self, Scope, TemplateError};
use crate::vars::{Layer, TaskLayers};

/// A name that a task notifies, and where it is written.
pub struct Notice {
    name: String,
    span: Span,
}

impl HostTask<'_> {
    /// What the task notifies when it changes something. That is settled before it runs.
    pub(super) fn notices(&self, scope: &Arc<dyn Scope>) -> Result<Vec<Notice>, Failure> {
        let mut notices = Vec::new();
        for node in &self.task.notify {
            let names = texts_of(self.run.templar(), node, scope).map_err(|failure| {
                Failure::new(format!("Error processing keyword 'notify': {}", failure.msg))
            })?;
            let notice = |name| Notice { name, span: node.span.clone() };
            notices.extend(names.into_iter().map(notice));
        }
        Ok(notices)
    }
}

impl Batch<'_> {
    pub(super) fn notify(&mut self, done: &Finished, place: &Place) -> Result<(), Stop> {
        let titles = self.titles();
        for notice in &done.notices {
            if !self.handlers.notify(&notice.name, &done.host, place.of_handlers, &titles) {
                self.no_handler(notice)?;
            }
        }
        Ok(())
    }

    fn no_handler(&self, notice: &Notice) -> Result<(), Stop> {
        let error = notice.span.error(format!(
            "The requested handler '{}' was not found in either the main handlers list nor in the \
             listening handlers list",
            notice.name
        ));
        if self.run.settings.error_on_missing_handler {
            return Err(Stop::Error(error.to_string()));
        }
        self.run.warn(error.message);
        Ok(())
    }

    /// The names of the handlers, which hold for all hosts: no variables of hosts are seen.
    fn titles(&self) -> Box<Titles> {
        // Whose files of variables count where their names depend on the host.
        let first = self.hosts.first().map_or("", String::as_str);
        let title = |(task, includes): (&Task, &[Arc<Layer>])| {
            let node = task.name.as_ref()?;
            let text = node.as_str().filter(|text| !text.contains('{'));
            text.map(str::to_owned).or_else(|| {
                let place = Place { includes: includes.to_vec(), ..Place::default() };
                let layers = self.task_layers(first, task, &place);
                let scope: Arc<dyn Scope> =
                    Arc::new(self.run.manager.play_scope(&self.vars(), &layers));
                match self.run.templar().render(node, &scope) {
                    Ok(title) => Some(template::python_text(&title)),
                    Err(error) => {
                        self.unusable(task, node, &error);
                        None
                    }
                }
            })
        };
        self.handlers.all().map(title).collect()
    }

    /// A handler without a name that can be told, nor topics, is one that nobody can notify.
    fn unusable(&self, handler: &Task, name: &Node, error: &TemplateError) {
        if handler.listen.is_empty() {
            let name = name.as_str().unwrap_or_default();
            let text = format!(
                "Handler '{name}' is unusable because it has no listen topics and the name could \
                 not be templated (host-specific variables are not supported in handler names). \
                 The error: {error}"
            );
            self.run.warn(text);
        }
    }

    /// Runs what these hosts have notified; `rescuable` tells whether a block around takes
    /// a failure.
    pub async fn flush_handlers(&mut self, hosts: &[String], rescuable: bool) -> Result<(), Stop> {
        let failed_before = self.failed.clone();
        let excused = self.excused.clone();
        let forced: Vec<String> = match self.forces_handlers()? {
            true => {
                let failed = hosts.iter().filter(|host| self.failed.contains(*host));
                failed.filter(|host| !self.handler_failed.contains(*host)).cloned().collect()
            }
            false => Vec::new(),
        };
        self.excused.extend(forced.iter().cloned());
        let now: Vec<&String> = hosts
            .iter()
            .filter(|host| self.is_alive(host) && self.handlers.has_notices(host))
            .collect();
        if !now.is_empty() {
            let titles = self.titles();
            now.into_iter().for_each(|host| self.handlers.settle(host, &titles));
        }
        let mut index = 0;
        while let Some((handler, includes)) = self.handlers.get(index) {
            let place = Place { rescuable, of_handlers: true, includes, ..Place::default() };
            let notified = |host: &&String| self.handlers.is_notified(index, host);
            let runs = hosts.iter().filter(notified).filter(|host| self.is_alive(host));
            let runs: Vec<String> = runs.cloned().collect();
            for host in &runs {
                self.handlers.take(index, host);
            }
            if !runs.is_empty() {
                self.left_out = false;
                self.task(&handler, runs.clone(), &place).await?;
                if self.left_out {
                    // It is asked for again when handlers run next.
                    runs.iter().for_each(|host| self.handlers.give_back(index, host));
                }
            }
            index += 1;
        }
        // Who fails in a handler runs no further ones.
        let again = forced.into_iter().filter(|host| !self.excused.contains(host));
        let failed_now: Vec<String> = again.collect();
        self.handler_failed.extend(failed_now);
        self.handler_failed.extend(self.failed.difference(&failed_before).cloned());
        self.excused.retain(|host| excused.contains(host));
        Ok(())
    }

    /// Whether hosts that failed run what they have notified: what the play says counts.
    fn forces_handlers(&self) -> Result<bool, Stop> {
        let Some(node) = &self.play.force_handlers else {
            return Ok(self.run.settings.force_handlers);
        };
        let Some(host) = self.hosts.first() else {
            return Ok(false);
        };
        let layers = TaskLayers { play: self.layers_of(host), ..TaskLayers::default() };
        let scope = self.run.manager.task_scope(host, &self.vars(), &layers);
        let scope: Arc<dyn Scope> = Arc::new(scope);
        self.flag(Some(node), &scope)
    }
}
