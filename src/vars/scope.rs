//! What one host sees in one task.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexSet;

use super::{BatchVars, Layer, Manager, connection, magic};
use crate::playbook::{Keywords, Role};
use crate::source::{Node, Yaml};
use crate::template::{Scope, Value, Variable, merged, stacked};

/// The variables of a task on a host, highest precedence first.
#[derive(Clone)]
pub struct TaskScope {
    manager: Arc<Manager>,
    host: Arc<str>,
    batch: Arc<BatchVars>,
    /// The loop's item and its like; they win over magic variables too.
    locals: Arc<Layer>,
    place: Arc<TaskPlace>,
    layers: Vec<Arc<Layer>>,
    /// The host that the task is delegated to.
    delegate: Option<Arc<Self>>,
}

/// Where a task stands.
#[derive(Debug, Default)]
pub struct TaskPlace {
    pub role: Option<Arc<Role>>,
    /// Folders where its files are looked for, nearest first.
    pub search: Vec<PathBuf>,
    /// None where no task runs.
    pub keywords: Option<Arc<Keywords>>,
}

impl TaskScope {
    pub(super) fn new(
        manager: Arc<Manager>,
        host: &str,
        batch: Arc<BatchVars>,
        place: TaskPlace,
        layers: Vec<Arc<Layer>>,
    ) -> Self {
        let place = Arc::new(place);
        let (host, locals) = (Arc::from(host), Arc::default());
        Self { manager, host, batch, locals, place, layers, delegate: None }
    }

    /// The same scope for a task that is delegated to the host of another one:
    /// `ansible_delegated_vars` has its variables.
    pub fn delegated(&self, to: Self) -> Self {
        // They are looked at from the task: it stays the host that it is for.
        let name = Variable::Data(Value::from(&*self.host));
        let mut seen = Layer::from_iter([("inventory_hostname".to_owned(), name)]);
        if to.lookup_set("ansible_host").is_none() {
            seen.insert("ansible_host".to_owned(), Variable::Data(Value::from(&*to.host)));
        }
        let seen = to.with_locals(seen);
        let variables = Value::from_pairs([(to.host.to_string(), seen.as_value())]);
        let variables = ("ansible_delegated_vars".to_owned(), Variable::Data(variables));
        let scope = self.with_locals(Layer::from_iter([variables]));
        Self { delegate: Some(Arc::new(to)), ..scope }
    }

    /// Where the task is done.
    pub(super) fn target(&self) -> &Self {
        self.delegate.as_deref().unwrap_or(self)
    }

    /// The same scope with these variables on top.
    pub fn with_locals(&self, locals: Layer) -> Self {
        let mut merged = (*self.locals).clone();
        merged.extend(locals);
        Self { locals: Arc::new(merged), ..self.clone() }
    }

    /// All of it as one mapping, each variable resolved when it is looked at.
    pub fn as_value(&self) -> Value {
        magic::lazy(&self.manager, self.clone())
    }

    /// The variables as they were given, templates in them not filled in, without magic ones.
    pub fn given(&self) -> Layer {
        stacked(self.layers.iter().rev(), self.manager.run().merge_hashes)
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn manager(&self) -> &Arc<Manager> {
        &self.manager
    }

    pub(super) fn place(&self) -> &TaskPlace {
        &self.place
    }

    pub(super) fn batch(&self) -> &BatchVars {
        &self.batch
    }

    /// The same scope without what only the connection of the task tells.
    pub(super) fn outside_task(&self) -> Self {
        let role = self.place.role.clone();
        let place = TaskPlace { role, search: self.place.search.clone(), keywords: None };
        Self { place: Arc::new(place), ..self.clone() }
    }

    /// A variable that something sets.
    pub(super) fn lookup_set(&self, name: &str) -> Option<Variable> {
        if let Some(local) = self.locals.get(name) {
            return Some(local.clone());
        }
        if let Some(value) = magic::lookup(self, name) {
            return Some(Variable::Data(value));
        }
        let mut found = self.layers.iter().filter_map(|layer| layer.get(name));
        let first = found.next()?.clone();
        if !self.manager.run().merge_hashes {
            return Some(first);
        }
        Some(found.fold(first, |high, low| merged(low, high)))
    }
}

impl Scope for TaskScope {
    fn lookup(&self, name: &str) -> Option<Variable> {
        // What the keywords say, whatever a variable of that name says.
        if let Some(keywords) = self.place.keywords.as_ref().filter(|_| name == "environment") {
            return Some(environment(keywords));
        }
        self.lookup_set(name).or_else(|| {
            let keywords = self.place.keywords.as_ref()?;
            connection::lookup(self, keywords, name)
        })
    }

    fn names(&self) -> Vec<String> {
        // In the order in which they were set.
        let set = self.layers.iter().rev().chain([&self.locals]);
        let set = set.flat_map(|layer| layer.keys().cloned());
        set.chain(magic::names()).collect::<IndexSet<_>>().into_iter().collect()
    }
}

/// What the play, blocks and the task say of the environment, outermost first.
fn environment(keywords: &Keywords) -> Variable {
    match keywords.environment.first() {
        Some(first) => {
            let all = Yaml::Seq(keywords.environment.clone());
            Variable::Source(Arc::new(Node::new(all, first.span.clone())))
        }
        None => Variable::Data(Value::from(Vec::<Value>::new())),
    }
}

impl std::fmt::Debug for TaskScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be secret; the names are enough to find a fault.
        f.debug_struct("TaskScope").field("host", &self.host).finish_non_exhaustive()
    }
}
