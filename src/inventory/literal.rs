//! Values in INI inventories: Python literals, and text when they are none.

use crate::source::{Node, Span, Yaml};

/// The literal that the whole text is, else the text itself. So `1` is a number,
/// `True` a boolean and `[1, 'a']` a list, but `true` and `0644` are text.
pub fn value(text: &str, span: &Span) -> Yaml {
    let mut parser = Parser { rest: text.trim_start(), span, depth: 0 };
    match parser.top_level() {
        Some(value) if parser.at_end() => value,
        _ => Yaml::Str(text.to_owned()),
    }
}

/// Deeper nesting than this is no data of an inventory.
const MAX_DEPTH: usize = 50;

struct Parser<'a> {
    rest: &'a str,
    span: &'a Span,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// A comment may follow.
    fn at_end(&mut self) -> bool {
        self.blanks();
        self.rest.is_empty() || self.rest.starts_with('#')
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn node(&self, value: Yaml) -> Node {
        Node::new(value, self.span.clone())
    }

    /// A value, or values with commas between them: a tuple without parentheses.
    fn top_level(&mut self) -> Option<Yaml> {
        let first = self.value()?;
        if !self.eat(",") {
            return Some(first);
        }
        let mut items = vec![self.node(first)];
        while !self.at_end() {
            let item = self.value()?;
            items.push(self.node(item));
            if !self.eat(",") {
                break;
            }
        }
        Some(Yaml::Seq(items))
    }

    fn value(&mut self) -> Option<Yaml> {
        self.blanks();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let value = match self.rest.chars().next()? {
            '[' => self.list("[", "]"),
            '(' => self.list("(", ")"),
            '{' => self.braces(),
            '"' | '\'' => self.string().map(Yaml::Str),
            c if c.is_ascii_digit() || matches!(c, '.' | '-' | '+') => self.number(),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    fn word(&mut self) -> Option<Yaml> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let value = match word {
            "True" => Yaml::Bool(true),
            "False" => Yaml::Bool(false),
            "None" => Yaml::Null,
            _ => return None,
        };
        self.rest = rest;
        Some(value)
    }

    fn list(&mut self, open: &str, close: &str) -> Option<Yaml> {
        self.eat(open);
        let mut items = Vec::new();
        let mut comma = false;
        while !self.eat(close) {
            if !items.is_empty() && !comma {
                return None;
            }
            let item = self.value()?;
            items.push(self.node(item));
            comma = self.eat(",");
        }
        // A value in parentheses is that value; with a comma it is a tuple.
        match (open, comma, items.len()) {
            ("(", false, 1) => items.pop().map(|item| item.value),
            _ => Some(Yaml::Seq(items)),
        }
    }

    /// A dict, or a set as the list of its members.
    fn braces(&mut self) -> Option<Yaml> {
        self.eat("{");
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut members: Vec<Node> = Vec::new();
        let mut comma = true;
        while !self.eat("}") {
            if !comma {
                return None;
            }
            let first = self.value()?;
            if matches!(first, Yaml::Seq(_) | Yaml::Map(_)) {
                return None;
            }
            let first = self.node(first);
            if self.eat(":") {
                let value = self.value()?;
                let value = self.node(value);
                match entries.iter_mut().find(|(key, _)| key.value == first.value) {
                    Some(entry) => entry.1 = value,
                    None => entries.push((first, value)),
                }
            } else {
                members.push(first);
            }
            comma = self.eat(",");
        }
        match (entries.is_empty(), members.is_empty()) {
            (_, true) => Some(Yaml::Map(entries)),
            (true, false) => Some(Yaml::Seq(members)),
            (false, false) => None,
        }
    }

    fn number(&mut self) -> Option<Yaml> {
        let negative = self.rest.starts_with('-');
        let unsigned = self.rest.strip_prefix(['-', '+']).unwrap_or(self.rest);
        let mut previous = ' ';
        let end = unsigned
            .find(|c: char| {
                let part = c.is_ascii_alphanumeric()
                    || matches!(c, '.' | '_')
                    || (matches!(c, '+' | '-') && matches!(previous, 'e' | 'E'));
                previous = c;
                !part
            })
            .unwrap_or(unsigned.len());
        let (digits, rest) = unsigned.split_at(end);
        let value = number(digits, negative)?;
        self.rest = rest;
        Some(value)
    }

    /// A string in quotes, and further ones behind it, which belong to it.
    fn string(&mut self) -> Option<String> {
        let mut text = self.quoted()?;
        self.blanks();
        while self.rest.starts_with(['"', '\'']) {
            text.push_str(&self.quoted()?);
            self.blanks();
        }
        Some(text)
    }

    fn quoted(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let mut characters = self.rest.char_indices().skip(1);
        let mut text = String::new();
        loop {
            match characters.next()? {
                (end, c) if c == quote => {
                    self.rest = self.rest.get(end + 1..)?;
                    break;
                }
                (_, '\\') => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    '0' => text.push('\0'),
                    c @ ('\\' | '\'' | '"') => text.push(c),
                    'x' | 'u' | 'U' | 'N' => return None,
                    other => text.extend(['\\', other]),
                },
                (_, c) => text.push(c),
            }
        }
        Some(text)
    }
}

