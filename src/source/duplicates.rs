//! What is done about a key that a mapping has twice. YAML forbids it, Ansible takes the
//! last one; its setting `duplicate_dict_key` says whether it is told.

use std::str::FromStr;
use std::sync::OnceLock;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Duplicates {
    Warn,
    Error,
    Ignore,
}

impl FromStr for Duplicates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            "ignore" => Ok(Self::Ignore),
            _ => Err(format!("duplicate_dict_key is warn, error or ignore, not '{text}'")),
        }
    }
}

/// One for all that is read in a run, variables of the inventory as well as playbooks.
static POLICY: OnceLock<Duplicates> = OnceLock::new();

/// Before the first file is read; later ones change nothing.
pub fn set_policy(policy: Duplicates) {
    let _ = POLICY.set(policy);
}

pub fn policy() -> Duplicates {
    POLICY.get().copied().unwrap_or(Duplicates::Warn)
}
