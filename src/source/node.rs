//! YAML as read from a file: values with their line and column.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;

/// A file (or `-e` text) that values came from.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: String,
}

/// A place in a [`SourceFile`]. Line and column count from 1, as editors do;
/// the column counts characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    pub file: Arc<SourceFile>,
    pub line: usize,
    pub column: usize,
}

impl Span {
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
