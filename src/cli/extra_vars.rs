//! `-e`: `key=value` pairs, JSON or YAML text, or `@file`.

use std::path::Path;

use super::exit;
use crate::engine::LoadError;
use crate::source::{self, Error, Node, Yaml};
use crate::vars::{Layer, layer_of};

/// All `-e` of a command line, later ones winning.
pub fn parse(arguments: &[String]) -> Result<Layer, LoadError> {
    let mut layer = Layer::new();
    for argument in arguments {
        layer.extend(layer_of(&parse_one(argument)?));
    }
    Ok(layer)
}

fn parse_one(argument: &str) -> Result<Node, LoadError> {
    if let Some(path) = argument.strip_prefix('@') {
        let node = source::load(Path::new(path))?;
        return mapping(node, argument);
    }
    let label = Path::new("--extra-vars");
    if argument.starts_with(['/', '.']) {
        let text = format!("Please prepend extra_vars filename '{argument}' with '@'");
        return Err(LoadError::options(text).with_code(exit::OPTIONS));
    }
    if argument.starts_with(['{', '[']) {
        return mapping(source::load_str(argument, label)?, argument);
    }
    let split = crate::playbook::split_pairs(argument)
        .map_err(|error| Error::new(format!("--extra-vars '{argument}': {error}")))?;
    if !split.rest.is_empty() {
        eprintln!(
            "[WARNING]: --extra-vars '{argument}': '{}' is not of the form key=value and is left \
             out, as Ansible does",
            split.rest
        );
    }
    let file = source::SourceFile::new(label, argument);
    let span = source::Span::start(&file);
    let string = |text: String| Node::new(Yaml::Str(text), span.clone());
    let entries = split.pairs.into_iter().map(|(key, value)| (string(key), string(value)));
    let entries = entries.collect();
    Ok(Node::new(Yaml::Map(entries), span))
}

fn mapping(node: Node, argument: &str) -> Result<Node, LoadError> {
    match node.value {
        Yaml::Map(_) => Ok(node),
        Yaml::Null => Ok(Node::new(Yaml::Map(Vec::new()), node.span)),
        _ => {
            let error = node.span.error(format!(
                "--extra-vars '{argument}' must hold a mapping of variables, not {}",
                node.kind()
            ));
            Err(LoadError::from(error).with_code(exit::OPTIONS))
        }
    }
}
