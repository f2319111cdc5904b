//! YAML files into [`Node`]s, with the place of every key and value.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::{Error, Node, SourceFile, Span, Yaml, scalar};

/// Aliases may copy this many nodes in all: enough for any playbook, and an end
/// to files that grow without bound when their aliases are followed.
const MAX_ALIASED: usize = 1_000_000;
/// Lists and mappings may be nested this deep.
const MAX_DEPTH: usize = 200;

/// The one document of a file; an empty file is null.
pub fn load(path: &Path) -> Result<Node, Error> {
    load_str(&read(path)?, path)
}

/// The text of a file.
pub fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        Error::new(match error.kind() {
            std::io::ErrorKind::NotFound => format!("{path} could not be found"),
            std::io::ErrorKind::InvalidData => format!("{path} is not UTF-8 text"),
            _ => format!("{path} cannot be read: {error}"),
        })
    })
}

/// As [`load`], of text; `path` is what errors call it.
pub fn load_str(text: &str, path: &Path) -> Result<Node, Error> {
    let mut documents = load_all_str(text, path)?;
    match documents.len() {
        0 => Ok(Node::new(Yaml::Null, Span::start(&SourceFile::new(path, text)))),
        1 => Ok(documents.remove(0)),
        _ => {
            let second = documents.remove(1);
            Err(second
                .span
                .error("expected a single document in the stream, but here another begins"))
        }
    }
}

/// All documents of a text.
pub fn load_all_str(text: &str, path: &Path) -> Result<Vec<Node>, Error> {
    let file = SourceFile::new(path, text);
    let mut loader =
        Loader { parser: Parser::new_from_str(text), file, anchors: HashMap::new(), aliased: 0 };
    let mut documents = Vec::new();
    while let Some((event, span)) = loader.next()? {
        if let Event::DocumentStart(_) = event {
            loader.anchors.clear();
            documents.push(loader.value(0)?);
        }
        drop(span);
    }
    Ok(documents)
}

struct Loader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    file: Arc<SourceFile>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
}

