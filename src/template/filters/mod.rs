//! Filters, a file per family.

pub mod address;
mod community;
mod defaults;
pub mod dicts;
mod encoding;
mod html;
mod json_query;
mod keys;
mod kubernetes;
pub mod lists;
mod numbers;
pub mod password_hash;
pub mod paths;
pub mod random;
mod regex;
pub mod select;
mod serial;
pub mod sets;
pub mod tables;
pub mod text;
pub mod time;
mod vault;

use std::collections::HashSet;

use minijinja::Environment;

use super::call::{Plugin, add_filters};

pub use self::regex::{Flags, compile, flags_of, is_match};

const FAMILIES: &[&[Plugin]] = &[
    address::FILTERS,
    community::FILTERS,
    defaults::FILTERS,
    dicts::FILTERS,
    encoding::FILTERS,
    html::FILTERS,
    json_query::FILTERS,
    keys::FILTERS,
    kubernetes::FILTERS,
    lists::FILTERS,
    numbers::FILTERS,
    password_hash::FILTERS,
    paths::FILTERS,
    random::FILTERS,
    regex::FILTERS,
    select::FILTERS,
    serial::FILTERS,
    sets::FILTERS,
    tables::FILTERS,
    text::FILTERS,
    time::FILTERS,
    vault::FILTERS,
];

/// Those of minijinja's own filters that do what Jinja2's do.
const NATIVE: &[&str] = &["safe", "escape", "e", "lower", "upper"];

/// Adds the filters; returns the names of all of them.
pub fn register(environment: &mut Environment<'static>) -> HashSet<String> {
    let mut names: HashSet<String> = NATIVE.iter().map(|name| (*name).to_owned()).collect();
    for family in FAMILIES {
        add_filters(environment, family);
        names.extend(family.iter().map(|plugin| plugin.name.to_owned()));
    }
    names
}
