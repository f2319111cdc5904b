//! Patterns that select hosts: names, groups, `*`, `~regex`, `a:b`, `a:!b`, `a:&b`, `g[0]`.

use std::path::Path;

use fancy_regex::Regex;
use indexmap::IndexSet;

use super::Inventory;
use super::data::is_localhost;
use super::reading::Mismatch;
use crate::python_regex::{self, Flags};
use crate::source::{Error, suggest};

/// The hosts that a subscript keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Subscript {
    At(i64),
    /// Both ends included; to the last one without an end.
    Range(usize, Option<usize>),
}

impl Inventory {
    /// The hosts that a pattern selects, in the order of the pattern and of the
    /// inventory; and what is to be warned of.
    pub fn select(&self, pattern: &str) -> Result<(Vec<String>, Vec<String>), Error> {
        let mut warnings = Vec::new();
        let hosts = self.evaluate(split(pattern), &mut warnings)?;
        Ok((hosts.into_iter().collect(), warnings))
    }

    /// Those of `hosts` that `--limit` selects.
    pub fn limit(&self, hosts: Vec<String>, limit: &str) -> Result<Vec<String>, Error> {
        // What the limit names in vain was warned of when it was checked.
        let selected = self.evaluate(limit_patterns(limit)?, &mut Vec::new())?;
        Ok(hosts.into_iter().filter(|host| selected.contains(host)).collect())
    }

    /// All hosts that a limit leaves, and what is to be warned of.
    pub fn limited(&self, limit: &str) -> Result<(Vec<String>, Vec<String>), Error> {
        let mut warnings = Vec::new();
        let selected = self.evaluate(limit_patterns(limit)?, &mut warnings)?;
        Ok((selected.into_iter().collect(), warnings))
    }

    /// Whether a limit leaves any host at all; returns what is to be warned of.
    pub fn check_limit(&self, limit: &str) -> Result<Vec<String>, Error> {
        let (selected, warnings) = self.limited(limit)?;
        let left = selected.iter().any(|host| self.hosts.contains_key(host));
        if !left && !self.hosts.is_empty() {
            let mut error = Error::new(
                "Specified inventory, host pattern and/or --limit leaves us with no hosts to target.",
            );
            if !warnings.is_empty() {
                error = error.with_help(warnings.join("; "));
            }
            return Err(error);
        }
        Ok(warnings)
    }

    fn evaluate(
        &self,
        patterns: Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Result<IndexSet<String>, Error> {
        let (mut add, mut keep, mut drop) = (Vec::new(), Vec::new(), Vec::new());
        for pattern in &patterns {
            match pattern.chars().next() {
                Some('!') => drop.push(pattern.trim_start_matches(['!', '&'])),
                Some('&') => keep.push(pattern.trim_start_matches(['!', '&'])),
                Some(_) => add.push(pattern.as_str()),
                None => {}
            }
        }
        if add.is_empty() {
            add.push("all");
        }
        let mut hosts = IndexSet::new();
        for pattern in add {
            hosts.extend(self.matches(pattern, warnings)?);
        }
        for pattern in keep {
            let kept: IndexSet<String> = self.matches(pattern, warnings)?.into_iter().collect();
            hosts.retain(|host| kept.contains(host));
        }
        for pattern in drop {
            let dropped: IndexSet<String> = self.matches(pattern, warnings)?.into_iter().collect();
            hosts.retain(|host| !dropped.contains(host));
        }
        Ok(hosts)
    }

    /// The hosts of one pattern without `:`, `!` and `&`.
    fn matches(&self, pattern: &str, warnings: &mut Vec<String>) -> Result<Vec<String>, Error> {
        if self.hosts.contains_key(pattern) {
            return Ok(vec![pattern.to_owned()]);
        }
        let (expression, subscript) = subscript(pattern);
        let hosts = self.named(expression, warnings)?;
        match subscript {
            Some(subscript) if !hosts.is_empty() => apply(&hosts, subscript).ok_or_else(|| {
                Error::new(format!("No hosts matched the subscripted pattern '{pattern}'"))
                    .with_help(format!("'{expression}' has {} hosts, counted from 0", hosts.len()))
            }),
            _ => Ok(hosts),
        }
    }

    fn named(&self, pattern: &str, warnings: &mut Vec<String>) -> Result<Vec<String>, Error> {
        let matcher = Matcher::new(pattern)?;
        let groups: Vec<&String> =
            self.groups.keys().filter(|name| matcher.matches(name)).collect();
        let mut found: IndexSet<String> =
            groups.iter().flat_map(|name| self.group_hosts(name)).collect();
        if groups.is_empty() || pattern.contains(['~', '.', '?', '*', '[']) {
            found.extend(self.hosts.keys().filter(|name| matcher.matches(name)).cloned());
        }
        if found.is_empty() && is_localhost(pattern) {
            found.insert(pattern.to_owned());
        }
        if found.is_empty() && groups.is_empty() && pattern != "all" {
            match self.mismatch {
                Mismatch::Warning => warnings.push(self.unmatched(pattern)),
                Mismatch::Error => return Err(Error::new(self.unmatched(pattern))),
                Mismatch::Ignore => {}
            }
        }
        Ok(found.into_iter().collect())
    }

    fn unmatched(&self, pattern: &str) -> String {
        let known = self.groups.keys().chain(self.hosts.keys()).map(String::as_str);
        let text = format!("Could not match supplied host pattern, ignoring: {pattern}");
        match suggest(pattern, known) {
            Some(nearest) => format!("{text} (did you mean '{nearest}'?)"),
            None => text,
        }
    }
}

/// What names are held against.
enum Matcher {
    Regex(Regex),
    Name(String),
}

impl Matcher {
    fn new(pattern: &str) -> Result<Self, Error> {
        let flags = Flags { anchored: true, ..Flags::default() };
        let regex = match pattern.strip_prefix('~') {
            Some(regex) => python_regex::compile(regex, flags),
            None if pattern.contains(['*', '?', '[']) => {
                python_regex::compile(&glob(pattern), flags)
            }
            None => return Ok(Self::Name(pattern.to_owned())),
        };
        let regex = regex.map_err(|reason| {
            // Where it is, it says of the pattern as it was translated.
            let reason = reason.rsplit(['\n', ':']).next().unwrap_or_default().trim().to_owned();
            Error::new(format!("Invalid host list pattern: {pattern}")).with_help(reason)
        })?;
        Ok(Self::Regex(regex))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(name).unwrap_or(false),
            Self::Name(pattern) => pattern == name,
        }
    }
}

