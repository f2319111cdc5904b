//! `timezone`: where the host's clock is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::args::Text;
use super::{Context, Failure, Module, Outcome, files, tools};
use crate::source;

/// Sets the time zone, and whether the hardware clock is in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timezone {
    /// `Europe/Berlin`
    name: Option<Text>,
    #[serde(alias = "rtc")]
    hwclock: Option<Clock>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
enum Clock {
    #[serde(rename = "local")]
    Local,
    #[serde(rename = "UTC")]
    Utc,
}

impl Clock {
    fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Utc => "UTC",
        }
    }
}

/// What the host has, and what it is to have.
struct State {
    name: Option<String>,
    hwclock: Option<String>,
}

impl Module for Timezone {
    const NAME: &'static str = "timezone";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if self.name.is_none() && self.hwclock.is_none() {
            return Err(Failure::new("one of the following is required: hwclock, name"));
        }
        if let Some(name) = &self.name
            && !zone_file(&name.0).is_file()
        {
            return Err(abort(&format!("given timezone \"{}\" is not available", name.0)));
        }
        let host = Host::of(context)?;
        let before = self.state(&host, context)?;
        let after = State {
            name: self.name.as_ref().map(|name| name.0.clone()),
            hwclock: self.hwclock.map(|clock| clock.word().to_owned()),
        };
        let mut done = Vec::new();
        if !context.check {
            if after.name != before.name
                && let Some(name) = &after.name
            {
                done.extend(host.set_zone(name, context)?);
            }
            if after.hwclock != before.hwclock
                && let Some(clock) = self.hwclock
            {
                done.push(host.set_clock(clock, context)?);
            }
            let now = self.state(&host, context)?;
            if now.name != after.name || now.hwclock != after.hwclock {
                return Err(abort("still not desired state, though changes have made"));
            }
        }
        let changed = before.name != after.name || before.hwclock != after.hwclock;
        let mut outcome = Outcome::changed(changed);
        if !done.is_empty() {
            outcome = outcome.with("msg", done.join("\n"));
        }
        let diff = json!({"before": before.shown(), "after": after.shown()});
        Ok(outcome.with("diff", diff))
    }
}

impl State {
    fn shown(&self) -> Map<String, Json> {
        let fields = [("hwclock", &self.hwclock), ("name", &self.name)];
        let fields = fields
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?))));
        fields.collect()
    }
}

impl Timezone {
    fn state(&self, host: &Host, context: &Context) -> Result<State, Failure> {
        Ok(State {
            name: self.name.as_ref().map(|_| host.zone(context)).transpose()?,
            hwclock: self.hwclock.map(|_| host.clock(context)).transpose()?,
        })
    }
}

fn zone_file(name: &str) -> PathBuf {
    Path::new("/usr/share/zoneinfo").join(name)
}

fn abort(why: &str) -> Failure {
    Failure::new(format!("Error message:\n{why}"))
}

/// How the host keeps its zone.
enum Host {
    /// By timedatectl.
    Systemd,
    /// By a link, and the file /etc/timezone beside it.
    Files,
}

impl Host {
    fn of(context: &Context) -> Result<Self, Failure> {
        if tools::find(context, "timedatectl").is_some()
            && tools::command(context, "timedatectl")?.run()?.success()
        {
            return Ok(Self::Systemd);
        }
        Ok(Self::Files)
    }

    fn zone(&self, context: &Context) -> Result<String, Failure> {
        match self {
            Self::Systemd => status(context, r"(?m)^\s*Time ?zone\s*:\s*([^\s]+)"),
            Self::Files => {
                let link = fs::read_link("/etc/localtime").ok();
                let of_link = link.and_then(|link| {
                    let text = link.to_string_lossy().into_owned();
                    text.split_once("zoneinfo/").map(|(_, name)| name.to_owned())
                });
                let written = fs::read_to_string("/etc/timezone").unwrap_or_default();
                let written = written.split_whitespace().next().map(str::to_owned);
                Ok(of_link.or(written).unwrap_or_else(|| "n/a".to_owned()))
            }
        }
    }

