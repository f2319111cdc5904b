//! `is version(…)`: the orders of loose, strict, semantic and PEP 440 versions.

use std::cmp::Ordering;

use super::super::call::{Call, Plugin};
use super::super::filters::{Flags, compile};
use super::super::{TemplateError, Value, python};

pub const TESTS: &[Plugin] = &[
    Plugin::new("version", PARAMETERS, version),
    Plugin::new("version_compare", PARAMETERS, version),
];

const PARAMETERS: &[&str] = &["value", "version", "operator", "strict", "version_type"];

type Order = fn(&str, &str) -> Result<Ordering, String>;

fn version(call: &mut Call) -> Result<Value, TemplateError> {
    let (value, version) = (call.value()?, call.need("version")?);
    let kind = call.some("version_type").map(python::text);
    if call.some("strict").is_some() && kind.is_some() {
        return Err(TemplateError::new("Cannot specify both 'strict' and 'version_type'"));
    }
    if !value.is_true() {
        return Err(TemplateError::new("Input version value cannot be empty"));
    }
    if !version.is_true() {
        return Err(TemplateError::new("Version parameter to compare against cannot be empty"));
    }
    let order: Order = match kind.as_deref() {
        None if call.truth("strict", false) => strict,
        None | Some("loose") => loose,
        Some("strict") => strict,
        Some("semver" | "semantic") => semantic,
        Some("pep440") => pep440,
        Some(other) => {
            return Err(TemplateError::new(format!(
                "Invalid version type ({other}). Must be one of 'loose', 'strict', 'semver', 'semantic', 'pep440'"
            )));
        }
    };
    let holds: fn(Ordering) -> bool = match call.text_or("operator", "eq").as_str() {
        "==" | "=" | "eq" => Ordering::is_eq,
        "<" | "lt" => Ordering::is_lt,
        "<=" | "le" => Ordering::is_le,
        ">" | "gt" => Ordering::is_gt,
        ">=" | "ge" => Ordering::is_ge,
        "!=" | "<>" | "ne" => Ordering::is_ne,
        other => {
            return Err(TemplateError::new(format!(
                "Invalid operator type ({other}). Must be one of '==', '=', 'eq', '<', 'lt', '<=', 'le', '>', 'gt', '>=', 'ge', '!=', '<>', 'ne'"
            )));
        }
    };
    order(&python::text(value), &python::text(version))
        .map(|ordering| Value::from(holds(ordering)))
        .map_err(|reason| TemplateError::new(format!("Version comparison failed: {reason}")))
}

/// Numbers and words as they come, compared one by one; a number and a word cannot be.
pub fn loose(a: &str, b: &str) -> Result<Ordering, String> {
    let (a, b) = (loose_parts(a), loose_parts(b));
    for pair in a.iter().zip(&b) {
        let ordering = match pair {
            (Part::Number(a), Part::Number(b)) => a.cmp(b),
            (Part::Word(a), Part::Word(b)) => a.cmp(b),
            (Part::Word(_), Part::Number(_)) => {
                return Err("'<' not supported between instances of 'str' and 'int'".to_owned());
            }
            (Part::Number(_), Part::Word(_)) => {
                return Err("'<' not supported between instances of 'int' and 'str'".to_owned());
            }
        };
        if ordering.is_ne() {
            return Ok(ordering);
        }
    }
    Ok(a.len().cmp(&b.len()))
}

#[derive(Debug, PartialEq)]
enum Part {
    Number(u128),
    Word(String),
}

/// Runs of digits, runs of small letters, and what stands between them, without the dots.
fn loose_parts(version: &str) -> Vec<Part> {
    let class = |c: char| match c {
        '0'..='9' => 0,
        'a'..='z' => 1,
        '.' => 2,
        _ => 3,
    };
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let kind = class(first);
        let end = rest.find(|c| kind == 2 || class(c) != kind).filter(|end| *end > 0);
        let (run, tail) = rest.split_at(end.unwrap_or(if kind == 2 { 1 } else { rest.len() }));
        match (kind, run.parse()) {
            (2, _) => {}
            (0, Ok(number)) => parts.push(Part::Number(number)),
            _ => parts.push(Part::Word(run.to_owned())),
        }
        rest = tail;
    }
    parts
}

