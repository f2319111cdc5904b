//! `plugin: generator`: a host for every combination of the values of several layers.

use std::sync::Arc;

use super::load::Reader;
use super::options::Options;
use crate::source::{Error, Node, Yaml};
use crate::template::{Layer, Layers, Scope, Templar, Variable, python_text};

pub fn read(reader: &mut Reader<'_>, document: &Node) -> Result<(), Error> {
    let options = Options::of(document, &["plugin", "hosts", "layers"], reader.warnings);
    let needed = |name: &str| {
        let error = document.span.error(format!("a generator needs '{name}'"));
        options.get(name).ok_or_else(|| {
            error.with_help("see ansible-doc -t inventory generator for what it is made of")
        })
    };
    let hosts = needed("hosts")?;
    needed("layers")?;
    let layers = options.map("layers")?;
    let mut values = Vec::new();
    for (name, choices) in layers {
        let name = name.as_str().ok_or_else(|| name.span.error("a layer's name must be a text"))?;
        let choices = choices.as_seq().ok_or_else(|| {
            choices.span.error(format!("the layer '{name}' must be a list, not {}", choices.kind()))
        })?;
        values.push((name, choices));
    }
    let count = values.iter().try_fold(1usize, |all, (_, choices)| all.checked_mul(choices.len()));
    reader.room_for(count.unwrap_or(usize::MAX / 2)).map_err(|error| hosts.span.error(error))?;
    let name = hosts.get("name").ok_or_else(|| {
        hosts.span.error("the hosts of a generator need 'name', the template of their names")
    })?;
    let templar = reader.reading.templar.clone();
    for combination in combinations(&values) {
        let scope: Arc<dyn Scope> = Arc::new(Layers(vec![Arc::new(combination)]));
        let writer = Writer { templar: &templar, scope };
        let host = writer.text(name)?;
        reader.inventory.declare_host(&host, "ungrouped", Some(document.span.path()));
        writer.parents(reader, Child::Host(&host), hosts)?;
    }
    Ok(())
}

/// One variable of each layer; the last layer's changes fastest.
fn combinations(layers: &[(&str, &[Node])]) -> Vec<Layer> {
    layers.iter().fold(vec![Layer::new()], |before, (name, choices)| {
        let with = |known: &Layer, value: &Node| {
            let mut known = known.clone();
            known.insert((*name).to_owned(), Variable::Source(Arc::new(value.clone())));
            known
        };
        before
            .iter()
            .flat_map(|known| choices.iter().map(move |value| with(known, value)))
            .collect()
    })
}

enum Child<'a> {
    Host(&'a str),
    Group(&'a str),
}

/// Fills in the templates of one combination.
struct Writer<'a> {
    templar: &'a Templar,
    scope: Arc<dyn Scope>,
}

impl Writer<'_> {
    fn text(&self, node: &Node) -> Result<String, Error> {
        let value = self.templar.render(node, &self.scope);
        value.map(|value| python_text(&value)).map_err(|error| error.at(Some(&node.span)).into())
    }

    /// A variable of a group; what has become of a template is none any more.
    fn variable(&self, node: &Node) -> Result<Node, Error> {
        let value = match &node.value {
            Yaml::Str(text) if self.templar.is_template(text) => match self.text(node)? {
                text if self.templar.is_template(&text) => Yaml::Unsafe(text),
                text => Yaml::Str(text),
            },
            other => other.clone(),
        };
        Ok(Node::new(value, node.span.clone()))
    }

    /// The groups above a host or a group, and those above them.
    fn parents(&self, reader: &mut Reader<'_>, child: Child<'_>, of: &Node) -> Result<(), Error> {
        let parents = Options::of(of, &["name", "vars", "parents"], reader.warnings);
        for parent in parents.list("parents")? {
            let name = parent.get("name").ok_or_else(|| {
                let (Child::Host(child) | Child::Group(child)) = child;
                parent.span.error(format!("Element {child} has a parent with no name element"))
            })?;
            let group = self.text(name)?;
            reader.inventory.declare_group(&group);
            for (name, value) in parent.get("vars").and_then(Node::as_map).unwrap_or_default() {
                let name = name
                    .as_str()
                    .ok_or_else(|| name.span.error("the name of a variable must be a text"))?;
                let value = self.variable(value)?;
                reader.inventory.set_group_variable(&group, name, value)?;
            }
            match child {
                Child::Host(host) => reader.inventory.declare_host(host, &group, None),
                Child::Group(child) => reader
                    .inventory
                    .declare_child(&group, child)
                    .map_err(|error| parent.span.error(error))?,
            }
            self.parents(reader, Child::Group(&group), parent)?;
        }
        Ok(())
    }
}