    fn clock(&self, context: &Context) -> Result<String, Failure> {
        let local = match self {
            Self::Systemd => {
                let answer = status(context, r"(?m)^\s*RTC in local TZ\s*:\s*([^\s]+)")?;
                source::boolean(&answer).unwrap_or(false)
            }
            Self::Files => fs::read_to_string("/etc/adjtime")
                .is_ok_and(|text| text.lines().any(|line| line == "LOCAL")),
        };
        Ok(if local { Clock::Local } else { Clock::Utc }.word().to_owned())
    }

    fn set_zone(&self, name: &str, context: &Context) -> Result<Vec<String>, Failure> {
        match self {
            Self::Systemd => Ok(vec![execute(context, &["timedatectl", "set-timezone", name])?]),
            Self::Files => {
                let (link, file) = (Path::new("/etc/localtime"), zone_file(name));
                let new = Path::new("/etc/.localtime.kup-play");
                let _ = fs::remove_file(new);
                symlink(&file, new)
                    .and_then(|()| fs::rename(new, link))
                    .map_err(|error| files::failed("cannot be made", link, &error))?;
                let mut done = vec![format!("linked /etc/localtime to {}", file.display())];
                let written = Path::new("/etc/timezone");
                if written.exists() || tools::find(context, "dpkg-reconfigure").is_some() {
                    files::write(written, &mut format!("{name}\n").as_bytes(), None, true)?;
                    done.push(format!(
                        "Added 1 line and deleted 1 line(s) on {}",
                        written.display()
                    ));
                }
                Ok(done)
            }
        }
    }

    fn set_clock(&self, clock: Clock, context: &Context) -> Result<String, Failure> {
        match (self, clock) {
            (Self::Systemd, Clock::Local) => {
                execute(context, &["timedatectl", "set-local-rtc", "yes"])
            }
            (Self::Systemd, Clock::Utc) => {
                execute(context, &["timedatectl", "set-local-rtc", "no"])
            }
            (Self::Files, Clock::Local) => {
                execute(context, &["hwclock", "--systohc", "--localtime"])
            }
            (Self::Files, Clock::Utc) => execute(context, &["hwclock", "--systohc", "--utc"]),
        }
    }
}

fn status(context: &Context, pattern: &str) -> Result<String, Failure> {
    let output = tools::command(context, "timedatectl")?.arg("status").run()?;
    let pattern = Regex::new(pattern).map_err(|error| Failure::new(error.to_string()))?;
    let found = pattern.captures(&output.stdout).and_then(|found| found.get(1));
    found
        .map(|found| found.as_str().to_owned())
        .ok_or_else(|| abort(&format!("timedatectl does not say it: {}", output.stdout)))
}

fn execute(context: &Context, words: &[&str]) -> Result<String, Failure> {
    let (program, arguments) = words.split_first().ok_or_else(|| abort("no command"))?;
    let path = tools::program(context, program)?;
    let output = tools::command(context, program)?.args(arguments).run()?;
    if output.success() {
        return Ok(format!("executed `{} {}`", path.display(), arguments.join(" ")));
    }
    Err(Failure::new(output.stderr.clone())
        .with("rc", output.rc)
        .with("stdout", output.stdout)
        .with("stderr", output.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_does_not_exist_is_told() {
        let run = |arguments: Json| {
            let context = Context { check: true, ..Context::default() };
            serde_json::from_value::<Timezone>(arguments).expect("arguments").run(&context)
        };
        let failure = run(json!({"name": "No/Where"})).expect_err("refused");
        assert_eq!(failure.msg, "Error message:\ngiven timezone \"No/Where\" is not available");
        let failure = run(json!({})).expect_err("refused");
        assert_eq!(failure.msg, "one of the following is required: hwclock, name");
    }
}
