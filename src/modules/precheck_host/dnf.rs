//! What dnf would do for the target version.

use std::collections::BTreeMap;

use crate::modules::dnf;
use crate::modules::dpkg::matches;
use crate::modules::tools;
use crate::modules::{Context, Failure};

use super::facts::{Manager, Packages};
use super::packages::{NAMES, unfitting};

/// The repository that Kubernetes' documentation makes; its `exclude=` is what `hold` is to apt.
pub const REPOSITORY: &str = "kubernetes";

pub fn ask(context: &Context, version: &str) -> Result<Packages, Failure> {
    let format = "%{NAME} %{VERSION}-%{RELEASE}\n";
    // It answers 1 when one of them is not installed, and tells of the others all the same.
    let listing = tools::command(context, "rpm")?.args(["-q", "--qf", format]).args(NAMES).run()?;
    let installed = newest(&each(&listing.stdout));
    let everything = format!("--setopt=disable_excludes={REPOSITORY}");
    let offered = each(&available(context, &[&everything])?);
    let moving = each(&available(context, &[])?);
    let mut packages =
        Packages { manager: Manager::Dnf, held: held(&moving, &installed), ..Packages::default() };
    packages.refused = refused(context, &installed, &offered, version)?;
    packages.offered = offered;
    packages.installed = installed;
    packages.unfitting = unfitting(&packages, version);
    Ok(packages)
}

/// What repositories have, one version a line.
fn available(context: &Context, flags: &[&str]) -> Result<String, Failure> {
    // dnf 4 ends each line by itself, dnf 5 does not.
    let format = "%{name} %{version}-%{release}\\n";
    let output = tools::command(context, "dnf")?
        .args(["--quiet"])
        .args(flags)
        .args(["repoquery", "--available", "--qf", format])
        .args(NAMES)
        .run()?;
    if output.success() {
        Ok(output.stdout)
    } else {
        Err(dnf::explained(&["repoquery".to_owned()], &output))
    }
}

/// The versions of each, as they are listed, the newest first.
fn each(listing: &str) -> BTreeMap<String, Vec<String>> {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in listing.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(version), None) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let known = versions.entry(name.to_owned()).or_default();
        if !known.iter().any(|known| known == version) {
            known.insert(0, version.to_owned());
        }
    }
    versions
}

fn newest(versions: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, String> {
    let first = |(name, all): (&String, &Vec<String>)| Some((name.clone(), all.first()?.clone()));
    versions.iter().filter_map(first).collect()
}

/// Those that `dnf upgrade` leaves alone, for excludes or a versionlock hide other versions.
fn held(
    moving: &BTreeMap<String, Vec<String>>,
    installed: &BTreeMap<String, String>,
) -> Vec<String> {
    let moves = |(name, version): &(&String, &String)| {
        moving.get(*name).is_some_and(|all| all.iter().any(|other| other != *version))
    };
    installed.iter().filter(|one| !moves(one)).map(|(name, _)| name.clone()).collect()
}

/// Why dnf would not install what is offered and not there yet, by its own resolution.
fn refused(
    context: &Context,
    installed: &BTreeMap<String, String>,
    offered: &BTreeMap<String, Vec<String>>,
    version: &str,
) -> Result<Option<String>, Failure> {
    let fits = |found: &String| matches(version, found);
    let wanted = offered.iter().filter(|(name, _)| !installed.get(*name).is_some_and(fits));
    let wanted: Vec<_> = wanted
        .filter_map(|(name, all)| Some(format!("{name}-{}", all.iter().find(|v| fits(v))?)))
        .collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    dnf::refused(context, wanted, REPOSITORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded of rpm 4.18, with kubectl not installed.
    const INSTALLED: &str = "\
kubeadm 1.29.6-150500.1.1
kubelet 1.29.6-150500.1.1
package kubectl is not installed
";
    /// Recorded of dnf 4.14, which ends each line a second time.
    const OFFERED: &str = "\
kubeadm 1.29.6-150500.1.1

kubeadm 1.30.2-150500.1.1

kubelet 1.29.6-150500.1.1

";

    #[test]
    fn what_rpm_and_dnf_list_is_read() {
        let installed = newest(&each(INSTALLED));
        assert_eq!(installed.keys().collect::<Vec<_>>(), ["kubeadm", "kubelet"]);
        assert_eq!(installed["kubelet"], "1.29.6-150500.1.1");
        let offered = each(OFFERED);
        assert_eq!(offered["kubeadm"], ["1.30.2-150500.1.1", "1.29.6-150500.1.1"]);
    }

    #[test]
    fn packages_whose_other_versions_are_hidden_are_held() {
        let installed = newest(&each(INSTALLED));
        // The repository excludes them: nothing is listed.
        assert_eq!(held(&each(""), &installed), ["kubeadm", "kubelet"]);
        // Without that kubeadm would move; of kubelet there is no other version.
        assert_eq!(held(&each(OFFERED), &installed), ["kubelet"]);
    }
}
