//! `gather_facts`: the modules that the settings name for it, one after the other or side
//! by side, and what they found as one.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Map, Value as Json, json};

use super::Run;
use super::invoke::{self, Invocation, of_argument};
use super::result::{self, Result as TaskResult};
use crate::actions::{self, Context, Error, Failure};
use crate::agent::protocol::Request;
use crate::playbook::{Task, normalise};
use crate::source::boolean;
use crate::template::{self, Scope, Templar};

/// The arguments of `gather_facts`.
pub const ARGUMENTS: &[&str] =
    &["fact_path", "filter", "gather_subset", "gather_timeout", "parallel"];
/// Those that are for `setup` alone, and what warnings call them.
const OF_SETUP: &[(&str, &str)] =
    &[("gather_subset", "subset"), ("gather_timeout", "timeout"), ("filter", "filter")];
/// The fact that facts were gathered; results do not show it.
pub const GATHERED: &str = "_ansible_facts_gathered";

/// What gathers facts, and how.
pub struct FactModules {
    modules: Vec<FactModule>,
    parallel: bool,
    warnings: Vec<String>,
}

struct FactModule {
    /// As the settings have it.
    name: String,
    invocation: Invocation,
    /// Seconds that a module may take which cannot be told so itself.
    limit: Option<u64>,
}

impl FactModules {
    /// From the arguments of `gather_facts`, those of `module_defaults` for it included.
    pub fn of(
        run: &Run,
        task: &Task,
        mut arguments: Map<String, Json>,
        templar: &Templar,
        scope: &Arc<dyn Scope>,
        there: &Arc<dyn Scope>,
    ) -> Result<Self, Failure> {
        arguments.retain(|_, value| !value.is_null());
        let names = names(run, templar, scope)?;
        let given = arguments.shift_remove("parallel");
        let parallel = match variable("ansible_facts_parallel", templar, scope)?.or(given) {
            Some(Json::Bool(parallel)) => parallel,
            Some(other) => other.as_str().and_then(boolean).unwrap_or(false),
            None => names.len() > 1,
        };
        let limit = arguments.get("gather_timeout").and_then(seconds).filter(|_| parallel);
        let mut warnings = Vec::new();
        let mut module = |name: String| {
            let short = normalise(&name);
            let mut own = arguments.clone();
            if short != "setup" {
                for (argument, called) in OF_SETUP {
                    let Some(value) = own.shift_remove(*argument) else { continue };
                    if *argument != "gather_subset" || (value != "all" && value != json!(["all"])) {
                        let value = template::python_text(&template::from_json(&value));
                        warnings.push(format!("Not passing {called}({value}) to {name}"));
                    }
                }
            }
            for (argument, value) in defaults(task, &short, templar, scope)? {
                own.entry(argument).or_insert(value);
            }
            let limit = limit.filter(|_| !own.contains_key("gather_timeout"));
            let invocation = Invocation::on_host(run, &short, own, templar, there)?;
            Ok(FactModule { name, invocation, limit })
        };
        let modules = names.into_iter().map(&mut module).collect::<Result<_, Failure>>()?;
        Ok(Self { modules, parallel, warnings })
    }

    /// The one that can run in the background; with several nobody would put together
    /// what they find.
    pub fn only(&self) -> Option<&Invocation> {
        match self.modules.as_slice() {
            [only] => Some(&only.invocation),
            _ => None,
        }
    }

    pub async fn run(&self, context: &Context) -> TaskResult {
        let results = if self.parallel {
            join_all(self.modules.iter().map(|module| module.run(context))).await
        } else {
            let mut results = Vec::new();
            for module in &self.modules {
                results.push(module.run(context).await);
            }
            results
        };
        if let Some(lost) = results.iter().find(|result| result::flag(result, "unreachable")) {
            return lost.clone();
        }
        let names = self.modules.iter().map(|module| module.name.as_str());
        whole(names.zip(results), &self.warnings)
    }
}

impl FactModule {
    async fn run(&self, context: &Context) -> TaskResult {
        let outcome = match invoke::request(&self.invocation) {
            Some((name, arguments, files)) => {
                let request = context.request(name, arguments);
                let timeout = self.limit.or(request.timeout);
                let answer = context.remote.call(Request { timeout, ..request }, files).await;
                answer.map_err(Error::from).and_then(actions::outcome)
            }
            None => Err(Error::failed(format!("{} gathers no facts on a host", self.name))),
        };
        let mut result = invoke::result_of(&self.invocation, outcome);
        if self.limit.is_some() && result.contains_key("timedout") {
            result.insert("msg".to_owned(), json!("Timeout exceeded"));
        }
        result
    }
}

