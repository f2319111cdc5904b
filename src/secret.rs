//! A value that must not be seen: passwords and decrypted vault text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A string that never shows itself in `Debug` or `Display`; only
/// [`Secret::expose`] gives it out, at the place where it is used.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
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
