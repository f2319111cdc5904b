//! `alternatives`: which of several programs a name stands for.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::args::{HostPath, Number, Text};
use super::{Context, Failure, Module, Outcome, tools};

/// Installs, selects or removes an alternative.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alternatives {
    /// The group.
    name: Text,
    /// The program.
    path: Option<HostPath>,
    /// The group of programs that are selected together.
    family: Option<Text>,
    /// Where the name stands.
    link: Option<HostPath>,
    priority: Option<Number>,
    #[serde(default)]
    state: State,
    #[serde(alias = "slaves")]
    subcommands: Option<Vec<Subcommand>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Present,
    #[default]
    Selected,
    Absent,
    Auto,
}

/// A name that changes with the first.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Subcommand {
    name: Text,
    path: Text,
    link: Text,
}

/// What is there of a group.
#[derive(Debug, Default)]
struct Current {
    mode: Option<String>,
    path: Option<String>,
    link: Option<String>,
    all: Vec<Alternative>,
}

#[derive(Debug)]
struct Alternative {
    path: String,
    family: String,
    priority: i64,
    subcommands: Vec<Subcommand>,
}

impl Module for Alternatives {
    const NAME: &'static str = "alternatives";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if self.path.is_none() && self.family.is_none() {
            return Err(Failure::new("one of the following is required: path, family"));
        }
        let shown = tools::command(context, "update-alternatives")?
            .args(["--display", &self.name.0])
            .run()?;
        let current = match shown.success() {
            true => Current::read(&shown.stdout, self.subcommands.as_deref().unwrap_or_default()),
            false => Current::default(),
        };
        let mut work =
            Work { task: &self, context, current, messages: Vec::new(), after: Map::new() };
        let before = work.before();
        work.run()?;
        let changed = !work.messages.is_empty();
        let diff = match context.diff {
            true => json!({"before": before, "after": work.after}),
            false => json!({"before": {}, "after": {}}),
        };
        Ok(Outcome::changed(changed).with("msg", work.messages.join(" ")).with("diff", diff))
    }
}

impl Current {
    fn read(text: &str, wanted: &[Subcommand]) -> Self {
        let first = |pattern: &str| {
            let found = Regex::new(pattern).ok()?.captures(text)?.get(1)?.as_str().to_owned();
            Some(found)
        };
        let mut current = Self {
            mode: first(r"(?m)\s-\s(?:status\sis\s)?(\w*)(?:\smode|.)$"),
            path: first(r"(?m)^\s*link currently points to (.*)$"),
            link: first(r"(?m)^\s*link \w+ is (.*)$"),
            all: Vec::new(),
        };
        let links: Vec<(&str, &str)> = text.lines().filter_map(link_of).collect();
        let link = |name: &str| {
            let known =
                links.iter().find(|(own, _)| *own == name).map(|(_, link)| (*link).to_owned());
            let given = wanted.iter().find(|own| own.name.0 == name && links.is_empty());
            known.or_else(|| given.map(|own| own.link.0.clone())).unwrap_or_default()
        };
        for line in text.lines() {
            if let Some(alternative) = alternative_of(line) {
                current.all.push(alternative);
            } else if let Some((name, path)) =
                subcommand_of(line).filter(|(_, path)| *path != "(null)")
                && let Some(last) = current.all.last_mut()
            {
                last.subcommands.push(Subcommand {
                    name: Text(name.to_owned()),
                    path: Text(path.to_owned()),
                    link: Text(link(name)),
                });
            }
        }
        current
    }

    fn of_path(&self, path: &str) -> Option<&Alternative> {
        self.all.iter().find(|alternative| alternative.path == path)
    }
}

/// `  slave NAME is LINK`
fn link_of(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start();
    let rest = rest.strip_prefix("slave ").or_else(|| rest.strip_prefix("follower "))?;
    rest.split_once(" is ").filter(|(name, _)| !name.contains(' '))
}

/// `  slave NAME: PATH`
fn subcommand_of(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start();
    let rest = rest.strip_prefix("slave ").or_else(|| rest.strip_prefix("follower "))?;
    rest.split_once(": ")
}

