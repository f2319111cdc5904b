//! Packages that came because others needed them: once a task names them they are wanted for
//! themselves, and autoremove leaves them.

use std::collections::HashSet;
use std::fs;

use super::specs::Spec;
use crate::modules::process::Process;
use crate::modules::{Context, Failure};

const STATES: &str = "/var/lib/apt/extended_states";

pub fn manual(context: &Context, specs: &[Spec]) -> Result<(), Failure> {
    let states = fs::read_to_string(STATES).unwrap_or_default();
    let automatic = automatic(&states);
    let names: Vec<_> = specs
        .iter()
        .map(|spec| spec.name.as_str())
        .filter(|name| automatic.contains(name))
        .collect();
    if !names.is_empty() {
        // One that is not installed any more is no matter.
        Process::new("apt-mark").in_context(context).arg("manual").args(names).run()?;
    }
    Ok(())
}

fn automatic(states: &str) -> HashSet<&str> {
    let stanzas = states.split("\n\n").filter(|stanza| stanza.contains("Auto-Installed: 1"));
    stanzas.filter_map(|stanza| stanza.lines().find_map(|l| l.strip_prefix("Package: "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_by_itself_is_known() {
        let states = "\nPackage: conntrack\nArchitecture: amd64\nAuto-Installed: 1\n\n\
                      Package: socat\nArchitecture: amd64\nAuto-Installed: 0\n\n";
        assert_eq!(automatic(states), HashSet::from(["conntrack"]));
    }
}
