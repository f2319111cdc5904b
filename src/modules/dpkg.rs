//! dpkg and apt as the package modules use them: never asking, waiting for the lock.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Output, Process, stop_requested};
use super::{Context, Failure};
use crate::deadline;

/// Seconds that a package module waits for another program to let go of dpkg.
pub const LOCK_TIMEOUT: u64 = 120;

/// A configuration file that was changed on the host is kept, others are replaced.
pub const OPTIONS: [&str; 2] = ["force-confdef", "force-confold"];

/// `apt-get` that asks nothing, keeps changed configuration files and waits for the lock.
pub fn apt_get(context: &Context) -> Process {
    apt_get_with(context, LOCK_TIMEOUT, &OPTIONS)
}

/// The same with another time to wait and other options of dpkg's.
pub fn apt_get_with<S: AsRef<str>>(context: &Context, lock_timeout: u64, options: &[S]) -> Process {
    let options = options.iter().flat_map(|option| {
        ["-o".to_owned(), format!("Dpkg::Options::=--{}", option.as_ref().trim_start_matches("--"))]
    });
    let mut process = Process::new("apt-get").in_context(context).args([
        "-y".to_owned(),
        "-o".to_owned(),
        format!("DPkg::Lock::Timeout={lock_timeout}"),
    ]);
    for (name, value) in ENVIRONMENT {
        process = process.env(name, value);
    }
    process.args(options)
}

/// Nobody answers a question, and messages are read in English.
pub const ENVIRONMENT: [(&str, &str); 4] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBIAN_PRIORITY", "critical"),
    ("NEEDRESTART_SUSPEND", "1"),
    ("LC_ALL", "C.UTF-8"),
];

/// Runs what needs dpkg's lock; while another program has it, again and again until
/// `seconds` have passed. (apt waits by itself since 2.0, but not for the package lists.)
pub fn unlocked(seconds: u64, make: impl Fn() -> Process) -> Result<Output, Failure> {
    let deadline = deadline::after(Duration::from_secs(seconds));
    loop {
        let output = make().run()?;
        if output.success()
            || !is_locked(&output.stderr)
            || Instant::now() >= deadline
            || stop_requested()
        {
            return Ok(output);
        }
        thread::sleep(Duration::from_secs(1));
    }
}

fn is_locked(stderr: &str) -> bool {
    [
        "Could not get lock",
        "is another process using it",
        "frontend lock was locked by another process",
        "dpkg status database is locked",
        "Unable to lock",
        "Unable to acquire the dpkg",
    ]
    .iter()
    .any(|text| stderr.contains(text))
}

/// Versions of the installed ones among these packages.
pub fn installed(context: &Context, names: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let output = Process::new("dpkg-query")
        .in_context(context)
        .args(["-W", "-f", "${Package} ${db:Status-Abbrev} ${Version}\n"])
        .args(names)
        .run()?;
    // It answers 1 when one of them is unknown, and tells of the others all the same.
    Ok(output
        .stdout
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, status, version) = (words.next()?, words.next()?, words.next()?);
            status.ends_with('i').then(|| (name.to_owned(), version.to_owned()))
        })
        .collect())
}

/// The held ones among these packages.
pub fn held(context: &Context, names: &[String]) -> Result<Vec<String>, Failure> {
    let output = must(
        Process::new("apt-mark").in_context(context).arg("showhold").args(names),
        "apt-mark showhold failed",
    )?;
    Ok(output.stdout.lines().map(|line| line.trim().to_owned()).collect())
}

/// Holds or unholds packages.
pub fn mark(context: &Context, hold: bool, names: &[String]) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let verb = if hold { "hold" } else { "unhold" };
    let output = unlocked(LOCK_TIMEOUT, || {
        Process::new("apt-mark").in_context(context).arg(verb).args(names)
    })?;
    if output.success() {
        return Ok(());
    }
    Err(explained(&format!("apt-mark {verb} failed"), &output))
}

/// Runs it, and fails with what it said unless it succeeds.
pub fn must(process: Process, what: &str) -> Result<Output, Failure> {
    let output = process.run()?;
    if output.success() {
        return Ok(output);
    }
    Err(explained(what, &output))
}

/// A failure with the lines in which apt says what is wrong, each once.
pub fn explained(what: &str, output: &Output) -> Failure {
    let lines = || output.stderr.lines().chain(output.stdout.lines());
    let said = |wanted: &dyn Fn(&str) -> bool| {
        let mut said: Vec<&str> = Vec::new();
        for line in lines().filter(|line| wanted(line)) {
            let line = line.trim_start_matches("E:").trim_start_matches("dpkg: error:").trim();
            if !said.contains(&line) {
                said.push(line);
            }
        }
        said.join("; ")
    };
    // What else is said then ("Are you root?") leads astray.
    let locked = said(&is_locked);
    let why = if locked.is_empty() {
        said(&|line| line.starts_with("E:") || line.contains("Unable to locate"))
    } else {
        format!("{locked}: wait until that process has ended, or longer (lock_timeout)")
    };
    let why = if why.is_empty() { output.stderr.trim().to_owned() } else { why };
    Failure::new(format!("{what}: {why}"))
        .with("rc", output.rc)
        .with("stdout", output.stdout.clone())
        .with("stderr", output.stderr.clone())
}