/// `PATH - priority 10`, or with a family before it.
fn alternative_of(line: &str) -> Option<Alternative> {
    let (path, rest) = line.split_once(" - ").filter(|_| line.starts_with('/'))?;
    let (family, rest) = match rest.strip_prefix("family ") {
        Some(rest) => rest.split_once(' ')?,
        None => ("", rest),
    };
    let priority = rest.strip_prefix("priority ")?.split_whitespace().next()?.parse().ok()?;
    Some(Alternative {
        path: path.to_owned(),
        family: family.to_owned(),
        priority,
        subcommands: Vec::new(),
    })
}

/// One run.
struct Work<'a> {
    task: &'a Alternatives,
    context: &'a Context,
    current: Current,
    messages: Vec<String>,
    after: Map<String, Json>,
}

impl Work<'_> {
    fn path(&self) -> Option<String> {
        self.task.path.as_ref().map(|path| path.display().to_string())
    }

    fn name(&self) -> &str {
        &self.task.name.0
    }

    fn before(&self) -> Map<String, Json> {
        let mut before = Map::new();
        let path = self.path().unwrap_or_default();
        let Some(alternative) = self.current.of_path(&path) else {
            before.insert("state".to_owned(), json!("absent"));
            return before;
        };
        let manual = self.current.mode.as_deref() == Some("manual");
        let other = self.current.path.as_deref() != Some(&path);
        let state = if manual && other { "selected" } else { "present" };
        before.insert("state".to_owned(), json!(state));
        before.insert("path".to_owned(), json!(path));
        before.insert("priority".to_owned(), json!(alternative.priority));
        before.insert("link".to_owned(), json!(self.current.link));
        if !alternative.subcommands.is_empty() {
            before.insert("subcommands".to_owned(), json!(alternative.subcommands));
        }
        before
    }

    fn run(&mut self) -> Result<(), Failure> {
        let path = self.path();
        if self.task.state == State::Absent {
            return match path.filter(|path| self.current.of_path(path).is_some()) {
                Some(path) => self.remove(&path),
                None => Ok(()),
            };
        }
        if let Some(path) = path.as_ref().filter(|path| self.is_to_install(path)) {
            self.install(path)?;
        }
        let current = self.current.path.as_deref();
        let same_path = path.is_some() && current == path.as_deref();
        let family = self.task.family.as_ref().map(|family| family.0.as_str()).unwrap_or_default();
        let same_family = current
            .and_then(|path| self.current.of_path(path))
            .is_some_and(|alternative| !family.is_empty() && alternative.family == family);
        if self.task.state == State::Selected && !same_path && !same_family {
            let target = path.unwrap_or_else(|| family.to_owned());
            self.execute(&["--set", self.name(), &target])?;
            self.messages.push(format!("Set alternative '{target}' for '{}'.", self.name()));
            self.after.insert("state".to_owned(), json!("selected"));
        }
        if self.task.state == State::Auto && self.current.mode.as_deref() == Some("manual") {
            self.execute(&["--auto", self.name()])?;
            self.messages.push(format!("Set alternative to auto for '{}'.", self.name()));
            self.after.insert("state".to_owned(), json!("present"));
        }
        Ok(())
    }

    fn is_to_install(&self, path: &str) -> bool {
        let Some(there) = self.current.of_path(path) else { return true };
        let other_priority = self.task.priority.is_some_and(|p| p.0 != there.priority);
        let other_commands = self.task.subcommands.as_ref().is_some_and(|wanted| {
            !there.subcommands.iter().all(|own| wanted.contains(own))
                || !wanted.iter().all(|own| there.subcommands.contains(own))
        });
        other_priority || other_commands
    }

    fn install(&mut self, path: &str) -> Result<(), Failure> {
        if !std::path::Path::new(path).exists() {
            return Err(Failure::new(format!("Specified path {path} does not exist")));
        }
        let link = self.task.link.as_ref().map(|link| link.display().to_string());
        let link = link.or_else(|| self.current.link.clone()).ok_or_else(|| {
            Failure::new(
                "Needed to install the alternative, but unable to do so as we are missing the link",
            )
        })?;
        let there = self.current.of_path(path);
        let priority = self.task.priority.map(|priority| priority.0);
        let priority = priority.or(there.map(|there| there.priority)).unwrap_or(50);
        let number = priority.to_string();
        let mut arguments = vec!["--install", &link, self.name(), path, &number];
        if let Some(family) = &self.task.family {
            arguments.extend(["--family", &family.0]);
        }
        for command in self.task.subcommands.iter().flatten() {
            arguments.extend(["--slave", &command.link.0, &command.name.0, &command.path.0]);
        }
        self.execute(&arguments)?;
        let of_there = there.map(|there| there.subcommands.clone()).filter(|s| !s.is_empty());
        let subcommands = self.task.subcommands.clone().or(of_there);
        self.messages.push(format!("Install alternative '{path}' for '{}'.", self.name()));
        let family = self.task.family.as_ref().map(|family| family.0.clone());
        for (key, value) in [
            ("state", json!("present")),
            ("path", json!(path)),
            ("family", json!(family)),
            ("priority", json!(priority)),
            ("link", json!(link)),
        ] {
            self.after.insert(key.to_owned(), value);
        }
        if let Some(subcommands) = subcommands.filter(|subcommands| !subcommands.is_empty()) {
            self.after.insert("subcommands".to_owned(), json!(subcommands));
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), Failure> {
        self.execute(&["--remove", self.name(), path])?;
        self.messages.push(format!("Remove alternative '{path}' from '{}'.", self.name()));
        self.after.insert("state".to_owned(), json!("absent"));
        Ok(())
    }

    fn execute(&self, arguments: &[&str]) -> Result<(), Failure> {
        if self.context.check {
            return Ok(());
        }
        let command = tools::command(self.context, "update-alternatives")?.args(arguments);
        let output = command.run()?;
        if output.success() {
            return Ok(());
        }
        Err(Failure::new(output.stderr.trim_end())
            .with("rc", output.rc)
            .with("stdout", output.stdout)
            .with("stderr", output.stderr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "editor - manual mode\n  link best version is /bin/ed\n  link currently \
                         points to /bin/ed\n  link editor is /usr/bin/editor\n  slave editor.1 is \
                         /usr/share/man/editor.1\n/bin/ed - priority -100\n  slave editor.1: \
                         /usr/share/man/ed.1\n/bin/nano - priority 40\n";

    #[test]
    fn a_group_is_read() {
        let current = Current::read(SHOWN, &[]);
        assert_eq!(current.mode.as_deref(), Some("manual"));
        assert_eq!(current.path.as_deref(), Some("/bin/ed"));
        assert_eq!(current.all.len(), 2);
        let ed = current.of_path("/bin/ed").expect("there");
        assert_eq!(
            (ed.priority, ed.subcommands[0].link.0.as_str()),
            (-100, "/usr/share/man/editor.1")
        );
        assert_eq!(current.of_path("/bin/nano").expect("there").priority, 40);
    }

    #[test]
    fn what_is_to_be_done_follows_from_what_is_there() {
        let messages = |arguments: Json| {
            let task: Alternatives = serde_json::from_value(arguments).expect("arguments");
            let context = Context { check: true, ..Context::default() };
            let current = Current::read(SHOWN, &[]);
            let mut work = Work {
                task: &task,
                context: &context,
                current,
                messages: Vec::new(),
                after: Map::new(),
            };
            work.run().map(|()| work.messages)
        };
        let set = messages(json!({"name": "editor", "path": "/bin/nano"}));
        assert_eq!(set, Ok(vec!["Set alternative '/bin/nano' for 'editor'.".to_owned()]));
        assert_eq!(messages(json!({"name": "editor", "path": "/bin/ed"})), Ok(Vec::new()));
        let auto = messages(json!({"name": "editor", "path": "/bin/ed", "state": "auto"}));
        assert_eq!(auto, Ok(vec!["Set alternative to auto for 'editor'.".to_owned()]));
        let missing = messages(json!({"name": "editor", "path": "/no/such"}));
        assert_eq!(missing.expect_err("refused").msg, "Specified path /no/such does not exist");
    }
}
