//! An account that is there already.

use std::collections::BTreeSet;

use super::super::process::{Output, Process};
use super::super::{Context, Failure, tools};
use super::account::{self, Account, Shadow};
use super::{UpdatePassword, User};

/// What differs from what is wanted.
#[derive(Default)]
struct Changes {
    arguments: Vec<String>,
    /// The password is to be set, locked or not.
    password: Option<bool>,
    /// Groups that libuser is to add to and to take out of.
    join: Vec<String>,
    leave: Vec<String>,
    /// Days at which libuser is to close the account.
    expire: Option<i64>,
}

impl Changes {
    fn add(&mut self, flag: &str, value: impl Into<String>) {
        self.arguments.extend([flag.to_owned(), value.into()]);
    }

    fn is_empty(&self) -> bool {
        self.arguments.is_empty()
            && self.password.is_none()
            && self.join.is_empty()
            && self.leave.is_empty()
            && self.expire.is_none()
    }
}

impl User {
    /// Changes what differs; none if nothing does.
    pub(super) fn modify(&self, context: &Context) -> Result<Option<Output>, Failure> {
        let Some(account) = self.account() else { return Ok(None) };
        let mut changes = Changes::default();
        self.identity_changes(&account, &mut changes)?;
        self.group_changes(&mut changes)?;
        self.home_changes(&account, &mut changes);
        self.expiry_changes(&account, &mut changes);
        self.password_changes(&account, &mut changes);
        if changes.is_empty() {
            return Ok(None);
        }
        if context.check {
            return Ok(Some(Output::default()));
        }
        self.carry_out(&changes, context).map(Some)
    }

    fn carry_out(&self, changes: &Changes, context: &Context) -> Result<Output, Failure> {
        let mut output = Output::default();
        if !changes.arguments.is_empty() {
            let command = self.command(context, "usermod")?.args(&changes.arguments);
            output = self.must(command.arg(&self.name.0))?;
        }
        if let Some(lock) = changes.password {
            self.set_password(lock, context)?;
        }
        if let Some(days) = changes.expire {
            let command = tools::command(context, "lchage")?.arg("-E").arg(days.to_string());
            self.must(command.arg(&self.name.0))?;
        }
        for (flag, groups) in [("-M", &changes.join), ("-m", &changes.leave)] {
            for group in groups {
                let command = tools::command(context, "lgroupmod")?;
                self.must(command.args([flag, &self.name.0, group]))?;
            }
        }
        Ok(output)
    }

    fn identity_changes(&self, account: &Account, changes: &mut Changes) -> Result<(), Failure> {
        if let Some(uid) = self.uid.filter(|uid| uid.0 != i64::from(account.uid)) {
            changes.add("-u", uid.0.to_string());
            changes.arguments.extend(self.non_unique.0.then(|| "-o".to_owned()));
        }
        if let Some(group) = &self.group {
            let (_, gid) = account::group(&group.0)?;
            if gid != account.gid {
                changes.add("-g", gid.to_string());
            }
        }
        if let Some(comment) = self.comment.as_ref().filter(|text| text.0 != account.comment) {
            changes.add("-c", &comment.0);
        }
        Ok(())
    }

    fn group_changes(&self, changes: &mut Changes) -> Result<(), Failure> {
        let Some(groups) = &self.groups else { return Ok(()) };
        let current: BTreeSet<_> = account::memberships(&self.name.0).into_iter().collect();
        let wanted = groups.0.iter().map(|name| account::group(name).map(|(name, _)| name));
        let wanted: BTreeSet<_> = wanted.collect::<Result<_, _>>()?;
        let missing: Vec<_> = wanted.difference(&current).cloned().collect();
        let surplus: Vec<_> = current.difference(&wanted).cloned().collect();
        let differs = !missing.is_empty() || (!self.append.0 && !surplus.is_empty());
        if !differs {
            return Ok(());
        }
        if self.local.0 {
            changes.join = missing;
            changes.leave = if self.append.0 { Vec::new() } else { surplus };
            return Ok(());
        }
        if self.append.0 {
            changes.arguments.push("-a".to_owned());
        }
        changes.add("-G", wanted.into_iter().collect::<Vec<_>>().join(","));
        Ok(())
    }

    fn home_changes(&self, account: &Account, changes: &mut Changes) {
        if let Some(home) = self.home.as_ref().filter(|home| home.0 != account.home) {
            changes.add("-d", home.display().to_string());
            changes.arguments.extend(self.move_home.0.then(|| "-m".to_owned()));
        }
        if let Some(shell) = self.shell.as_ref().filter(|shell| shell.0 != account.shell) {
            changes.add("-s", shell.display().to_string());
        }
    }

    fn expiry_changes(&self, account: &Account, changes: &mut Changes) {
        if let Some(days) = self.password_expire_account_disable {
            changes.add("-f", days.0.to_string());
        }
        let Some(expires) = self.expires else { return };
        // No date in shadow reads as -1: the account is never closed.
        let current = account.shadow.expire.unwrap_or(-1);
        let wanted = if expires < 0.0 { -1 } else { expires as i64 / 86400 };
        if wanted.max(-1) == current.max(-1) {
            return;
        }
        if self.local.0 {
            changes.expire = Some(wanted);
        } else {
            changes.add("-e", date(expires));
        }
    }

    fn password_changes(&self, account: &Account, changes: &mut Changes) {
        let current = &account.shadow.password;
        if let Some(password) = &self.password
            && self.update_password == UpdatePassword::Always
            && password.0.trim_start_matches('!') != current.trim_start_matches('!')
        {
            changes.password = Some(self.password_lock.is_some_and(|lock| lock.0));
            return;
        }
        match self.password_lock.map(|lock| lock.0) {
            Some(true) if !account.shadow.locked() => changes.arguments.push("-L".to_owned()),
            Some(false) if account.shadow.locked() => changes.arguments.push("-U".to_owned()),
            _ => {}
        }
    }

    /// Sets how long the password may live; true if that changes it.
    pub(super) fn password_ages(&self, context: &Context) -> Result<bool, Failure> {
        let shadow = Shadow::read(&self.name.0);
        if !shadow.readable {
            return Ok(false);
        }
        let ages = [
            ("-m", self.password_expire_min, shadow.min),
            ("-M", self.password_expire_max, shadow.max),
            ("-W", self.password_expire_warn, shadow.warn),
        ];
        let mut arguments = Vec::new();
        for (flag, wanted, current) in ages {
            if let Some(wanted) = wanted.filter(|wanted| Some(wanted.0) != current) {
                arguments.extend([flag.to_owned(), wanted.0.to_string()]);
            }
        }
        if arguments.is_empty() {
            return Ok(false);
        }
        if !context.check {
            let command: Process = tools::command(context, "chage")?.args(arguments);
            self.must(command.arg(&self.name.0))?;
        }
        Ok(true)
    }
}

/// The day as useradd and usermod take it; empty for never.
pub fn date(seconds: f64) -> String {
    let day = jiff::Timestamp::from_second(seconds as i64).ok().filter(|_| seconds >= 0.0);
    day.map_or_else(String::new, |day| day.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_closed_on_a_day_or_never() {
        assert_eq!(date(1_422_403_387.0), "2015-01-28");
        assert_eq!(date(-1.0), "");
    }
}
