//! Our output against Ansible's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use similar::TextDiff;

use crate::case::Output;
use crate::events;

/// How a case is compared (its file `compare`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Event by event.
    Events,
    /// Event by event, each host for itself: the order between hosts is free.
    PerHost,
    /// The printed text.
    Text,
    /// The exit code, and that there is an error message.
    Exit,
}

impl Mode {
    pub fn read(text: &str) -> Self {
        match text {
            "" => Self::Events,
            "per-host" => Self::PerHost,
            "text" => Self::Text,
            "exit" => Self::Exit,
            other => panic!("a case's file `compare` says '{other}'"),
        }
    }
}

/// Compares with 2.18 (`old`) and, where it prints something else, with the current
/// Ansible (`new`): what either says is right.
pub fn outputs(
    mode: Mode,
    ours: &Output,
    old: &Output,
    new: Option<&Output>,
) -> Result<(), String> {
    let mut complaints = String::new();
    if ours.exit != old.exit && new.is_none_or(|new| ours.exit != new.exit) {
        complaints += &format!("exit code {}, Ansible's is {}\n", ours.exit, old.exit);
    }
    if old.stderr.contains("ERROR") && ours.stderr.trim().is_empty() {
        complaints += "no error is printed\n";
    }
    complaints += &unlike(&ours.stderr, &old.stderr, new.map(|new| new.stderr.as_str()));
    match mode {
        Mode::Exit => {}
        Mode::Text => {
            let read = |output: &Output| events::without_times(&output.stdout);
            let (mine, theirs) = (read(ours), read(old));
            if new.is_none_or(|new| read(new) != mine) {
                complaints += &diff(&theirs, &mine);
            }
        }
        Mode::Events | Mode::PerHost => {
            let read = |output: &Output| {
                let events = events::parse(&output.stdout);
                if mode == Mode::PerHost { events::by_host(&events) } else { events }
            };
            let new = new.map(read);
            complaints += &sequences(&read(ours), &read(old), new.as_deref());
        }
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(format!("{complaints}\nstderr:\n{}\nAnsible's stderr:\n{}", ours.stderr, old.stderr))
    }
}

/// Warnings that are told in another way on purpose, without blanks: errors of inventories
/// name the plugin that the file is for, what no limit selects is in the error's help, doubled
/// keys and unknown handlers are told with their place, and words that are left out are told.
const OWN: &[&str] = &[
    "*Failedtoparse",
    "Unabletoparse",
    "Couldnotmatchsuppliedhostpattern,ignoring:nobody",
    "Couldnotmatchsuppliedhostpattern,ignoring:is_we",
    "Whileconstructingamapping",
    "foundaduplicatedictkey",
    "Therequestedhandler",
    "--extra-vars",
    "CouldnotsortJSONoutput",
];

/// So much of a warning has to be the same: ours go on with places and help.
const BEGINNING: usize = 40;

/// Warnings that both of the references give and we do not, and ours that neither gives.
fn unlike(ours: &str, old: &str, new: Option<&str>) -> String {
    let (mine, old) = (warnings(ours), warnings(old));
    let new = new.map_or_else(|| old.clone(), warnings);
    let missing = old.iter().filter(|text| new.contains(*text) && !mine.contains(*text));
    let surplus = mine.iter().filter(|text| !new.contains(*text) && !old.contains(*text));
    let missing = missing.map(|text| format!("no warning: {text}\n"));
    missing.chain(surplus.map(|text| format!("a warning too much: {text}\n"))).collect()
}

/// The warnings of a run, each without blanks: Ansible breaks lines.
fn warnings(stderr: &str) -> BTreeSet<String> {
    let mut found: Vec<String> = Vec::new();
    let mut within = false;
    for line in stderr.lines() {
        if let Some(text) = line.strip_prefix("[WARNING]: ") {
            found.push(text.split_whitespace().collect());
            within = true;
        } else if line.starts_with('[') || line.starts_with("ERROR") || line.is_empty() {
            within = false;
        } else if within && let Some(last) = found.last_mut() {
            last.extend(line.split_whitespace());
        }
    }
    found.retain(|text| !OWN.iter().any(|own| text.starts_with(own)));
    found.into_iter().map(|text| text.chars().take(BEGINNING).collect()).collect()
}

