//! `apt`: packages of Debian and its kin.

pub(super) mod cache;
mod deb;
mod marked;
mod specs;

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, Number, Text, TextList};
use super::dpkg::{self, Foreseen};
use super::process::{Output, Process};
use super::{Context, Diff, Failure, Module, Outcome};
use specs::Spec;

/// Installs, upgrades and removes packages.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Apt {
    /// Names, with a version after `=` (which may have a `*`), or patterns with `*`.
    #[serde(alias = "package", alias = "pkg")]
    name: TextList,
    state: State,
    /// A .deb file on the host.
    deb: Option<Text>,
    /// Read the repositories' lists first.
    #[serde(alias = "update-cache")]
    update_cache: Option<Flag>,
    /// Seconds for which the lists are taken for fresh.
    cache_valid_time: Number,
    /// Further tries when the lists cannot be read.
    update_cache_retries: Option<Number>,
    /// Remove configuration files too.
    purge: Flag,
    /// Remove what nothing needs any more.
    autoremove: Flag,
    /// Remove package files that no repository has any more.
    autoclean: Flag,
    /// Remove all package files.
    clean: Flag,
    /// The release to install from.
    #[serde(alias = "default-release")]
    default_release: Option<Text>,
    #[serde(alias = "install-recommends")]
    install_recommends: Option<Flag>,
    /// Go on where apt asks for a stronger yes.
    force: Flag,
    allow_unauthenticated: Flag,
    #[serde(alias = "allow-downgrade", alias = "allow_downgrades", alias = "allow-downgrades")]
    allow_downgrade: Flag,
    allow_change_held_packages: Flag,
    /// Fail when something else would be removed.
    fail_on_autoremove: Flag,
    /// Upgrade what is installed, install nothing new.
    only_upgrade: Flag,
    upgrade: Upgrade,
    /// Options of dpkg's, without dashes, with commas between.
    dpkg_options: Option<TextList>,
    /// Seconds to wait for another program to let go of dpkg.
    lock_timeout: Option<Number>,
    // Taken for compatibility: apt-get is used always, and needs no Python module.
    #[serde(rename = "force_apt_get")]
    _force_apt_get: Flag,
    #[serde(rename = "update_cache_retry_max_delay")]
    _update_cache_retry_max_delay: Number,
    #[serde(rename = "auto_install_module_deps")]
    _auto_install_module_deps: Flag,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    #[serde(alias = "installed")]
    Present,
    #[serde(alias = "removed")]
    Absent,
    Latest,
    #[serde(rename = "build-dep")]
    BuildDep,
    Fixed,
}

/// Upgrading the whole host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "serde_json::Value")]
enum Upgrade {
    #[default]
    No,
    Safe,
    Full,
}

impl TryFrom<serde_json::Value> for Upgrade {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        let text = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
        match text.to_lowercase().as_str() {
            "no" | "false" => Ok(Self::No),
            "yes" | "true" | "safe" => Ok(Self::Safe),
            "full" | "dist" => Ok(Self::Full),
            other => Err(format!("upgrade is one of no, yes, safe, full, dist; not {other}")),
        }
    }
}

impl Module for Apt {
    const NAME: &'static str = "apt";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        self.validate()?;
        if self.clean.0 && !context.check {
            self.must(context, &["clean".to_owned()])?;
        }
        let updated = self.update_lists(context)?;
        let outcome = match (&self.deb, self.upgrade) {
            (Some(deb), _) => self.install_deb(&deb.0, context)?,
            (None, Upgrade::Safe) => {
                self.change(context, vec!["upgrade".to_owned(), "--with-new-pkgs".to_owned()])?
            }
            (None, Upgrade::Full) => self.change(context, vec!["dist-upgrade".to_owned()])?,
            (None, Upgrade::No) => self.packages(context)?,
        };
        // Fresh lists are a change only when nothing else was asked for.
        let alone = self.name.0.is_empty() && self.deb.is_none() && self.upgrade == Upgrade::No;
        let mut outcome = outcome;
        outcome.changed |= updated && alone;
        Ok(outcome
            .with("cache_updated", updated)
            .with("cache_update_time", cache::time().unwrap_or(0)))
    }
}

