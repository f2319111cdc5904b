//! Tests (`x is defined`), a file per family.

mod addresses;
mod basics;
mod files;
mod results;
mod texts;
pub mod versions;

use std::collections::HashSet;

use minijinja::Environment;

use super::call::{Plugin, add_tests};

const FAMILIES: &[&[Plugin]] =
    &[addresses::TESTS, basics::TESTS, files::TESTS, results::TESTS, texts::TESTS, versions::TESTS];

/// Those of minijinja's own tests that do what Jinja2's do.
const NATIVE: &[&str] =
    &["none", "boolean", "odd", "even", "divisibleby", "integer", "float", "true", "false", "safe"];

/// Adds the tests; returns the names of all of them.
pub fn register(environment: &mut Environment<'static>) -> HashSet<String> {
    let mut names: HashSet<String> = NATIVE.iter().map(|name| (*name).to_owned()).collect();
    for family in FAMILIES {
        add_tests(environment, family);
        names.extend(family.iter().map(|plugin| plugin.name.to_owned()));
    }
    names
}
