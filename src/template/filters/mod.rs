//! Filters, a file per family.

mod defaults;
mod lists;
pub mod text;

use std::collections::HashSet;

use minijinja::Environment;

use super::call::{Plugin, add_filters};

const FAMILIES: &[&[Plugin]] = &[defaults::FILTERS, lists::FILTERS, text::FILTERS];

/// Those of minijinja's own filters that do what Jinja2's do.
const NATIVE: &[&str] = &[
    "safe",
    "escape",
    "e",
    "lower",
    "upper",
    "title",
    "capitalize",
    "replace",
    "dictsort",
    "items",
    "reverse",
    "trim",
    "join",
    "round",
    "abs",
    "int",
    "float",
    "attr",
    "first",
    "last",
    "min",
    "max",
    "sort",
    "batch",
    "slice",
    "sum",
    "indent",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "map",
    "groupby",
    "unique",
    "pprint",
    "format",
    "tojson",
    "urlencode",
];

/// Adds the filters; returns the names of all of them.
pub fn register(environment: &mut Environment<'static>) -> HashSet<String> {
    let mut names: HashSet<String> = NATIVE.iter().map(|name| (*name).to_owned()).collect();
    for family in FAMILIES {
        add_filters(environment, family);
        names.extend(family.iter().map(|plugin| plugin.name.to_owned()));
    }
    names
}
