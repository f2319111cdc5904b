//! What the hosts of a batch see: variables, and folders of files.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexSet;

use super::Stop;
use super::batch::{Batch, Place};
use super::keywords::flag_of;
use crate::events::TaskInfo;
use crate::playbook::Task;
use crate::source::Node;
use crate::template::{self, Scope};
use crate::vars::{BatchVars, Layer, TaskLayers, TaskScope};

impl Batch<'_> {
    /// What a host sees in a task.
    pub fn scope(&self, host: &str, task: &Task, place: &Place) -> TaskScope {
        self.scope_with(host, task, place, &self.vars())
    }

    /// The same with what is common to all hosts, which grows with their number.
    pub fn scope_with(
        &self,
        host: &str,
        task: &Task,
        place: &Place,
        vars: &Arc<BatchVars>,
    ) -> TaskScope {
        self.run.manager.task_scope(host, vars, &self.task_layers(host, task, place))
    }

    /// What a task brings to the variables of a host.
    pub fn task_layers(&self, host: &str, task: &Task, place: &Place) -> TaskLayers {
        // The variables of an include win over those of the include around it.
        let own = match &*task.module {
            "include_tasks" | "include_role" => task.keywords.own_vars.as_ref(),
            _ => None,
        };
        TaskLayers {
            play: self.layers_of(host),
            task: task.keywords.vars.iter().rev().cloned().collect(),
            include: own.into_iter().chain(&place.includes).cloned().collect(),
            role: task.role.clone(),
            roles: self.roles.clone(),
            search: self.search(task),
            keywords: Some(task.keywords.clone()),
        }
    }

    pub fn layers_of(&self, host: &str) -> Vec<Arc<Layer>> {
        self.layers.get(host).cloned().unwrap_or_default()
    }

    pub fn vars(&self) -> Arc<BatchVars> {
        let alive = |host: &&String| {
            !self.failed.contains(*host)
                && !self.unreachable.contains(*host)
                && !self.has_ended(host)
                // Earlier plays have lost these.
                && !self.run.is_lost(host)
        };
        Arc::new(BatchVars {
            of_play: true,
            play_name: self.name.clone(),
            playbook_dir: self.play.directory().display().to_string(),
            play_hosts: self.play_hosts_all.iter().filter(alive).cloned().collect(),
            play_hosts_all: self.play_hosts_all.clone(),
            batch: self.everyone.iter().filter(alive).cloned().collect(),
            role_names: self.named_roles.iter().map(|role| role.body.name.clone()).collect(),
            dependent_role_names: self
                .named_roles
                .iter()
                .flat_map(|role| &role.dependencies)
                .map(|role| role.body.name.clone())
                .collect(),
        })
    }

    /// The variables of the play for a host; vars_files are named by templates that may need it.
    pub fn play_layers(&self, host: &str) -> Result<Vec<Arc<Layer>>, Stop> {
        let mut layers = vec![self.prompted.clone(), self.play.vars.clone()];
        for node in &self.play.vars_files {
            let known = TaskLayers { play: layers.clone(), ..TaskLayers::default() };
            let scope = self.run.manager.task_scope(host, &self.vars(), &known);
            let scope: Arc<dyn Scope> = Arc::new(scope);
            if let Some(layer) = self.run.vars_file(node, &self.play.directory(), &scope)? {
                layers.insert(0, layer);
            }
        }
        Ok(layers)
    }

    /// Names that keywords have already, among the variables of a task and of the blocks around
    /// it. What `tags` and `when` say there is no variable to Ansible.
    pub fn warn_of_vars(&self, task: &Task) {
        let of_role = task.role.iter().flat_map(|role| [&role.body.given, &role.body.params]);
        let names = task.keywords.vars.iter().chain(of_role).flat_map(|layer| layer.keys());
        let names: Vec<&String> =
            names.filter(|name| !matches!(name.as_str(), "tags" | "when")).collect();
        self.run.warn_of_names(&names);
    }

    pub fn info(&self, task: &Task, scope: &Arc<dyn Scope>) -> TaskInfo {
        let name = task.name.as_ref().map(|node| match self.run.templar().render(node, scope) {
            Ok(value) => template::python_text(&value),
            Err(_) => node.as_str().unwrap_or_default().to_owned(),
        });
        let name = task.title(name.as_deref());
        TaskInfo {
            name,
            module: task.module.clone(),
            role: task.role.as_ref().map(|role| role.body.name.clone()),
            arguments: self.run.settings.show_arguments.then(|| arguments(task)),
            handler: task.handler,
            path: format!("{}:{}", task.span.path().display(), task.span.line),
            no_log: task.keywords.no_log.as_ref().map_or(self.run.settings.no_log, |node| {
                flag_of(self.run.templar(), node, scope).unwrap_or(true)
            }),
            looped: task.loop_.is_some(),
            check: self.run.checks(&task.keywords, scope),
            diff: self.run.shows_changes(&task.keywords, scope),
        }
    }

    /// Folders for the files of a task: of its role, its own file, then of the playbook.
    pub fn search(&self, task: &Task) -> Vec<PathBuf> {
        let own = task.span.path().parent().map(PathBuf::from);
        let mut folders = IndexSet::new();
        folders.extend(task.role.iter().flat_map(|role| role.search_path()));
        folders.extend(own);
        folders.insert(self.play.directory());
        folders.into_iter().collect()
    }
}

/// The arguments of a task as Python would print them, templates and all.
fn arguments(task: &Task) -> String {
    let pairs = task.arguments.as_ref().and_then(Node::as_map).unwrap_or_default();
    let text = |node: &Node| template::python_text(&template::from_json(&node.to_json()));
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", text(name), text(value)));
    let free = task.free_form.iter().map(|node| format!("_raw_params={}", text(node)));
    pairs.chain(free).collect::<Vec<_>>().join(", ")
}
