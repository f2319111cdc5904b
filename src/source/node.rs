//! YAML as read from a file: values with their line and column.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::Value as Json;

use super::Error;

/// A file (or `-e` text) that values came from.
#[derive(Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: String,
    /// Where each line begins, once somebody has asked for a line.
    starts: OnceLock<Vec<usize>>,
}

impl SourceFile {
    /// The place of a byte of the text; what is behind its end is at its end.
    pub fn span(self: &Arc<Self>, byte: usize) -> Span {
        let starts = self.starts.get_or_init(|| line_starts(&self.text));
        let byte = (0..=byte.min(self.text.len())).rfind(|at| self.text.is_char_boundary(*at));
        let byte = byte.unwrap_or_default();
        let line = starts.partition_point(|start| *start <= byte).max(1);
        let start = starts.get(line - 1).copied().unwrap_or_default();
        let column = self.text.get(start..byte).unwrap_or_default().chars().count() + 1;
        Span { file: self.clone(), line, column }
    }

    pub fn new(path: &Path, text: &str) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), text: text.to_owned(), starts: OnceLock::new() })
    }

    /// The line of this number, counted from 1, without its end.
    pub fn line(&self, number: usize) -> Option<&str> {
        let starts = self.starts.get_or_init(|| line_starts(&self.text));
        let start = *starts.get(number.checked_sub(1)?)?;
        let end = starts.get(number).copied().unwrap_or(self.text.len());
        // Behind the last line's end no line begins.
        let line = self.text.get(start..end).filter(|line| !line.is_empty())?;
        let line = line.strip_suffix('\n').unwrap_or(line);
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    /// All lines, as they are counted in places.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        (1..).map_while(|number| self.line(number))
    }
}

/// Where lines begin: behind `\n`, `\r\n`, and a `\r` alone, as YAML counts them.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect()
}

impl PartialEq for SourceFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, &self.text) == (&other.path, &other.text)
    }
}

impl Eq for SourceFile {}

/// A place in a [`SourceFile`]. Line and column count from 1, as editors do;
/// the column counts characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    pub file: Arc<SourceFile>,
    pub line: usize,
    pub column: usize,
}

impl Span {
    /// The first character of a file.
    pub fn start(file: &Arc<SourceFile>) -> Self {
        Self { file: file.clone(), line: 1, column: 1 }
    }

    /// An error at this place.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::at(self.clone(), message)
    }

    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.path.display(), self.line, self.column)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A YAML value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Yaml,
    pub span: Span,
}

/// YAML 1.1 values as PyYAML's safe loader reads them.
#[derive(Clone, Debug, PartialEq)]
pub enum Yaml {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Text that may hold a template.
    Str(String),
    /// `!unsafe` text: never a template.
    Unsafe(String),
    /// `!vault` ciphertext, decrypted when it is looked at.
    Vault(String),
    Seq(Vec<Node>),
    /// Keys in the order of the file; a repeated key keeps its last value.
    Map(Vec<(Node, Node)>),
}

impl Node {
    pub fn new(value: Yaml, span: Span) -> Self {
        Self { value, span }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Yaml::Str(text) | Yaml::Unsafe(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_seq(&self) -> Option<&[Node]> {
        match &self.value {
            Yaml::Seq(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            Yaml::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under a text key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, v)| v)
    }

    /// The map but for one text key.
    pub fn without(&self, key: &str) -> Self {
        let entries = self.as_map().unwrap_or_default().iter();
        let entries = entries.filter(|(k, _)| k.as_str() != Some(key)).cloned().collect();
        Self::new(Yaml::Map(entries), self.span.clone())
    }

    /// A value that was not written but made; all of it stands at one place.
    pub fn from_json(value: &Json, span: &Span) -> Self {
        let value = match value {
            Json::Null => Yaml::Null,
            Json::Bool(value) => Yaml::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Yaml::Int(number),
                None => Yaml::Float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Yaml::Unsafe(text.clone()),
            Json::Array(items) => {
                Yaml::Seq(items.iter().map(|item| Self::from_json(item, span)).collect())
            }
            Json::Object(entries) => Yaml::Map(
                entries
                    .iter()
                    .map(|(key, value)| {
                        let key = Self::new(Yaml::Str(key.clone()), span.clone());
                        (key, Self::from_json(value, span))
                    })
                    .collect(),
            ),
        };
        Self { value, span: span.clone() }
    }

    /// The same value, with every text in it taken as it is.
    pub fn untemplated(self) -> Self {
        let value = match self.value {
            Yaml::Str(text) => Yaml::Unsafe(text),
            Yaml::Seq(items) => Yaml::Seq(items.into_iter().map(Self::untemplated).collect()),
            Yaml::Map(entries) => Yaml::Map(
                entries.into_iter().map(|(key, value)| (key, value.untemplated())).collect(),
            ),
            other => other,
        };
        Self { value, span: self.span }
    }

    /// The value as JSON, templates left as they are; what a vault value holds stays hidden.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Yaml::Null => Json::Null,
            Yaml::Bool(value) => Json::Bool(*value),
            Yaml::Int(value) => (*value).into(),
            Yaml::Float(value) => {
                serde_json::Number::from_f64(*value).map_or(Json::Null, Json::Number)
            }
            Yaml::Str(text) | Yaml::Unsafe(text) => Json::String(text.clone()),
            Yaml::Vault(_) => Json::String("<vault>".to_owned()),
            Yaml::Seq(items) => items.iter().map(Self::to_json).collect(),
            Yaml::Map(entries) => entries
                .iter()
                .map(|(key, value)| {
                    let key = match key.to_json() {
                        Json::String(text) => text,
                        other => other.to_string(),
                    };
                    (key, value.to_json())
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// The kind of the value in the words of YAML, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Yaml::Null => "nothing",
            Yaml::Bool(_) => "a boolean",
            Yaml::Int(_) | Yaml::Float(_) => "a number",
            Yaml::Str(_) | Yaml::Unsafe(_) => "a string",
            Yaml::Vault(_) => "a vault value",
            Yaml::Seq(_) => "a list",
            Yaml::Map(_) => "a mapping",
        }
    }
}
