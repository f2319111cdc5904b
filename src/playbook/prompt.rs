//! `vars_prompt`: variables that are asked for.

use super::Prompt;
use super::keywords::list_of;
use super::values::variable_name;
use crate::source::{Error, Node, Yaml, suggest};

const KEYS: &[&str] =
    &["name", "prompt", "default", "private", "confirm", "encrypt", "salt_size", "salt", "unsafe"];

pub fn prompts(node: &Node) -> Result<Vec<Prompt>, Error> {
    list_of(node).iter().map(prompt).collect()
}

fn prompt(node: &Node) -> Result<Prompt, Error> {
    let Some(entries) = node.as_map() else {
        return Err(node.span.error(format!(
            "Invalid vars_prompt data structure, expected a dictionary, not {}",
            node.kind()
        )));
    };
    let unknown = entries.iter().find(|(key, _)| !key.as_str().is_some_and(|k| KEYS.contains(&k)));
    if let Some((key, _)) = unknown {
        let name = key.as_str().unwrap_or_default();
        let error = key
            .span
            .error(format!("Invalid vars_prompt data structure, found unsupported key '{name}'"));
        match suggest(name, KEYS.iter().copied()) {
            Some(nearest) => {
                return Err(error.with_help(format!("did you mean '{nearest}'?")));
            }
            None if node.get("name").is_some() => return Err(error),
            None => {}
        }
    }
    let name = variable_name("name", node.get("name"))?
        .ok_or_else(|| node.span.error("Invalid vars_prompt data structure, missing 'name' key"))?;
    let flag = |key: &str, default: bool| match node.get(key).map(|node| &node.value) {
        Some(Yaml::Bool(value)) => *value,
        _ => default,
    };
    let text = |key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
    Ok(Prompt {
        name,
        prompt: node.get("prompt").cloned(),
        default: node.get("default").cloned(),
        private: flag("private", true),
        confirm: flag("confirm", false),
        unsafe_: flag("unsafe", false),
        encrypt: text("encrypt"),
        salt: text("salt"),
        salt_size: match node.get("salt_size").map(|node| &node.value) {
            Some(Yaml::Int(size)) => Some(*size),
            _ => None,
        },
        span: node.span.clone(),
    })
}