/// What the variable, or else the setting says.
fn names(run: &Run, templar: &Templar, scope: &Arc<dyn Scope>) -> Result<Vec<String>, Failure> {
    let named = match variable("ansible_facts_modules", templar, scope)? {
        Some(Json::String(text)) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        Some(Json::Array(names)) => {
            names.iter().filter_map(Json::as_str).map(str::to_owned).collect()
        }
        _ => run.settings.facts_modules.clone(),
    };
    let (smart, mut names): (Vec<_>, Vec<_>) = named.into_iter().partition(|name| name == "smart");
    // It comes behind those that are named.
    if !smart.is_empty() {
        names.push("ansible.legacy.setup".to_owned());
    }
    Ok(names)
}

fn variable(
    name: &str,
    templar: &Templar,
    scope: &Arc<dyn Scope>,
) -> Result<Option<Json>, Failure> {
    let value = templar.render_text(&format!("{{{{ {name} | default(none) }}}}"), None, scope);
    let value = template::to_json(&value.map_err(Failure::from)?).map_err(Failure::from)?;
    Ok(Some(value).filter(|value| !value.is_null()))
}

fn seconds(value: &Json) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|seconds| *seconds > 0)
}

/// What `module_defaults` gives a module; the innermost ones replace those further out.
fn defaults(
    task: &Task,
    module: &str,
    templar: &Templar,
    scope: &Arc<dyn Scope>,
) -> Result<Map<String, Json>, Failure> {
    let mut entries =
        task.keywords.module_defaults.iter().flat_map(|node| node.as_map().unwrap_or_default());
    let is_named = |name: &str| normalise(name) == module;
    let Some((_, node)) = entries.rfind(|(key, _)| key.as_str().is_some_and(is_named)) else {
        return Ok(Map::new());
    };
    let value = templar.render_arguments(node, scope).map_err(of_argument)?;
    match template::to_json(&value).map_err(of_argument)? {
        Json::Object(defaults) => Ok(defaults),
        _ => Ok(Map::new()),
    }
}

/// The results of several modules as the one of `gather_facts`.
fn whole<'a>(
    results: impl Iterator<Item = (&'a str, TaskResult)>,
    warnings: &[String],
) -> TaskResult {
    let mut found = Map::from_iter([
        ("ansible_facts".to_owned(), json!({})),
        ("warnings".to_owned(), json!(warnings)),
        ("deprecations".to_owned(), json!([])),
    ]);
    let (mut failed, mut skipped, mut count) = (Map::new(), Map::new(), 0);
    for (name, mut result) in results {
        count += 1;
        if result::flag(&result, "failed") {
            failed.insert(name.to_owned(), Json::Object(result));
        } else if result::flag(&result, "skipped") {
            skipped.insert(name.to_owned(), Json::Object(result));
        } else {
            result.retain(|key, _| found.contains_key(key));
            merge(&mut found, result);
        }
    }
    found.insert("changed".to_owned(), json!(false));
    let list = |modules: &Map<String, Json>| {
        let names: Vec<_> = modules.keys().map(String::as_str).collect();
        names.join(", ")
    };
    if !skipped.is_empty() {
        let msg = format!("The following modules were skipped: {}\n", list(&skipped));
        found.insert("msg".to_owned(), json!(msg));
        if skipped.len() == count {
            found.insert("skipped".to_owned(), json!(true));
        }
        found.insert("skipped_modules".to_owned(), Json::Object(skipped));
    }
    if !failed.is_empty() {
        let msg = format!("The following modules failed to execute: {}\n", list(&failed));
        found.insert("msg".to_owned(), json!(msg));
        found.insert("failed".to_owned(), json!(true));
        found.insert("failed_modules".to_owned(), Json::Object(failed));
    }
    found
}

/// Later ones win; of lists what is only in the earlier one stays in front.
fn merge(into: &mut Map<String, Json>, more: Map<String, Json>) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(Json::Object(known)), Json::Object(value)) => merge(known, value),
            (Some(Json::Array(known)), Json::Array(value)) => {
                known.retain(|item| !value.contains(item));
                known.extend(value);
            }
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Json) -> TaskResult {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn facts_of_several_modules_are_merged_and_later_ones_win() {
        let one = json!({"ansible_facts": {"a": 1, "d": {"x": 1, "y": 1}, "l": [1, 3, 3]}});
        let two = json!({"ansible_facts": {"a": 2, "d": {"y": 2}, "l": [1, 2, 2]}});
        let found = whole([("one", object(one)), ("two", object(two))].into_iter(), &[]);
        assert_eq!(
            found["ansible_facts"],
            json!({"a": 2, "d": {"x": 1, "y": 2}, "l": [3, 3, 1, 2, 2]})
        );
    }

    #[test]
    fn a_module_that_fails_is_named_and_what_others_found_stays() {
        let one = object(json!({"ansible_facts": {"a": 1}}));
        let two = object(json!({"failed": true, "msg": "no"}));
        let found = whole([("one", one), ("two", two)].into_iter(), &[]);
        assert!(result::flag(&found, "failed"));
        assert_eq!(found["msg"], "The following modules failed to execute: two\n");
        assert_eq!(found["failed_modules"]["two"]["msg"], "no");
        assert_eq!(found["ansible_facts"]["a"], 1);
    }
}
