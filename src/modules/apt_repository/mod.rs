//! `apt_repository`: lines of apt's lists of sources.

mod ppa;
mod sources;

use std::collections::BTreeMap;
use std::fs;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::apt::cache;
use super::args::{Flag, Number, Text};
use super::mode::Mode;
use super::{Context, Diff, Failure, Module, Outcome};
use ppa::Ppa;
use sources::{Sources, without_extra_blanks};

/// Adds or removes a source of packages.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AptRepository {
    /// A line of sources.list, or `ppa:owner/name`.
    repo: Text,
    #[serde(default)]
    state: State,
    /// The mode of a new file.
    mode: Option<Mode>,
    /// Read the lists of packages when something has changed.
    #[serde(default = "Flag::yes", alias = "update-cache")]
    update_cache: Flag,
    #[serde(default = "five")]
    update_cache_retries: Number,
    /// Taken for compatibility: pauses grow to twelve seconds.
    #[serde(rename = "update_cache_retry_max_delay")]
    _update_cache_retry_max_delay: Option<Number>,
    /// The name of a new file, without `.list`.
    filename: Option<Text>,
    /// Taken for compatibility: no Python is needed.
    #[serde(rename = "install_python_apt")]
    _install_python_apt: Option<Flag>,
    #[serde(default = "Flag::yes")]
    validate_certs: Flag,
    /// The distribution's, for a PPA.
    codename: Option<Text>,
}

fn five() -> Number {
    Number(5)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for AptRepository {
    const NAME: &'static str = "apt_repository";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if self.repo.0.is_empty() {
            return Err(Failure::new("Please set argument 'repo' to a non-empty value"));
        }
        let mut sources = Sources::read(context)?;
        let before = sources.texts();
        let new = match self.state {
            State::Present => self.add(&mut sources, context)?,
            State::Absent => {
                sources.remove(&self.line()?);
                None
            }
        };
        let after = sources.texts();
        let changed = before != after;
        let only_in = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
            let names = one.keys().filter(|name| !other.contains_key(*name));
            names.cloned().collect::<Vec<_>>()
        };
        let (added, removed) = (only_in(&after, &before), only_in(&before, &after));
        let mut outcome = Outcome::changed(changed)
            .with("repo", self.repo.0.clone())
            .with("state", if self.state == State::Present { "present" } else { "absent" })
            .with("sources_added", json!(added))
            .with("sources_removed", json!(removed));
        if context.diff {
            for name in added.iter().chain(&removed) {
                outcome = outcome.with_diff(diff(name, &before, &after));
            }
        }
        if changed && !context.check {
            sources.write(new.as_deref(), self.mode.as_ref())?;
            if self.update_cache.0 {
                self.update(&before, &after, context)?;
            }
        }
        Ok(outcome)
    }
}

fn diff(name: &str, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Diff {
    let header = |texts: &BTreeMap<String, String>| match texts.contains_key(name) {
        true => name.to_owned(),
        false => "/dev/null".to_owned(),
    };
    Diff {
        before_header: header(before),
        after_header: header(after),
        before: before.get(name).cloned().unwrap_or_default().into(),
        after: after.get(name).cloned().unwrap_or_default().into(),
        ..Diff::default()
    }
}

impl AptRepository {
    fn ppa(&self) -> Option<Ppa> {
        Ppa::read(&self.repo.0, self.codename.as_ref().map(|name| name.0.as_str()))
    }

    /// The line as it stands in a file.
    fn line(&self) -> Result<String, Failure> {
        if let Some(ppa) = self.ppa() {
            return Ok(ppa.line());
        }
        without_extra_blanks(&self.repo.0).ok_or_else(|| {
            Failure::new(format!("Invalid repository string: {}", self.repo.0.trim()))
        })
    }

    /// Adds the line; gives the file that it is new in.
    fn add(&self, sources: &mut Sources, context: &Context) -> Result<Option<String>, Failure> {
        let line = self.line()?;
        let name = match self.ppa() {
            Some(_) if sources.has(&line) => return Ok(None),
            Some(ppa) => {
                ppa.trust(self.validate_certs.0, context)?;
                ppa.file_name()
            }
            None => file_name(&line),
        };
        let name = self.filename.as_ref().map_or(name, |name| name.0.clone());
        Ok(sources.add(&line, &format!("{name}.list")))
    }

    /// Reads the lists of packages; what cannot be read is taken back.
    fn update(
        &self,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
        context: &Context,
    ) -> Result<(), Failure> {
        let retries = self.update_cache_retries.0.max(1);
        let Err(failure) = cache::update(context, 60, retries - 1) else { return Ok(()) };
        for name in after.keys().filter(|name| !before.contains_key(*name)) {
            let _ = fs::remove_file(name);
        }
        for (name, text) in before.iter().filter(|(name, text)| after.get(*name) != Some(*text)) {
            let _ = fs::write(name, text);
        }
        let why = failure.result.get("stderr").and_then(|text| text.as_str()).unwrap_or_default();
        let msg = format!("Failed to update apt cache after {retries} retries: {}", why.trim());
        Err(Failure { msg, ..failure })
    }
}

/// A name for a source's file, made of its address.
fn file_name(line: &str) -> String {
    let mut bare = String::new();
    let mut in_options = false;
    for c in line.chars() {
        match c {
            '[' => in_options = true,
            ']' => in_options = false,
            c if !in_options => bare.push(c),
            _ => {}
        }
    }
    let words = bare.split_whitespace().filter(|word| !matches!(*word, "deb" | "deb-src"));
    let address = words.map(|word| word.split_once("://").map_or(word, |(_, rest)| rest)).next();
    let address = address.unwrap_or_default();
    let address = address.split_once('@').map_or(address, |(_, rest)| rest);
    let parts = address.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_the_address() {
        for (line, name) in [
            ("deb http://deb.example.org/debian stable main", "deb_example_org_debian"),
            ("deb [arch=amd64 signed-by=/a/b.gpg] https://u:p@x.io/apt/ ./", "x_io_apt"),
        ] {
            assert_eq!(file_name(line), name);
        }
    }

    #[test]
    fn what_is_no_source_is_refused() {
        let module: AptRepository =
            serde_json::from_value(json!({"repo": "nonsense"})).expect("arguments");
        let msg = module.line().expect_err("refused").msg;
        assert_eq!(msg, "Invalid repository string: nonsense");
    }
}
