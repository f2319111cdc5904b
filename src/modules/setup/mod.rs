//! `setup`: facts of the host, under Ansible's names, from files wherever a file will do.

mod local;
mod machine;
mod network;
pub(super) mod platform;
mod python;
mod resources;
mod subset;
mod systemd;
mod user;
mod virtualization;

use std::thread::ScopedJoinHandle;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::args::{Number, TextList};
use super::{Context, Failure, Module, Outcome, glob};
use subset::Subset;

/// Gathers facts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Families of facts: all, min, hardware, network, virtual, facter (none), `!x` takes x away.
    #[serde(default)]
    gather_subset: TextList,
    /// Only facts whose names match one of these patterns.
    #[serde(default)]
    filter: TextList,
    // Taken for compatibility: nothing here takes long.
    #[serde(default, rename = "gather_timeout")]
    _gather_timeout: Option<Number>,
    /// A folder of local facts.
    #[serde(default = "facts_d")]
    fact_path: String,
}

fn facts_d() -> String {
    "/etc/ansible/facts.d".to_owned()
}

impl Module for Setup {
    const NAME: &'static str = "setup";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let subset = Subset::of(&self.gather_subset.0)?;
        let minimum = subset.wants_minimum();
        let mut facts = Map::new();
        std::thread::scope(|scope| {
            // Those wait for other programs meanwhile.
            let python = minimum.then(|| scope.spawn(|| gathered(python::gather)));
            let network =
                subset.wants("network").then(|| scope.spawn(|| gathered(network::gather)));
            let systemd =
                subset.wants("systemd").then(|| scope.spawn(|| gathered(systemd::gather)));
            let take = |from: Option<ScopedJoinHandle<Map<String, Json>>>| {
                from.and_then(|thread| thread.join().ok()).unwrap_or_default()
            };
            if minimum {
                platform::gather(&mut facts, &self.fact_path, &context.environment);
            }
            let of_virtual = subset.wants("virtual").then(|| gathered(virtualization::gather));
            let hardware = subset.wants("hardware").then(|| {
                gathered(|facts| {
                    resources::gather(facts);
                    machine::gather(facts);
                })
            });
            facts.extend(take(python));
            subset.reduce(&mut facts);
            facts.extend(of_virtual.unwrap_or_default());
            facts.extend(take(network));
            facts.extend(take(systemd));
            facts.extend(hardware.unwrap_or_default());
        });
        facts.insert(
            "gather_subset".to_owned(),
            if self.gather_subset.0.is_empty() {
                Json::from(vec!["all"])
            } else {
                Json::from(self.gather_subset.0.clone())
            },
        );
        facts.insert("module_setup".to_owned(), Json::Bool(true));
        let facts: Map<_, _> = facts
            .into_iter()
            .map(|(name, value)| match name.as_str() {
                "module_setup" | "gather_subset" => (name, value),
                _ => (format!("ansible_{name}"), value),
            })
            .filter(|(name, _)| self.passes(name))
            .collect();
        Ok(Outcome::default().with("ansible_facts", facts))
    }
}

impl Setup {
    fn passes(&self, name: &str) -> bool {
        self.filter.0.is_empty()
            || self.filter.0.iter().any(|pattern| {
                let short = name.strip_prefix("ansible_").unwrap_or(name);
                glob::matches(pattern, name) || glob::matches(pattern, short)
            })
    }
}

fn gathered(gather: impl FnOnce(&mut Map<String, Json>)) -> Map<String, Json> {
    let mut facts = Map::new();
    gather(&mut facts);
    facts
}

/// A file's text without its last newline; empty if it cannot be read.
fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn gather(arguments: Json) -> Json {
        let setup: Setup = serde_json::from_value(arguments).expect("arguments");
        setup.run(&Context::default()).expect("facts").result["ansible_facts"].clone()
    }

    #[test]
    fn facts_have_ansibles_names() {
        let facts = gather(json!({}));
        for name in [
            "ansible_distribution",
            "ansible_os_family",
            "ansible_hostname",
            "ansible_kernel",
            "ansible_architecture",
            "ansible_pkg_mgr",
            "ansible_memtotal_mb",
            "ansible_processor_vcpus",
            "ansible_date_time",
            "ansible_user_id",
            "ansible_mounts",
        ] {
            assert!(facts.get(name).is_some(), "{name} is missing");
        }
    }

    #[test]
    fn a_part_may_be_asked_for_alone_and_an_unknown_one_is_refused() {
        let facts = gather(json!({"gather_subset": "!all,!min,network"}));
        assert!(facts.get("ansible_interfaces").is_some());
        assert!(facts.get("ansible_user_id").is_none() && facts.get("ansible_mounts").is_none());
        let facts = gather(json!({"gather_subset": ["!all", "!min", "distribution"]}));
        assert!(facts.get("ansible_distribution").is_some());
        let setup: Setup =
            serde_json::from_value(json!({"gather_subset": "nosuch"})).expect("arguments");
        let failure = setup.run(&Context::default()).expect_err("refused");
        assert!(failure.msg.starts_with("Bad subset 'nosuch' given to Ansible."));
    }

    #[test]
    fn subset_and_filter_leave_facts_out() {
        let facts = gather(json!({"gather_subset": ["!all"]}));
        assert!(facts.get("ansible_distribution").is_some());
        assert!(facts.get("ansible_memtotal_mb").is_none());
        let facts = gather(json!({"filter": "ansible_mem*"}));
        assert!(facts.get("ansible_memtotal_mb").is_some());
        assert!(facts.get("ansible_kernel").is_none());
    }
}
