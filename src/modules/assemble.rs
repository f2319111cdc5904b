//! `assemble`: a file of all the files in a folder.

use std::fs;
use std::io;
use std::path::Path;

use fancy_regex::Regex;
use md5::Md5;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sha1::Sha1;

use super::args::{Flag, HostPath, Text};
use super::files::{self, Attributes};
use super::mode::Mode;
use super::{Context, Failure, Module, Outcome, pattern, validation};

/// Puts the files of a folder together, in the order of their names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assemble {
    /// The folder.
    src: HostPath,
    dest: HostPath,
    /// What stands between two files.
    delimiter: Option<Text>,
    /// Which files: those whose names this matches.
    regexp: Option<Text>,
    #[serde(default)]
    ignore_hidden: Flag,
    #[serde(default)]
    backup: Flag,
    /// A command that must accept the new file (`%s`).
    validate: Option<Text>,
    /// For the controller's half.
    #[serde(default, rename = "remote_src")]
    _remote_src: Flag,
    /// For the controller's half.
    #[serde(default, rename = "decrypt")]
    _decrypt: Flag,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<Mode>,
}

impl Module for Assemble {
    const NAME: &'static str = "assemble";
    const WRITES_FILES: bool = true;

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let src = &self.src.0;
        if context.check {
            let msg = "remote module (ansible.legacy.assemble) does not support check mode";
            return Ok(Outcome::default().with("skipped", true).with("msg", msg));
        }
        if !src.is_dir() {
            let what = if src.exists() { "is not a directory" } else { "does not exist" };
            return Err(Failure::new(format!("Source ({}) {what}", src.display())));
        }
        let choice = Choice::of(self.delimiter.as_ref(), self.regexp.as_ref(), self.ignore_hidden)?;
        let text = choice
            .assembled(src, |path| fs::read(path))
            .map_err(|error| files::failed("cannot be read", src, &error))?;
        let new = context.scratch.join("assembled");
        fs::write(&new, &text).map_err(|error| files::failed("cannot be written", &new, &error))?;
        let checksum = files::digest_of::<Sha1>(&new).ok();
        let mut outcome = Outcome::default()
            .with("src", src.display().to_string())
            .with("dest", self.dest.display().to_string())
            .with("checksum", checksum.clone())
            .with("md5sum", files::digest_of::<Md5>(&new).ok());
        let old = files::digest_of::<Sha1>(&self.dest).ok();
        if old != checksum {
            outcome = self.validated(outcome, &new, context)?;
            if self.backup.0 && old.is_some() {
                let backup = files::back_up(&self.dest)?.display().to_string();
                outcome = outcome.with("backup_file", backup);
            }
            files::write(&self.dest, &mut text.as_slice(), None, context.unsafe_writes)?;
            outcome.changed = true;
        }
        let (owner, group, mode) = (self.owner.clone(), self.group.clone(), self.mode.clone());
        outcome.changed |= Attributes { owner, group, mode }.apply(&self.dest, false, false)?;
        Ok(files::describe_existing(outcome.with("msg", "OK"), &self.dest))
    }
}

impl Assemble {
    fn validated(
        &self,
        outcome: Outcome,
        path: &Path,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let Some(output) = validation::judged(self.validate.as_ref(), path, context)? else {
            return Ok(outcome);
        };
        if !output.success() {
            return Err(validation::refused(&output));
        }
        let told = json!({"rc": output.rc, "stdout": output.stdout, "stderr": output.stderr});
        Ok(outcome.with("validation", told))
    }
}

/// Which files are taken, and what stands between them.
pub struct Choice {
    delimiter: Vec<u8>,
    regexp: Option<Regex>,
    ignore_hidden: bool,
}

impl Choice {
    pub fn of(
        delimiter: Option<&Text>,
        regexp: Option<&Text>,
        ignore_hidden: Flag,
    ) -> Result<Self, Failure> {
        let regexp = regexp.map(|text| {
            pattern::compile(&text.0, false).map_err(|failure| {
                Failure::new(format!("Invalid Regexp ({}) in \"{}\"", failure.msg, text.0))
            })
        });
        Ok(Self {
            delimiter: delimiter.map(|text| unescaped(&text.0)).unwrap_or_default(),
            regexp: regexp.transpose()?,
            ignore_hidden: ignore_hidden.0,
        })
    }

    /// The text of all files, each on a line of its own.
    pub fn assembled(
        &self,
        folder: &Path,
        read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> io::Result<Vec<u8>> {
        let mut names: Vec<_> = fs::read_dir(folder)?
            .map(|entry| entry.map(|e| e.file_name()))
            .collect::<Result<_, _>>()?;
        names.sort();
        let mut text: Vec<u8> = Vec::new();
        let (mut first, mut open_line) = (true, false);
        for name in names {
            let name = name.to_string_lossy();
            let path = folder.join(&*name);
            let wanted = match &self.regexp {
                Some(regexp) => regexp.is_match(name.as_ref()).unwrap_or(false),
                None => true,
            };
            if !wanted || !path.is_file() || self.ignore_hidden && name.starts_with('.') {
                continue;
            }
            let part = read(&path)?;
            if open_line {
                text.push(b'\n');
            }
            if !first && !self.delimiter.is_empty() {
                text.extend(&self.delimiter);
                end_line(&mut text);
            }
            open_line = !part.ends_with(b"\n");
            text.extend(part);
            first = false;
        }
        Ok(text)
    }
}

fn end_line(text: &mut Vec<u8>) {
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
}

/// `\n`, `\t`, `\\`, `\x41` and the like, as Python reads them.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend(c.to_string().into_bytes());
            continue;
        }
        match rest.next() {
            Some('n') => bytes.push(b'\n'),
            Some('t') => bytes.push(b'\t'),
            Some('r') => bytes.push(b'\r'),
            Some('\\') => bytes.push(b'\\'),
            Some('x') => {
                let code: String = rest.by_ref().take(2).collect();
                bytes.extend(u8::from_str_radix(&code, 16).ok());
            }
            Some(other) => bytes.extend(format!("\\{other}").into_bytes()),
            None => bytes.push(b'\\'),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembled(files: &[(&str, &str)], choice: Choice) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let text = choice.assembled(folder.path(), |path| fs::read(path)).expect("assembled");
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn parts_stand_on_lines_of_their_own_in_the_order_of_names() {
        let files = [("2", "b"), ("1", "a"), (".0", "hidden"), ("3", "c\n")];
        let choice = |regexp: Option<&str>, delimiter: Option<&str>| {
            let text = |text: Option<&str>| text.map(|text| Text(text.to_owned()));
            Choice::of(text(delimiter).as_ref(), text(regexp).as_ref(), Flag(true))
                .expect("a choice")
        };
        assert_eq!(assembled(&files, choice(None, None)), "a\nb\nc\n");
        assert_eq!(assembled(&files, choice(Some("^[13]"), Some("--"))), "a\n--\nc\n");
        assert_eq!(assembled(&files, choice(None, Some("#\\n"))), "a\n#\nb\n#\nc\n");
    }
}
