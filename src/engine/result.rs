//! Results as Ansible has them: one JSON object per task and host.

use serde_json::{Map, Value as Json, json};

use super::invoke::Target;
use crate::actions::{Error, Failure, Outcome, SECRET};
use crate::template::{self, Value};

pub type Result = Map<String, Json>;

pub fn of_outcome(outcome: Outcome) -> Result {
    let mut result = outcome.result;
    result.insert("changed".to_owned(), json!(outcome.changed));
    if !outcome.diff.is_empty() {
        result.insert("diff".to_owned(), json!(outcome.diff));
    }
    // A module that only returns its command's code has failed when that is not 0.
    if result.get("rc").is_some_and(|rc| rc != &json!(0)) && !result.contains_key("failed") {
        result.insert("failed".to_owned(), json!(true));
    }
    result
}

/// What an include answers; that it changes nothing is said where it is no item of a loop.
pub fn of_include(target: &Target, is_item: bool) -> Result {
    let mut result = Map::new();
    if !is_item {
        result.insert("changed".to_owned(), json!(false));
    }
    if let Some(file) = target.file() {
        result.insert("include".to_owned(), json!(file));
    }
    let (Target::Tasks { arguments, .. } | Target::Role { arguments, .. }) = target;
    result.insert("include_args".to_owned(), json!(arguments));
    result
}

pub fn of_failure(failure: Failure) -> Result {
    let mut result = failure.result;
    result.insert("failed".to_owned(), json!(true));
    result.insert("changed".to_owned(), json!(failure.changed));
    result.entry("msg").or_insert_with(|| json!(failure.msg));
    result
}

pub fn of_error(error: Error) -> Result {
    match error {
        Error::Failed(failure) => of_failure(failure),
        Error::Unreachable(msg) => unreachable(&msg),
    }
}

pub fn unreachable(msg: &str) -> Result {
    Map::from_iter([
        ("unreachable".to_owned(), json!(true)),
        ("changed".to_owned(), json!(false)),
        ("msg".to_owned(), json!(msg)),
    ])
}

/// What ran has `failed` to ask for, whichever way it went.
pub fn say_whether_failed(result: &mut Result) {
    if !flag(result, "unreachable") {
        result.entry("failed").or_insert_with(|| json!(false));
    }
}

/// A task that was not run because this condition is false.
pub fn skipped(condition: &Json) -> Result {
    Map::from_iter([
        ("changed".to_owned(), json!(false)),
        ("skipped".to_owned(), json!(true)),
        ("skip_reason".to_owned(), json!("Conditional result was False")),
        ("false_condition".to_owned(), condition.clone()),
    ])
}

pub fn no_items() -> Result {
    Map::from_iter([
        ("changed".to_owned(), json!(false)),
        ("skipped".to_owned(), json!(true)),
        ("skipped_reason".to_owned(), json!("No items in the list")),
        ("results".to_owned(), json!([])),
    ])
}

/// The results of a loop as one.
pub fn of_loop(results: Vec<Result>) -> Result {
    let any = |key: &str| results.iter().any(|result| flag(result, key));
    let all_skipped = results.iter().all(|result| flag(result, "skipped"));
    let changed = any("changed");
    let secret = any(SECRET);
    let (failed, unreachable) = (any("failed"), any("unreachable"));
    // One that was skipped fails where its label cannot be told.
    let msg = match (all_skipped, failed) {
        (true, _) => "All items skipped",
        (false, true) => "One or more items failed",
        (false, false) => "All items completed",
    };
    let mut whole = Map::from_iter([
        ("changed".to_owned(), json!(changed)),
        ("msg".to_owned(), json!(msg)),
        ("results".to_owned(), results.into_iter().map(Json::Object).collect()),
    ]);
    whole.insert("skipped".to_owned(), json!(all_skipped && !failed));
    for (key, set) in [("failed", failed), ("unreachable", unreachable), (SECRET, secret)] {
        if set {
            whole.insert(key.to_owned(), json!(true));
        }
    }
    whole
}

pub fn flag(result: &Result, key: &str) -> bool {
    result.get(key).and_then(Json::as_bool).unwrap_or(false)
}

/// Whether a result is a failure: `failed_when` has the last word, also where a task was
/// never what `until` waits for.
pub fn has_failed(result: &Result) -> bool {
    const JUDGED: &str = "failed_when_result";
    let truth = |value: &Json| value.as_bool().unwrap_or(true);
    let items = result.get("results").and_then(Json::as_array).into_iter().flatten();
    let mut judged = items.filter_map(|item| item.get(JUDGED)).peekable();
    if judged.peek().is_some() {
        return judged.any(truth);
    }
    result.get(JUDGED).map_or_else(|| flag(result, "failed"), truth)
}

/// Whether the module says that nobody may see its result.
pub fn is_secret(result: &Result) -> bool {
    flag(result, SECRET)
}

/// What may be shown of a result whose task has `no_log`.
pub fn censored(result: &Result) -> Result {
    let mut shown = Map::from_iter([(
        "censored".to_owned(),
        json!(
            "the output has been hidden due to the fact that 'no_log: true' was specified for this result"
        ),
    )]);
    for key in ["changed", "failed", "skipped", "unreachable", "attempts", "retries"] {
        if let Some(value) = result.get(key) {
            shown.insert(key.to_owned(), value.clone());
        }
    }
    shown
}

/// The result as `register` keeps it. Made at once, without a copy as JSON: it may be large.
pub fn registered(result: &Result) -> Value {
    let mut kept: Vec<_> = public(result)
        // Of a loop's items it stays.
        .filter(|(key, _)| *key != "invocation")
        .map(|(key, value)| match value {
            Json::Array(items) if key == "results" => (key, items.iter().map(item).collect()),
            value => (key, template::from_json(value)),
        })
        .collect();
    if !result.contains_key("changed") {
        kept.push(("changed", Value::from(false)));
    }
    Value::from_pairs(kept)
}

/// The result of a loop's item.
fn item(item: &Json) -> Value {
    match item {
        Json::Object(result) => {
            Value::from_pairs(public(result).map(|(key, value)| (key, template::from_json(value))))
        }
        other => template::from_json(other),
    }
}

fn public(result: &Result) -> impl Iterator<Item = (&str, &Json)> {
    result.iter().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| !is_internal(key))
}

fn is_internal(key: &str) -> bool {
    key.starts_with("_ansible_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(value: Json) -> Result {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_loop_with_one_failed_item_has_failed_and_keeps_all_results() {
        let whole = of_loop(vec![
            result(json!({"changed": true})),
            result(json!({"changed": false, "failed": true})),
        ]);
        assert!(flag(&whole, "failed") && flag(&whole, "changed"));
        assert_eq!(whole["msg"], "One or more items failed");
        assert_eq!(whole["results"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_return_code_other_than_zero_is_a_failure() {
        assert!(flag(&of_outcome(Outcome::default().with("rc", 2)), "failed"));
        assert!(!flag(&of_outcome(Outcome::default().with("rc", 0)), "failed"));
    }

    #[test]
    fn nothing_but_the_flags_is_left_of_a_censored_result() {
        let shown = censored(&result(json!({"stdout": "secret", "changed": true})));
        assert_eq!(shown.get("stdout"), None);
        assert_eq!(shown["changed"], true);
    }
}
