//! Regular expressions as Python's `re` has them, on fancy-regex.

use fancy_regex::Regex;

use super::Failure;

pub type Captures<'t> = fancy_regex::Captures<'t, str>;

/// A pattern of Python's. `multi_line` is `re.M`.
pub fn compile(pattern: &str, multi_line: bool) -> Result<Regex, Failure> {
    let flags = if multi_line { "(?m:" } else { "(?:" };
    Regex::new(&format!("{flags}{})", translate(pattern, multi_line))).map_err(|error| {
        Failure::new(format!("'{pattern}' is not a valid regular expression: {error}"))
    })
}

/// The match in `text`; a pattern that takes too long is a failure.
pub fn search<'t>(regex: &Regex, text: &'t str) -> Result<Option<Captures<'t>>, Failure> {
    regex.captures(text).map_err(|error| {
        Failure::new(format!("the regular expression '{}' failed: {error}", regex.as_str()))
    })
}

/// Python's syntax in fancy-regex's where they differ: `\Z`, `$` before a last line
/// end, a bracket or `&` inside of a class.
fn translate(pattern: &str, multi_line: bool) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('Z') if !in_class => out.push_str("\\z"),
                Some(escaped @ ('<' | '>')) => out.push(escaped),
                Some(escaped) => out.extend(['\\', escaped]),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // A bracket that comes first is a character like any other.
                if characters.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => out.extend(['\\', character]),
            '$' if !in_class && !multi_line => out.push_str("(?=\\n?\\z)"),
            other => out.push(other),
        }
    }
    out
}

/// What `match.expand(template)` gives: `\1`, `\g<1>`, `\g<name>`, `\n` and its like.
pub fn expand(template: &str, captures: &Captures) -> Result<String, Failure> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut characters = after.chars();
        let first = characters.next();
        let mut next = characters.as_str();
        match first {
            Some('g') if next.starts_with('<') => {
                let (name, behind) = next
                    .get(1..)
                    .and_then(|name| name.split_once('>'))
                    .ok_or_else(|| Failure::new("missing >, unterminated name"))?;
                let group = match name.parse::<usize>() {
                    Ok(number) => number_of(captures, number)?,
                    Err(_) => named(captures, name)?,
                };
                out.push_str(&group);
                next = behind;
            }
            Some(digit) if digit.is_ascii_digit() && digit != '0' => {
                let second = next.chars().next().filter(char::is_ascii_digit);
                let text = second.map_or(digit.to_string(), |second| format!("{digit}{second}"));
                if second.is_some() {
                    next = next.get(1..).unwrap_or_default();
                }
                out.push_str(&number_of(captures, text.parse().unwrap_or(usize::MAX))?);
            }
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\\') | None => out.push('\\'),
            Some(other) => out.extend(['\\', other]),
        }
        rest = next;
    }
    out.push_str(rest);
    Ok(out)
}

/// A group that took no part in the match is empty.
fn number_of(captures: &Captures, number: usize) -> Result<String, Failure> {
    if number >= captures.len() {
        return Err(Failure::new(format!("invalid group reference {number}")));
    }
    Ok(captures.get(number).map(|group| group.as_str().to_owned()).unwrap_or_default())
}

fn named(captures: &Captures, name: &str) -> Result<String, Failure> {
    captures
        .name(name)
        .map(|group| group.as_str().to_owned())
        .ok_or_else(|| Failure::new(format!("unknown group name '{name}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(pattern: &str, text: &str, template: &str) -> String {
        let regex = compile(pattern, false).expect("a pattern");
        let captures = search(&regex, text).expect("searched").expect("a match");
        expand(template, &captures).expect("expanded")
    }

    #[test]
    fn references_are_those_of_python() {
        assert_eq!(expanded(r"(\w+)=(?P<v>.*)", "a=1", r"\1 = \g<v>\g<1>"), "a = 1a");
        assert_eq!(expanded(r"(a)|(b)", "a", r"[\2]\\"), r"[]\");
    }

    #[test]
    fn a_group_that_does_not_exist_is_an_error() {
        let regex = compile("a", false).expect("a pattern");
        let captures = search(&regex, "a").expect("searched").expect("a match");
        assert!(expand(r"\1", &captures).is_err());
    }

    #[test]
    fn ends_and_classes_are_those_of_python() {
        let matches = |pattern: &str, text: &str| {
            search(&compile(pattern, false).expect(pattern), text).expect("searched").is_some()
        };
        assert!(matches("a$", "a\n") && !matches(r"a\Z", "a\n"));
        assert!(matches("^[]x]$", "]") && matches("[[&]", "["));
        assert!(matches(r"(?<=a)b(?!c)", "ab"));
    }
}
