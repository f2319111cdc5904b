//! What apt would do for the target version.

use crate::modules::dpkg::{self, available};
use crate::modules::tools;
use crate::modules::{Context, Failure};

use super::facts::Packages;
use super::packages::{NAMES, unfitting};

pub fn ask(context: &Context, version: &str) -> Result<Packages, Failure> {
    let names: Vec<_> = NAMES.map(str::to_owned).to_vec();
    let mut packages = Packages {
        installed: dpkg::installed(context, &names)?,
        held: dpkg::held(context, &names)?,
        ..Packages::default()
    };
    for name in NAMES {
        packages.offered.insert(name.to_owned(), available(context, name)?);
    }
    let audit = tools::command(context, "dpkg")?.arg("--audit").run()?;
    let complaint = audit.stdout.trim();
    packages.broken = (!complaint.is_empty()).then(|| first_line(complaint));
    packages.unfitting = unfitting(&packages, version);
    packages.refused = refused(context, &packages, version)?;
    Ok(packages)
}

/// Why apt would not install what is not there yet, by its own simulation.
fn refused(
    context: &Context,
    packages: &Packages,
    version: &str,
) -> Result<Option<String>, Failure> {
    let wanted: Vec<_> = packages
        .offered
        .iter()
        .filter(|(name, _)| {
            let installed = packages.installed.get(*name);
            !installed.is_some_and(|installed| dpkg::matches(version, installed))
        })
        .filter_map(|(name, offered)| {
            let fitting = offered.iter().find(|offered| dpkg::matches(version, offered))?;
            Some(format!("{name}={fitting}"))
        })
        .collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let simulation = || {
        dpkg::apt_get(context).args(["-s", "install", "--allow-change-held-packages"]).args(&wanted)
    };
    let output = dpkg::unlocked(dpkg::LOCK_TIMEOUT, simulation)?;
    Ok((!output.success()).then(|| dpkg::explained(&wanted.join(" "), &output).msg))
}

fn first_line(text: &str) -> String {
    text.split_whitespace().take(40).collect::<Vec<_>>().join(" ")
}
