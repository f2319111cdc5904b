//! Argument types as forgiving as Ansible's: a template or `k=v` text gives strings
//! where a boolean is meant.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

use crate::source;

/// `yes`, `on`, `1`, `true`, `t`, `y` and their opposites, in any case, as strings or as what they say.
pub fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Lenient;
    impl Visitor<'_> for Lenient {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a boolean (yes or no)")
        }

        fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
            self.visit_str(&value.to_string())
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
            self.visit_str(&value.to_string())
        }

        fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
            source::boolean(value).ok_or_else(|| E::custom(source::no_boolean(value)))
        }
    }
    deserializer.deserialize_any(Lenient)
}
