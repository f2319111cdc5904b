//! `sysctl`: settings of the kernel, now and after the next boot.

use std::fs;
use std::path::Path;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, HostPath, Text};
use super::{Context, Failure, Module, Outcome, files, tools};
use crate::source;

/// Keeps a setting in a file of settings, and sets it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    #[serde(alias = "key")]
    name: Text,
    #[serde(alias = "val")]
    value: Option<Text>,
    #[serde(default)]
    state: State,
    /// Have the kernel read the file when it has changed.
    #[serde(default = "Flag::yes")]
    reload: Flag,
    /// Set it at once as well.
    #[serde(default)]
    sysctl_set: Flag,
    /// Settings that the kernel does not know are no failure.
    #[serde(default)]
    ignoreerrors: Flag,
    #[serde(default = "file")]
    sysctl_file: HostPath,
}

fn file() -> HostPath {
    HostPath("/etc/sysctl.conf".into())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for Sysctl {
    const NAME: &'static str = "sysctl";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let present = self.state == State::Present;
        let refuse = |msg: &str| Err(Failure::new(msg));
        if present && self.value.is_none() {
            return refuse("state is present but all of the following are missing: value");
        }
        let name = self.name.0.trim();
        if name.is_empty() {
            return refuse("name cannot be blank");
        }
        if present && self.value.as_ref().is_some_and(|value| value.0.is_empty()) {
            return refuse("value cannot be blank");
        }
        let value = self.value();
        tools::program(context, "sysctl")?;
        let now = self.now(name, context)?;
        let text = files::text_or_nothing(&self.sysctl_file)?;
        let in_file = setting(&text, name);
        let write = match (&in_file, present) {
            (None, present) => present,
            (Some(_), false) => true,
            (Some(old), true) => *old != value,
        };
        let as_wanted = now.as_ref().is_some_and(|now| same(now, &value));
        let mut changed = write || in_file.is_some() && self.reload.0 && present && !as_wanted;
        let set = self.sysctl_set.0 && present && !as_wanted;
        changed |= set;
        if context.check {
            return Ok(Outcome::changed(changed));
        }
        if set && now.is_some() {
            self.set(name, &value, context)?;
        }
        if write {
            let path = fs::canonicalize(&self.sysctl_file);
            let path = path.unwrap_or_else(|_| self.sysctl_file.0.clone());
            let new = self.with_setting(&text, name, &value);
            files::write(&path, &mut new.as_bytes(), None, false)?;
        }
        if changed && self.reload.0 {
            self.read_file(&self.sysctl_file, context)?;
        }
        Ok(Outcome::changed(changed))
    }
}

impl Sysctl {
    /// What stands for true and false is 1 and 0.
    fn value(&self) -> String {
        let value = self.value.as_ref().map(|value| value.0.trim()).unwrap_or_default();
        match source::boolean(value) {
            Some(true) => "1".to_owned(),
            Some(false) => "0".to_owned(),
            None => value.to_owned(),
        }
    }

    fn now(&self, name: &str, context: &Context) -> Result<Option<String>, Failure> {
        let output = tools::command(context, "sysctl")?.args(["-e", "-n", name]).run()?;
        Ok(output.success().then_some(output.stdout))
    }

    fn set(&self, name: &str, value: &str, context: &Context) -> Result<(), Failure> {
        let mut command = tools::command(context, "sysctl")?;
        if self.ignoreerrors.0 {
            command = command.arg("-e");
        }
        let output = command.arg("-w").arg(format!("{name}={value}")).run()?;
        if output.success() && !refused(&output.stderr) {
            return Ok(());
        }
        Err(Failure::new(format!("setting {name} failed: {}{}", output.stdout, output.stderr)))
    }

    fn read_file(&self, path: &Path, context: &Context) -> Result<(), Failure> {
        let mut command = tools::command(context, "sysctl")?;
        if self.ignoreerrors.0 {
            command = command.arg("-e");
        }
        let output = command.arg("-p").arg(path).run()?;
        if output.success() && !refused(&output.stderr) {
            return Ok(());
        }
        Err(Failure::new(format!("Failed to reload sysctl: {}{}", output.stdout, output.stderr)))
    }

    /// The text with the setting in it once, or not at all; others are kept once too.
    fn with_setting(&self, text: &str, name: &str, value: &str) -> String {
        let present = self.state == State::Present;
        let mut seen: Vec<&str> = Vec::new();
        let mut new = String::new();
        for line in text.lines().map(str::trim) {
            let Some((key, old)) = assignment(line) else {
                new += &format!("{line}\n");
                continue;
            };
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            match (key == name, present) {
                (true, true) => new += &format!("{key}={value}\n"),
                (true, false) => {}
                (false, _) => new += &format!("{key}={old}\n"),
            }
        }
        if present && !seen.contains(&name) {
            new += &format!("{name}={value}\n");
        }
        new
    }
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))?;
    Some((key.trim(), value.trim()))
}

/// The last value that a text has.
fn setting(text: &str, name: &str) -> Option<String> {
    let mut all = text.lines().filter_map(|line| assignment(line.trim()));
    all.rfind(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// The same words, however far apart.
fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// Some versions say so only there.
fn refused(stderr: &str) -> bool {
    let text = r#"(?m)^sysctl: setting key "[^"]+": (Invalid argument|Read-only file system)$"#;
    Regex::new(text).is_ok_and(|pattern| pattern.is_match(stderr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_setting_stands_in_its_file_once() {
        let module: Sysctl =
            serde_json::from_value(json!({"name": "a.b", "value": "yes"})).expect("arguments");
        assert_eq!(module.value(), "1");
        let text = "# c\na.b = 0\nx.y=2\na.b=3\n";
        assert_eq!(setting(text, "a.b").as_deref(), Some("3"));
        assert_eq!(module.with_setting(text, "a.b", "1"), "# c\na.b=1\nx.y=2\n");
        assert_eq!(module.with_setting("", "a.b", "1"), "a.b=1\n");
        let module = Sysctl { state: State::Absent, ..module };
        assert_eq!(module.with_setting(text, "a.b", ""), "# c\nx.y=2\n");
    }

    #[test]
    fn check_mode_says_what_the_kernel_would_get() {
        if Path::new("/proc/sys/kernel/ostype").exists()
            && tools::find(&Context::default(), "sysctl").is_some()
        {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("f");
            fs::write(&file, "kernel.ostype=Linux\n").expect("written");
            let run = |value: &str| {
                let arguments =
                    json!({"name": "kernel.ostype", "value": value, "sysctl_file": file});
                let context = Context { check: true, ..Context::default() };
                let module: Sysctl = serde_json::from_value(arguments).expect("arguments");
                module.run(&context).expect("checked").changed
            };
            assert!(!run("Linux") && run("Other"));
        }
    }
}
