//! Functions and values that every template sees.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{Timestamp, tz::TimeZone};
use minijinja::value::{Object, ObjectRepr};
use minijinja::{Environment, State};

use super::call::{Call, Plugin, add_functions};
use super::filters::dicts;
use super::filters::time::{Moment, written};
use super::{TemplateError, Value, lookups, mutable, omit, python, rewrite};

const FUNCTIONS: &[Plugin] = &[
    Plugin::lenient("undef", &["hint"], undef),
    Plugin::new("now", &["utc", "fmt"], now),
    Plugin::new("range", &["start", "stop", "step"], range),
    Plugin::new("dict", &["mapping", "**"], dict),
    Plugin::new("cycler", &["*"], cycler),
    Plugin::new("joiner", &["sep"], joiner),
    Plugin::lenient("lookup", &[lookups::NAME, "*", "**"], lookups::lookup),
    Plugin::lenient("query", &[lookups::NAME, "*", "**"], lookups::query),
    Plugin::lenient("q", &[lookups::NAME, "*", "**"], lookups::query),
    Plugin::lenient(rewrite::MUTABLE, &["value"], mutable::mutable),
];

/// A range longer than this is taken for a mistake: all of it stands in memory.
const MAX_RANGE: usize = 1_000_000;

/// Adds the globals; returns the names of all of them.
pub fn register(environment: &mut Environment<'static>) -> HashSet<String> {
    environment.add_global("omit", omit::omit());
    add_functions(environment, FUNCTIONS);
    environment.globals().map(|(name, _)| name.to_owned()).collect()
}

/// `undef(hint='…')`: a value that has to be overridden.
fn undef(call: &mut Call) -> Result<Value, TemplateError> {
    let hint = call.text_or("hint", "Mandatory variable has not been overridden");
    call.context()?.missed(hint);
    Ok(Value::UNDEFINED)
}

/// `now(utc=False, fmt=None)`
fn now(call: &mut Call) -> Result<Value, TemplateError> {
    lookups::ask();
    let zone = if call.truth("utc", false) { TimeZone::UTC } else { TimeZone::system() };
    let now = Timestamp::now().to_zoned_datetime(zone);
    match call.some("fmt") {
        Some(format) => written(&python::text(format), now.datetime()).map(Value::from),
        None => Ok(Value::from_object(Moment(now.datetime()))),
    }
}

fn range(call: &mut Call) -> Result<Value, TemplateError> {
    let (start, stop) = match call.get("stop") {
        None => (0, call.integer("start", 0)?),
        Some(_) => (call.integer("start", 0)?, call.integer("stop", 0)?),
    };
    let step = call.integer("step", 1)?;
    if step == 0 {
        return Err(TemplateError::new("range() arg 3 must not be zero"));
    }
    let distance = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
    let count = u64::try_from(distance).unwrap_or_default().div_ceil(step.unsigned_abs());
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > MAX_RANGE {
        return Err(TemplateError::new(format!(
            "range() of {count} numbers is too big: more than {MAX_RANGE} are not made"
        )));
    }
    Ok((0..count as i64).map(|index| Value::from(start + index * step)).collect())
}

fn dict(call: &mut Call) -> Result<Value, TemplateError> {
    let given = match call.get("mapping") {
        None => Vec::new(),
        Some(mapping) if mapping.kind() == minijinja::value::ValueKind::Map => {
            python::entries(mapping)?
        }
        Some(pairs) => python::entries(&dicts::pairs_to_map(pairs)?)?,
    };
    let named =
        call.keywords.iter().map(|(name, value)| (Value::from(name.as_str()), value.clone()));
    Ok(Value::from_pairs(given.into_iter().chain(named)))
}

/// Gives its values in turn, for ever.
#[derive(Debug)]
struct Cycler {
    values: Vec<Value>,
    position: AtomicUsize,
}

impl Cycler {
    fn current(&self) -> Value {
        let position = self.position.load(Ordering::Relaxed);
        self.values.get(position % self.values.len().max(1)).cloned().unwrap_or_default()
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str() == Some("current")).then(|| self.current())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        _: &[Value],
    ) -> Result<Value, minijinja::Error> {
        match method {
            "next" => {
                let current = self.current();
                self.position.fetch_add(1, Ordering::Relaxed);
                Ok(current)
            }
            "reset" => {
                self.position.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(minijinja::Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }
}

fn cycler(call: &mut Call) -> Result<Value, TemplateError> {
    if call.rest.is_empty() {
        return Err(TemplateError::new("at least one item has to be provided"));
    }
    Ok(Value::from_object(Cycler { values: call.rest.clone(), position: AtomicUsize::new(0) }))
}

/// Empty the first time it is called, its separator afterwards.
#[derive(Debug)]
struct Joiner {
    separator: String,
    calls: AtomicUsize,
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        _: &[Value],
    ) -> Result<Value, minijinja::Error> {
        let first = self.calls.fetch_add(1, Ordering::Relaxed) == 0;
        Ok(Value::from(if first { "" } else { &self.separator }))
    }
}

fn joiner(call: &mut Call) -> Result<Value, TemplateError> {
    let separator = call.text_or("sep", ", ");
    Ok(Value::from_object(Joiner { separator, calls: AtomicUsize::new(0) }))
}
