//! The table in which dnf says what it is about to do.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Installed,
    Upgraded,
    Downgraded,
    Reinstalled,
    Removed,
}

/// One package of a transaction.
#[derive(Debug, PartialEq)]
pub struct Change {
    pub kind: Kind,
    pub name: String,
    pub architecture: String,
    pub version: String,
}

/// As Ansible lists it: `Installed: kubeadm-1.30.2-150500.1.1.x86_64`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.kind == Kind::Removed { "Removed" } else { "Installed" };
        write!(f, "{word}: {}-{}.{}", self.name, self.version, self.architecture)
    }
}

/// Headings of dnf 4 and 5.
const HEADINGS: [(&str, Kind); 11] = [
    ("Installing:", Kind::Installed),
    ("Installing dependencies:", Kind::Installed),
    ("Installing weak dependencies:", Kind::Installed),
    ("Installing group/module packages:", Kind::Installed),
    ("Upgrading:", Kind::Upgraded),
    ("Downgrading:", Kind::Downgraded),
    ("Reinstalling:", Kind::Reinstalled),
    ("Removing:", Kind::Removed),
    ("Removing dependent packages:", Kind::Removed),
    ("Removing unused dependencies:", Kind::Removed),
    ("Obsoleting:", Kind::Removed),
];

pub fn parse(stdout: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut current = None;
    for line in stdout.lines() {
        let heading = HEADINGS.iter().find(|(heading, _)| line.trim_end() == *heading);
        if let Some((_, kind)) = heading {
            current = Some(*kind);
        } else if !line.starts_with(' ') {
            // An empty line, a rule or another heading ends a list.
            current = None;
        } else if let Some(kind) = current {
            changes.extend(row(kind, line));
        }
    }
    changes
}

fn row(kind: Kind, line: &str) -> Option<Change> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    // `replacing  old.x86_64 1-1` stands below what replaces it.
    if name == "replacing" {
        return None;
    }
    Some(Change {
        kind,
        name: name.to_owned(),
        architecture: words.next()?.to_owned(),
        version: words.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written after dnf's documentation; not recorded.
    const TABLE: &str = "\
Dependencies resolved.
================================================================================
 Package          Architecture  Version              Repository            Size
================================================================================
Installing:
 kubeadm          x86_64        1.30.2-150500.1.1    kubernetes            10 M
Upgrading:
 cri-tools        x86_64        1.30.0-150500.1.1    kubernetes           8.6 M
     replacing  old-tools.x86_64 1-1
Removing dependent packages:
 oldpkg           noarch        2-1                  @System               1 k

Transaction Summary
================================================================================
Install  1 Package

Operation aborted.
";

    #[test]
    fn every_list_of_the_table_is_read() {
        let shown: Vec<_> = parse(TABLE).iter().map(Change::to_string).collect();
        assert_eq!(
            shown,
            [
                "Installed: kubeadm-1.30.2-150500.1.1.x86_64",
                "Installed: cri-tools-1.30.0-150500.1.1.x86_64",
                "Removed: oldpkg-2-1.noarch",
            ]
        );
        assert!(parse("Dependencies resolved.\nNothing to do.\nComplete!\n").is_empty());
    }
}
