//! `cron`: jobs and variables of a crontab.

mod table;

use std::io::Write;
use std::path::{Path, PathBuf};

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, Text};
use super::{Context, Diff, Failure, Module, Outcome};
use table::{Place, Table};

/// Keeps a job or a variable in a crontab; a line above it has its name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cron {
    /// The name of the job or the variable.
    name: Text,
    /// Whose crontab; needed with `cron_file`.
    user: Option<Text>,
    /// The command, or the variable's value.
    #[serde(alias = "value")]
    job: Option<Text>,
    #[serde(default)]
    state: State,
    /// A file in /etc/cron.d, or a path, in place of a user's crontab.
    cron_file: Option<Text>,
    #[serde(default)]
    backup: Flag,
    #[serde(default = "any")]
    minute: Text,
    #[serde(default = "any")]
    hour: Text,
    #[serde(default = "any", alias = "dom")]
    day: Text,
    #[serde(default = "any")]
    month: Text,
    #[serde(default = "any", alias = "dow")]
    weekday: Text,
    /// A name in place of the five fields.
    special_time: Option<Special>,
    /// The job is there as a comment.
    #[serde(default)]
    disabled: Flag,
    /// It is a variable.
    #[serde(default)]
    env: Flag,
    /// A new variable goes behind this one.
    insertafter: Option<Text>,
    /// A new variable goes before this one.
    insertbefore: Option<Text>,
}

fn any() -> Text {
    Text("*".to_owned())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Special {
    Annually,
    Daily,
    Hourly,
    Monthly,
    Reboot,
    Weekly,
    Yearly,
}

impl Special {
    fn word(self) -> &'static str {
        match self {
            Self::Annually => "annually",
            Self::Daily => "daily",
            Self::Hourly => "hourly",
            Self::Monthly => "monthly",
            Self::Reboot => "reboot",
            Self::Weekly => "weekly",
            Self::Yearly => "yearly",
        }
    }
}

impl Module for Cron {
    const NAME: &'static str = "cron";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if self.insertafter.is_some() && self.insertbefore.is_some() {
            return Err(Failure::new(
                "parameters are mutually exclusive: insertafter|insertbefore",
            ));
        }
        let file = self.file()?;
        let mut warnings = Vec::new();
        if let Some(name) = file.as_deref().and_then(Path::file_name).map(|n| n.to_string_lossy())
            && !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        {
            warnings.push(format!(
                "Filename portion of cron_file (\"{name}\") should consist solely of upper- and \
                 lower-case letters, digits, underscores, and hyphens"
            ));
        }
        let user = self.user.as_ref().map(|user| user.0.as_str());
        let mut table = Table::read(file.as_deref(), user, context)?;
        self.validate()?;
        let backup = self.back_up(&table, context)?;
        let mut changed = match self.env.0 {
            true => self.put_variable(&mut table)?,
            false => self.put_job(&mut table, &mut warnings),
        };
        if changed
            && self.state == State::Absent
            && !self.env.0
            && table.is_empty()
            && let Some(path) = &file
        {
            return self.remove_file(path, &table, context);
        }
        // A last line without its end is put right.
        changed |= !table.existing.is_empty() && !table.existing.ends_with(['\r', '\n']);
        let mut outcome =
            Outcome::changed(changed).with("jobs", table.jobs()).with("envs", table.variables());
        if !warnings.is_empty() {
            outcome = outcome.with("warnings", json!(warnings));
        }
        if changed {
            if !context.check {
                table.write(context)?;
            }
            if context.diff {
                let header = table.title();
                outcome = outcome.with_diff(Diff {
                    before_header: header.clone(),
                    after_header: header,
                    before: table.existing.clone().into(),
                    after: table.render().into(),
                    ..Diff::default()
                });
            }
        }
        if let Some(path) = backup {
            if changed {
                outcome = outcome.with("backup_file", path.display().to_string());
            } else {
                let _ = std::fs::remove_file(path);
            }
        }
        Ok(match &self.cron_file {
            Some(name) => outcome.with("cron_file", name.0.clone()),
            None => outcome,
        })
    }
}

