//! `package`: the package manager that the host has.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::args::{Flag, Text, TextList};
use super::{Context, Failure, Module, Outcome};

/// Installs and removes packages through the host's own package manager.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Package {
    #[serde(alias = "pkg")]
    name: TextList,
    /// present, absent or latest.
    #[serde(default = "present")]
    state: Text,
    /// The module to use in place of what the host has.
    #[serde(default = "auto", rename = "use")]
    use_: Text,
    /// Read the repositories' lists first.
    update_cache: Option<Flag>,
    allow_downgrade: Option<Flag>,
    /// What only the module of the host's own package manager knows.
    #[serde(flatten)]
    others: Map<String, Json>,
}

fn present() -> Text {
    Text("present".to_owned())
}

fn auto() -> Text {
    Text("auto".to_owned())
}

/// The module for each package manager, by its program. dnf comes first, as RHEL's yum
/// is only another name of it.
const MANAGERS: [(&str, &str); 3] =
    [("/usr/bin/dnf", "dnf"), ("/usr/bin/dnf5", "dnf"), ("/usr/bin/apt-get", "apt")];

impl Module for Package {
    const NAME: &'static str = "package";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let module = match self.use_.0.as_str() {
            "auto" | "" => MANAGERS
                .iter()
                .find(|(program, _)| Path::new(program).exists())
                .map(|(_, module)| *module)
                .ok_or_else(|| {
                    Failure::new("Could not detect a package manager: apt and dnf are known here")
                })?,
            "apt" => "apt",
            "dnf" | "dnf5" | "yum" | "dnf4" => "dnf",
            other => return Err(Failure::new(format!("there is no package module {other}"))),
        };
        let mut arguments = json!({"name": self.name.0, "state": self.state.0});
        let optional =
            [("update_cache", self.update_cache), ("allow_downgrade", self.allow_downgrade)];
        for (name, flag) in optional {
            if let (Some(flag), Json::Object(map)) = (flag, &mut arguments) {
                map.insert(name.to_owned(), json!(flag.0));
            }
        }
        if let Json::Object(map) = &mut arguments {
            map.extend(self.others.into_iter().filter(|(_, value)| !value.is_null()));
        }
        match super::find(module) {
            Some(spec) => (spec.run)(arguments, context),
            None => Err(Failure::new(format!("there is no package module {module}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_manager_is_refused_by_name() {
        let arguments = json!({"name": "x", "state": "present", "use": "pacman"});
        let package: Package = serde_json::from_value(arguments).expect("arguments");
        let failure = package.run(&Context::default()).expect_err("refused");
        assert_eq!(failure.msg, "there is no package module pacman");
    }
}
