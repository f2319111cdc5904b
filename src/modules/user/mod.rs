//! `user`: accounts of the host, through its own useradd, usermod and userdel.

mod account;
mod change;
mod create;
mod home;
mod key;

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, HostPath, Number, Text, TextList};
use super::process::{Output, Process};
use super::{Context, Failure, Module, Outcome, tools};
use account::Account;

/// Makes sure that an account is there and as wanted, or is not.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    #[serde(alias = "user")]
    name: Text,
    #[serde(default)]
    state: State,
    uid: Option<Number>,
    /// The number may be another account's too.
    #[serde(default)]
    non_unique: Flag,
    /// Name or number of the primary group.
    group: Option<Text>,
    /// The other groups; an empty list takes the account out of all.
    groups: Option<TextList>,
    /// Add to the groups, take out of none.
    #[serde(default)]
    append: Flag,
    comment: Option<Text>,
    home: Option<HostPath>,
    shell: Option<HostPath>,
    /// A hash as `password_hash` makes it.
    #[schemars(with = "Option<Text>")]
    password: Option<Text>,
    #[serde(default)]
    update_password: UpdatePassword,
    /// Lock the password, or unlock it.
    password_lock: Option<Flag>,
    password_expire_max: Option<Number>,
    password_expire_min: Option<Number>,
    password_expire_warn: Option<Number>,
    /// Days after the password's end at which the account is closed.
    password_expire_account_disable: Option<Number>,
    /// Seconds since 1970 at which the account is closed; negative: never.
    expires: Option<f64>,
    #[serde(default = "Flag::yes", alias = "createhome")]
    create_home: Flag,
    /// Move the old home folder to the new one.
    #[serde(default)]
    move_home: Flag,
    /// The folder that a new home folder is a copy of.
    skeleton: Option<Text>,
    umask: Option<Text>,
    #[serde(default)]
    system: Flag,
    /// Remove an account that is logged in; replace an ssh key.
    #[serde(default)]
    force: Flag,
    /// Remove the home folder with the account.
    #[serde(default)]
    remove: Flag,
    /// Act on the local files alone, by libuser's programs.
    #[serde(default)]
    local: Flag,
    #[serde(default)]
    generate_ssh_key: Flag,
    #[serde(default)]
    ssh_key_bits: Number,
    #[serde(default = "rsa")]
    ssh_key_type: Text,
    /// Relative to the home folder.
    ssh_key_file: Option<HostPath>,
    ssh_key_comment: Option<Text>,
    ssh_key_passphrase: Option<Text>,
    uid_min: Option<Number>,
    uid_max: Option<Number>,
    /// The SELinux user.
    seuser: Option<Text>,
    // For other systems than Linux.
    #[serde(rename = "login_class")]
    _login_class: Option<Text>,
    #[serde(rename = "hidden")]
    _hidden: Option<Flag>,
    #[serde(rename = "profile")]
    _profile: Option<Text>,
    #[serde(rename = "authorization")]
    _authorization: Option<Text>,
    #[serde(rename = "role")]
    _role: Option<Text>,
}

fn rsa() -> Text {
    Text("rsa".to_owned())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum UpdatePassword {
    #[default]
    Always,
    OnCreate,
}

impl Module for User {
    const NAME: &'static str = "user";
    const SECRETS: &'static [&'static str] = &["password", "ssh_key_passphrase"];

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        self.validate()?;
        let outcome = match self.state {
            State::Absent => self.absent(context),
            State::Present => self.present(context),
        }?;
        Ok(match self.suspect_password() {
            Some(warning) => outcome.with("warnings", serde_json::json!([warning])),
            None => outcome,
        })
    }
}

impl User {
    fn validate(&self) -> Result<(), Failure> {
        let forbidden = [
            ("umask", self.umask.is_some()),
            ("uid_min", self.uid_min.is_some()),
            ("uid_max", self.uid_max.is_some()),
        ];
        match forbidden.iter().find(|(_, given)| *given && self.local.0) {
            Some((name, _)) => Err(Failure::new(format!("'{name}' can not be used with 'local'"))),
            None => Ok(()),
        }
    }

    fn account(&self) -> Option<Account> {
        Account::read(&self.name.0, self.local.0)
    }

    fn absent(&self, context: &Context) -> Result<Outcome, Failure> {
        let result =
            |outcome: Outcome| outcome.with("name", self.name.0.clone()).with("state", "absent");
        if self.account().is_none() {
            return Ok(result(Outcome::default()));
        }
        if context.check {
            return Ok(Outcome::changed(true));
        }
        let mut command = self.command(context, "userdel")?;
        if self.force.0 && !self.local.0 {
            command = command.arg("-f");
        }
        if self.remove.0 {
            command = command.arg("-r");
        }
        let output = self.must(command.arg(&self.name.0))?;
        let outcome = result(Outcome::changed(true))
            .with("force", self.force.0)
            .with("remove", self.remove.0);
        Ok(said(outcome, &output))
    }

