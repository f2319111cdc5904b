//! Packages as a task names them, and what of them is there.

use crate::modules::process::Process;
use crate::modules::{Context, Failure, dpkg};

/// `name`, `name=version`, `name>=version`; both may have a `*`.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub name: String,
    pub version: Option<String>,
    pub at_least: bool,
}

pub fn parse(names: &[String]) -> Result<Vec<Spec>, Failure> {
    names.iter().map(|name| parse_one(name)).collect()
}

fn parse_one(text: &str) -> Result<Spec, Failure> {
    let (name, version, at_least) = match (text.split_once(">="), text.split_once('=')) {
        (Some((name, version)), _) => (name, Some(version), true),
        (None, Some((name, version))) => (name, Some(version), false),
        (None, None) => (text, None, false),
    };
    let (name, version) = (name.trim(), version.map(|version| version.trim().to_owned()));
    // apt would take it for one of its options.
    if name.is_empty() || name.starts_with('-') {
        return Err(Failure::new(format!("'{text}' is no name of a package")));
    }
    Ok(Spec { name: name.to_owned(), version, at_least })
}

/// The installed ones, for apt-get remove; with `purge` also those of which only the
/// configuration is left.
pub fn present(context: &Context, specs: &[Spec], purge: bool) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for spec in specs {
        let list = Process::new("dpkg-query")
            .in_context(context)
            .args(["-W", "-f", "${binary:Package} ${db:Status-Abbrev} ${Version}\n", &spec.name])
            .run()?;
        found.extend(installed_in(&list.stdout, spec, purge));
    }
    found.dedup();
    Ok(found)
}

fn installed_in(list: &str, spec: &Spec, purge: bool) -> Vec<String> {
    let here = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, status, version) = (words.next()?, words.next()?, words.next());
        let present = match status.chars().nth(1)? {
            'n' => false,
            'c' => purge,
            _ => true,
        };
        let wanted = spec
            .version
            .as_deref()
            .is_none_or(|wanted| version.is_some_and(|version| dpkg::matches(wanted, version)));
        (present && wanted).then(|| name.to_owned())
    };
    list.lines().filter_map(here).collect()
}

/// Those that have to be installed (or upgraded, for `latest`), as apt-get takes them.
pub fn missing(
    context: &Context,
    specs: &[Spec],
    latest: bool,
    only_upgrade: bool,
) -> Result<Vec<String>, Failure> {
    let names: Vec<_> = specs.iter().map(|spec| spec.name.clone()).collect();
    let installed = dpkg::installed(context, &names)?;
    let mut missing = Vec::new();
    for spec in specs {
        let current = installed.get(spec.name.split(':').next().unwrap_or_default());
        if current.is_none() && only_upgrade {
            continue;
        }
        match &spec.version {
            Some(version) => missing.extend(versioned(context, spec, version, current)?),
            // apt decides what is the latest; a pattern of names is apt's to expand.
            None if latest || current.is_none() => missing.push(spec.name.clone()),
            None => {}
        }
    }
    Ok(missing)
}

fn versioned(
    context: &Context,
    spec: &Spec,
    wanted: &str,
    current: Option<&String>,
) -> Result<Option<String>, Failure> {
    if spec.at_least {
        let enough = match current {
            Some(current) => Process::new("dpkg")
                .in_context(context)
                .args(["--compare-versions", current, "ge", wanted])
                .run()?
                .success(),
            None => false,
        };
        return Ok((!enough).then(|| spec.name.clone()));
    }
    if current.is_some_and(|current| dpkg::matches(wanted, current)) {
        return Ok(None);
    }
    if !wanted.contains('*') {
        return Ok(Some(format!("{}={wanted}", spec.name)));
    }
    let available = dpkg::available(context, &spec.name)?;
    match available.iter().find(|version| dpkg::matches(wanted, version)) {
        Some(version) => Ok(Some(format!("{}={version}", spec.name))),
        None => Err(Failure::new(format!(
            "no available installation candidate for {}={wanted}{}",
            spec.name,
            if available.is_empty() {
                String::new()
            } else {
                format!("; the repositories have {}", available.join(", "))
            }
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_a_version() {
        let spec = |text: &str| parse_one(text).expect(text);
        assert_eq!(spec("kubeadm").version, None);
        assert_eq!(spec("kubeadm=1.21.*").version.as_deref(), Some("1.21.*"));
        let least = spec("containerd >= 1.6");
        assert_eq!((least.name.as_str(), least.at_least), ("containerd", true));
        assert!(parse_one("--allow-unauthenticated").is_err());
    }

    #[test]
    fn what_is_only_configured_is_removed_by_purge_alone() {
        let list = "a ii  1\nb rc  2\nc un \nd hi  3\n";
        let spec = parse_one("*").expect("a pattern");
        assert_eq!(installed_in(list, &spec, false), ["a", "d"]);
        assert_eq!(installed_in(list, &spec, true), ["a", "b", "d"]);
    }
}