/// A shell's wildcards as a regular expression.
fn glob(pattern: &str) -> String {
    let mut regex = "^(?s:".to_owned();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => match rest.get(1..).and_then(|inner| inner.find(']')) {
                Some(end) => {
                    let (class, after) = rest.split_at(end + 1);
                    let (not, class) = match class.strip_prefix('!') {
                        Some(class) => ("^", class),
                        None => ("", class),
                    };
                    let class = class.replace('\\', "\\\\").replace('[', "\\[");
                    regex.push_str(&format!("[{not}{class}]"));
                    rest = after.get(1..).unwrap_or_default();
                }
                None => regex.push_str("\\["),
            },
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push_str(")$");
    regex
}

/// Cuts a pattern at its commas, or at colons that are neither in brackets nor before
/// a port or in an IPv6 address.
fn split(pattern: &str) -> Vec<String> {
    let parts: Vec<&str> = if pattern.contains(',') {
        pattern.split(',').collect()
    } else if pattern.parse::<std::net::Ipv6Addr>().is_ok() {
        vec![pattern]
    } else {
        split_at_colons(pattern)
    };
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn split_at_colons(pattern: &str) -> Vec<&str> {
    let mut depth = 0usize;
    pattern
        .split(|c: char| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && (c == ':' || c.is_whitespace())
        })
        .collect()
}

/// The patterns of a limit; `@file` stands for the lines of that file.
fn limit_patterns(limit: &str) -> Result<Vec<String>, Error> {
    let mut patterns = Vec::new();
    for pattern in split(limit) {
        match pattern.strip_prefix('@') {
            None => patterns.push(pattern),
            Some(file) if Path::new(file).is_dir() => {
                return Err(Error::new(format!(
                    "Limit starting with \"@\" must be a file, not a directory: {file}"
                )));
            }
            Some(file) => {
                let text = std::fs::read_to_string(Path::new(file)).map_err(|error| {
                    Error::new(format!("Unable to find limit file {file}: {error}"))
                })?;
                let lines = text.lines().map(str::trim);
                patterns.extend(
                    lines.filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned),
                );
            }
        }
    }
    Ok(patterns)
}

/// `g[0]`, `g[-1]`, `g[1:]`, `g[0:2]`; other brackets belong to a wildcard.
fn subscript(pattern: &str) -> (&str, Option<Subscript>) {
    let parsed = || {
        if pattern.starts_with('~') {
            return None;
        }
        let (expression, inner) = pattern.strip_suffix(']')?.rsplit_once('[')?;
        // `[1-2]` is how ranges were written once.
        let range =
            inner.split_once(':').or_else(|| inner.split_once('-').filter(|r| !r.0.is_empty()));
        let subscript = match range {
            None => Subscript::At(inner.parse().ok()?),
            Some((start, "")) => Subscript::Range(start.parse().ok()?, None),
            Some((start, end)) => Subscript::Range(start.parse().ok()?, Some(end.parse().ok()?)),
        };
        (!expression.is_empty()).then_some((expression, subscript))
    };
    match parsed() {
        Some((expression, subscript)) => (expression, Some(subscript)),
        None => (pattern, None),
    }
}

fn apply(hosts: &[String], subscript: Subscript) -> Option<Vec<String>> {
    match subscript {
        Subscript::At(index) => {
            let index = if index < 0 {
                hosts.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
            } else {
                usize::try_from(index).ok()?
            };
            hosts.get(index).map(|host| vec![host.clone()])
        }
        Subscript::Range(start, end) => {
            let end = end.map_or(hosts.len(), |end| hosts.len().min(end.saturating_add(1)));
            Some(hosts.get(start..end.max(start)).unwrap_or_default().to_vec())
        }
    }
}