impl<'a> Loader<'a> {
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
                (self.scalar(&text, style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Some((Event::SequenceEnd, _)) | None => break,
                        Some((event, at)) => items.push(self.value_of(event, at, depth + 1)?),
                    }
                }
                (Node::new(Yaml::Seq(items), span), anchor)
            }
            Event::MappingStart(anchor, _) => {
                (Node::new(Yaml::Map(self.entries(depth)?), span), anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, &span),
            _ => return Err(span.error("a value was expected here")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(Node, Node)>, Error> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut merged = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.value_of(event, span, depth + 1)?;
            if matches!(key.value, Yaml::Seq(_) | Yaml::Map(_)) {
                return Err(key
                    .span
                    .error("found unhashable key: a key must be a plain value")
                    .with_help("a value that begins with {{ needs quotes around all of it"));
            }
            let value = self.value(depth + 1)?;
            if key.as_str() == Some("<<") {
                merged.extend(merge_sources(value)?);
                continue;
            }
            match entries.iter_mut().find(|(other, _)| other.value == key.value) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
        }
        // What the mapping says itself wins over what it merges in; of those the first wins.
        for (key, value) in merged {
            if !entries.iter().any(|(other, _)| other.value == key.value) {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Node, Error> {
        let node = self
            .anchors
            .get(&anchor)
            .cloned()
            .ok_or_else(|| span.error("this alias names an anchor that is not complete yet"))?;
        self.aliased += count(&node);
        if self.aliased > MAX_ALIASED {
            return Err(span.error("the aliases of this file expand to too many values"));
        }
        Ok(node)
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Node, Error> {
        let text_of = || text.to_owned();
        let value = match tag {
            None if style == ScalarStyle::Plain => scalar::resolve(text),
            None => Yaml::Str(text_of()),
            Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
                "str" => Yaml::Str(text_of()),
                "int" | "float" | "bool" | "null" => scalar::resolve(text),
                _ => Yaml::Str(text_of()),
            },
            Some(tag) => match tag.suffix.as_str() {
                "unsafe" => Yaml::Unsafe(text_of()),
                "vault" | "vault-encrypted" => Yaml::Vault(text_of()),
                "" => Yaml::Str(text_of()),
                other => {
                    return Err(span.error(format!(
                        "could not determine a constructor for the tag '!{other}'"
                    )));
                }
            },
        };
        Ok(Node::new(value, span))
    }

    fn syntax_error(&self, error: &ScanError) -> Error {
        let span = self.span(error.marker().line(), error.marker().col());
        let line = self.file.text.lines().nth(span.line.saturating_sub(1)).unwrap_or_default();
        let found = span.error(format!("YAML: {}", error.info()));
        match hint(line) {
            Some(help) => found.with_help(help),
            None => found,
        }
    }
}

/// What most often causes a line like this to fail.
fn hint(line: &str) -> Option<&'static str> {
    let value = line.split_once(": ").map_or("", |(_, value)| value.trim_start());
    if line.trim_start().len() < line.len() && line.starts_with('\t') || line.contains("\t") {
        Some("YAML is indented with spaces; this line holds a tab")
    } else if value.starts_with("{{") {
        Some("a value that begins with {{ needs quotes around all of it: \"{{ … }}\"")
    } else if value.contains(": ") && !value.starts_with(['"', '\'']) {
        Some("a value that holds ': ' needs quotes around all of it")
    } else if value.starts_with(['"', '\'']) {
        Some("a value that begins with a quote must end with it: put quotes around all of it")
    } else {
        None
    }
}

fn merge_sources(value: Node) -> Result<Vec<(Node, Node)>, Error> {
    match value.value {
        Yaml::Map(entries) => Ok(entries),
        Yaml::Seq(items) => {
            let mut all = Vec::new();
            for item in items {
                all.extend(merge_sources(item)?);
            }
            Ok(all)
        }
        _ => Err(value.span.error("expected a mapping or list of mappings for merging")),
    }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Yaml::Seq(items) => 1 + items.iter().map(count).sum::<usize>(),
        Yaml::Map(entries) => 1 + entries.iter().map(|(_, value)| 1 + count(value)).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Node {
        load_str(text, Path::new("x.yml")).unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(text: &str) -> String {
        load_str(text, Path::new("x.yml")).expect_err("an error").to_string()
    }

    #[test]
    fn every_value_knows_its_line_and_column() {
        let node = parse("- hosts: all\n  tasks:\n    - debug:\n        msg: hi\n");
        let task = node.as_seq().and_then(|plays| plays[0].get("tasks")).expect("tasks");
        let debug = task.as_seq().and_then(|tasks| tasks[0].get("debug")).expect("debug");
        let msg = debug.get("msg").expect("msg");
        assert_eq!((msg.span.line, msg.span.column), (4, 14));
    }

    #[test]
    fn merge_keys_give_what_the_mapping_does_not_say_itself() {
        let node = parse("base: &b {a: 1, b: 2}\nmine:\n  <<: *b\n  b: 3\n");
        let mine = node.get("mine").expect("mine");
        assert_eq!(mine.get("a").map(|n| &n.value), Some(&Yaml::Int(1)));
        assert_eq!(mine.get("b").map(|n| &n.value), Some(&Yaml::Int(3)));
    }

    #[test]
    fn an_unquoted_template_is_explained() {
        assert!(error("a: {{ b }}\n").contains("needs quotes"), "{}", error("a: {{ b }}\n"));
    }

    #[test]
    fn a_tab_is_explained_at_its_place() {
        let text = error("a:\n\tb: 1\n");
        assert!(text.contains("x.yml:2:") && text.contains("spaces"), "{text}");
    }

    #[test]
    fn aliases_cannot_grow_without_bound() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let alias = format!("*a{}", n - 1);
            text += &format!("a{n}: &a{n} [{}]\n", vec![alias; 10].join(", "));
        }
        assert!(error(&text).contains("too many values"));
    }

    #[test]
    fn unsafe_and_vault_values_keep_their_tags() {
        let node = parse("a: !unsafe '{{ x }}'\nb: !vault |\n  $ANSIBLE_VAULT;1.1\n");
        assert!(matches!(node.get("a").map(|n| &n.value), Some(Yaml::Unsafe(_))));
        assert!(matches!(node.get("b").map(|n| &n.value), Some(Yaml::Vault(_))));
    }
}