impl Cron {
    fn file(&self) -> Result<Option<PathBuf>, Failure> {
        let Some(name) = self.cron_file.as_ref().filter(|name| !name.0.is_empty()) else {
            return Ok(None);
        };
        if name.0 == "/etc/crontab" {
            return Err(Failure::new(
                "Will not manage /etc/crontab via cron_file, see documentation.",
            ));
        }
        Ok(Some(Path::new("/etc/cron.d").join(&name.0)))
    }

    fn validate(&self) -> Result<(), Failure> {
        let refuse = |msg: &str| Err(Failure::new(msg));
        let fields = [&self.minute, &self.hour, &self.day, &self.month, &self.weekday];
        if self.special_time.is_some() && fields.iter().any(|field| field.0 != "*") {
            return refuse("You must specify time and date fields or special time.");
        }
        if self.env.0 && self.name.0.contains(' ') {
            return refuse("Invalid name for environment variable");
        }
        if self.state == State::Absent {
            return Ok(());
        }
        if self.cron_file.is_some() && self.user.is_none() {
            return refuse("To use cron_file=... parameter you must specify user=... as well");
        }
        if self.job.is_none() {
            return refuse("You must specify 'job' to install a new cron job or variable");
        }
        if (self.insertafter.is_some() || self.insertbefore.is_some()) && !self.env.0 {
            return refuse("Insertafter and insertbefore parameters are valid only with env=yes");
        }
        Ok(())
    }

    fn back_up(&self, table: &Table, context: &Context) -> Result<Option<PathBuf>, Failure> {
        if !self.backup.0 || context.check {
            return Ok(None);
        }
        let failed = |error: std::io::Error| Failure::new(format!("no backup: {error}"));
        let mut file = tempfile::Builder::new().prefix("crontab").tempfile().map_err(failed)?;
        file.write_all(table.render().as_bytes()).map_err(failed)?;
        let (_, path) = file.keep().map_err(|error| failed(error.error))?;
        Ok(Some(path))
    }

    fn put_variable(&self, table: &mut Table) -> Result<bool, Failure> {
        let name = self.name.0.as_str();
        let value = self.job.as_ref().map(|job| job.0.as_str()).unwrap_or_default();
        let line = format!("{name}=\"{value}\"");
        let old = table.variable(name)?;
        Ok(match (self.state, old) {
            (State::Absent, None) => false,
            (State::Absent, Some(_)) => {
                table.replace_variable(name, None)?;
                true
            }
            (State::Present, None) => {
                let place = match (&self.insertafter, &self.insertbefore) {
                    (Some(other), _) => Place::After(&other.0),
                    (None, Some(other)) => Place::Before(&other.0),
                    (None, None) => Place::Start,
                };
                table.add_variable(line, place)?;
                true
            }
            (State::Present, Some(old)) if old != line => {
                table.replace_variable(name, Some(&line))?;
                true
            }
            (State::Present, Some(_)) => false,
        })
    }

    fn put_job(&self, table: &mut Table, warnings: &mut Vec<String>) -> bool {
        let name = self.name.0.as_str();
        if self.state == State::Absent {
            let there = table.job(name).is_some();
            if there {
                table.replace_job(name, None);
            }
            return there;
        }
        let line = self.line(warnings);
        match table.job(name) {
            Some(old) if old == line => false,
            Some(_) => {
                table.replace_job(name, Some(&line));
                true
            }
            None => {
                if !table.adopt(name, &line) {
                    table.add_job(name, &line);
                }
                true
            }
        }
    }

    /// The job as it stands in the table.
    fn line(&self, warnings: &mut Vec<String>) -> String {
        let job = self.job.as_ref().map(|job| job.0.as_str()).unwrap_or_default();
        let job = job.trim_matches(['\r', '\n']);
        if job.contains(['\r', '\n']) {
            warnings.push("Job should not contain line breaks".to_owned());
        }
        let mark = if self.disabled.0 { "#" } else { "" };
        let time = match self.special_time {
            Some(special) => format!("@{}", special.word()),
            None => [&self.minute, &self.hour, &self.day, &self.month, &self.weekday]
                .map(|field| field.0.as_str())
                .join(" "),
        };
        let user = self.user.as_ref().filter(|_| self.cron_file.is_some());
        match user {
            Some(user) => format!("{mark}{time} {} {job}", user.0),
            None => format!("{mark}{time} {job}"),
        }
    }

