//! Kubernetes' packages, asked of the host's package manager.

use crate::modules::dpkg::matches;
use crate::modules::tools;
use crate::modules::{Context, Failure};

use super::facts::Packages;
use super::{apt, dnf};

pub const NAMES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

/// Those of which no version fits what the upgrade asks for.
pub fn unfitting(packages: &Packages, version: &str) -> Vec<String> {
    let fits = |found: &String| matches(version, found);
    let has = |name: &&str| {
        packages.installed.get(*name).is_some_and(fits)
            || packages.offered.get(*name).is_some_and(|all| all.iter().any(fits))
    };
    NAMES.into_iter().filter(|name| !has(name)).map(str::to_owned).collect()
}

/// None on hosts with neither apt nor dnf. One that has both is Debian's.
pub fn look(context: &Context, version: &str) -> Option<Result<Packages, Failure>> {
    if tools::find(context, "apt-get").is_some() {
        return Some(apt::ask(context, version));
    }
    tools::find(context, "dnf")?;
    Some(dnf::ask(context, version))
}
