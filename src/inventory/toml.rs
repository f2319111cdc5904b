//! TOML inventories: as YAML ones, but that `children` is a list of names.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::load::Reader;
use super::yaml;
use crate::source::{Error, Node, SourceFile, Span, Yaml};

pub fn read(reader: &mut Reader<'_>, text: &str, path: &Path) -> Result<(), Error> {
    let file = Places { file: SourceFile::new(path, text) };
    let document = DeTable::parse(text).map_err(|error| {
        let place = file.span(error.span().unwrap_or_default());
        place.error(format!("TOML file ({}) is invalid: {}", path.display(), error.message()))
    })?;
    if document.get_ref().is_empty() {
        return Err(Span::start(&file.file).error("Parsed empty TOML file"));
    }
    let groups = document.get_ref().iter().map(|(name, group)| {
        let name = file.text(name.get_ref(), name.span());
        Ok((name, file.group(group)?))
    });
    let groups = Yaml::Map(groups.collect::<Result<_, Error>>()?);
    yaml::read(reader, &Node::new(groups, Span::start(&file.file)))
}

/// Where in the file the parts of the document stand.
struct Places {
    file: Arc<SourceFile>,
}

impl Places {
    fn span(&self, bytes: Range<usize>) -> Span {
        self.file.span(bytes.start)
    }

    fn text(&self, text: &str, bytes: Range<usize>) -> Node {
        Node::new(Yaml::Str(text.to_owned()), self.span(bytes))
    }

    /// A group, its children as the keys that the YAML reader expects.
    fn group(&self, group: &Spanned<DeValue<'_>>) -> Result<Node, Error> {
        let mut node = self.node(group)?;
        if let Yaml::Map(entries) = &mut node.value {
            for (_, children) in entries.iter_mut().filter(|(k, _)| k.as_str() == Some("children"))
            {
                let span = children.span.clone();
                let Yaml::Seq(names) = &children.value else {
                    return Err(span.error(format!(
                        "Invalid \"children\" entry, requires a list, found {} instead",
                        children.kind()
                    )));
                };
                let nothing = |name: &Node| Node::new(Yaml::Null, name.span.clone());
                let entries = names.iter().map(|name| (name.clone(), nothing(name))).collect();
                *children = Node::new(Yaml::Map(entries), span);
            }
        }
        Ok(node)
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Result<Node, Error> {
        let span = self.span(value.span());
        let number = |text: &str| text.replace('_', "");
        let wrong = |text: &str| span.error(format!("{text} is no number that fits 64 bits"));
        let value = match value.get_ref() {
            DeValue::String(text) => Yaml::Str(text.to_string()),
            DeValue::Integer(digits) => {
                let parsed = i64::from_str_radix(&number(digits.as_str()), digits.radix());
                Yaml::Int(parsed.map_err(|_| wrong(digits.as_str()))?)
            }
            DeValue::Float(digits) => {
                let parsed = number(digits.as_str()).parse();
                Yaml::Float(parsed.map_err(|_| wrong(digits.as_str()))?)
            }
            DeValue::Boolean(value) => Yaml::Bool(*value),
            DeValue::Datetime(time) => Yaml::Str(time.to_string()),
            DeValue::Array(items) => {
                Yaml::Seq(items.iter().map(|item| self.node(item)).collect::<Result<_, _>>()?)
            }
            DeValue::Table(entries) => {
                let entries = entries.iter().map(|(key, value)| {
                    Ok((self.text(key.get_ref(), key.span()), self.node(value)?))
                });
                Yaml::Map(entries.collect::<Result<_, Error>>()?)
            }
        };
        Ok(Node::new(value, span))
    }
}
