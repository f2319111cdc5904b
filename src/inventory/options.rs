//! The options of a source that is the configuration of a plugin.

use crate::source::{Error, Node, Yaml, boolean, suggest};

use super::data::text_of;

/// The entries of a mapping whose names are known.
pub struct Options<'a>(&'a Node);

impl<'a> Options<'a> {
    /// Names that are not known are warned of: Ansible takes them without a word.
    pub fn of(node: &'a Node, known: &[&str], warnings: &mut Vec<String>) -> Self {
        for (key, _) in node.as_map().unwrap_or_default() {
            let name = text_of(&key.value).unwrap_or_default();
            if known.contains(&name.as_str()) {
                continue;
            }
            let help = match suggest(&name, known.iter().copied()) {
                Some(nearest) => format!("did you mean '{nearest}'?"),
                None => format!("there are {}", known.join(", ")),
            };
            warnings.push(format!("{}: '{name}' is no option here, {help}", key.span));
        }
        Self(node)
    }

    /// The value of an option, where it has one.
    pub fn get(&self, name: &str) -> Option<&'a Node> {
        self.0.get(name).filter(|node| node.value != Yaml::Null)
    }

    pub fn text(&self, name: &str) -> Option<String> {
        text_of(&self.get(name)?.value)
    }

    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Error> {
        let Some(node) = self.get(name) else {
            return Ok(default);
        };
        let value = match &node.value {
            Yaml::Bool(value) => Some(*value),
            other => text_of(other).and_then(|text| boolean(&text)),
        };
        value.ok_or_else(|| wrong(node, name, "a boolean"))
    }

    pub fn map(&self, name: &str) -> Result<&'a [(Node, Node)], Error> {
        match self.get(name) {
            None => Ok(&[]),
            Some(node) => node.as_map().ok_or_else(|| wrong(node, name, "a mapping")),
        }
    }

    pub fn list(&self, name: &str) -> Result<&'a [Node], Error> {
        match self.get(name) {
            None => Ok(&[]),
            Some(node) => node.as_seq().ok_or_else(|| wrong(node, name, "a list")),
        }
    }
}

fn wrong(node: &Node, name: &str, wanted: &str) -> Error {
    node.span.error(format!("'{name}' must be {wanted}, not {}", node.kind()))
}
