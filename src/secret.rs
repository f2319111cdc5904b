//! A value that must not be seen: passwords and decrypted vault text.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

/// A string that never shows itself in `Debug` or `Display`; only
/// [`Secret::expose`] gives it out, at the place where it is used.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        remember_lines(&text);
        Self(text)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Every secret that this program has come to know, so that what is written for later (the
/// journal) can be kept clear of them wherever they turn up.
static KNOWN: OnceLock<Mutex<HashSet<String>>> = OnceLock::new();

fn known() -> std::sync::MutexGuard<'static, HashSet<String>> {
    KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember(text: &str) {
    let text = text.trim();
    if !text.is_empty() && !known().contains(text) {
        known().insert(text.to_owned());
    }
}

/// Also its lines, for outputs are told line by line; not those that other texts may have too.
fn remember_lines(text: &str) {
    const TELLING: usize = 16;
    remember(text);
    text.lines().filter(|line| line.trim().len() >= TELLING).for_each(remember);
}

/// Remembers the values of a file that was encrypted as a whole.
pub fn remember_values(text: &str) {
    fn leaves(value: &serde_yaml::Value) {
        match value {
            serde_yaml::Value::String(text) => remember_lines(text),
            serde_yaml::Value::Number(number) => remember(&number.to_string()),
            serde_yaml::Value::Sequence(items) => items.iter().for_each(leaves),
            serde_yaml::Value::Mapping(entries) => entries.values().for_each(leaves),
            serde_yaml::Value::Tagged(tagged) => leaves(&tagged.value),
            _ => {}
        }
    }
    remember(text);
    match serde_yaml::from_str(text) {
        Ok(value) => leaves(&value),
        Err(_) => text.lines().for_each(remember),
    }
}

/// Whether a text is a known secret, or holds one of more than a few characters.
pub fn is_known_in(text: &str) -> bool {
    const SHORT: usize = 4;
    let known = known();
    known.contains(text.trim())
        || known.iter().any(|secret| secret.len() >= SHORT && text.contains(secret.as_str()))
}
