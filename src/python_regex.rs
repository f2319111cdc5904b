//! Regular expressions as Python's `re` has them, on fancy-regex.

use fancy_regex::{Captures, Regex};

/// Python's `re.I` and `re.M`, and whether the pattern has to match at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    pub ignore_case: bool,
    pub multi_line: bool,
    pub anchored: bool,
}

/// A pattern of Python's.
pub fn compile(pattern: &str, flags: Flags) -> Result<Regex, String> {
    let mut translated = String::from("(?");
    translated.push_str(if flags.ignore_case { "i" } else { "" });
    translated.push_str(if flags.multi_line { "m" } else { "" });
    translated.push_str(if flags.anchored { ":\\A(?:" } else { ":" });
    translated.push_str(&translate(pattern, flags.multi_line));
    translated.push_str(if flags.anchored { "))" } else { ")" });
    Regex::new(&translated)
        .map_err(|error| format!("'{pattern}' is not a valid regular expression: {error}"))
}

/// Python's syntax in fancy-regex's where they differ: `\Z`, `$` before a last
/// line end, `[` and `&&` inside of a class, escapes of `<` and `>`.
fn translate(pattern: &str, multi_line: bool) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars().peekable();
    let mut class_start = None;
    while let Some(character) = characters.next() {
        let first_in_class = class_start == Some(out.len());
        match character {
            '\\' => match characters.next() {
                Some('Z') if class_start.is_none() => out.push_str("\\z"),
                Some(escaped @ ('<' | '>')) => out.push(escaped),
                Some(escaped) => {
                    out.push('\\');
                    out.push(escaped);
                }
                None => out.push('\\'),
            },
            '[' if class_start.is_none() => {
                out.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                class_start = Some(out.len());
            }
            ']' if first_in_class => out.push_str("\\]"),
            ']' if class_start.is_some() => {
                class_start = None;
                out.push(']');
            }
            '[' | '&' | '~' if class_start.is_some() => {
                out.push('\\');
                out.push(character);
            }
            '$' if class_start.is_none() && !multi_line => out.push_str("(?=\\n?\\z)"),
            other => out.push(other),
        }
    }
    out
}

/// What a match is replaced by: `\1`, `\g<1>`, `\g<name>`, `\n` and plain text.
#[derive(Debug)]
pub struct Replacement(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Group(usize),
}

impl Replacement {
    /// Reads a template for what `regex` matches; a group that it does not have is an error.
    pub fn read(template: &str, regex: &Regex) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, escape)) = rest.split_once('\\') {
            text.push_str(before);
            let (group, used) = group_of(escape, template, regex)?;
            if let Some(group) = group {
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Group(group));
                rest = escape.get(used..).unwrap_or_default();
                continue;
            }
            let character = escape.chars().next();
            match character {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('0') => text.push('\0'),
                Some('\\') | None => text.push('\\'),
                Some(letter) if letter.is_ascii_alphabetic() => {
                    return Err(format!("bad escape \\{letter} in the replacement '{template}'"));
                }
                Some(other) => text.extend(['\\', other]),
            }
            rest = escape.get(character.map_or(0, char::len_utf8)..).unwrap_or_default();
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        Ok(Self(parts))
    }

    /// Writes what stands in place of a match; a group that took no part in it is empty.
    pub fn write(&self, captures: &Captures<'_, str>, out: &mut String) {
        for part in &self.0 {
            out.push_str(match part {
                Part::Text(text) => text,
                Part::Group(number) => captures.get(*number).map_or("", |group| group.as_str()),
            });
        }
    }
}

/// The group that the text behind a backslash names, and how long its name is.
fn group_of(escape: &str, template: &str, regex: &Regex) -> Result<(Option<usize>, usize), String> {
    let digits = escape.len() - escape.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (name, used) = match escape.strip_prefix("g<") {
        Some(named) => {
            let name = named.split_once('>').map(|(name, _)| name);
            let name =
                name.ok_or_else(|| format!("missing >, unterminated name in '{template}'"))?;
            (name, name.len() + 3)
        }
        None if digits > 0 && !escape.starts_with('0') => {
            (escape.get(..digits.min(2)).unwrap_or_default(), digits.min(2))
        }
        None => return Ok((None, 0)),
    };
    let number = match name.parse() {
        Ok(number) if number >= regex.captures_len() => {
            return Err(format!("invalid group reference {number}"));
        }
        Ok(number) => Some(number),
        Err(_) => regex.capture_names().position(|known| known == Some(name)),
    };
    number.map(|number| (Some(number), used)).ok_or_else(|| format!("unknown group name '{name}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(pattern: &str, text: &str, template: &str) -> Result<String, String> {
        let regex = compile(pattern, Flags::default())?;
        let captures = regex.captures(text).expect("searched").expect("a match");
        let mut out = String::new();
        Replacement::read(template, &regex)?.write(&captures, &mut out);
        Ok(out)
    }

    #[test]
    fn references_are_those_of_python() {
        let pair = r"(\w+)=(?P<v>.*)";
        assert_eq!(expanded(pair, "a=1", r"\1 = \g<v>\g<1>").as_deref(), Ok("a = 1a"));
        assert_eq!(expanded(r"(a)|(b)", "a", r"[\2]\\").as_deref(), Ok(r"[]\"));
        assert_eq!(expanded(r"(?P<x>a)|(?P<y>b)", "a", r"<\g<y>>").as_deref(), Ok("<>"));
    }

    #[test]
    fn a_group_that_does_not_exist_is_an_error() {
        for template in [r"\1", r"\g<1>", r"\g<name>", r"\g<name", r"\q"] {
            assert!(expanded("a", "a", template).is_err(), "{template}");
        }
    }

    #[test]
    fn ends_and_classes_are_those_of_python() {
        let matches = |pattern: &str, text: &str| {
            compile(pattern, Flags::default()).expect(pattern).is_match(text).expect("searched")
        };
        assert!(matches("a$", "a\n") && !matches(r"a\Z", "a\n"));
        assert!(matches("^[]x]$", "]") && matches("[[&]", "["));
        assert!(matches(r"(?<=a)b(?!c)", "ab"));
    }
}
