//! `group`: groups of the host, through its own groupadd, groupmod and groupdel.

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, Number, Text};
use super::process::Output;
use super::users::{self, Database};
use super::{Context, Failure, Module, Outcome, tools};

/// Makes sure that a group is there, or is not.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    name: Text,
    #[serde(default)]
    state: State,
    gid: Option<Number>,
    /// A group of the system's: its number is taken from another range.
    #[serde(default)]
    system: Flag,
    /// Act on the local files alone, by libuser's programs.
    #[serde(default)]
    local: Flag,
    /// The number may be another group's too.
    #[serde(default)]
    non_unique: Flag,
    /// Remove a group that is a user's first.
    #[serde(default)]
    force: Flag,
    gid_min: Option<Number>,
    gid_max: Option<Number>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for Group {
    const NAME: &'static str = "group";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        self.validate()?;
        let exists = self.exists();
        let done = match (self.state, exists) {
            (State::Absent, false) => None,
            (State::Absent, true) | (State::Present, false) if context.check => {
                return Ok(Outcome::changed(true));
            }
            (State::Absent, true) => Some(self.remove(context)?),
            (State::Present, false) => Some(self.add(context)?),
            (State::Present, true) => self.modify(context)?,
        };
        let mut outcome = Outcome::changed(done.is_some())
            .with("name", self.name.0.clone())
            .with("state", if self.state == State::Present { "present" } else { "absent" });
        for (key, text) in done.iter().flat_map(|d| [("stdout", &d.stdout), ("stderr", &d.stderr)])
        {
            if !text.is_empty() {
                outcome = outcome.with(key, text.clone());
            }
        }
        if self.exists() {
            outcome = outcome.with("system", self.system.0).with("gid", self.current_gid());
        }
        Ok(outcome)
    }
}

impl Group {
    fn validate(&self) -> Result<(), Failure> {
        let refuse = |msg: &str| Err(Failure::new(msg));
        if self.non_unique.0 && self.gid.is_none() {
            return refuse("non_unique is True but all of the following are missing: gid");
        }
        if !self.local.0 {
            return Ok(());
        }
        if self.force.0 {
            return refuse(
                "force is not a valid option for local, force=True and local=True are mutually exclusive",
            );
        }
        if self.gid_min.is_some() {
            return refuse("'gid_min' can not be used with 'local'");
        }
        if self.gid_max.is_some() {
            return refuse("'gid_max' can not be used with 'local'");
        }
        Ok(())
    }

    fn entry(&self) -> Option<String> {
        if self.local.0 {
            users::local(Database::Groups, &self.name.0)
        } else {
            users::named(Database::Groups, &self.name.0)
        }
    }

    fn exists(&self) -> bool {
        self.entry().is_some()
    }

    fn current_gid(&self) -> Option<i64> {
        self.entry()?.split(':').nth(2)?.parse().ok()
    }

    fn command(&self, context: &Context, name: &str) -> Result<super::process::Process, Failure> {
        let name = if self.local.0 { format!("l{name}") } else { name.to_owned() };
        tools::command(context, &name)
    }

    /// Runs it; a failure names the group.
    fn must(&self, command: super::process::Process) -> Result<Output, Failure> {
        let output = command.run()?;
        if output.success() {
            return Ok(output);
        }
        Err(Failure::new(output.stderr).with("name", self.name.0.clone()))
    }

    fn remove(&self, context: &Context) -> Result<Output, Failure> {
        let mut command = self.command(context, "groupdel")?;
        if self.force.0 {
            command = command.arg("-f");
        }
        self.must(command.arg(&self.name.0))
    }

    fn add(&self, context: &Context) -> Result<Output, Failure> {
        let mut command = self.command(context, "groupadd")?.args(self.gid_arguments());
        if self.system.0 {
            command = command.arg("-r");
        }
        for (name, bound) in [("GID_MIN", self.gid_min), ("GID_MAX", self.gid_max)] {
            if let Some(bound) = bound {
                command = command.arg("-K").arg(format!("{name}={}", bound.0));
            }
        }
        self.unused_gid()?;
        self.must(command.arg(&self.name.0))
    }

    fn gid_arguments(&self) -> Vec<String> {
        let Some(gid) = self.gid else { return Vec::new() };
        let mut arguments = vec!["-g".to_owned(), gid.0.to_string()];
        arguments.extend(self.non_unique.0.then(|| "-o".to_owned()));
        arguments
    }

    fn modify(&self, context: &Context) -> Result<Option<Output>, Failure> {
        if self.gid.is_none() || self.gid.map(|gid| gid.0) == self.current_gid() {
            return Ok(None);
        }
        let command = self.command(context, "groupmod")?.args(self.gid_arguments());
        self.unused_gid()?;
        if context.check {
            return Ok(Some(Output::default()));
        }
        self.must(command.arg(&self.name.0)).map(Some)
    }

    /// libuser's programs do not look whether another group has the number.
    fn unused_gid(&self) -> Result<(), Failure> {
        let Some(gid) = self.gid.filter(|_| self.local.0) else { return Ok(()) };
        let number = u32::try_from(gid.0).unwrap_or(u32::MAX);
        match users::name_of(Database::Groups, number) {
            Some(name) if name != self.name.0 => {
                Err(Failure::new(format!("GID '{}' already exists with group '{name}'", gid.0)))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn group(arguments: serde_json::Value) -> Result<Outcome, Failure> {
        let context = Context { check: true, ..Context::default() };
        serde_json::from_value::<Group>(arguments).expect("arguments").run(&context)
    }

    #[test]
    fn a_group_that_is_as_wanted_is_left() {
        let root = group(json!({"name": "root"})).expect("there");
        assert!(!root.changed);
        assert_eq!(root.result["gid"], 0);
        assert!(!group(json!({"name": "nosuchgroup", "state": "absent"})).expect("absent").changed);
        assert!(group(json!({"name": "root", "gid": "7"})).expect("other number").changed);
    }

    #[test]
    fn a_number_for_two_groups_has_to_be_given() {
        assert!(group(json!({"name": "root", "non_unique": true})).is_err());
    }
}
