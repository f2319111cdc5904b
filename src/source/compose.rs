//! The events of the YAML parser into [`Node`]s: anchors, merge keys, tags.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::duplicates::{self, Duplicates};
use super::relax::Relaxed;
use super::{Error, Node, SourceFile, Span, Yaml, hint, scalar};

/// Anchors and aliases may copy values of this weight in all: enough for any playbook,
/// and an end to files that grow without bound when their aliases are followed.
const MAX_COPIED: usize = 1_000_000;
/// This many bytes of text weigh as much as a value.
const BYTES_PER_VALUE: usize = 32;
/// Lists and mappings may be nested this deep.
const MAX_DEPTH: usize = 200;

pub struct Composer<'a, 'w> {
    parser: Parser<'a, StrInput<'a>>,
    file: Arc<SourceFile>,
    anchors: HashMap<usize, Node>,
    copied: usize,
    relaxed: &'a Relaxed,
    warnings: &'w mut Vec<Error>,
}

impl<'a, 'w> Composer<'a, 'w> {
    /// `text` is that of the file, or what became of it by being relaxed.
    pub fn new(
        text: &'a str,
        relaxed: &'a Relaxed,
        file: Arc<SourceFile>,
        warnings: &'w mut Vec<Error>,
    ) -> Self {
        let parser = Parser::new_from_str(text);
        Self { parser, file, anchors: HashMap::new(), copied: 0, relaxed, warnings }
    }

