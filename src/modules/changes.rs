//! What of a path is to change, as `diff` has it: two mappings with the same keys.

use serde_json::{Map, Value as Json};

use super::Diff;

#[derive(Debug, Default)]
pub struct Changes {
    before: Map<String, Json>,
    after: Map<String, Json>,
}

impl Changes {
    pub fn note(&mut self, key: &str, before: impl Into<Json>, after: impl Into<Json>) {
        self.before.insert(key.to_owned(), before.into());
        self.after.insert(key.to_owned(), after.into());
    }

    /// Something that only the old state has.
    pub fn lose(&mut self, key: &str, before: impl Into<Json>) {
        self.before.insert(key.to_owned(), before.into());
    }

    pub fn into_diff(self) -> Diff {
        Diff { before: self.before.into(), after: self.after.into(), ..Diff::default() }
    }
}
