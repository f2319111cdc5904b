//! A new account.

use super::super::process::{Output, Process};
use super::super::users::{self, Database};
use super::super::{Context, Failure, tools};
use super::{User, account};

impl User {
    pub(super) fn create(&self, context: &Context) -> Result<Output, Failure> {
        let with_parents = self.parents_of_home()?;
        let mut command = self.command(context, "useradd")?.args(self.identity()?);
        command = self.aged(self.with_home(command));
        if self.system.0 {
            command = command.arg("-r");
        }
        for (name, bound) in [("UID_MIN", self.uid_min), ("UID_MAX", self.uid_max)] {
            if let Some(bound) = bound {
                command = command.arg("-K").arg(format!("{name}={}", bound.0));
            }
        }
        let output = self.must(command.arg(&self.name.0))?;
        self.set_password(self.password_lock.is_some_and(|lock| lock.0), context)?;
        if self.local.0 {
            self.local_rest(context)?;
        }
        if with_parents && let (Some(account), Some(home)) = (self.account(), &self.home) {
            super::home::give(home, account.uid, account.gid)?;
        }
        Ok(output)
    }

    /// Number, groups and comment.
    fn identity(&self) -> Result<Vec<String>, Failure> {
        let mut arguments = Vec::new();
        let mut add = |flag: &str, value: &str| {
            arguments.push(flag.to_owned());
            if !value.is_empty() {
                arguments.push(value.to_owned());
            }
        };
        if let Some(uid) = self.uid {
            add("-u", &uid.0.to_string());
            if self.non_unique.0 {
                add("-o", "");
            }
        }
        if let Some(user) = &self.seuser {
            add("-Z", &user.0);
        }
        match &self.group {
            Some(group) => {
                account::group(&group.0)?;
                add("-g", &group.0);
            }
            // There is a group of this name already: none is to be made.
            None if users::named(Database::Groups, &self.name.0).is_some() => {
                add(if self.local.0 { "-n" } else { "-N" }, "");
            }
            None => {}
        }
        if let Some(groups) = self.groups.as_ref().filter(|groups| !groups.0.is_empty()) {
            for group in &groups.0 {
                account::group(group)?;
            }
            if !self.local.0 {
                add("-G", &groups.0.join(","));
            }
        }
        if let Some(comment) = &self.comment {
            arguments.extend(["-c".to_owned(), comment.0.clone()]);
        }
        Ok(arguments)
    }

    fn with_home(&self, mut command: Process) -> Process {
        if let Some(home) = &self.home {
            command = command.arg("-d").arg(&home.0);
        }
        if let Some(shell) = &self.shell {
            command = command.arg("-s").arg(&shell.0);
        }
        if !self.create_home.0 {
            return command.arg("-M");
        }
        if !self.local.0 {
            command = command.arg("-m");
        }
        if let Some(skeleton) = &self.skeleton {
            command = command.args(["-k", &skeleton.0]);
        }
        if let Some(umask) = &self.umask {
            command = command.arg("-K").arg(format!("UMASK={}", umask.0));
        }
        command
    }

    fn aged(&self, mut command: Process) -> Process {
        if let Some(expires) = self.expires.filter(|_| !self.local.0) {
            command = command.arg("-e").arg(super::change::date(expires));
        }
        if let Some(days) = self.password_expire_account_disable {
            command = command.arg("-f").arg(days.0.to_string());
        }
        command
    }

    /// The hash goes to chpasswd's standard input: arguments are seen by everyone.
    pub(super) fn set_password(&self, lock: bool, context: &Context) -> Result<(), Failure> {
        let Some(password) = &self.password else { return Ok(()) };
        let lock = if lock && !password.0.starts_with('!') { "!" } else { "" };
        let line = format!("{}:{lock}{}\n", self.name.0, password.0);
        self.must(tools::command(context, "chpasswd")?.arg("-e").stdin(line)).map(drop)
    }

    /// What luseradd does not take.
    fn local_rest(&self, context: &Context) -> Result<(), Failure> {
        if let Some(expires) = self.expires {
            let days = if expires < 0.0 { -1 } else { expires as i64 / 86400 };
            let command = tools::command(context, "lchage")?.arg("-E").arg(days.to_string());
            self.must(command.arg(&self.name.0))?;
        }
        for group in self.groups.iter().flat_map(|groups| &groups.0) {
            let command = tools::command(context, "lgroupmod")?;
            self.must(command.args(["-M", &self.name.0, group]))?;
        }
        Ok(())
    }
}
