//! `apt_hold`: packages at one version, held there.
//!
//! Changing a held package takes three steps (unhold, install, hold) that belong
//! together: whatever happens in the middle, what was held is held again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, Text, TextList};
use super::dpkg;
use super::{Context, Failure, Module, Outcome};

/// Names the packages that are being changed: when it is still there at the next
/// run, that run holds them first. It lies where a reboot leaves it.
const MARKER: &str = "/var/lib/kup-play/apt-hold-in-progress";

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
    #[serde(default)]
    update_cache: Flag,
    /// Install an older version than the installed one.
    #[serde(default)]
    allow_downgrade: Flag,
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
            finish_interrupted(context)?;
        }
        if self.update_cache.0 {
            let update = dpkg::apt_get(context).arg("update");
            dpkg::must(update, "the package lists cannot be updated")?;
        }
        let before = dpkg::installed(context, names)?;
        let held = dpkg::held(context, names)?;
        let changed = match self.state {
            State::Installed => self.install(context, &before, &held)?,
            State::Held => self.mark(context, true, &held)?,
            State::Unheld => self.mark(context, false, &held)?,
        };
        let after = if context.check { before.clone() } else { dpkg::installed(context, names)? };
        let mut outcome = Outcome::changed(changed.is_some());
        if let Some(Change { versions, stdout }) = changed {
            outcome = outcome.with("to_install", json!(versions)).with("stdout", stdout);
        }
        let now_held = if context.check { held } else { dpkg::held(context, names)? };
        Ok(outcome.with("before", json!(before)).with("after", json!(after)).with("held", now_held))
    }
}

/// What was done, or would be.
#[derive(Default)]
struct Change {
    /// Package and the version it gets.
    versions: BTreeMap<String, String>,
    stdout: String,
}

impl AptHold {
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
        let wanted = self.wanted_versions(context, before)?;
        let versions: BTreeMap<_, _> = wanted
            .into_iter()
            .filter(|(name, version)| before.get(name) != Some(version))
            .collect();
        if versions.is_empty() {
            return self.mark(context, true, held);
        }
        let words: Vec<_> =
            versions.iter().map(|(name, version)| format!("{name}={version}")).collect();
        let simulated = self.apt(context, &["-s"], &words)?;
        if context.check {
            return Ok(Some(Change { versions, stdout: simulated }));
        }
        let stdout = self.transaction(context, &words)?;
        Ok(Some(Change { versions, stdout }))
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
            let Some(pattern) = self.version.as_ref().map(|version| version.0.as_str()) else {
                if let Some(version) = installed {
                    wanted.insert(name.clone(), version.clone());
                    continue;
                }
                let newest = dpkg::available(context, name)?.into_iter().next();
                let version = newest.ok_or_else(|| not_there(name, "any version", &[]))?;
                wanted.insert(name.clone(), version);
                continue;
            };
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

    /// Unhold, install, hold. The hold happens also when the installation fails.
    fn transaction(&self, context: &Context, words: &[String]) -> Result<String, Failure> {
        let names = &self.packages.0;
        let marker = Marker::set(names)?;
        dpkg::mark(context, false, names)?;
        let installed = self.apt(context, &[], words);
        let present: Vec<_> = dpkg::installed(context, names)?.into_keys().collect();
        dpkg::mark(context, true, &present)?;
        marker.remove()?;
        installed
    }

    fn apt(&self, context: &Context, flags: &[&str], words: &[String]) -> Result<String, Failure> {
        let mut process = dpkg::apt_get(context).args(flags).arg("install");
        // The simulation is made while the packages are still held.
        process = process.arg("--allow-change-held-packages");
        if self.allow_downgrade.0 {
            process = process.arg("--allow-downgrades");
        }
        let output = process.args(words).run()?;
        if output.success() {
            return Ok(output.stdout);
        }
        let what =
            if flags.is_empty() { "the installation failed" } else { "it cannot be installed" };
        let failure = dpkg::explained(&format!("{}: {what}", words.join(" ")), &output);
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

/// Holds what an earlier run left unheld when it was killed.
fn finish_interrupted(context: &Context) -> Result<(), Failure> {
    let Ok(text) = fs::read_to_string(MARKER) else {
        return Ok(());
    };
    let names: Vec<String> = text.lines().map(str::to_owned).collect();
    let present: Vec<_> = dpkg::installed(context, &names)?.into_keys().collect();
    dpkg::mark(context, true, &present)?;
    Marker(PathBuf::from(MARKER)).remove()
}

struct Marker(PathBuf);

impl Marker {
    fn set(names: &[String]) -> Result<Self, Failure> {
        let path = Path::new(MARKER);
        let error =
            |error: std::io::Error| Failure::new(format!("{MARKER} cannot be written: {error}"));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(error)?;
        }
        fs::write(path, names.join("\n")).map_err(error)?;
        Ok(Self(path.to_owned()))
    }

    fn remove(self) -> Result<(), Failure> {
        fs::remove_file(&self.0).map_err(|error| {
            Failure::new(format!("{} cannot be removed: {error}", self.0.display()))
        })
    }
}