impl Apt {
    fn validate(&self) -> Result<(), Failure> {
        let given = [!self.name.0.is_empty(), self.deb.is_some(), self.upgrade != Upgrade::No];
        if given.iter().filter(|given| **given).count() > 1 {
            return Err(Failure::new("parameters are mutually exclusive: deb|package|upgrade"));
        }
        let something = given.contains(&true)
            || self.update_cache.is_some_and(|flag| flag.0)
            || self.cache_valid_time.0 > 0
            || self.autoremove.0
            || self.autoclean.0
            || self.clean.0
            || self.state == State::Fixed;
        if something {
            return Ok(());
        }
        Err(Failure::new(
            "one of the following is required: autoremove, deb, package, update_cache, upgrade",
        ))
    }

    fn lock_seconds(&self) -> u64 {
        self.lock_timeout.map_or(60, |seconds| u64::try_from(seconds.0).unwrap_or(0))
    }

    fn update_lists(&self, context: &Context) -> Result<bool, Failure> {
        let asked = self.update_cache.map_or(self.cache_valid_time.0 > 0, |flag| flag.0);
        if !asked || cache::is_fresh(self.cache_valid_time.0) {
            return Ok(false);
        }
        if context.check {
            return Ok(true);
        }
        let retries = self.update_cache_retries.map_or(5, |retries| retries.0);
        cache::update(context, self.lock_seconds(), retries)?;
        Ok(true)
    }

    fn packages(&self, context: &Context) -> Result<Outcome, Failure> {
        let words = |verb: &str, packages: Vec<String>| [vec![verb.to_owned()], packages].concat();
        if self.state == State::Fixed {
            return self.change(context, words("--fix-broken", vec!["install".to_owned()]));
        }
        if self.name.0.is_empty() {
            return self.tidy(context);
        }
        let specs = specs::parse(&self.name.0)?;
        if let [Spec { name, .. }] = specs.as_slice()
            && name.ends_with(".deb")
        {
            return self.install_deb(name, context);
        }
        match self.state {
            State::BuildDep => self
                .change(context, words("build-dep", specs.into_iter().map(|s| s.name).collect())),
            State::Absent => {
                let present = specs::present(context, &specs, self.purge.0)?;
                if present.is_empty() && !self.autoremove.0 {
                    return Ok(Outcome::default());
                }
                self.change(context, words("remove", present))
            }
            _ => {
                let latest = self.state == State::Latest;
                let missing = specs::missing(context, &specs, latest, self.only_upgrade.0)?;
                if !context.check && !self.only_upgrade.0 {
                    marked::manual(context, &specs)?;
                }
                if missing.is_empty() {
                    return self.tidy(context);
                }
                self.change(context, words("install", missing))
            }
        }
    }

