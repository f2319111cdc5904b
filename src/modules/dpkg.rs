//! dpkg and apt as the package modules use them: never asking, waiting for the lock.

use std::collections::BTreeMap;

use super::process::{Output, Process};
use super::{Context, Failure};

/// Seconds that apt waits for another one to let go of dpkg.
pub const LOCK_TIMEOUT: u64 = 120;

/// `apt-get` that asks nothing, keeps changed configuration files and waits for the lock.
pub fn apt_get(context: &Context) -> Process {
    Process::new("apt-get")
        .in_context(context)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8")
        .args([
            "-y",
            "-o",
            &format!("DPkg::Lock::Timeout={LOCK_TIMEOUT}"),
            "-o",
            "Dpkg::Options::=--force-confdef",
            "-o",
            "Dpkg::Options::=--force-confold",
        ])
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
    let process = Process::new("apt-mark").in_context(context).arg(verb).args(names);
    must(process, &format!("apt-mark {verb} failed")).map(drop)
}

/// Runs it, and fails with what it said unless it succeeds.
pub fn must(process: Process, what: &str) -> Result<Output, Failure> {
    let output = process.run()?;
    if output.success() {
        return Ok(output);
    }
    Err(explained(what, &output))
}

/// A failure with the lines in which apt says what is wrong.
pub fn explained(what: &str, output: &Output) -> Failure {
    let said: Vec<_> = output
        .stderr
        .lines()
        .chain(output.stdout.lines())
        .filter(|line| line.starts_with("E:") || line.contains("Unable to locate"))
        .map(|line| line.trim_start_matches("E:").trim())
        .collect();
    let why = if said.is_empty() { output.stderr.trim().to_owned() } else { said.join("; ") };
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
    fn madison_lists_each_version_once() {
        let text = " kubeadm | 1.21.2-00 | http://a ./ Packages\n kubeadm | 1.20.2-00 | http://a\n kubeadm | 1.21.2-00 | http://b\n";
        assert_eq!(versions(text), ["1.21.2-00", "1.20.2-00"]);
    }
}