    pub fn documents(mut self) -> Result<Vec<Node>, Error> {
        let mut documents = Vec::new();
        while let Some((event, _)) = self.next()? {
            if let Event::DocumentStart(_) = event {
                self.anchors.clear();
                documents.push(self.value(0)?);
            }
        }
        Ok(documents)
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Error> {
        match self.parser.next() {
            None => Ok(None),
            Some(Err(error)) => Err(self.syntax_error(&error)),
            Some(Ok((event, span))) => {
                let span = self.span(span.start.line(), span.start.col());
                Ok(Some((event, span)))
            }
        }
    }

    fn span(&self, line: usize, column: usize) -> Span {
        let column = self.relaxed.column(line, column);
        Span { file: self.file.clone(), line: line.max(1), column: column + 1 }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Error> {
        match self.next()? {
            Some((event, span)) => self.value_of(event, span, depth),
            None => Err(Error::new(format!("{} ends too early", self.file.path.display()))),
        }
    }

    fn value_of(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Error> {
        if depth > MAX_DEPTH {
            return Err(span.error("lists and mappings are nested too deep"));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (tagged_scalar(&text, style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                let node = Node::new(Yaml::Seq(self.items(depth)?), span);
                (tagged_collection(node, tag.as_deref())?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                let node = Node::new(Yaml::Map(self.entries(depth, &span)?), span);
                (tagged_collection(node, tag.as_deref())?, anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, &span),
            _ => return Err(span.error("a value was expected here")),
        };
        if anchor > 0 {
            self.copy(&node).ok_or_else(|| {
                node.span.error("the anchors of this file stand for too many values")
            })?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Error> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.value_of(event, span, depth + 1)?);
        }
        items.shrink_to_fit();
        Ok(items)
    }

    fn entries(&mut self, depth: usize, start: &Span) -> Result<Vec<(Node, Node)>, Error> {
        let mut own = Entries::default();
        let mut merged = Entries::default();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.value_of(event, span, depth + 1)?;
            if matches!(key.value, Yaml::Seq(_) | Yaml::Map(_)) {
                return Err(hint::unhashable_key(&key, start));
            }
            let value = self.value(depth + 1)?;
            if is_merge {
                merge(&mut merged, value)?;
                continue;
            }
            let duplicate = key.span.error(format!(
                "found a duplicate dict key ({}). Using last defined value only.",
                key.as_str().unwrap_or_default()
            ));
            if own.insert(key, value) {
                match duplicates::policy() {
                    Duplicates::Warn => self.warnings.push(duplicate),
                    Duplicates::Error => return Err(duplicate),
                    Duplicates::Ignore => {}
                }
            }
        }
        // What the mapping says itself wins over what it merges in.
        for (key, value) in own.list {
            merged.insert(key, value);
        }
        merged.list.shrink_to_fit();
        Ok(merged.list)
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Node, Error> {
        let node = self
            .anchors
            .get(&anchor)
            .cloned()
            .ok_or_else(|| span.error("this alias names an anchor that is not complete yet"))?;
        self.copy(&node)
            .ok_or_else(|| span.error("the aliases of this file expand to too many values"))?;
        Ok(node)
    }

    /// Accounts for a copy of a node; none when it is one too many.
    fn copy(&mut self, node: &Node) -> Option<()> {
        self.copied = self.copied.saturating_add(weight(node));
        (self.copied <= MAX_COPIED).then_some(())
    }

    fn syntax_error(&self, error: &ScanError) -> Error {
        let mut span = self.span(error.marker().line(), error.marker().col());
        // The parser counts bytes in some of its errors.
        let width = span.file.line(span.line).map_or(0, |line| line.chars().count());
        span.column = span.column.min(width + 1);
        hint::explain(error.info(), span)
    }
}

/// Entries in the order of their keys' first appearance, each with its last value.
#[derive(Default)]
struct Entries {
    list: Vec<(Node, Node)>,
    places: HashMap<String, usize>,
}

impl Entries {
    /// Whether the key was there before.
    fn insert(&mut self, key: Node, value: Node) -> bool {
        let place = *self.places.entry(format!("{:?}", key.value)).or_insert(self.list.len());
        match self.list.get_mut(place) {
            Some(entry) => {
                entry.1 = value;
                true
            }
            None => {
                self.list.push((key, value));
                false
            }
        }
    }
}

/// Of several mappings under one merge key the first wins.
fn merge(into: &mut Entries, value: Node) -> Result<(), Error> {
    match value.value {
        Yaml::Map(entries) => {
            for (key, value) in entries {
                into.insert(key, value);
            }
            Ok(())
        }
        Yaml::Seq(items) => items.into_iter().rev().try_for_each(|item| match item.value {
            Yaml::Map(_) => merge(into, item),
            _ => Err(item
                .span
                .error(format!("expected a mapping for merging, but found {}", item.kind()))),
        }),
        _ => Err(value.span.error(format!(
            "expected a mapping or list of mappings for merging, but found {}",
            value.kind()
        ))),
    }
}

fn weight(node: &Node) -> usize {
    match &node.value {
        Yaml::Seq(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Yaml::Map(entries) => {
            1 + entries.iter().map(|(key, value)| weight(key) + weight(value)).sum::<usize>()
        }
        Yaml::Str(text) | Yaml::Unsafe(text) | Yaml::Vault(text) => {
            1 + text.len() / BYTES_PER_VALUE
        }
        _ => 1,
    }
}

fn tagged_scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Node, Error> {
    let string = || Yaml::Str(text.to_owned());
    let value = match tag {
        None if style == ScalarStyle::Plain => scalar::resolve(text),
        None => string(),
        Some(tag) if tag.is_yaml_core_schema() => match scalar::tagged(&tag.suffix, text) {
            Some(value) => value,
            None => {
                return Err(span.error(format!("'{text}' cannot be read as !!{}", tag.suffix)));
            }
        },
        Some(tag) => match tag.suffix.as_str() {
            "unsafe" => Yaml::Unsafe(text.to_owned()),
            "vault" | "vault-encrypted" => Yaml::Vault(text.to_owned()),
            // `! text` is text.
            "" => string(),
            _ => return Err(unknown_tag(tag, &span)),
        },
    };
    Ok(Node::new(value, span))
}

fn tagged_collection(mut node: Node, tag: Option<&Tag>) -> Result<Node, Error> {
    let Some(tag) = tag else {
        return Ok(node);
    };
    match (tag.is_yaml_core_schema(), tag.suffix.as_str(), &node.value) {
        (false, "", _) | (true, "seq", Yaml::Seq(_)) | (true, "map", Yaml::Map(_)) => Ok(node),
        (true, "set", Yaml::Map(entries)) => {
            let members = entries.iter().map(|(key, _)| key.clone()).collect();
            Ok(Node::new(Yaml::Seq(members), node.span))
        }
        (false, "unsafe", _) => {
            make_unsafe(&mut node);
            Ok(node)
        }
        _ => Err(unknown_tag(tag, &node.span)),
    }
}

/// Nothing below is a template.
fn make_unsafe(node: &mut Node) {
    match &mut node.value {
        Yaml::Str(text) => node.value = Yaml::Unsafe(std::mem::take(text)),
        Yaml::Seq(items) => items.iter_mut().for_each(make_unsafe),
        Yaml::Map(entries) => entries.iter_mut().for_each(|(_, value)| make_unsafe(value)),
        _ => {}
    }
}

fn unknown_tag(tag: &Tag, span: &Span) -> Error {
    let handle = if tag.is_yaml_core_schema() { "!!" } else { tag.handle.as_str() };
    span.error(format!("could not determine a constructor for the tag '{handle}{}'", tag.suffix))
        .with_help("the tags of playbooks are !vault and !unsafe; a value that begins with '!' needs quotes")
}
