//! The variables of a template, looked up when they are used.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::State;
use minijinja::value::{Enumerator, Object};

use super::{Scope, Templar, TemplateError, Value, Variable, from_json};
use crate::source::Span;

/// Under this name a template's own context is found by filters.
const HANDLE: &str = "__context";

/// How many variables may stand in each other's templates.
const MAX_DEPTH: usize = 60;

/// Something that was looked up and is not there.
#[derive(Clone, Debug)]
pub struct Miss {
    error: TemplateError,
    /// The name that was not found, to find its place in the text.
    name: String,
    /// The map that does not have it; None for a variable.
    parent: Option<Value>,
}

/// What a template sees: the scope's variables, each rendered once per context.
pub struct Context {
    pub templar: Templar,
    pub scope: Arc<dyn Scope>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// The variables being rendered, from the outermost in.
    chain: Vec<String>,
    rendered: HashMap<String, Result<Value, Miss>>,
    /// What was not found and not yet dealt with.
    misses: Vec<Miss>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the variables")
    }
}

impl Context {
    pub fn new(templar: Templar, scope: Arc<dyn Scope>) -> Arc<Self> {
        Arc::new(Self { templar, scope, progress: Mutex::default() })
    }

    /// The context that a template runs in.
    pub fn of(state: &State<'_, '_>) -> Option<Arc<Self>> {
        state.lookup(HANDLE)?.downcast_object()
    }

    /// The folders where files of the current task are looked for.
    pub fn search_path(self: &Arc<Self>) -> Vec<PathBuf> {
        let given = self.variable("ansible_search_path");
        let given = given.map_or(Ok(Vec::new()), |paths| super::python::items(&paths));
        let mut paths: Vec<PathBuf> = given
            .unwrap_or_default()
            .iter()
            .filter_map(|path| path.as_str().map(PathBuf::from))
            .collect();
        paths.push(self.templar.settings().playbook_dir.clone());
        paths
    }

    /// The same variables, after some others.
    pub fn with_variables(self: &Arc<Self>, extra: Value) -> Arc<Self> {
        Self::new(self.templar.clone(), Arc::new(Overlay { extra, scope: self.scope.clone() }))
    }

    pub fn as_value(self: &Arc<Self>) -> Value {
        Value::from_dyn_object(self.clone())
    }

    // A panic in another thread leaves nothing half-done in here.
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The variable of this name, rendered.
    pub fn variable(self: &Arc<Self>, name: &str) -> Option<Value> {
        let rendered = self.progress().rendered.get(name).cloned();
        let found = match rendered {
            Some(found) => found,
            None => match self.scope.lookup(name)? {
                Variable::Data(value) => return Some(value),
                Variable::Source(node) => {
                    let found = match self.rendered(name, &node) {
                        Ok(value) => Ok(value),
                        Err(error) if error.undefined => {
                            Err(Miss { error, name: name.to_owned(), parent: None })
                        }
                        Err(error) => return Some(Value::from(minijinja::Error::from(error))),
                    };
                    self.progress().rendered.insert(name.to_owned(), found.clone());
                    found
                }
            },
        };
        Some(found.unwrap_or_else(|miss| {
            self.progress().misses.push(miss);
            Value::UNDEFINED
        }))
    }

    fn rendered(
        self: &Arc<Self>,
        name: &str,
        node: &crate::source::Node,
    ) -> Result<Value, TemplateError> {
        let _depth = Depth::enter(&node.span)?;
        {
            let mut progress = self.progress();
            if let Some(start) = progress.chain.iter().position(|outer| outer == name) {
                let mut cycle = progress.chain.split_off(start);
                progress.chain.extend(cycle.iter().cloned());
                cycle.push(name.to_owned());
                return Err(TemplateError::new(format!(
                    "recursive loop detected in template: {}",
                    cycle.join(" -> ")
                ))
                .at(Some(&node.span)));
            }
            progress.chain.push(name.to_owned());
        }
        let result = self.templar.render_in(node, self);
        self.progress().chain.pop();
        result
    }

    /// Remembers that a map or object does not have an attribute.
    pub fn missed_attribute(&self, parent: &Value, name: &str, message: String) {
        self.progress().misses.push(Miss {
            error: TemplateError::undefined(message),
            name: name.to_owned(),
            parent: Some(parent.clone()),
        });
    }

