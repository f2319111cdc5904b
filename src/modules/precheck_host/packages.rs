//! Kubernetes' packages, asked of the host's package manager.

use crate::modules::tools;
use crate::modules::{Context, Failure};

use super::facts::Packages;
use super::{apt, dnf};

pub const NAMES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

/// None on hosts with neither apt nor dnf. One that has both is Debian's.
pub fn look(context: &Context, version: &str) -> Option<Result<Packages, Failure>> {
    if tools::find(context, "apt-get").is_some() {
        return Some(apt::ask(context, version));
    }
    tools::find(context, "dnf")?;
    Some(dnf::ask(context, version))
}
