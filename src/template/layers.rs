//! Variables of several sources as one.

use std::sync::Arc;

use super::merge::merged;
use super::{Layer, Scope, Variable};

/// Layers as a scope, highest first.
#[derive(Debug)]
pub struct Layers(pub Vec<Arc<Layer>>);

impl Scope for Layers {
    fn lookup(&self, name: &str) -> Option<Variable> {
        self.0.iter().find_map(|layer| layer.get(name).cloned())
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().flat_map(|layer| layer.keys().cloned()).collect()
    }
}

/// One layer of several, lowest first; with `merge` mappings are put into each other
/// (`hash_behaviour = merge`).
pub fn stacked<'a>(layers: impl IntoIterator<Item = &'a Arc<Layer>>, merge: bool) -> Layer {
    let mut all = Layer::new();
    for (name, value) in layers.into_iter().flat_map(|layer| layer.iter()) {
        put(&mut all, name, value.clone(), merge);
    }
    all
}

/// Sets a variable; with `merge` a mapping is put into the one that is there.
pub fn put(layer: &mut Layer, name: &str, value: Variable, merge: bool) {
    let value = match layer.get(name) {
        Some(low) if merge => merged(low, value),
        _ => value,
    };
    layer.insert(name.to_owned(), value);
}