/// Empty when they agree, else the differences.
fn sequences(ours: &[Json], old: &[Json], new: Option<&[Json]>) -> String {
    let new = new.filter(|new| new.len() == ours.len());
    // The reference with as many events as ours.
    let base = match new {
        Some(new) if old.len() != ours.len() => new,
        _ => old,
    };
    let settled: Vec<Json> = ours
        .iter()
        .enumerate()
        .map(|(at, event)| match base.get(at) {
            Some(expected) if base.len() == ours.len() => {
                settle(event, expected, new.and_then(|new| new.get(at)))
            }
            _ => event.clone(),
        })
        .collect();
    diff(&lines(base), &lines(&settled))
}

/// Our value with every part that one of the references agrees with replaced by the
/// first reference's.
fn settle(ours: &Json, old: &Json, new: Option<&Json>) -> Json {
    if ours == old || new == Some(ours) || same_complaint(ours, old) {
        return old.clone();
    }
    match (ours, old) {
        (Json::Object(mine), Json::Object(theirs)) => {
            let of_new = |key: &str| new.and_then(|new| new.get(key));
            let absent_is_fine = |key: &str| new.is_some() && of_new(key).is_none();
            let mut all: BTreeMap<String, Json> = BTreeMap::new();
            for (key, value) in mine {
                match theirs.get(key) {
                    Some(other) => {
                        all.insert(key.clone(), settle(value, other, of_new(key)));
                    }
                    None if of_new(key).is_some_and(|new| settle(value, new, None) == *new) => {}
                    None => {
                        all.insert(key.clone(), value.clone());
                    }
                }
            }
            for (key, value) in theirs {
                if !mine.contains_key(key) && absent_is_fine(key) {
                    all.insert(key.clone(), value.clone());
                }
            }
            Json::Object(all.into_iter().collect())
        }
        (Json::Array(mine), Json::Array(theirs)) if mine.len() == theirs.len() => mine
            .iter()
            .zip(theirs)
            .enumerate()
            .map(|(at, (value, other))| {
                let new = new.and_then(|new| new.get(at));
                settle(value, other, new)
            })
            .collect(),
        _ => ours.clone(),
    }
}

/// Parts of messages that Ansible words in its own way, and differently from version
/// to version; ours have to name the same thing.
const WORDED: &[&str] = &[
    "The error appears to be in",
    "is undefined",
    "has no attribute",
    "The conditional check",
    "template error",
    "Unsupported parameters",
    "missing required arguments",
    "value of ",
    "Task failed",
    "Unexpected templating",
    "MODULE FAILURE",
    "argument '",
    "Could not find or access",
    "unable to convert",
    "Unable to",
    "Failed to connect to the host via ssh",
    "Invalid become method specified",
    "An unhandled exception occurred while templating",
];

fn same_complaint(ours: &Json, theirs: &Json) -> bool {
    let (Json::String(ours), Json::String(theirs)) = (ours, theirs) else { return false };
    let worded = WORDED.iter().any(|part| theirs.contains(part));
    let name =
        theirs.split_once("' is undefined").and_then(|(before, _)| before.rsplit('\'').next());
    worded && !ours.is_empty() && name.is_none_or(|name| ours.contains(name))
}

fn lines(events: &[Json]) -> String {
    let mut text = String::new();
    for event in events {
        print(event, 0, &mut text);
        text.push('\n');
    }
    text
}

/// Sorted and one key per line, so that a difference is seen alone.
fn print(value: &Json, depth: usize, text: &mut String) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            for (key, value) in sorted {
                text.push('\n');
                text.push_str(&" ".repeat(depth * 2));
                text.push_str(&format!("{key}: "));
                print(value, depth + 1, text);
            }
        }
        Json::Array(list) if list.iter().any(Json::is_object) => {
            for value in list {
                text.push('\n');
                text.push_str(&" ".repeat(depth * 2));
                text.push_str("- ");
                print(value, depth + 1, text);
            }
        }
        other => text.push_str(&other.to_string()),
    }
}

fn diff(theirs: &str, ours: &str) -> String {
    if theirs == ours {
        return String::new();
    }
    TextDiff::from_lines(theirs, ours)
        .unified_diff()
        .context_radius(4)
        .header("Ansible", "kup-play")
        .to_string()
}
