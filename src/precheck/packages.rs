//! Packages: the target can be installed, and what is installed stays where it is until then.

use super::finding::{Finding, Id, few};
use super::world::World;
use crate::modules::Version;
use crate::modules::precheck_host::{Manager, Packages};

const NAMES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

pub fn check(world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    for (host, facts) in world.facts() {
        if let Some(packages) = &facts.packages {
            found.extend(of_host(host, packages, world.target));
        }
    }
    found
}

fn of_host(host: &str, packages: &Packages, target: Version) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_installed = |name: &&str| packages.installed.contains_key(*name);
    // kubectl comes with the upgrade where it is not.
    let needed = ["kubeadm", "kubelet"];
    let missing: Vec<_> = needed.iter().filter(|name| !is_installed(name)).collect();
    if !missing.is_empty() {
        let evidence = format!("{} not installed as packages", few(&missing));
        found.push(
            Finding::error(Id::PackageMissing, host, evidence)
                .fix("the upgrade changes packages: install them, at the present version"),
        );
    }
    let held = |name: &str| packages.held.iter().any(|held| held == name);
    let loose: Vec<_> = NAMES.iter().filter(|name| is_installed(name) && !held(name)).collect();
    if !loose.is_empty() {
        let (upgrade, hold) = match packages.manager {
            Manager::Apt => ("apt-get upgrade", format!("apt-mark hold {}", NAMES.join(" "))),
            Manager::Dnf => {
                ("dnf upgrade", format!("exclude={} in the repository's file", NAMES.join(" ")))
            }
        };
        let evidence = format!("{} are not held: any {upgrade} moves them", few(&loose));
        found.push(Finding::warning(Id::PackageNotHeld, host, evidence).fix(hold));
    }
    if let Some(broken) = &packages.broken {
        found.push(
            Finding::error(Id::PackageManagerBroken, host, format!("dpkg --audit: {broken}"))
                .fix("dpkg --configure -a; apt-get -f install"),
        );
    }
    found.extend(target_of(host, packages, target));
    found
}

