//! `dnf`: packages of Fedora, RHEL and their kin.

mod transaction;

use std::thread;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, Number, Text, TextList};
use super::process::{Output, Process, stop_requested};
use super::{Context, Failure, Module, Outcome};
use crate::deadline;
use transaction::{Change, Kind};

/// Installs, upgrades and removes packages.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dnf {
    /// Names, `name-version`, `name-version-*`, `@group`, or .rpm files.
    #[serde(alias = "pkg")]
    name: TextList,
    state: State,
    /// Read the repositories anew first.
    #[serde(alias = "expire-cache")]
    update_cache: Flag,
    /// Upgrade what is installed, install nothing new.
    update_only: Flag,
    enablerepo: TextList,
    disablerepo: TextList,
    /// Packages to leave alone.
    exclude: TextList,
    /// Excludes of the configuration to pass over: `all`, `main` or a repository.
    disable_excludes: Option<Text>,
    /// Remove what nothing needs any more.
    autoremove: Flag,
    allow_downgrade: Flag,
    allowerasing: Flag,
    /// Take an older version when the newest cannot be installed.
    nobest: Option<Flag>,
    skip_broken: Flag,
    install_weak_deps: Option<Flag>,
    disable_gpg_check: Flag,
    /// Security fixes alone, with `state: latest`.
    security: Flag,
    /// Bug fixes alone, with `state: latest`.
    bugfix: Flag,
    download_only: Flag,
    cacheonly: Flag,
    releasever: Option<Text>,
    conf_file: Option<Text>,
    installroot: Option<Text>,
    enable_plugin: TextList,
    disable_plugin: TextList,
    /// Seconds to wait for another dnf to end.
    lock_timeout: Option<Number>,
    // Taken for compatibility.
    #[serde(rename = "use_backend")]
    _use_backend: Option<String>,
    #[serde(rename = "validate_certs")]
    _validate_certs: Option<Flag>,
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
}

impl Module for Dnf {
    const NAME: &'static str = "dnf";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if self.name.0.is_empty() && !self.update_cache.0 && !self.autoremove.0 {
            return Err(Failure::new(
                "one of the following is required: name, update_cache, autoremove",
            ));
        }
        if let Some(name) = self.name.0.iter().find(|name| name.starts_with('-')) {
            return Err(Failure::new(format!("'{name}' is no name of a package")));
        }
        if self.update_cache.0 && !context.check {
            self.must(context, &["makecache".to_owned(), "--refresh".to_owned()])?;
        }
        match self.verb(context)? {
            Some(words) => self.change(context, words),
            None => Ok(nothing()),
        }
    }
}

fn nothing() -> Outcome {
    Outcome::default().with("msg", "Nothing to do").with("rc", 0).with("results", json!([]))
}

impl Dnf {
    /// What dnf is told to do; none when rpm says that all is as it should be.
    fn verb(&self, context: &Context) -> Result<Option<Vec<String>>, Failure> {
        let names = &self.name.0;
        let words = |verb: &str, names: Vec<String>| Some([vec![verb.to_owned()], names].concat());
        if names.is_empty() {
            return Ok(self.autoremove.0.then(|| vec!["autoremove".to_owned()]));
        }
        let mut missing = Vec::new();
        let mut present = Vec::new();
        for name in names {
            let list = if is_installed(context, name)? { &mut present } else { &mut missing };
            list.push(name.clone());
        }
        Ok(match self.state {
            State::Absent if present.is_empty() => None,
            State::Absent if self.autoremove.0 => words("autoremove", present),
            State::Absent => words("remove", present),
            State::Latest if names.iter().any(|name| name == "*") => words("upgrade", Vec::new()),
            // Without a name dnf would upgrade all that there is.
            State::Latest if self.update_only.0 && present.is_empty() => None,
            State::Latest if self.update_only.0 => words("upgrade", present),
            // Installing takes a package to its newest version as well.
            State::Latest => words("install", names.clone()),
            State::Present if self.update_only.0 => None,
            State::Present if missing.is_empty() => None,
            State::Present => words("install", missing),
        })
    }