/// Versions that the repositories offer, newest first.
pub fn available(context: &Context, name: &str) -> Result<Vec<String>, Failure> {
    let output = must(
        Process::new("apt-cache").in_context(context).args(["madison", name]),
        "apt-cache madison failed",
    )?;
    Ok(versions(&output.stdout))
}

/// The second column of apt-cache madison.
fn versions(madison: &str) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for version in madison.lines().filter_map(|line| line.split('|').nth(1)) {
        let version = version.trim().to_owned();
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    versions
}

/// A change that `apt-get -s` foresees.
#[derive(Debug, PartialEq, serde::Serialize)]
pub struct Foreseen {
    pub name: String,
    /// None: it is not installed yet.
    pub from: Option<String>,
    /// None: it is removed.
    pub to: Option<String>,
}

/// The `Inst` and `Remv` lines of a simulation.
pub fn foreseen(simulation: &str) -> Vec<Foreseen> {
    simulation.lines().filter_map(foreseen_in).collect()
}

/// Whether a simulation says that packages are to be configured still.
pub fn has_unfinished(simulation: &str) -> bool {
    simulation.lines().any(|line| line.ends_with("not fully installed or removed."))
}

/// `Inst kubeadm [1.20.2-00] (1.21.2-00 lab:stable [amd64])`, `Remv x [1]`.
fn foreseen_in(line: &str) -> Option<Foreseen> {
    let mut words = line.split_whitespace();
    let verb = words.next().filter(|verb| matches!(*verb, "Inst" | "Remv" | "Purg"))?;
    let name = words.next()?.to_owned();
    let inside = |open: char, close: char| {
        let rest = line.split_once(open)?.1;
        rest.split([close, ' ']).next().map(str::to_owned)
    };
    let before_new = line.split('(').next().unwrap_or_default();
    let from = before_new.contains('[').then(|| inside('[', ']')).flatten();
    let to = if verb == "Inst" { inside('(', ')') } else { None };
    Some(Foreseen { name, from, to })
}

/// Whether a version is what a pattern with `*` asks for.
pub fn matches(pattern: &str, version: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| version.strip_prefix(first)) else {
        return false;
    };
    let mut rest = rest;
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_its_star_stands_for() {
        assert!(matches("1.21.2-*", "1.21.2-00"));
        assert!(matches("1.30.2-*", "1.30.2-1.1"));
        assert!(matches("1.21.2-00", "1.21.2-00"));
        assert!(!matches("1.21.2-00", "1.21.2-001"));
        assert!(!matches("1.21.2-*", "1.21.20-00"));
        assert!(!matches("1.2-*", "1.21.2-00"));
    }

    #[test]
    fn who_has_the_lock_is_said_once_and_nothing_that_leads_astray() {
        let stderr = "dpkg: error: dpkg frontend lock was locked by another process with pid 7\n\
            E: Sub-process dpkg --set-selections returned an error code (2)\n\
            E: Executing dpkg failed. Are you root?\n\
            dpkg: error: dpkg frontend lock was locked by another process with pid 7\n";
        let output = Output { rc: 1, stderr: stderr.to_owned(), ..Output::default() };
        assert_eq!(
            explained("no hold", &output).msg,
            "no hold: dpkg frontend lock was locked by another process with pid 7: wait until that \
             process has ended, or longer (lock_timeout)"
        );
    }

    #[test]
    fn a_simulation_tells_what_would_change() {
        let text = "Reading package lists...\nInst kubeadm [1.20.2-00] (1.21.2-00 lab:stable [amd64])\nInst new (2 x [all])\nRemv old [1]\nConf kubeadm (1.21.2-00 lab:stable [amd64])\n";
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            foreseen(text),
            [
                Foreseen {
                    name: "kubeadm".to_owned(),
                    from: some("1.20.2-00"),
                    to: some("1.21.2-00")
                },
                Foreseen { name: "new".to_owned(), from: None, to: some("2") },
                Foreseen { name: "old".to_owned(), from: some("1"), to: None },
            ]
        );
    }

    #[test]
    fn only_a_lock_is_waited_for() {
        assert!(is_locked(
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt-get)"
        ));
        assert!(!is_locked("E: Unable to locate package nosuch"));
    }

    #[test]
    fn madison_lists_each_version_once() {
        let text = " kubeadm | 1.21.2-00 | http://a ./ Packages\n kubeadm | 1.20.2-00 | http://a\n kubeadm | 1.21.2-00 | http://b\n";
        assert_eq!(versions(text), ["1.21.2-00", "1.20.2-00"]);
    }
}