    /// autoremove and autoclean by themselves.
    fn tidy(&self, context: &Context) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        if self.autoremove.0 {
            outcome = self.change(context, vec!["autoremove".to_owned()])?;
        }
        if self.autoclean.0 {
            let flags: &[&str] = if context.check { &["-s", "autoclean"] } else { &["autoclean"] };
            let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            let output = self.must(context, &flags)?;
            let removed = output.stdout.lines().any(|line| line.starts_with("Del "));
            outcome.changed |= removed;
            outcome = outcome.with("stdout", output.stdout).with("stderr", output.stderr);
        }
        Ok(outcome)
    }

    fn install_deb(&self, path: &str, context: &Context) -> Result<Outcome, Failure> {
        if deb::is_installed(context, path, self.allow_downgrade.0)? {
            return Ok(Outcome::default());
        }
        self.change(context, vec!["install".to_owned(), deb::for_apt(path)])
    }

    /// Runs apt-get, in check mode its simulation; what it changes is what that says.
    fn change(&self, context: &Context, words: Vec<String>) -> Result<Outcome, Failure> {
        let simulated = [vec!["-s".to_owned()], self.flags(), words.clone()].concat();
        let simulation = self.must(context, &simulated)?;
        let foreseen = dpkg::foreseen(&simulation.stdout);
        // One whose installation was broken off is to be configured still.
        let unfinished = dpkg::has_unfinished(&simulation.stdout);
        let changes = !foreseen.is_empty() || unfinished;
        let mut outcome = Outcome::changed(changes);
        if context.diff && outcome.changed {
            outcome = outcome.with_diff(diff(&foreseen));
        }
        let output = if context.check || !changes {
            simulation
        } else {
            self.must(context, &[self.flags(), words].concat())?
        };
        Ok(outcome.with("stdout", output.stdout).with("stderr", output.stderr))
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        let mut add = |wanted: bool, flag: &str| {
            if wanted {
                flags.push(flag.to_owned());
            }
        };
        add(self.purge.0, "--purge");
        add(self.autoremove.0, "--auto-remove");
        add(self.only_upgrade.0, "--only-upgrade");
        add(self.fail_on_autoremove.0, "--no-remove");
        add(self.allow_downgrade.0, "--allow-downgrades");
        add(self.allow_change_held_packages.0 || self.force.0, "--allow-change-held-packages");
        add(self.allow_unauthenticated.0, "--allow-unauthenticated");
        add(self.install_recommends.is_some_and(|flag| flag.0), "--install-recommends");
        add(self.install_recommends.is_some_and(|flag| !flag.0), "--no-install-recommends");
        if self.force.0 {
            for flag in
                ["--allow-downgrades", "--allow-remove-essential", "--allow-unauthenticated"]
            {
                flags.push(flag.to_owned());
            }
        }
        if let Some(release) = &self.default_release {
            flags.extend(["-t".to_owned(), release.0.clone()]);
        }
        flags
    }

    fn must(&self, context: &Context, words: &[String]) -> Result<Output, Failure> {
        let simulated = words.first().is_some_and(|word| word == "-s");
        let make = || -> Process {
            let process = match &self.dpkg_options {
                Some(options) => dpkg::apt_get_with(context, self.lock_seconds(), &options.0),
                None => dpkg::apt_get_with(context, self.lock_seconds(), &dpkg::OPTIONS),
            };
            let process = process.args(words);
            if simulated { process } else { process.to_its_end() }
        };
        let output = dpkg::unlocked(self.lock_seconds(), make)?;
        if output.success() {
            return Ok(output);
        }
        Err(self.explained(words, &output))
    }

    fn explained(&self, words: &[String], output: &Output) -> Failure {
        let unknown = output.stderr.lines().find_map(|line| {
            let line = line.strip_prefix("E: ")?;
            line.strip_prefix("Unable to locate package ")
                .or_else(|| line.strip_prefix("Couldn't find any package by glob '"))
        });
        if let Some(name) = unknown {
            let name = name.trim_end_matches('\'');
            return Failure::new(format!("No package matching '{name}' is available"))
                .with("rc", output.rc)
                .with("stderr", output.stderr.clone());
        }
        let words: Vec<_> = words.iter().filter(|word| *word != "-s").cloned().collect();
        dpkg::explained(&format!("'apt-get {}' failed", words.join(" ")), output)
    }
}

fn diff(foreseen: &[Foreseen]) -> Diff {
    let side = |version: fn(&Foreseen) -> &Option<String>| -> String {
        foreseen
            .iter()
            .filter_map(|change| Some(format!("{} {}\n", change.name, version(change).as_ref()?)))
            .collect()
    };
    Diff {
        before: side(|change| &change.from).into(),
        after: side(|change| &change.to).into(),
        ..Diff::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn apt(arguments: serde_json::Value) -> Result<Apt, serde_json::Error> {
        serde_json::from_value(arguments)
    }

    #[test]
    fn arguments_are_taken_as_ansible_takes_them() {
        let apt = apt(json!({
            "pkg": "kubeadm=1.21.2-00, kubelet", "state": "latest", "update-cache": "yes",
            "allow-downgrade": true, "install_recommends": "no", "dpkg_options": "force-confnew",
        }))
        .expect("arguments");
        assert_eq!(apt.name.0, ["kubeadm=1.21.2-00", "kubelet"]);
        assert_eq!(apt.flags(), ["--allow-downgrades", "--no-install-recommends"]);
    }

    #[test]
    fn upgrade_is_a_word_or_a_boolean() {
        let upgrade = |value: serde_json::Value| apt(json!({"upgrade": value})).map(|a| a.upgrade);
        assert_eq!(upgrade(json!("dist")).expect("a word"), Upgrade::Full);
        assert_eq!(upgrade(json!(true)).expect("a boolean"), Upgrade::Safe);
        assert!(upgrade(json!("all")).is_err());
    }

    #[test]
    fn a_task_without_anything_to_do_is_refused() {
        let failure = apt(json!({})).expect("arguments").run(&Context::default());
        assert!(failure.expect_err("refused").msg.starts_with("one of the following is required"));
    }

    #[test]
    fn a_diff_shows_versions() {
        let foreseen = dpkg::foreseen("Inst a [1] (2 x [all])\nInst b (3 x [all])\nRemv c [4]\n");
        let diff = diff(&foreseen);
        assert_eq!((diff.before, diff.after), ("a 1\nc 4\n".into(), "a 2\nb 3\n".into()));
    }
}
