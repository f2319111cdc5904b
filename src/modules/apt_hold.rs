//! `apt_hold`: packages at one version, held there.
//!
//! Changing a held package takes three steps (unhold, install, hold) that belong
//! together: whatever happens in the middle, what was held is held again.

mod transaction;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, Number, Text, TextList};
use super::dpkg;
use super::{Context, Failure, Module, Outcome};
use transaction::Transaction;

/// Installs packages at a version and holds them, or holds and unholds what is installed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AptHold {
    /// Names of the packages.
    #[serde(alias = "name", alias = "package")]
    packages: TextList,
    /// The version: exact (`1.21.2-00`) or with a star (`1.21.2-*`: the newest of these).
    version: Option<Text>,
    #[serde(default)]
    state: State,
    /// Read the repositories' lists first.
    #[serde(default, alias = "update-cache")]
    update_cache: Flag,
    /// Install an older version than the installed one.
    #[serde(default, alias = "allow-downgrade", alias = "allow_downgrades")]
    allow_downgrade: Flag,
    /// Seconds to wait for another program to let go of dpkg.
    #[serde(default = "lock_timeout")]
    lock_timeout: Number,
}

fn lock_timeout() -> Number {
    Number(dpkg::LOCK_TIMEOUT as i64)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Installed at the version, and held.
    #[default]
    Installed,
    Held,
    Unheld,
}

impl Module for AptHold {
    const NAME: &'static str = "apt_hold";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let names = &self.packages.0;
        if names.is_empty() {
            return Err(Failure::new("apt_hold needs the names of packages"));
        }
        if !context.check {
            transaction::finish_interrupted(context)?;
        }
        if self.update_cache.0 && !context.check {
            let update = || dpkg::apt_get(context).arg("update");
            let output = dpkg::unlocked(self.lock_seconds(), update)?;
            if !output.success() {
                return Err(dpkg::explained("the package lists cannot be updated", &output));
            }
        }
        let before = dpkg::installed(context, names)?;
        let held = dpkg::held(context, names)?;
        let change = match self.state {
            State::Installed => self.install(context, &before, &held)?,
            State::Held => self.mark(context, true, &held)?,
            State::Unheld => self.mark(context, false, &held)?,
        };
        let mut after = before.clone();
        let mut now_held = held;
        match &change {
            Some(_) if !context.check => {
                after = dpkg::installed(context, names)?;
                now_held = dpkg::held(context, names)?;
            }
            Some(change) => after.extend(change.versions.clone()),
            None => {}
        }
        let mut outcome = Outcome::changed(change.is_some());
        if let Some(Change { versions, foreseen, stdout }) = change {
            outcome = outcome
                .with("to_install", json!(versions))
                .with("changes", json!(foreseen))
                .with("stdout", stdout);
        }
        Ok(outcome.with("before", json!(before)).with("after", json!(after)).with("held", now_held))
    }
}

/// What was done, or would be.
#[derive(Default)]
struct Change {
    /// Package and the version it gets.
    versions: BTreeMap<String, String>,
    /// All that apt changes, dependencies included.
    foreseen: Vec<dpkg::Foreseen>,
    stdout: String,
}

impl AptHold {
    fn lock_seconds(&self) -> u64 {
        u64::try_from(self.lock_timeout.0).unwrap_or(0)
    }

    fn mark(
        &self,
        context: &Context,
        hold: bool,
        held: &[String],
    ) -> Result<Option<Change>, Failure> {
        let wrong: Vec<_> =
            self.packages.0.iter().filter(|name| held.contains(name) != hold).cloned().collect();
        if wrong.is_empty() {
            return Ok(None);
        }
        if !context.check {
            dpkg::mark(context, hold, &wrong)?;
        }
        Ok(Some(Change::default()))
    }

    fn install(
        &self,
        context: &Context,
        before: &BTreeMap<String, String>,
        held: &[String],
    ) -> Result<Option<Change>, Failure> {
        let versions: BTreeMap<_, _> = self
            .wanted_versions(context, before)?
            .into_iter()
            .filter(|(name, version)| before.get(name) != Some(version))
            .collect();
        if versions.is_empty() {
            return self.mark(context, true, held);
        }
        let words: Vec<_> =
            versions.iter().map(|(name, version)| format!("{name}={version}")).collect();
        // What apt refuses is known before anything is unheld.
        let simulated = self.simulate(context, &words)?;
        let foreseen = dpkg::foreseen(&simulated);
        if context.check {
            return Ok(Some(Change { versions, foreseen, stdout: simulated }));
        }
        let transaction = Transaction {
            names: &self.packages.0,
            held,
            words: &words,
            flags: self.flags(),
            lock_timeout: self.lock_seconds(),
        };
        let output = transaction.run(context)?;
        if !output.success() {
            let what = format!("{}: the installation failed", words.join(" "));
            let mut failure = dpkg::explained(&what, &output);
            failure.changed = dpkg::installed(context, &self.packages.0)? != *before;
            return Err(failure);
        }
        Ok(Some(Change { versions, foreseen, stdout: output.stdout }))
    }

    /// The version that each package is to have.
    fn wanted_versions(
        &self,
        context: &Context,
        before: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut wanted = BTreeMap::new();
        for name in &self.packages.0 {
            let installed = before.get(name);
            let pattern = self.version.as_ref().map_or("*", |version| version.0.as_str());
            // An installed version that fits stays, whatever else would fit too.
            if let Some(version) = installed.filter(|version| dpkg::matches(pattern, version)) {
                wanted.insert(name.clone(), version.clone());
                continue;
            }
            let available = dpkg::available(context, name)?;
            let version = available.iter().find(|version| dpkg::matches(pattern, version));
            let version = version.ok_or_else(|| not_there(name, pattern, &available))?;
            wanted.insert(name.clone(), version.clone());
        }
        Ok(wanted)
    }

    fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec!["--allow-change-held-packages"];
        if self.allow_downgrade.0 {
            flags.push("--allow-downgrades");
        }
        flags
    }

    fn simulate(&self, context: &Context, words: &[String]) -> Result<String, Failure> {
        let simulation =
            || dpkg::apt_get(context).args(["-s", "install"]).args(self.flags()).args(words);
        let output = dpkg::unlocked(self.lock_seconds(), simulation)?;
        if output.success() {
            return Ok(output.stdout);
        }
        let what = format!("{}: it cannot be installed", words.join(" "));
        let failure = dpkg::explained(&what, &output);
        if output.stderr.contains("downgraded") && !self.allow_downgrade.0 {
            let msg = format!("{} (allow_downgrade permits an older version)", failure.msg);
            return Err(Failure { msg, ..failure });
        }
        Err(failure)
    }
}

fn not_there(name: &str, pattern: &str, available: &[String]) -> Failure {
    let offered = match available {
        [] => "the repositories do not have the package at all".to_owned(),
        some => format!("the repositories have {}", some.join(", ")),
    };
    Failure::new(format!(
        "no version of {name} matches {pattern}: {offered}; is the repository of this minor \
         configured, and its list up to date (update_cache)?"
    ))
}
