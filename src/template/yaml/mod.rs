//! YAML as PyYAML writes it: block style, plain texts where they stay texts,
//! long lines folded.

mod analysis;
mod shared;

use analysis::{Analysis, is_printable, is_timestamp};
use minijinja::value::ValueKind;
use shared::{Mark, Shared};

pub use shared::Ciphertext;

use super::{TemplateError, Value, python};
use crate::source::{Yaml, resolve_scalar};

/// How a document is written.
#[derive(Clone, Debug)]
pub struct Style {
    pub indent: usize,
    /// Lists and maps without lists and maps in them stand on one line.
    pub flow_leaves: bool,
    /// Everything stands in brackets.
    pub flow_always: bool,
    pub sorted: bool,
    /// Columns after which texts are folded.
    pub width: usize,
    pub explicit_start: bool,
    pub explicit_end: bool,
    /// Texts of several lines stand line by line under a `|-`, for people to read.
    pub literal: bool,
    /// A list or mapping that stands in several places is written once, with an anchor.
    pub anchors: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            indent: 2,
            flow_leaves: true,
            flow_always: false,
            sorted: true,
            width: 80,
            explicit_start: false,
            explicit_end: false,
            literal: false,
            anchors: false,
        }
    }
}

/// The value as a YAML document.
pub fn dump(value: &Value, style: &Style) -> Result<String, TemplateError> {
    python::check_depth(value, 0)?;
    let shared = if style.anchors { Shared::of(value, style.sorted)? } else { Shared::default() };
    let mut emitter = Emitter { style, shared, out: String::new(), column: 0 };
    let top = Place { indent: None, in_list: false, flow: style.flow_always, key: false };
    if style.explicit_start {
        let alone = emitter.begins_on_new_line(value, top)? && !emitter.shared.is_marked(value);
        emitter.write(if alone { "---\n" } else { "--- " });
    }
    emitter.node(value, top)?;
    let mut out = emitter.out;
    if !out.ends_with('\n') {
        out.push('\n');
    }
    if style.explicit_end {
        out.push_str("...\n");
    }
    Ok(out)
}

/// The keys and values of a map. Python keeps the order of keys that cannot be compared.
fn entries(value: &Value, sorted: bool) -> Result<Vec<(Value, Value)>, TemplateError> {
    let entries = python::entries(value)?;
    let mut in_order = entries.clone();
    match sorted && python::sort_by_key(&mut in_order, false).is_ok() {
        true => Ok(in_order),
        false => Ok(entries),
    }
}

struct Emitter<'a> {
    style: &'a Style,
    shared: Shared,
    out: String,
    column: usize,
}

/// Where a node is written.
#[derive(Clone, Copy)]
struct Place {
    /// Columns of the block this node stands in; None at the top.
    indent: Option<usize>,
    /// Right behind a `- `.
    in_list: bool,
    flow: bool,
    key: bool,
}