    fn change(&self, context: &Context, words: Vec<String>) -> Result<Outcome, Failure> {
        let simulation =
            self.run_dnf(context, &[vec!["--assumeno".to_owned()], words.clone()].concat())?;
        let changes = transaction::parse(&simulation.stdout);
        if is_refusal(&simulation) && changes.is_empty() {
            return Err(explained(&words, &simulation));
        }
        if changes.is_empty() {
            return Ok(nothing());
        }
        self.refuse_downgrade(&changes)?;
        let results: Vec<_> = changes.iter().map(Change::to_string).collect();
        let outcome = Outcome::changed(true).with("results", results).with("rc", 0).with("msg", "");
        if context.check {
            return Ok(outcome.with("stdout", simulation.stdout));
        }
        let output = self.must(context, &[vec!["-y".to_owned()], words].concat())?;
        Ok(outcome.with("stdout", output.stdout).with("stderr", output.stderr))
    }

    fn refuse_downgrade(&self, changes: &[Change]) -> Result<(), Failure> {
        let down = changes.iter().find(|change| change.kind == Kind::Downgraded);
        match down {
            Some(change) if !self.allow_downgrade.0 => Err(Failure::new(format!(
                "{} {} would be a downgrade (allow_downgrade permits it)",
                change.name, change.version
            ))),
            _ => Ok(()),
        }
    }

    fn must(&self, context: &Context, words: &[String]) -> Result<Output, Failure> {
        let output = self.run_dnf(context, words)?;
        if output.success() { Ok(output) } else { Err(explained(words, &output)) }
    }

    /// Waits for another dnf, which has the lock of the rpm database.
    fn run_dnf(&self, context: &Context, words: &[String]) -> Result<Output, Failure> {
        let seconds = self.lock_timeout.map_or(30, |seconds| u64::try_from(seconds.0).unwrap_or(0));
        let deadline = deadline::after(Duration::from_secs(seconds));
        loop {
            let process = Process::new("dnf")
                .in_context(context)
                .env("LC_ALL", "C.UTF-8")
                // A table of this width is not folded.
                .env("COLUMNS", "400")
                .args(self.flags())
                .args(words)
                .to_its_end();
            let output = process.run()?;
            let locked = output.stderr.contains("lock") && output.stderr.contains("held by");
            if output.success() || !locked || Instant::now() >= deadline || stop_requested() {
                return Ok(output);
            }
            thread::sleep(Duration::from_secs(1));
        }
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        let mut lists = |name: &str, values: &[String]| {
            flags.extend(values.iter().map(|value| format!("--{name}={value}")));
        };
        lists("enablerepo", &self.enablerepo.0);
        lists("disablerepo", &self.disablerepo.0);
        lists("exclude", &self.exclude.0);
        lists("enableplugin", &self.enable_plugin.0);
        lists("disableplugin", &self.disable_plugin.0);
        let single =
            |text: &Option<Text>| text.iter().map(|text| text.0.clone()).collect::<Vec<_>>();
        lists("releasever", &single(&self.releasever));
        lists("config", &single(&self.conf_file));
        lists("installroot", &single(&self.installroot));
        // dnf 5 has no --disableexcludes any more.
        let excludes = self.disable_excludes.as_ref();
        let excludes = excludes.map(|of| format!("disable_excludes={}", of.0));
        lists("setopt", &excludes.into_iter().collect::<Vec<_>>());
        let weak = self.install_weak_deps.map(|Flag(wanted)| format!("install_weak_deps={wanted}"));
        lists("setopt", &weak.into_iter().collect::<Vec<_>>());
        for (wanted, flag) in [
            (self.allowerasing.0, "--allowerasing"),
            (self.nobest.is_some_and(|flag| flag.0), "--nobest"),
            (self.nobest.is_some_and(|flag| !flag.0), "--best"),
            (self.skip_broken.0, "--skip-broken"),
            (self.disable_gpg_check.0, "--nogpgcheck"),
            (self.security.0, "--security"),
            (self.bugfix.0, "--bugfix"),
            (self.download_only.0, "--downloadonly"),
            (self.cacheonly.0, "--cacheonly"),
        ] {
            if wanted {
                flags.push(flag.to_owned());
            }
        }
        flags
    }
}

/// Whether rpm knows a package that the word names.
fn is_installed(context: &Context, name: &str) -> Result<bool, Failure> {
    // Groups and files are dnf's own to judge.
    if name.starts_with('@') || name.ends_with(".rpm") {
        return Ok(false);
    }
    let rpm = |words: &[&str]| Process::new("rpm").in_context(context).args(words).run();
    let listed = rpm(&["-qa", "--qf", "%{NAME}\n", name])?;
    if !listed.stdout.trim().is_empty() {
        return Ok(true);
    }
    if name.contains(['*', '?', '[']) {
        return Ok(false);
    }
    Ok(rpm(&["-q", "--whatprovides", name])?.success())
}

