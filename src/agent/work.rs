//! One request: from its arguments to its result.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::protocol::Request;
use super::{external, job};
use crate::modules::{self, Context, Failure, Outcome};

/// Runs the request's module. A panic in it is a failed result like any other.
pub fn run(request: Request, scratch: PathBuf) -> Map<String, Json> {
    let module = request.module.clone();
    match catch_unwind(AssertUnwindSafe(|| dispatch(request, scratch))) {
        Ok(result) => result,
        Err(panic) => failed(Failure::new(format!(
            "MODULE FAILURE: {module} broke off: {}. This is a fault of kup-play.",
            panic_message(panic.as_ref())
        ))),
    }
}

fn dispatch(request: Request, scratch: PathBuf) -> Map<String, Json> {
    if let Some(job) = request.job.clone() {
        return job::start(request, &job, &scratch).unwrap_or_else(failed);
    }
    let context = Context {
        check: request.check,
        diff: request.diff,
        unsafe_writes: false,
        environment: request.environment,
        scratch,
    };
    let arguments = Json::Object(request.arguments);
    if request.module == external::NAME {
        return external::run(arguments, &context).unwrap_or_else(failed);
    }
    let outcome = match modules::find(&request.module) {
        Some(spec) => (spec.run)(arguments, &context),
        None => Err(Failure::new(format!("this agent has no module {}", request.module))),
    };
    outcome.map_or_else(failed, succeeded)
}

fn succeeded(outcome: Outcome) -> Map<String, Json> {
    let mut result = outcome.result;
    result.insert("changed".to_owned(), outcome.changed.into());
    if !outcome.diff.is_empty() {
        // One change is a mapping, several are a list, as in Ansible.
        let mut changes = serde_json::to_value(outcome.diff).unwrap_or_default();
        if let Json::Array(list) = &mut changes
            && list.len() == 1
        {
            changes = list.pop().unwrap_or_default();
        }
        result.insert("diff".to_owned(), changes);
    }
    result
}

/// A failure as a result.
pub fn failed(failure: Failure) -> Map<String, Json> {
    let mut result = failure.result;
    result.insert("failed".to_owned(), true.into());
    result.insert("changed".to_owned(), failure.changed.into());
    result.insert("msg".to_owned(), failure.msg.into());
    result
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "no reason given".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_module_is_a_failed_result() {
        let request = Request { module: "nosuch".to_owned(), ..Request::default() };
        let result = run(request, PathBuf::new());
        assert_eq!(result["failed"], true);
        assert_eq!(result["msg"], "this agent has no module nosuch");
    }

    #[test]
    fn several_diffs_are_a_list_and_one_is_a_mapping() {
        let one = Outcome::changed(true).with_diff(modules::Diff::default());
        let two = one.clone().with_diff(modules::Diff::default());
        assert!(succeeded(two)["diff"].is_array());
        assert!(succeeded(one)["diff"].is_object());
    }
}
