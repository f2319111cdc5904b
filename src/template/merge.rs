//! `hash_behaviour = merge`: mappings of several levels put into each other.

use std::sync::Arc;

use super::{Variable, from_json, merge_json, to_json};
use crate::source::{Node, Yaml};

/// The variable of a higher level over that of a lower one.
pub fn merged(low: &Variable, high: Variable) -> Variable {
    match (low, &high) {
        (Variable::Source(low), Variable::Source(node)) => {
            Variable::Source(Arc::new(nodes(low, node)))
        }
        (Variable::Source(low), Variable::Data(value)) => match to_json(value) {
            Ok(json) if json.is_object() && low.as_map().is_some() => {
                let node = Node::from_json(&json, &low.span);
                Variable::Source(Arc::new(nodes(low, &node)))
            }
            _ => high,
        },
        (Variable::Data(low), Variable::Source(node)) => match to_json(low) {
            Ok(json) if json.is_object() && node.as_map().is_some() => {
                let low = Node::from_json(&json, &node.span);
                Variable::Source(Arc::new(nodes(&low, node)))
            }
            _ => high,
        },
        (Variable::Data(low), Variable::Data(value)) => match (to_json(low), to_json(value)) {
            (Ok(mut low), Ok(value)) if low.is_object() && value.is_object() => {
                merge_json(&mut low, value);
                Variable::Data(from_json(&low))
            }
            _ => high,
        },
    }
}

fn nodes(low: &Node, high: &Node) -> Node {
    let (Some(below), Some(above)) = (low.as_map(), high.as_map()) else {
        return high.clone();
    };
    let mut entries = below.to_vec();
    for (key, value) in above {
        match entries.iter_mut().find(|(known, _)| known.value == key.value) {
            Some((_, known)) => *known = nodes(known, value),
            None => entries.push((key.clone(), value.clone())),
        }
    }
    Node::new(Yaml::Map(entries), high.span.clone())
}