/// Whether the target is there, from the coarse to the fine; one finding is enough.
fn target_of(host: &str, packages: &Packages, target: Version) -> Option<Finding> {
    let offered = |name: &str| {
        let versions = packages.offered.get(name).into_iter().flatten();
        versions.filter_map(|version| Version::parse(version)).collect::<Vec<_>>()
    };
    let has = |name: &str| {
        let installed = packages.installed.get(name).and_then(|version| Version::parse(version));
        installed == Some(target) || offered(name).contains(&target)
    };
    let without: Vec<_> = NAMES.into_iter().filter(|name| !has(name)).collect();
    if without.is_empty() && !packages.unfitting.is_empty() {
        let evidence = format!(
            "{target} is there, but {} of the version of packages that the upgrade asks for is not",
            few(&packages.unfitting)
        );
        let fix = "set kube_package_version to what the repository has, or to a pattern";
        return Some(Finding::error(Id::PackageVersionMissing, host, evidence).fix(fix));
    }
    if without.is_empty() {
        let why = packages.refused.as_ref()?;
        let (simulation, name) = match packages.manager {
            Manager::Apt => ("apt-get -s install", "apt"),
            Manager::Dnf => ("dnf --assumeno install", "dnf"),
        };
        return Some(
            Finding::error(Id::PackageNotInstallable, host, format!("{simulation}: {why}"))
                .fix(format!("what {name} names has to be put right first")),
        );
    }
    let minor = format!("{}.{}", target.major, target.minor);
    let all: Vec<_> = without.iter().flat_map(|name| offered(name)).collect();
    if !all.iter().any(|version| version.minor == target.minor) {
        let newest = all.iter().max().map_or("none".to_owned(), |newest| format!("{newest}"));
        let evidence = format!(
            "no repository offers {} of {minor}; the newest offered is {newest}",
            few(&without)
        );
        let repository = match packages.manager {
            Manager::Apt => format!(
                "(deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] \
                 https://pkgs.k8s.io/core:/stable:/v{minor}/deb/ /), then apt-get update"
            ),
            Manager::Dnf => format!(
                "(baseurl=https://pkgs.k8s.io/core:/stable:/v{minor}/rpm/ in \
                 /etc/yum.repos.d/kubernetes.repo), then dnf makecache --refresh"
            ),
        };
        return Some(
            Finding::error(Id::TargetRepositoryMissing, host, evidence)
                .fix(format!("add the repository of the minor {repository}")),
        );
    }
    let evidence = format!(
        "no repository offers {} of {target}; of {minor} there are {}",
        few(&without),
        few(all.iter().filter(|v| v.minor == target.minor).map(Version::to_string))
    );
    let refresh = match packages.manager {
        Manager::Apt => "apt-get update",
        Manager::Dnf => "dnf makecache --refresh",
    };
    Some(
        Finding::error(Id::PackageVersionMissing, host, evidence)
            .fix(format!("{refresh}, or choose one of these versions")),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::precheck::testing::ids;

    fn packages(offered: &[&str]) -> Packages {
        let offered: Vec<_> = offered.iter().map(|version| (*version).to_owned()).collect();
        let each = |value: &str| NAMES.map(|name| (name.to_owned(), value.to_owned()));
        Packages {
            installed: BTreeMap::from(each("1.20.2-00")),
            held: NAMES.map(str::to_owned).to_vec(),
            offered: BTreeMap::from(NAMES.map(|name| (name.to_owned(), offered.clone()))),
            ..Packages::default()
        }
    }

    fn found(packages: &Packages) -> Vec<Id> {
        ids(&of_host("w1", packages, Version::parse("1.21.2").expect("a version")))
    }

    #[test]
    fn a_target_that_is_offered_and_installable_is_fine() {
        assert_eq!(found(&packages(&["1.21.2-00", "1.20.2-00"])), []);
    }

    #[test]
    fn a_repository_without_the_minor_is_told_apart_from_one_without_the_patch() {
        assert_eq!(found(&packages(&["1.20.2-00"])), [Id::TargetRepositoryMissing]);
        assert_eq!(found(&packages(&["1.21.1-00"])), [Id::PackageVersionMissing]);
    }

    #[test]
    fn a_target_in_another_build_than_the_upgrade_asks_for_is_told() {
        let mut packages = packages(&["1.21.2-00"]);
        packages.unfitting = vec!["kubelet".to_owned()];
        assert_eq!(found(&packages), [Id::PackageVersionMissing]);
    }

    #[test]
    fn what_apt_refuses_is_told() {
        let mut packages = packages(&["1.21.2-00"]);
        packages.refused = Some("unmet dependencies".to_owned());
        packages.broken = Some("x is half configured".to_owned());
        assert_eq!(found(&packages), [Id::PackageManagerBroken, Id::PackageNotInstallable]);
    }

    #[test]
    fn hosts_with_dnf_are_told_what_helps_there() {
        let fixes = |packages: &Packages| {
            let found = of_host("w1", packages, Version::parse("1.21.2").expect("a version"));
            found.into_iter().map(|finding| finding.fix).collect::<Vec<_>>().join("\n")
        };
        let mut packages = packages(&["1.20.2-0"]);
        packages.manager = Manager::Dnf;
        packages.held.clear();
        let told = fixes(&packages);
        assert!(told.contains("exclude=kubeadm kubelet kubectl"), "{told}");
        assert!(told.contains("/v1.21/rpm/"), "{told}");
        assert!(!told.contains("apt"), "{told}");
    }

    #[test]
    fn packages_that_are_missing_or_loose_are_told() {
        let mut packages = packages(&["1.21.2-00"]);
        packages.installed.remove("kubeadm");
        packages.held.clear();
        assert_eq!(found(&packages), [Id::PackageMissing, Id::PackageNotHeld]);
    }
}
