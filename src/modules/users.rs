//! Users and groups by name, without the C library's lookups: a static program
//! must not load the host's name services. `getent` asks them instead.

use super::Failure;
use super::process::{Output, Process};

/// Which of the two databases.
#[derive(Clone, Copy)]
pub enum Database {
    Users,
    Groups,
}

impl Database {
    fn name(self) -> &'static str {
        match self {
            Self::Users => "passwd",
            Self::Groups => "group",
        }
    }
}

/// The number of a user or group given by name or number.
pub fn id_of(database: Database, name: &str) -> Result<u32, Failure> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    find(database, |fields| fields.first().copied() == Some(name))
        .or_else(|| ask(database, name))
        .and_then(|line| line.split(':').nth(2)?.parse().ok())
        .ok_or_else(|| {
            let what = match database {
                Database::Users => "user",
                Database::Groups => "group",
            };
            Failure::new(format!("chown failed: failed to look up {what} {name}"))
        })
}

/// The name of a user or group; nothing if it has none.
pub fn name_of(database: Database, id: u32) -> Option<String> {
    entry_of(database, id)?.split(':').next().map(str::to_owned)
}

/// The whole line of a user or group, fields with `:` between.
pub fn entry_of(database: Database, id: u32) -> Option<String> {
    let number = id.to_string();
    find(database, |fields| fields.get(2).copied() == Some(number.as_str()))
        .or_else(|| ask(database, &number))
}

/// The whole line of a user or group of this name, from whichever service has it.
pub fn named(database: Database, name: &str) -> Option<String> {
    // A number would be taken for an id.
    local(database, name)
        .or_else(|| ask(database, name))
        .filter(|line| line.split(':').next() == Some(name))
}

/// The whole line of a user or group of this name in the host's own file.
pub fn local(database: Database, name: &str) -> Option<String> {
    find(database, |fields| fields.first().copied() == Some(name))
}

/// All entries that the name services enumerate.
pub fn all(database: Database) -> Vec<String> {
    let output = Process::new("getent").arg(database.name()).run().ok();
    output.filter(Output::success).map_or_else(
        || {
            let file = std::fs::read_to_string(format!("/etc/{}", database.name()));
            file.unwrap_or_default().lines().map(str::to_owned).collect()
        },
        |output| output.stdout.lines().map(str::to_owned).collect(),
    )
}

fn find(database: Database, matches: impl Fn(&[&str]) -> bool) -> Option<String> {
    let text = std::fs::read_to_string(format!("/etc/{}", database.name())).ok()?;
    text.lines().find(|line| matches(&line.split(':').collect::<Vec<_>>())).map(str::to_owned)
}

fn ask(database: Database, key: &str) -> Option<String> {
    let output = Process::new("getent").args([database.name(), key]).run().ok()?;
    let line = output.stdout.lines().next()?.to_owned();
    output.success().then_some(line)
}
