//! What a task leaves behind: variables, facts, notifications, counts.

use std::sync::Arc;

use serde_json::Value as Json;

use super::Stop;
use super::batch::{Batch, Place};
use super::fact_modules::GATHERED;
use super::host_task::Finished;
use super::result;
use crate::actions::Effect;
use crate::events::Status;
use crate::playbook::Task;
use crate::template::{self, Scope, Value, Variable};

impl Batch<'_> {
    /// Takes in what a host's task brought: variables, facts, notifications, counts.
    pub(super) fn keep(
        &mut self,
        task: &Task,
        done: &Finished,
        targets: &[String],
        place: &Place,
    ) -> Result<(), Stop> {
        let manager = &self.run.manager;
        if let Some(name) = &task.register {
            self.run.warn_of_names(&[name]);
            let value = Variable::Data(result::registered(&done.result));
            for host in targets {
                manager.set(host, [(name.clone(), value.clone())]);
            }
        }
        let delegates = self.delegates_facts(task, done)?;
        let learning = |delegated: &Option<String>| match delegated {
            Some(host) if delegates => vec![host.clone()],
            _ => targets.to_vec(),
        };
        self.keep_facts(task, done, &learning(&done.delegated_to));
        let effects = done.effects.iter().filter(|_| !result::has_failed(&done.result));
        for (delegated, effect) in effects {
            self.apply(effect, &learning(delegated));
        }
        if done.status == Status::Changed && !done.notices.is_empty() {
            self.notify(done, place)?;
        }
        self.run.count_own(done);
        for text in self.run.templar().take_warnings() {
            self.run.warn(text);
        }
        let did = matches!(
            done.status,
            Status::Ok | Status::Changed | Status::Failed | Status::FailedIgnored
        );
        if let Some(role) = task.role.as_ref().filter(|_| did) {
            self.ran.insert((role.identity.clone(), done.host.clone()));
        }
        self.count(task, done, place);
        Ok(())
    }

    /// Whether facts and variables of the task are those of the host that it was delegated to.
    fn delegates_facts(&self, task: &Task, done: &Finished) -> Result<bool, Stop> {
        let node = task.keywords.delegate_facts.as_ref();
        if done.delegated_to.is_none() || node.is_none() {
            return Ok(false);
        }
        let scope: Arc<dyn Scope> = Arc::new(self.scope(&done.host, task, &Place::default()));
        self.flag(node, &scope)
    }

    fn keep_facts(&self, task: &Task, done: &Finished, hosts: &[String]) {
        // set_fact and include_vars say by their effects what becomes of their variables; what a
        // task found that failed is not kept, and debug only shows.
        if task.module == "debug" || !done.effects.is_empty() || result::has_failed(&done.result) {
            return;
        }
        let Some(Json::Object(facts)) = done.result.get("ansible_facts") else {
            return;
        };
        let gathered =
            (task.module == "gather_facts").then(|| (GATHERED.to_owned(), Value::from(true)));
        for host in hosts {
            let facts = facts.iter().map(|(name, v)| (name.clone(), template::from_json(v)));
            self.run.add_facts(host, facts.chain(gathered.clone()));
        }
    }

    fn apply(&self, effect: &Effect, targets: &[String]) {
        let manager = &self.run.manager;
        match effect {
            Effect::Included(variables) => {
                self.run.warn_of_names(&names(variables));
                for host in targets {
                    manager.include(host, variables.iter().cloned());
                }
            }
            Effect::Variables(variables) => {
                self.run.warn_of_names(&names(variables));
                for host in targets {
                    manager.set(host, variables.iter().cloned());
                }
            }
            Effect::Facts(facts) => {
                for host in targets {
                    let facts = facts.iter().map(|(n, v)| (n.clone(), template::from_json(v)));
                    self.run.add_facts(host, facts);
                }
            }
            // Done where the task ran, which says whether it changed something.
            Effect::AddHost { .. } | Effect::GroupBy { .. } => {}
        }
    }
}

fn names(variables: &[(String, Variable)]) -> Vec<&str> {
    variables.iter().map(|(name, _)| name.as_str()).collect()
}
