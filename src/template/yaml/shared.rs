//! Values that stand in several places of a document, and ciphertexts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::value::{Object, ObjectRepr};

use super::super::python;
use super::{TemplateError, Value, ValueKind, entries};

/// An encrypted text, written as `!vault`.
#[derive(Debug)]
pub struct Ciphertext(pub String);

impl Object for Ciphertext {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// What is written in the place of a value that stands in several.
pub enum Mark {
    /// Before the value, where it stands first.
    Anchor(String),
    /// Instead of it.
    Alias(String),
}

/// The values that are met more than once, by the address of what they hold.
#[derive(Default)]
pub struct Shared {
    met: HashSet<usize>,
    names: HashMap<usize, String>,
    written: HashSet<usize>,
}

impl Shared {
    /// Goes through a document in the order in which it is written.
    pub fn of(document: &Value, sorted: bool) -> Result<Self, TemplateError> {
        let mut shared = Self::default();
        shared.meet(document, sorted)?;
        Ok(shared)
    }

    fn meet(&mut self, value: &Value, sorted: bool) -> Result<(), TemplateError> {
        if let Some(address) = address(value)
            && !self.met.insert(address)
        {
            let next = self.names.len() + 1;
            self.names.entry(address).or_insert_with(|| format!("id{next:03}"));
            return Ok(());
        }
        match value.kind() {
            ValueKind::Map => {
                entries(value, sorted)?.iter().try_for_each(|(_, item)| self.meet(item, sorted))
            }
            ValueKind::Seq => {
                python::items(value)?.iter().try_for_each(|item| self.meet(item, sorted))
            }
            _ => Ok(()),
        }
    }

    pub fn is_marked(&self, value: &Value) -> bool {
        !self.names.is_empty() && address(value).is_some_and(|at| self.names.contains_key(&at))
    }

    /// The mark of the value that is written now.
    pub fn mark(&mut self, value: &Value) -> Option<Mark> {
        if self.names.is_empty() {
            return None;
        }
        let address = address(value)?;
        let name = self.names.get(&address)?.clone();
        Some(match self.written.insert(address) {
            true => Mark::Anchor(name),
            false => Mark::Alias(name),
        })
    }
}

/// Where the value lives, if it is one that copies share.
fn address(value: &Value) -> Option<usize> {
    fn of<T>(object: &T) -> usize {
        std::ptr::from_ref(object) as usize
    }
    let list = value.downcast_object_ref::<Vec<Value>>().map(of);
    let map = || value.downcast_object_ref::<IndexMap<Value, Value>>().map(of);
    list.or_else(map).or_else(|| value.downcast_object_ref::<Ciphertext>().map(of))
}