/// Why dnf would not install these packages, excludes of the repository passed over; none:
/// it would.
pub fn refused(
    context: &Context,
    packages: Vec<String>,
    repository: &str,
) -> Result<Option<String>, Failure> {
    let dnf = Dnf {
        name: TextList(packages),
        disable_excludes: Some(Text(repository.to_owned())),
        ..Dnf::default()
    };
    let words = [vec!["--assumeno".to_owned(), "install".to_owned()], dnf.name.0.clone()].concat();
    let simulation = dnf.run_dnf(context, &words)?;
    Ok(is_refusal(&simulation).then(|| why(&simulation)))
}

/// dnf ends with 1 also when it has been told to say no to itself.
fn is_refusal(simulation: &Output) -> bool {
    let aborted = [&simulation.stdout, &simulation.stderr];
    let aborted = aborted.iter().any(|said| said.contains("Operation aborted"));
    !simulation.success() && !aborted
}

/// What was not found is on stdout, what it failed of is the end of stderr.
fn why(output: &Output) -> String {
    let missing = output.stdout.lines().filter(|line| {
        line.starts_with("No match for argument") || line.starts_with("All matches were filtered")
    });
    let errors = output.stderr.lines().skip_while(|line| !line.starts_with("Error"));
    let said: Vec<_> = missing.chain(errors).flat_map(str::split_whitespace).collect();
    if said.is_empty() { output.stderr.trim().to_owned() } else { said.join(" ") }
}

pub fn explained(words: &[String], output: &Output) -> Failure {
    let why = why(output);
    Failure::new(format!("'dnf {}' failed: {why}", words.join(" ")))
        .with("rc", output.rc)
        .with("results", json!([]))
        .with("stdout", output.stdout.clone())
        .with("stderr", output.stderr.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_the_command_line() {
        let arguments = json!({
            "name": "kubeadm-1.30.2-*", "disable_excludes": "kubernetes", "allowerasing": "yes",
            "enablerepo": ["a", "b"], "install_weak_deps": false,
        });
        let dnf: Dnf = serde_json::from_value(arguments).expect("arguments");
        assert_eq!(
            dnf.flags(),
            [
                "--enablerepo=a",
                "--enablerepo=b",
                "--setopt=disable_excludes=kubernetes",
                "--setopt=install_weak_deps=false",
                "--allowerasing",
            ]
        );
    }

    /// Recorded of dnf 4.14.
    #[test]
    fn a_resolution_that_fails_is_told_from_one_that_was_only_asked() {
        let output = |stdout: &str, stderr: &str| Output {
            rc: 1,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            ..Output::default()
        };
        assert!(!is_refusal(&output("Dependencies resolved.\n", "Operation aborted.\n")));
        let conflict = output(
            "(try to add '--skip-broken' to skip uninstallable packages)\n",
            "Unable to detect release version (use '--releasever' to specify release version)\n\
             Error: \n Problem: conflicting requests\n  - nothing provides kubernetes-cni >= 1.4.0 \
             needed by kubelet-1.30.2-150500.1.1.x86_64\n",
        );
        assert!(is_refusal(&conflict));
        assert_eq!(
            why(&conflict),
            "Error: Problem: conflicting requests - nothing provides kubernetes-cni >= 1.4.0 needed \
             by kubelet-1.30.2-150500.1.1.x86_64"
        );
        let missing = output(
            "No match for argument: kubelet-1.31.2-150500.1.1\n",
            "Error: Unable to find a match: kubelet-1.31.2-150500.1.1\n",
        );
        assert!(is_refusal(&missing));
        assert!(why(&missing).starts_with("No match for argument: kubelet-1.31.2"));
    }

    #[test]
    fn a_downgrade_has_to_be_allowed() {
        let dnf: Dnf =
            serde_json::from_value(json!({"name": "kubeadm-1.29.0"})).expect("arguments");
        let changes =
            transaction::parse("Downgrading:\n kubeadm x86_64 1.29.0-1 kubernetes 9 M\n\n");
        let failure = dnf.refuse_downgrade(&changes).expect_err("refused");
        assert_eq!(
            failure.msg,
            "kubeadm 1.29.0-1 would be a downgrade (allow_downgrade permits it)"
        );
    }
}
