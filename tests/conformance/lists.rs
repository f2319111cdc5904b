//! The lists of cases that are known to differ.

use std::collections::BTreeMap;
use std::fs;

use crate::case::folder;

/// What is known of a case beforehand.
pub enum Standing {
    Equal,
    /// Differs on purpose.
    Meant(String),
    /// Differs because something is not there yet.
    Pending(String),
}

pub type List = BTreeMap<String, String>;

pub fn read(file: &str) -> List {
    let text = fs::read_to_string(folder().join(file)).expect("the list of cases");
    let list: Option<List> = serde_yaml::from_str(&text).expect("a mapping of case to reason");
    list.unwrap_or_default()
}

pub fn standing(name: &str, differences: &List, pending: &List) -> Standing {
    match (differences.get(name), pending.get(name)) {
        (Some(reason), _) => Standing::Meant(reason.clone()),
        (None, Some(missing)) => Standing::Pending(missing.clone()),
        (None, None) => Standing::Equal,
    }
}

impl Standing {
    /// A case that is listed has to differ, so that the lists stay true.
    pub fn judge(&self, outcome: Result<(), String>) -> Result<(), String> {
        match (self, outcome) {
            (Self::Equal, outcome) => outcome,
            (Self::Meant(_) | Self::Pending(_), Err(_)) => Ok(()),
            (Self::Meant(reason), Ok(())) => {
                Err(format!("equal now: take it out of differences.yml ({reason})"))
            }
            (Self::Pending(missing), Ok(())) => {
                Err(format!("passes now: take it out of pending.yml ({missing})"))
            }
        }
    }
}

/// Every meant difference stands in docs/compatibility.md too.
pub fn all_told(differences: &List) -> Result<(), String> {
    let page = folder().join("../../docs/compatibility.md");
    let page = fs::read_to_string(page).map_err(|error| error.to_string())?;
    let untold: Vec<_> = differences.keys().filter(|name| !page.contains(*name)).collect();
    if untold.is_empty() {
        Ok(())
    } else {
        Err(format!("docs/compatibility.md does not name {untold:?}"))
    }
}

pub fn all_exist(lists: &[&List], cases: &[String]) -> Result<(), String> {
    let gone: Vec<_> =
        lists.iter().flat_map(|list| list.keys()).filter(|name| !cases.contains(name)).collect();
    if gone.is_empty() { Ok(()) } else { Err(format!("no such cases: {gone:?}")) }
}
