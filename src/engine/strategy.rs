//! Strategies: in which order the hosts of a batch go through its tasks.

use std::sync::Arc;

use futures::StreamExt;

use super::batch::Batch;
use super::{Run, Stop, keywords};
use crate::playbook::{Play, Task};
use crate::template::Scope;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// All hosts finish a task before the next one begins.
    Linear,
    /// As linear, and the operator looks at each task that fails.
    Debug,
    /// Each host goes on as soon as it can.
    Free,
    /// As free, but no more hosts begin than there are forks.
    HostPinned,
}

impl Batch<'_> {
    /// Keywords of a task that have no effect where hosts go by themselves. Ansible calls
    /// both of these strategies free.
    pub(super) fn warn_of_apart(&self, task: &Task, scope: &Arc<dyn Scope>) -> Result<(), Stop> {
        let keywords = &task.keywords;
        if self.flag(keywords.run_once.as_ref(), scope)? {
            self.run.warn(
                "Using run_once with the free strategy is not currently supported. \
                 This task will still be executed for every host in the inventory list.",
            );
        }
        if self.flag(keywords.any_errors_fatal.as_ref(), scope)? {
            self.run.warn(APART.replace("{}", "any_errors_fatal"));
        }
        Ok(())
    }
}

const APART: &str = "Using {} with the free strategy is not supported, \
                     as tasks are executed independently on each host";

impl Run {
    pub(super) fn strategy(&self, play: &Play, scope: &Arc<dyn Scope>) -> Result<Strategy, Stop> {
        let name = match &play.strategy {
            Some(node) => keywords::text_of(self.templar(), node, scope)
                .map_err(|failure| Stop::of_keyword("strategy", node, failure))?,
            None => self.settings.strategy.clone(),
        };
        let name = name.as_deref().unwrap_or("linear");
        match name.strip_prefix("ansible.builtin.").unwrap_or(name) {
            "linear" => Ok(Strategy::Linear),
            "debug" => Ok(Strategy::Debug),
            "free" => Ok(Strategy::Free),
            "host_pinned" => Ok(Strategy::HostPinned),
            other => {
                let span = play.strategy.as_ref().map_or(&play.span, |node| &node.span);
                let error = span.error(format!("Invalid play strategy specified: {other}"));
                Err(Stop::Error(error.to_string()))
            }
        }
    }

    /// Each host of the batch by itself, side by side.
    pub(super) async fn independent(
        &self,
        play: &Play,
        batch: &mut Batch<'_>,
        strategy: Strategy,
    ) -> Result<(), Stop> {
        if play.max_fail_percentage.is_some() {
            self.warn(APART.replace("{}", "max_fail_percentage"));
        }
        let singles: Vec<_> = batch.hosts.iter().map(|host| batch.alone(host)).collect();
        let at_once = match strategy {
            Strategy::HostPinned => self.settings.forks.max(1),
            // How many tasks run at once is seen to where they start.
            Strategy::Linear | Strategy::Debug | Strategy::Free => singles.len().max(1),
        };
        let mut running = futures::stream::iter(singles.into_iter().map(async |mut single| {
            let ran = self.sections(play, &mut single).await;
            (single, ran)
        }))
        .buffer_unordered(at_once);
        let mut ended = Ok(());
        while let Some((single, ran)) = running.next().await {
            batch.take_in(single);
            ended = ended.and(ran);
        }
        ended
    }
}