    /// Remembers an undefined value that says what it is itself.
    pub fn missed(&self, message: String) {
        self.progress().misses.push(Miss {
            error: TemplateError::undefined(message),
            name: String::new(),
            parent: None,
        });
    }

    /// Forgets what was last found missing: somebody has dealt with it.
    pub fn forgive(&self) {
        self.progress().misses.pop();
    }

    pub fn mark(&self) -> usize {
        self.progress().misses.len()
    }

    /// Forgets what was missed since the mark, and gives back the last of it.
    pub fn take_misses(&self, mark: usize) -> Option<Miss> {
        let mut progress = self.progress();
        let last =
            (progress.misses.len() > mark).then(|| progress.misses.last().cloned()).flatten();
        progress.misses.truncate(mark);
        last
    }

    /// The error for what was last found missing.
    pub fn undefined(&self) -> TemplateError {
        let last = self.progress().misses.last().cloned();
        last.map_or_else(
            || TemplateError::undefined("a value is undefined"),
            |miss| self.explain(miss, |_| None),
        )
    }

    /// The error of a miss, with the nearest known name and the place of the name.
    pub fn explain(&self, miss: Miss, place: impl FnOnce(&str) -> Option<Span>) -> TemplateError {
        if miss.error.span.is_some() || miss.name.is_empty() {
            return miss.error;
        }
        let known: Vec<String> = match &miss.parent {
            None => self.scope.names(),
            Some(parent) => super::python::entries(parent)
                .unwrap_or_default()
                .iter()
                .map(|(key, _)| super::python::text(key))
                .collect(),
        };
        let near = crate::source::suggest(&miss.name, known.iter().map(String::as_str));
        let help = near.map(|near| format!("did you mean '{near}'?"));
        let span = place(&miss.name);
        miss.error.at(span.as_ref()).with_help(help)
    }
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        if name == HANDLE {
            return Some(self.as_value());
        }
        if let Some(value) = self.variable(name) {
            return Some(value);
        }
        if name == "vars" {
            return Some(Value::from_object(LazyMap(self.clone())));
        }
        if !self.templar.is_global(name) {
            self.progress().misses.push(Miss {
                error: TemplateError::undefined(format!("'{name}' is undefined")),
                name: name.to_owned(),
                parent: None,
            });
        }
        None
    }
}

/// Variables of a lookup's own before those of its task.
#[derive(Debug)]
struct Overlay {
    extra: Value,
    scope: Arc<dyn Scope>,
}

impl Scope for Overlay {
    fn lookup(&self, name: &str) -> Option<Variable> {
        let own = self.extra.get_attr(name).ok().filter(|value| !value.is_undefined());
        own.map(Variable::Data).or_else(|| self.scope.lookup(name))
    }

    fn names(&self) -> Vec<String> {
        let own = super::python::items(&self.extra).unwrap_or_default();
        own.iter().map(super::python::text).chain(self.scope.names()).collect()
    }
}

/// The variables of a scope as a map, each rendered when it is looked at.
#[derive(Debug)]
pub struct LazyMap(pub Arc<Context>);

impl Object for LazyMap {
    /// A variable that needs one which is not there is given as it is written, as in
    /// Ansible's `hostvars`.
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let mark = self.0.mark();
        let value = self.0.variable(name)?;
        match self.0.scope.lookup(name) {
            Some(Variable::Source(node)) if value.is_undefined() => {
                self.0.take_misses(mark);
                Some(from_json(&node.to_json()))
            }
            _ => Some(value),
        }
    }

    /// What holds all the others would never come to an end when it is gone through.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let scope = &self.0.scope;
        let there = |name: &String| {
            !matches!(name.as_str(), "vars" | "hostvars") && scope.lookup(name).is_some()
        };
        let names = scope.names().into_iter().filter(there);
        Enumerator::Values(names.map(Value::from).collect())
    }
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Counts how deep variables stand in each other on this thread, over all
/// contexts: hosts may look at each other's variables in a circle.
struct Depth;

impl Depth {
    fn enter(span: &Span) -> Result<Self, TemplateError> {
        let depth = DEPTH.get();
        if depth >= MAX_DEPTH {
            return Err(TemplateError::new(format!(
                "recursive loop detected in template: variables stand in each other more than {MAX_DEPTH} deep"
            ))
            .at(Some(span)));
        }
        DEPTH.set(depth + 1);
        Ok(Self)
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}
