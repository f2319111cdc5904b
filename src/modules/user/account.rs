//! What the host knows of an account: passwd, shadow and the groups.

use std::path::PathBuf;

use super::super::users::{self, Database};
use super::super::{Failure, Outcome};

/// An account's line in passwd, with what shadow adds.
pub struct Account {
    pub uid: u32,
    pub gid: u32,
    pub comment: String,
    pub home: PathBuf,
    pub shell: PathBuf,
    pub shadow: Shadow,
}

/// An account's line in shadow; empty for those who may not read it.
#[derive(Default)]
pub struct Shadow {
    pub password: String,
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub warn: Option<i64>,
    /// Days since 1970; none: never.
    pub expire: Option<i64>,
    pub readable: bool,
}

impl Account {
    pub fn read(name: &str, local: bool) -> Option<Self> {
        let line = if local {
            users::local(Database::Users, name)
        } else {
            users::named(Database::Users, name)
        }?;
        let fields: Vec<_> = line.split(':').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let mut shadow = Shadow::read(name);
        if field(1).len() > 1 {
            shadow.password = field(1).to_owned();
        }
        Some(Self {
            uid: field(2).parse().ok()?,
            gid: field(3).parse().ok()?,
            comment: field(4).to_owned(),
            home: field(5).into(),
            shell: field(6).into(),
            shadow,
        })
    }

    pub fn describe(&self, outcome: Outcome) -> Outcome {
        outcome
            .with("uid", self.uid)
            .with("group", self.gid)
            .with("comment", self.comment.clone())
            .with("home", self.home.display().to_string())
            .with("shell", self.shell.display().to_string())
    }
}

impl Shadow {
    pub fn read(name: &str) -> Self {
        let text = std::fs::read_to_string("/etc/shadow").unwrap_or_default();
        let line = text.lines().find(|line| line.split(':').next() == Some(name));
        line.map_or_else(Self::default, Self::of)
    }

    fn of(line: &str) -> Self {
        let fields: Vec<_> = line.split(':').collect();
        let number = |at: usize| fields.get(at)?.parse().ok();
        Self {
            password: fields.get(1).copied().unwrap_or_default().to_owned(),
            min: number(3),
            max: number(4),
            warn: number(5),
            expire: number(7),
            readable: true,
        }
    }

    pub fn locked(&self) -> bool {
        self.password.starts_with('!')
    }
}

/// Name and number of a group given by either.
pub fn group(name: &str) -> Result<(String, u32), Failure> {
    let by_number = name.parse().ok().and_then(|id| users::entry_of(Database::Groups, id));
    by_number
        .or_else(|| users::named(Database::Groups, name))
        .and_then(|line| {
            let mut fields = line.split(':');
            Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
        })
        .ok_or_else(|| Failure::new(format!("Group {name} does not exist")))
}

/// The groups that list the account as a member.
pub fn memberships(name: &str) -> Vec<String> {
    let is_member = |line: &String| {
        line.split(':').nth(3).is_some_and(|members| members.split(',').any(|one| one == name))
    };
    let lines = users::all(Database::Groups).into_iter().filter(is_member);
    lines.filter_map(|line| line.split(':').next().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_shadow_has_ages_where_they_are_set() {
        let shadow = Shadow::of("u:!$6$x$y:19000:0:99999:7::20000:");
        assert!(shadow.locked());
        assert_eq!((shadow.min, shadow.max, shadow.warn), (Some(0), Some(99999), Some(7)));
        assert_eq!(shadow.expire, Some(20000));
        assert_eq!(Shadow::of("u:*:19000::::::").max, None);
    }
}
