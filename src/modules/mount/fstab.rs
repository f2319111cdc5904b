//! The table of file systems.

use std::fs;
use std::path::Path;

use super::super::{Failure, files};

/// A line of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub src: String,
    pub name: String,
    pub fstype: String,
    pub opts: String,
    pub dump: String,
    pub passno: String,
}

impl Entry {
    fn read(line: &str) -> Option<Self> {
        if line.trim_start().starts_with('#') {
            return None;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        let field = |at: usize| fields.get(at).map(|field| (*field).to_owned());
        let number = |at: usize| field(at).unwrap_or_else(|| "0".to_owned());
        (4..=6).contains(&fields.len()).then_some(())?;
        Some(Self {
            src: field(0)?,
            name: field(1)?,
            fstype: field(2)?,
            opts: field(3)?,
            dump: number(4),
            passno: number(5),
        })
    }

    /// As it is written: blanks and the like by their numbers.
    fn escaped(&self) -> Self {
        let escape =
            |text: &String| text.replace('\\', "\\134").replace(' ', "\\040").replace('&', "\\046");
        Self {
            src: escape(&self.src),
            name: escape(&self.name),
            fstype: escape(&self.fstype),
            opts: escape(&self.opts),
            dump: escape(&self.dump),
            passno: escape(&self.passno),
        }
    }

    fn line(&self) -> String {
        let Self { src, name, fstype, opts, dump, passno } = self;
        format!("{src} {name} {fstype} {opts} {dump} {passno}\n")
    }

    /// Whether a line is of the same folder; swap has none, and is told by its source.
    fn is_of(&self, wanted: &Self, with_source: bool) -> bool {
        let other_swap = self.name == "none" && self.fstype == "swap" && self.src != wanted.src;
        self.name == wanted.name && !(with_source && other_swap)
    }
}

pub struct Fstab(Vec<String>);

impl Fstab {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path)
            .map_err(|error| files::failed("cannot be read", path, &error))?;
        Ok(Self(text.split_inclusive('\n').map(str::to_owned).collect()))
    }

    pub fn text(&self) -> String {
        self.0.concat()
    }

    /// Sets the line of a folder; true if it was another one.
    pub fn set(&mut self, entry: &Entry) -> bool {
        let wanted = entry.escaped();
        let (mut there, mut changed) = (false, false);
        for line in &mut self.0 {
            let Some(old) = Entry::read(line).filter(|old| old.is_of(&wanted, true)) else {
                continue;
            };
            there = true;
            if old != wanted {
                *line = wanted.line();
                changed = true;
            }
        }
        if !there {
            if let Some(last) = self.0.last_mut().filter(|last| !last.ends_with('\n')) {
                last.push('\n');
            }
            self.0.push(wanted.line());
        }
        changed || !there
    }

    /// Removes the line of a folder; true if there was one.
    pub fn unset(&mut self, entry: &Entry, with_source: bool) -> bool {
        let wanted = entry.escaped();
        let before = self.0.len();
        self.0.retain(|line| !Entry::read(line).is_some_and(|old| old.is_of(&wanted, with_source)));
        self.0.len() != before
    }
}