impl Emitter<'_> {
    fn write(&mut self, text: &str) {
        self.out.push_str(text);
        match text.rfind('\n') {
            Some(at) => self.column = text[at + 1..].chars().count(),
            None => self.column += text.chars().count(),
        }
    }

    fn line(&mut self, indent: usize) {
        self.write("\n");
        self.write(&" ".repeat(indent));
    }

    fn node(&mut self, value: &Value, place: Place) -> Result<(), TemplateError> {
        match self.shared.mark(value) {
            None => self.content(value, place),
            Some(Mark::Alias(name)) => {
                self.write(&format!("*{name}"));
                Ok(())
            }
            Some(Mark::Anchor(name)) => {
                self.write(&format!("&{name}"));
                if !self.begins_on_new_line(value, place)? {
                    self.write(" ");
                }
                // Behind the anchor a list or map begins on a line of its own.
                self.content(value, Place { in_list: false, ..place })
            }
        }
    }

    fn content(&mut self, value: &Value, place: Place) -> Result<(), TemplateError> {
        match value.kind() {
            ValueKind::Undefined => Err(TemplateError::undefined("the value is undefined")),
            ValueKind::Map => self.map(value, place),
            ValueKind::Seq | ValueKind::Iterable => self.list(value, place),
            ValueKind::String => {
                self.text(value.as_str().unwrap_or_default(), place);
                Ok(())
            }
            _ => {
                match value.downcast_object_ref::<Ciphertext>() {
                    Some(ciphertext) => self.ciphertext(ciphertext, place),
                    None => self.write(&scalar(value)),
                }
                Ok(())
            }
        }
    }

    /// `!vault |` and the lines.
    fn ciphertext(&mut self, Ciphertext(text): &Ciphertext, place: Place) {
        self.write(if text.ends_with('\n') { "!vault |" } else { "!vault |-" });
        let indent = place.indent.map_or(0, |indent| indent + self.style.indent);
        for line in text.lines() {
            self.line(indent);
            self.write(line);
        }
    }

    /// Whether a list or map is written in brackets.
    fn in_brackets(&self, items: &[&Value], place: Place) -> bool {
        let leaf = |value: &&Value| {
            !matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable)
        };
        place.flow || items.is_empty() || (self.style.flow_leaves && items.iter().all(leaf))
    }

    fn map(&mut self, value: &Value, place: Place) -> Result<(), TemplateError> {
        let entries = entries(value, self.style.sorted)?;
        let items: Vec<&Value> = entries.iter().map(|(_, item)| item).collect();
        if self.in_brackets(&items, place) {
            return self.flow_map(&entries, place);
        }
        let indent = place.indent.map_or(0, |indent| indent + self.style.indent);
        for (index, (key, item)) in entries.iter().enumerate() {
            if index > 0 || (place.indent.is_some() && !place.in_list) {
                self.line(indent);
            }
            self.node(key, Place { indent: Some(indent), in_list: false, flow: true, key: true })?;
            self.write(":");
            let below = Place { indent: Some(indent), in_list: false, flow: false, key: false };
            if self.shared.is_marked(item) || !self.begins_on_new_line(item, below)? {
                self.write(" ");
            }
            self.node(item, below)?;
        }
        Ok(())
    }

    fn begins_on_new_line(&self, value: &Value, place: Place) -> Result<bool, TemplateError> {
        let children: Vec<Value> = match value.kind() {
            ValueKind::Map => python::entries(value)?.into_iter().map(|(_, item)| item).collect(),
            ValueKind::Seq | ValueKind::Iterable => python::items(value)?,
            _ => return Ok(false),
        };
        Ok(!self.in_brackets(&children.iter().collect::<Vec<_>>(), place))
    }

    fn flow_map(&mut self, entries: &[(Value, Value)], place: Place) -> Result<(), TemplateError> {
        let inside = self.in_flow(place);
        self.write("{");
        for (index, (key, item)) in entries.iter().enumerate() {
            self.flow_separator(index, inside);
            self.node(key, Place { key: true, ..inside })?;
            self.write(": ");
            self.node(item, inside)?;
        }
        self.write("}");
        Ok(())
    }

    /// The place of what stands in brackets: one step further in, where a line is full.
    fn in_flow(&self, place: Place) -> Place {
        let indent = place.indent.map_or(self.style.indent, |indent| indent + self.style.indent);
        Place { indent: Some(indent), in_list: false, flow: true, key: false }
    }

    /// A comma before all but the first, and a new line when this one is full.
    fn flow_separator(&mut self, index: usize, inside: Place) {
        if index > 0 {
            self.write(",");
        }
        if self.column > self.style.width {
            self.line(inside.indent.unwrap_or_default());
        } else if index > 0 {
            self.write(" ");
        }
    }

    fn list(&mut self, value: &Value, place: Place) -> Result<(), TemplateError> {
        let items = python::items(value)?;
        if self.in_brackets(&items.iter().collect::<Vec<_>>(), place) {
            let inside = self.in_flow(place);
            self.write("[");
            for (index, item) in items.iter().enumerate() {
                self.flow_separator(index, inside);
                self.node(item, inside)?;
            }
            self.write("]");
            return Ok(());
        }
        // A list in a map stands at the map's own column.
        let indent = match place.indent {
            None => 0,
            Some(indent) if place.in_list => indent + self.style.indent,
            Some(indent) => indent,
        };
        for (index, item) in items.iter().enumerate() {
            if index > 0 || (place.indent.is_some() && !place.in_list) {
                self.line(indent);
            }
            self.write("-");
            let below = Place { indent: Some(indent), in_list: true, flow: false, key: false };
            let block = self.begins_on_new_line(item, below)? && !self.shared.is_marked(item);
            let pad = if block { self.style.indent.max(2) - 1 } else { 1 };
            self.write(&" ".repeat(pad));
            self.node(item, below)?;
        }
        Ok(())
    }

    fn text(&mut self, text: &str, place: Place) {
        let analysis = Analysis::of(text);
        let plain = !matches!(resolve_scalar(text), Yaml::Str(_))
            || is_timestamp(text)
            || text == "="
            || text == "<<";
        let multi_line = text.contains('\n');
        let plain_allowed =
            if place.flow { analysis.plain_in_flow } else { analysis.plain_in_block };
        let indent = place.indent.map_or(self.style.indent, |indent| indent + self.style.indent);
        if self.style.literal && multi_line && !place.flow && !place.key {
            self.literal(text, indent);
        } else if !plain && plain_allowed {
            self.plain(text, indent, place);
        } else if analysis.single_quoted && !(place.key && multi_line) {
            self.single_quoted(text, indent, place);
        } else {
            self.double_quoted(text, indent, place);
        }
    }

    /// Line by line; spaces at the ends of lines, which nobody sees, are left out.
    fn literal(&mut self, text: &str, indent: usize) {
        let text = text.trim_end();
        let indent = indent.max(self.style.indent);
        self.write("|");
        if text.starts_with([' ', '\n']) {
            self.write(&self.style.indent.to_string());
        }
        self.write("-");
        for line in text.lines().map(str::trim_end) {
            if line.is_empty() {
                self.write("\n");
            } else {
                self.line(indent);
                self.write(line);
            }
        }
    }

    /// Words with spaces that may become line ends.
    fn plain(&mut self, text: &str, indent: usize, place: Place) {
        let mut words = text.split(' ').peekable();
        let mut first = true;
        let mut spaces = 0;
        while let Some(word) = words.next() {
            if !first {
                spaces += 1;
            }
            if word.is_empty() && words.peek().is_some() {
                first = false;
                continue;
            }
            if spaces == 1 && !place.key && self.column > self.style.width {
                self.line(indent);
            } else {
                self.write(&" ".repeat(spaces));
            }
            self.write(word);
            spaces = 0;
            first = false;
        }
    }

    fn single_quoted(&mut self, text: &str, indent: usize, place: Place) {
        self.write("'");
        let characters: Vec<char> = text.chars().collect();
        let mut index = 0;
        while let Some(character) = characters.get(index).copied() {
            let run = characters.iter().skip(index).take_while(|c| **c == character).count();
            match character {
                ' ' => {
                    let inside = index > 0 && index + run < characters.len();
                    if run == 1 && inside && !place.key && self.column > self.style.width {
                        self.line(indent);
                    } else {
                        self.write(&" ".repeat(run));
                    }
                    index += run;
                }
                '\n' => {
                    self.out.push('\n');
                    self.out.push_str(&"\n".repeat(run));
                    self.column = 0;
                    self.write(&" ".repeat(indent));
                    index += run;
                }
                '\'' => {
                    self.write("''");
                    index += 1;
                }
                other => {
                    self.write(other.encode_utf8(&mut [0; 4]));
                    index += 1;
                }
            }
        }
        self.write("'");
    }

    fn double_quoted(&mut self, text: &str, indent: usize, place: Place) {
        self.write("\"");
        let characters: Vec<char> = text.chars().collect();
        let is_space = |index: usize| characters.get(index) == Some(&' ');
        for (index, character) in characters.iter().enumerate() {
            let escaped = match character {
                '"' => Some("\\\"".to_owned()),
                '\\' => Some("\\\\".to_owned()),
                '\0' => Some("\\0".to_owned()),
                '\u{7}' => Some("\\a".to_owned()),
                '\u{8}' => Some("\\b".to_owned()),
                '\t' => Some("\\t".to_owned()),
                '\n' => Some("\\n".to_owned()),
                '\u{b}' => Some("\\v".to_owned()),
                '\u{c}' => Some("\\f".to_owned()),
                '\r' => Some("\\r".to_owned()),
                '\u{1b}' => Some("\\e".to_owned()),
                '\u{85}' => Some("\\N".to_owned()),
                '\u{2028}' => Some("\\L".to_owned()),
                '\u{2029}' => Some("\\P".to_owned()),
                '\u{feff}' => Some("\\uFEFF".to_owned()),
                c if is_printable(*c) => None,
                c => Some(match *c as u32 {
                    code if code <= 0xff => format!("\\x{code:02X}"),
                    code if code <= 0xffff => format!("\\u{code:04X}"),
                    code => format!("\\U{code:08X}"),
                }),
            };
            let inside = index > 0 && index + 1 < characters.len() && !is_space(index - 1);
            if is_space(index) && inside && !place.key && self.column > self.style.width {
                // The line's end is the space; one after it is kept by a backslash.
                self.line(indent);
                self.write(if is_space(index + 1) { "\\" } else { "" });
                continue;
            }
            match escaped {
                Some(escaped) => self.write(&escaped),
                None => self.write(character.encode_utf8(&mut [0; 4])),
            }
        }
        self.write("\"");
    }
}

/// Numbers, truth and nothing in PyYAML's spelling.
fn scalar(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Number if !value.is_integer() => {
            let text = python::text(value);
            match text.as_str() {
                "nan" => ".nan".to_owned(),
                "inf" => ".inf".to_owned(),
                "-inf" => "-.inf".to_owned(),
                // `1e+20` would be a text to YAML 1.1.
                _ if text.contains('e') && !text.contains('.') => text.replacen('e', ".0e", 1),
                _ => text,
            }
        }
        _ => python::text(value),
    }
}