fn number(digits: &str, negative: bool) -> Option<Yaml> {
    let sign = if negative { -1 } else { 1 };
    let underscores_right =
        !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    let plain = digits.replace('_', "").to_lowercase();
    if !underscores_right {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = plain.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).ok().map(|n| Yaml::Int(sign * n));
        }
    }
    if plain.bytes().all(|b| b.is_ascii_digit()) {
        let zeros = plain.bytes().all(|b| b == b'0');
        let leading_zero = plain.len() > 1 && plain.starts_with('0') && !zeros;
        return if leading_zero {
            None
        } else {
            plain.parse().ok().map(|n: i64| Yaml::Int(sign * n))
        };
    }
    let numeric = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-'));
    if !numeric {
        return None;
    }
    plain.parse::<f64>().ok().map(|n| Yaml::Float(sign as f64 * n))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::source::SourceFile;

    #[test]
    fn python_literals_have_their_type_and_all_else_is_text() {
        let span = Span::start(&SourceFile::new(Path::new("hosts"), ""));
        let json = |text: &str| Node::new(value(text, &span), span.clone()).to_json().to_string();
        for (text, expected) in [
            ("1", "1"),
            ("-1", "-1"),
            ("1_000", "1000"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1.20", "1.2"),
            ("1e3", "1000.0"),
            ("1.20.2", "\"1.20.2\""),
            ("0644", "\"0644\""),
            ("00", "0"),
            ("True", "true"),
            ("true", "\"true\""),
            ("yes", "\"yes\""),
            ("None", "null"),
            ("'a'", "\"a\""),
            ("'a' 'b'", "\"ab\""),
            ("\"it's\"", "\"it's\""),
            ("[1, 'a', [2,],]", "[1,\"a\",[2]]"),
            ("[a]", "\"[a]\""),
            ("{'a': 1, 'b': [True]}", "{\"a\":1,\"b\":[true]}"),
            ("{}", "{}"),
            ("(1)", "1"),
            ("(1, 2)", "[1,2]"),
            ("1,2", "[1,2]"),
            ("5 # five", "5"),
            ("a # b", "\"a # b\""),
            ("{{ x }}", "\"{{ x }}\""),
            ("", "\"\""),
            ("10.0.0.1", "\"10.0.0.1\""),
            ("1 2", "\"1 2\""),
            ("/usr/bin/python3", "\"/usr/bin/python3\""),
            ("99999999999999999999", "\"99999999999999999999\""),
            ("inf", "\"inf\""),
            ("-", "\"-\""),
        ] {
            assert_eq!(json(text), expected, "{text}");
        }
    }
}