    /// A file without a line is not kept.
    fn remove_file(
        &self,
        path: &Path,
        table: &Table,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let there = path.is_file();
        if !context.check && there {
            std::fs::remove_file(path)
                .map_err(|error| super::files::failed("cannot be removed", path, &error))?;
        }
        let mut outcome = Outcome::changed(there)
            .with("cron_file", self.cron_file.as_ref().map(|name| name.0.clone()))
            .with("state", "absent");
        if context.diff {
            outcome = outcome.with_diff(Diff {
                before_header: table.title(),
                after_header: "/dev/null".to_owned(),
                before: table.existing.clone().into(),
                after: String::new().into(),
                ..Diff::default()
            });
        }
        Ok(outcome)
    }
}

fn pattern_of_variable(name: &str) -> Result<Regex, Failure> {
    Regex::new(&format!("^{name}="))
        .map_err(|error| Failure::new(format!("'{name}' is no name of a variable: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    /// The file after the module, and what the module said.
    fn cron(before: Option<&str>, arguments: Json) -> (Option<String>, Result<Outcome, Failure>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("jobs");
        // The module asks for the program, which it needs for users' tables alone.
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).expect("a folder");
        std::os::unix::fs::symlink("/bin/true", bin.join("crontab")).expect("a program");
        if let Some(text) = before {
            std::fs::write(&path, text).expect("written");
        }
        let mut arguments = arguments;
        arguments["cron_file"] = json!(path);
        arguments["user"] = json!("root");
        let environment = [("PATH".to_owned(), bin.display().to_string())].into();
        let context = Context { environment, ..Context::default() };
        let done = serde_json::from_value::<Cron>(arguments).expect("arguments").run(&context);
        (std::fs::read_to_string(&path).ok(), done)
    }

    const ONE: &str = "#Ansible: a\n5 * * * * root true\n";

    #[test]
    fn a_job_is_added_changed_and_removed_with_its_file() {
        let (text, done) = cron(None, json!({"name": "a", "minute": "5", "job": "true"}));
        assert_eq!(text.as_deref(), Some(ONE));
        assert_eq!(done.expect("added").result["jobs"], json!(["a"]));
        let (_, done) = cron(Some(ONE), json!({"name": "a", "minute": "5", "job": "true"}));
        assert!(!done.expect("there").changed);
        let (text, _) = cron(
            Some(ONE),
            json!({"name": "a", "special_time": "daily", "job": "x", "disabled": true}),
        );
        assert_eq!(text.as_deref(), Some("#Ansible: a\n#@daily root x\n"));
        let (text, done) = cron(Some(ONE), json!({"name": "a", "state": "absent"}));
        assert!(text.is_none() && done.expect("removed").changed);
    }

    #[test]
    fn a_job_without_a_name_gets_one() {
        let (text, done) =
            cron(Some("1 * * * * root x\n"), json!({"name": "b", "minute": 1, "job": "x"}));
        assert_eq!(text.as_deref(), Some("#Ansible: b\n1 * * * * root x\n"));
        assert!(done.expect("named").changed);
    }

    #[test]
    fn variables_stand_where_they_are_told() {
        let set = |more: Json| {
            let mut arguments = json!({"name": "A", "env": true, "job": "1"});
            arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            cron(Some("B=\"2\"\nC=\"3\"\n"), arguments)
        };
        assert_eq!(set(json!({})).0.unwrap(), "A=\"1\"\nB=\"2\"\nC=\"3\"\n");
        assert_eq!(set(json!({"insertafter": "B"})).0.unwrap(), "B=\"2\"\nA=\"1\"\nC=\"3\"\n");
        let failure = set(json!({"insertafter": "X"})).1.unwrap_err();
        assert_eq!(failure.msg, "Variable named 'X' not found.");
        let (text, _) = set(json!({"name": "B", "state": "absent"}));
        assert_eq!(text.unwrap(), "C=\"3\"\n");
    }
}
