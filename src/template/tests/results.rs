//! Tests on the results of tasks.

use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};

pub const TESTS: &[Plugin] = &[
    Plugin::lenient("failed", &["result"], |call| flag(call, "failed", "failed", true)),
    Plugin::lenient("failure", &["result"], |call| flag(call, "failed", "failed", true)),
    Plugin::lenient("succeeded", &["result"], |call| flag(call, "failed", "failed", false)),
    Plugin::lenient("success", &["result"], |call| flag(call, "failed", "failed", false)),
    Plugin::lenient("successful", &["result"], |call| flag(call, "failed", "failed", false)),
    Plugin::lenient("unreachable", &["result"], |call| {
        flag(call, "unreachable", "unreachable", true)
    }),
    Plugin::lenient("reachable", &["result"], |call| {
        flag(call, "unreachable", "unreachable", false)
    }),
    Plugin::lenient("skipped", &["result"], |call| flag(call, "skipped", "skipped", true)),
    Plugin::lenient("skip", &["result"], |call| flag(call, "skipped", "skipped", true)),
    Plugin::lenient("changed", &["result"], changed),
    Plugin::lenient("change", &["result"], changed),
    Plugin::lenient("finished", &["result"], |call| async_state(call, "finished")),
    Plugin::lenient("started", &["result"], |call| async_state(call, "started")),
    Plugin::lenient("timedout", &["result"], timedout),
];

/// The value under a key of the result; the value has to be a result.
fn part(call: &Call, test: &str, key: &str) -> Result<Option<Value>, TemplateError> {
    let result = call.value()?;
    if result.is_undefined() {
        return Err(call.undefined());
    }
    if result.kind() != ValueKind::Map {
        return Err(TemplateError::new(format!("The '{test}' test expects a dictionary")));
    }
    let found = result.get_attr(key).map_err(|error| python::carried(&error))?;
    Ok(Some(found).filter(|found| !found.is_undefined()))
}

fn flag(call: &mut Call, test: &str, key: &str, wanted: bool) -> Result<Value, TemplateError> {
    let set = part(call, test, key)?.is_some_and(|found| found.is_true());
    Ok(Value::from(set == wanted))
}

/// A result of a loop that does not say so itself has changed when an item has.
fn changed(call: &mut Call) -> Result<Value, TemplateError> {
    if let Some(changed) = part(call, "changed", "changed")? {
        return Ok(Value::from(changed.is_true()));
    }
    let results = part(call, "changed", "results")?;
    let items = results.filter(|results| results.kind() == ValueKind::Seq);
    let items = items.map_or(Ok(Vec::new()), |items| python::items(&items))?;
    let is_changed = |item: &Value| item.get_attr("changed").is_ok_and(|changed| changed.is_true());
    Ok(Value::from(items.iter().any(is_changed)))
}

/// A task that is not asynchronous counts as started and finished.
fn async_state(call: &mut Call, key: &str) -> Result<Value, TemplateError> {
    let found = part(call, key, key)?;
    Ok(Value::from(found.is_none_or(|found| found == Value::from(1))))
}

fn timedout(call: &mut Call) -> Result<Value, TemplateError> {
    let found = part(call, "timedout", "timedout")?;
    let period = found.and_then(|found| found.get_attr("period").ok());
    Ok(Value::from(period.is_some_and(|period| period.is_true())))
}
