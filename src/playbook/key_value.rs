//! Arguments in one line: `src=a dest='b c'`, as Ansible cuts them.

use std::ops::Range;

/// What may stand as `name=value` in the text of a command.
const OF_COMMANDS: &[&str] = &[
    "creates",
    "removes",
    "chdir",
    "executable",
    "warn",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
];

/// Pairs, and the text that is left without them.
#[derive(Debug, Default, PartialEq)]
pub struct Split {
    pub pairs: Vec<(String, String)>,
    pub rest: String,
}

/// Cuts a line whose words should all be pairs.
pub fn split(text: &str) -> Result<Split, String> {
    let words = words(text).ok_or_else(|| {
        format!(
            "failed at splitting arguments, either an unbalanced jinja2 block or quotes: {text}"
        )
    })?;
    Ok(cut(text, &words, |_| true))
}

/// Cuts the text of a module with a free form: only what is an argument of commands
/// is taken out of a command's text.
pub fn split_free_form(text: &str, module: &str) -> Split {
    let of_commands = matches!(module, "command" | "shell" | "raw" | "script");
    match words(text) {
        Some(words) => {
            let mut split = cut(text, &words, |name| !of_commands || OF_COMMANDS.contains(&name));
            if of_commands && !split.rest.is_empty() {
                // A script keeps the ends of its lines, the last one's too.
                let tail = words.last().and_then(|word| text.get(word.end..));
                split.rest.extend(tail.unwrap_or_default().chars().filter(|c| *c == '\n'));
            }
            split
        }
        // What is quoted wrong is for the command itself to refuse.
        None => Split { pairs: Vec::new(), rest: text.trim().to_owned() },
    }
}

/// Whether the whole text is one `{{ … }}`.
pub fn is_one_template(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("{{") && text.ends_with("}}") && text.matches("{{").count() == 1
}

fn cut(text: &str, words: &[Range<usize>], is_argument: impl Fn(&str) -> bool) -> Split {
    let mut split = Split::default();
    let mut end = 0;
    for range in words {
        let word = text.get(range.clone()).unwrap_or_default();
        match pair(word).filter(|(name, _)| is_argument(name)) {
            Some((name, value)) => {
                split.pairs.push((name.to_owned(), unescape(unquote(value))));
                // The blanks before a pair go with it.
                let before = text.get(end..range.start).unwrap_or_default();
                if before.contains('\n') && !split.rest.is_empty() {
                    split.rest.push('\n');
                }
            }
            // A backslash by itself at the end of a line joins it with the next.
            None if word == "\\" && text.get(range.end..).is_some_and(|t| t.starts_with('\n')) => {
                split.rest.push(' ');
                end = range.end + 1;
                continue;
            }
            None => split.rest.push_str(text.get(end..range.end).unwrap_or_default()),
        }
        end = range.end;
    }
    split.rest = split.rest.trim().to_owned();
    split
}

/// The name and value of a word; `\=` is an equals sign that does not part them.
fn pair(word: &str) -> Option<(&str, &str)> {
    // Templates may make the name or parts of it: `{{ item }}_count=1`.
    let mut at = 0;
    loop {
        let rest = word.get(at..)?;
        match rest.chars().next()? {
            '=' if at > 0 => return Some((word.get(..at)?, rest.get(1..)?)),
            '{' if rest.starts_with("{{") => at += rest.find("}}")? + 2,
            c if c.is_alphanumeric() || c == '_' => at += c.len_utf8(),
            _ => return None,
        }
    }
}

/// Where the words stand, their quotes and templates whole; none if these are not closed.
fn words(text: &str) -> Option<Vec<Range<usize>>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut depth = 0usize;
    let mut previous = ' ';
    for (index, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open && previous != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if depth == 0 && previous != '\\' => quote = Some(c),
            (None, '{' | '%' | '#') if previous == '{' => depth += 1,
            (None, '}') if depth > 0 && matches!(previous, '}' | '%' | '#') => depth -= 1,
            _ => {}
        }
        let blank = c.is_whitespace() && quote.is_none() && depth == 0;
        match (blank, start) {
            (true, Some(from)) => {
                words.push(from..index);
                start = None;
            }
            (false, None) => start = Some(index),
            _ => {}
        }
        previous = c;
    }
    words.extend(start.map(|from| from..text.len()));
    (quote.is_none() && depth == 0).then_some(words)
}

fn unquote(text: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

/// `\n` and its like, as in Python's strings.
fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match characters.next() {
            Some('n') => result.push('\n'),
            Some('t') => result.push('\t'),
            Some('r') => result.push('\r'),
            Some('a') => result.push('\u{7}'),
            Some('b') => result.push('\u{8}'),
            Some('f') => result.push('\u{c}'),
            Some('v') => result.push('\u{b}'),
            Some(c @ ('\\' | '"' | '\'' | '=')) => result.push(c),
            Some(other) => result.extend(['\\', other]),
            None => result.push('\\'),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn pairs_may_hold_quotes_templates_and_escapes() {
        let split =
            split("src='a b' dest={{ x | join(' ') }}/y content=\"1\\n2\" n=").expect("pairs");
        assert_eq!(
            split.pairs,
            pairs(&[
                ("src", "a b"),
                ("dest", "{{ x | join(' ') }}/y"),
                ("content", "1\n2"),
                ("n", "")
            ])
        );
        assert_eq!(split.rest, "");
    }

    #[test]
    fn a_command_keeps_what_is_not_its_argument() {
        let split = split_free_form("make  FOO=1 chdir='/a b' 'x  y' creates=/z", "shell");
        assert_eq!(split.rest, "make  FOO=1 'x  y'");
        assert_eq!(split.pairs, pairs(&[("chdir", "/a b"), ("creates", "/z")]));
    }

    #[test]
    fn the_lines_of_a_script_stay_as_they_are() {
        let split = split_free_form("if a; then\n  b\nfi\nchdir=/x\n", "shell");
        assert_eq!(split.rest, "if a; then\n  b\nfi\n");
        let joined = split_free_form("echo a \\\n\"b\nc\" \\\n| cat\n", "shell");
        assert_eq!(joined.rest, "echo a \"b\nc\" | cat\n");
        let broken = split_free_form("echo it's", "shell");
        assert_eq!(broken.rest, "echo it's");
    }

    #[test]
    fn quotes_that_are_not_closed_are_an_error() {
        assert!(split("msg='a").is_err());
        assert!(split("msg={{ a").is_err());
    }
}