/// The groups of a pattern that has to match all of the version.
fn groups(pattern: &str, version: &str) -> Result<Option<Vec<String>>, String> {
    let regex =
        compile(pattern, Flags { anchored: true, ..Flags::default() }).map_err(|e| e.message)?;
    let captures = regex.captures(version).map_err(|error| error.to_string())?;
    Ok(captures.map(|captures| {
        let text = |index| captures.get(index).map_or("", |group| group.as_str()).to_owned();
        (0..captures.len()).map(text).collect()
    }))
}

fn number(text: &str) -> u128 {
    text.parse().unwrap_or_default()
}

/// `N.N[.N][(a|b)N]`
fn strict(a: &str, b: &str) -> Result<Ordering, String> {
    let read = |version: &str| {
        let found = groups(r"(\d+)\.(\d+)(\.(\d+))?([ab](\d+))?\Z", version)?;
        let found = found.ok_or_else(|| format!("invalid version number '{version}'"))?;
        let at = |index: usize| found.get(index).cloned().unwrap_or_default();
        let pre = at(5);
        // No prerelease comes after every prerelease.
        let pre = if pre.is_empty() {
            (1, String::new(), 0)
        } else {
            (0, pre[..1].to_owned(), number(&at(6)))
        };
        Ok::<_, String>(((number(&at(1)), number(&at(2)), number(&at(4))), pre))
    };
    Ok(read(a)?.cmp(&read(b)?))
}

/// Semantic Versioning 2.0; what follows `+` does not count.
fn semantic(a: &str, b: &str) -> Result<Ordering, String> {
    let read = |version: &str| {
        let pattern = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?\Z";
        let found = groups(pattern, version)?;
        let found = found.ok_or_else(|| format!("invalid semantic version '{version}'"))?;
        let at = |index: usize| found.get(index).cloned().unwrap_or_default();
        Ok::<_, String>(((number(&at(1)), number(&at(2)), number(&at(3))), at(4)))
    };
    let ((a, a_pre), (b, b_pre)) = (read(a)?, read(b)?);
    Ok(a.cmp(&b).then_with(|| match (a_pre.is_empty(), b_pre.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => prerelease(&a_pre, &b_pre),
    }))
}

/// Numbers before words, numbers by size, words by letters, fewer before more.
fn prerelease(a: &str, b: &str) -> Ordering {
    let key = |part: &str| match part.parse::<u128>() {
        Ok(number) => (0, number, String::new()),
        Err(_) => (1, 0, part.to_owned()),
    };
    a.split('.').map(key).cmp(b.split('.').map(key))
}

/// Python's own versions: epoch, release, pre, post, dev and local parts.
fn pep440(a: &str, b: &str) -> Result<Ordering, String> {
    Ok(pep440_key(a)?.cmp(&pep440_key(b)?))
}

type Pep440Key = (u128, Vec<u128>, (i8, u128), (i8, u128), (i8, u128), Vec<(i8, u128, String)>);

fn pep440_key(version: &str) -> Result<Pep440Key, String> {
    let pattern = r"\s*v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)([-_.]?(alpha|beta|preview|pre|a|b|c|rc)[-_.]?([0-9]+)?)?((?:-([0-9]+))|(?:[-_.]?(?:post|rev|r)[-_.]?([0-9]+)?))?([-_.]?dev[-_.]?([0-9]+)?)?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*\Z";
    let found = groups(pattern, &version.to_lowercase())?;
    let found = found.ok_or_else(|| format!("Invalid version: '{version}'"))?;
    let at = |index: usize| found.get(index).map_or("", String::as_str);
    let mut release: Vec<u128> = at(2).split('.').map(number).collect();
    while release.last() == Some(&0) {
        release.pop();
    }
    let (has_pre, has_post, has_dev) = (!at(3).is_empty(), !at(6).is_empty(), !at(9).is_empty());
    let pre = match at(4) {
        "a" | "alpha" => (1, number(at(5))),
        "b" | "beta" => (2, number(at(5))),
        _ if has_pre => (3, number(at(5))),
        // A development release of the final version comes before its alphas.
        _ if has_dev && !has_post => (0, 0),
        _ => (4, 0),
    };
    let post = if has_post { (1, number(at(7)).max(number(at(8)))) } else { (0, 0) };
    let dev = if has_dev { (0, number(at(10))) } else { (1, 0) };
    let local = |part: &str| match part.parse() {
        Ok(number) => (1, number, String::new()),
        Err(_) => (0, 0, part.to_owned()),
    };
    let locals = at(11).split(['-', '_', '.']).filter(|part| !part.is_empty()).map(local).collect();
    Ok((number(at(1)), release, pre, post, dev, locals))
}
