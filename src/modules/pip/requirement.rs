//! Packages with the versions that are wanted of them.

use std::cmp::Ordering;

/// `name[extra]>=1,<2`, or an address or a path, which stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    text: String,
    /// The name as all of its spellings have it; none for an address.
    name: Option<String>,
    versions: Vec<(String, String)>,
}

const OPERATORS: [&str; 8] = ["===", "==", "!=", ">=", "<=", "~=", ">", "<"];

/// Texts with commas in one-package pieces: what begins with an operator goes with the
/// package before it, and so does what is in brackets.
pub fn names(given: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut in_brackets = false;
    for part in given.iter().flat_map(|text| text.split(',')) {
        let goes_on = in_brackets || OPERATORS.iter().any(|o| part.trim_start().starts_with(o));
        match found.last_mut().filter(|_| goes_on) {
            Some(last) => *last = format!("{last},{part}"),
            None => found.push(part.to_owned()),
        }
        if part.contains('[') {
            in_brackets = true;
        }
        if part.contains(']') {
            in_brackets = false;
        }
    }
    found
}

impl Requirement {
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((_, rest)) => rest,
            None => rest,
        };
        let bare = rest.split(';').next().unwrap_or_default().trim();
        let bare = bare.trim_start_matches('(').trim_end_matches(')');
        let versions: Option<Vec<_>> = bare
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(version_of)
            .collect();
        let Some(versions) = versions.filter(|_| !name.is_empty()) else {
            return Self { text: text.to_owned(), name: None, versions: Vec::new() };
        };
        Self { text: text.to_owned(), name: Some(canonical(name)), versions }
    }

    pub fn text(&self) -> String {
        match self.name {
            Some(_) => self.text.split_whitespace().collect(),
            None => self.text.clone(),
        }
    }

    pub fn has_version(&self) -> bool {
        !self.versions.is_empty()
    }

    /// A number is the version; anything else says which.
    pub fn with_version(&self, version: &str) -> Self {
        let version = version.trim_start();
        let equal = if version.starts_with(|c: char| c.is_ascii_digit()) { "==" } else { "" };
        Self::read(&format!("{}{equal}{version}", self.text))
    }

    pub fn is_met_by(&self, name: &str, version: &str) -> bool {
        self.name.as_deref() == Some(&canonical(name))
            && self.versions.iter().all(|(operator, wanted)| holds(version, operator, wanted))
    }
}

fn version_of(part: &str) -> Option<(String, String)> {
    let operator = OPERATORS.iter().find(|operator| part.starts_with(**operator))?;
    Some(((*operator).to_owned(), part.get(operator.len()..)?.trim().to_owned()))
}

/// `My_Package` and `my-package` are the same.
fn canonical(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' => {
                if !text.ends_with('-') {
                    text.push('-');
                }
            }
            c => text.push(c.to_ascii_lowercase()),
        }
    }
    text
}

fn holds(version: &str, operator: &str, wanted: &str) -> bool {
    let starts = |prefix: &str| {
        let (all, start) = (key(version), key(prefix));
        all.iter().chain(std::iter::repeat(&Part::Number(0))).zip(&start).all(|(a, b)| a == b)
    };
    let order = || compare(version, wanted);
    match operator {
        "===" => version == wanted,
        "==" => match wanted.strip_suffix(".*") {
            Some(prefix) => starts(prefix),
            None => order() == Ordering::Equal,
        },
        "!=" => match wanted.strip_suffix(".*") {
            Some(prefix) => !starts(prefix),
            None => order() != Ordering::Equal,
        },
        ">=" => order() != Ordering::Less,
        "<=" => order() != Ordering::Greater,
        ">" => order() == Ordering::Greater,
        "<" => order() == Ordering::Less,
        _ => {
            let prefix = wanted.rsplit_once('.').map_or(wanted, |(prefix, _)| prefix);
            order() != Ordering::Less && starts(prefix)
        }
    }
}

/// A part of a version; what comes before a release is less than nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Before(String),
    Number(u64),
    After(String),
}

fn key(version: &str) -> Vec<Part> {
    let version = version.trim().trim_start_matches(['v', 'V']);
    let version = version.split('+').next().unwrap_or_default();
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let letters = first.is_ascii_alphabetic();
        let same = |c: char| {
            if digits {
                c.is_ascii_digit()
            } else {
                c.is_ascii_alphabetic() == letters && !c.is_ascii_digit()
            }
        };
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let (part, more) = rest.split_at(end);
        rest = more;
        match (digits, part) {
            (true, number) => parts.push(Part::Number(number.parse().unwrap_or(u64::MAX))),
            (false, "post" | "rev" | "r") => parts.push(Part::After("post".to_owned())),
            (false, word) if letters => parts.push(Part::Before(word.to_ascii_lowercase())),
            (false, _) => {}
        }
    }
    parts
}

fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (key(one), key(other));
    let nothing = Part::Number(0);
    (0..one.len().max(other.len()))
        .map(|at| one.get(at).unwrap_or(&nothing).cmp(other.get(at).unwrap_or(&nothing)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_put_to_the_package_before_them() {
        let given = ["django>1.11.1", "<1.11.3", "ipaddress,x[a,b]>=1", "<2"].map(str::to_owned);
        assert_eq!(names(&given), ["django>1.11.1,<1.11.3", "ipaddress", "x[a,b]>=1,<2"]);
    }

    #[test]
    fn a_version_meets_what_is_wanted_or_not() {
        for (wanted, version, met) in [
            ("My_Pkg", "1", true),
            ("my.pkg==1.0", "1.0.0", true),
            ("my-pkg>=1.2,<2", "1.10", true),
            ("my-pkg>=1.2,<2", "2.0", false),
            ("my-pkg==1.*", "1.9.3", true),
            ("my-pkg~=1.4.2", "1.4.9", true),
            ("my-pkg~=1.4.2", "1.5", false),
            ("my-pkg<2", "2.0rc1", true),
            ("my-pkg!=1.1", "1.1", false),
        ] {
            assert_eq!(
                Requirement::read(wanted).is_met_by("my-pkg", version),
                met,
                "{wanted} {version}"
            );
        }
        assert!(!Requirement::read("other").is_met_by("my-pkg", "1"));
    }

    #[test]
    fn addresses_and_paths_stay() {
        for text in ["git+https://h/r.git#egg=r", "./here", "https://h/a.whl"] {
            assert_eq!(Requirement::read(text).text(), text);
        }
        assert_eq!(Requirement::read("a").with_version("1.0").text(), "a==1.0");
        assert_eq!(Requirement::read("a").with_version(">= 1").text(), "a>=1");
    }
}