    fn present(&self, context: &Context) -> Result<Outcome, Failure> {
        let existed = self.account().is_some();
        if !existed && context.check {
            return Ok(Outcome::changed(true));
        }
        let outcome = Outcome::default().with("name", self.name.0.clone()).with("state", "present");
        let mut outcome = if existed {
            let done = self.modify(context)?;
            let outcome = outcome.with("append", self.append.0).with("move_home", self.move_home.0);
            self.noted(outcome, done.as_ref())
        } else {
            let done = self.create(context)?;
            let outcome =
                outcome.with("system", self.system.0).with("create_home", self.create_home.0);
            self.noted(outcome, Some(&done))
        };
        let Some(account) = self.account() else {
            let msg = format!("failed to look up user name: {}", self.name.0);
            return Err(Failure { changed: outcome.changed, ..Failure::new(msg) });
        };
        outcome = account.describe(outcome);
        if let Some(groups) = &self.groups {
            outcome = outcome.with("groups", groups.0.join(","));
        }
        outcome.changed |= self.missing_home(&account, context)?;
        if self.generate_ssh_key.0 {
            outcome = self.ssh_key(&account, outcome, context)?;
        }
        outcome.changed |= self.password_ages(context)?;
        Ok(outcome)
    }

    fn noted(&self, mut outcome: Outcome, done: Option<&Output>) -> Outcome {
        if self.password.is_some() {
            outcome = outcome.with("password", "NOT_LOGGING_PASSWORD");
        }
        match done {
            Some(output) => {
                outcome.changed = true;
                said(outcome, output)
            }
            None => outcome,
        }
    }

    fn command(&self, context: &Context, name: &str) -> Result<Process, Failure> {
        let name = if self.local.0 { format!("l{name}") } else { name.to_owned() };
        tools::command(context, &name)
    }

    /// Runs it; a failure names the account and says what the command said.
    fn must(&self, command: Process) -> Result<Output, Failure> {
        let output = command.run()?;
        if output.success() {
            return Ok(output);
        }
        Err(Failure::new(output.stderr).with("name", self.name.0.clone()).with("rc", output.rc))
    }

    /// What is said of a password that is no hash.
    fn suspect_password(&self) -> Option<&'static str> {
        let password = &self.password.as_ref()?.0;
        let known = password.is_empty() || ["*", "!", "*************"].contains(&password.as_str());
        (!known && !is_hash(password)).then_some(
            "The input password appears not to have been hashed. The 'password' argument must be \
             encrypted for this module to work properly.",
        )
    }
}

/// Whether a text has the form of a password's hash.
fn is_hash(text: &str) -> bool {
    let fields: Vec<_> = text.split('$').collect();
    let (Some(method), Some(hash)) = (fields.get(1), fields.last()) else { return false };
    let length = match *method {
        "1" => Some(22),
        "5" | "y" => Some(43),
        "6" => Some(86),
        _ => None,
    };
    fields.len() >= 3
        && !text.contains([':', '*', '!'])
        && hash.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/'))
        && length.is_none_or(|length| hash.len() == length)
}

/// Adds what a command printed.
fn said(outcome: Outcome, output: &Output) -> Outcome {
    [("stdout", &output.stdout), ("stderr", &output.stderr)]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .fold(outcome, |outcome, (key, text)| outcome.with(key, text.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user(arguments: serde_json::Value) -> Result<Outcome, Failure> {
        let context = Context { check: true, ..Context::default() };
        serde_json::from_value::<User>(arguments).expect("arguments").run(&context)
    }

    #[test]
    fn an_account_that_is_as_wanted_is_left() {
        let root = user(json!({"name": "root", "home": "/root", "uid": 0})).expect("there");
        assert!(!root.changed, "{root:?}");
        assert_eq!(root.result["uid"], 0);
        assert!(user(json!({"name": "root", "comment": "someone else"})).expect("other").changed);
        assert!(!user(json!({"name": "nosuchuser", "state": "absent"})).expect("gone").changed);
        assert!(user(json!({"name": "nosuchuser"})).expect("to be made").changed);
    }

    #[test]
    fn a_group_that_is_not_there_is_named() {
        let failure = user(json!({"name": "root", "groups": "nosuchgroup"})).expect_err("refused");
        assert_eq!(failure.msg, "Group nosuchgroup does not exist");
    }

    #[test]
    fn a_plain_password_is_warned_of_and_not_shown() {
        let root = user(json!({"name": "root", "password": "secret"})).expect("there");
        assert!(root.result["warnings"][0].as_str().is_some_and(|text| text.contains("hashed")));
        assert_eq!(root.result["password"], "NOT_LOGGING_PASSWORD");
        assert!(is_hash(&format!("$6$salt${}", "a".repeat(86))));
        assert!(!is_hash("$6$salt$short"));
    }
}
