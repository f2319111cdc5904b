//! Text as a shell would read it, where there is no shell: splitting a command into
//! words, `~` and `$VARIABLE`, file patterns.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

/// Splits a command line as Python's `shlex.split` does, which is what `command` is
/// documented by: quotes and backslashes, but no comments and no expansion.
pub fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => {
                let next = chars.next().ok_or("No escaped character")?;
                word.get_or_insert_default().push(next);
            }
            '\'' | '"' => quoted(c, &mut chars, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(
    quote: char,
    chars: &mut impl Iterator<Item = char>,
    word: &mut String,
) -> Result<(), &'static str> {
    while let Some(c) = chars.next() {
        if c == quote {
            return Ok(());
        }
        if c == '\\' && quote == '"' {
            let next = chars.next().ok_or("No closing quotation")?;
            if !matches!(next, '"' | '\\') {
                word.push('\\');
            }
            word.push(next);
        } else {
            word.push(c);
        }
    }
    Err("No closing quotation")
}

/// `$NAME` and `${NAME}` by their value; what is not set stays as it is written.
pub fn expand_variables(text: &str, environment: &BTreeMap<String, String>) -> String {
    let value = |name: &str| environment.get(name).cloned().or_else(|| std::env::var(name).ok());
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, next) = braced.unwrap_or_else(|| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
            after.split_at(end)
        });
        match value(name).filter(|_| !name.is_empty()) {
            Some(value) => {
                expanded.push_str(&value);
                rest = next;
            }
            None => {
                expanded.push('$');
                rest = after;
            }
        }
    }
    expanded.push_str(rest);
    expanded
}

/// A value as Python shows it, lists and mappings as JSON.
pub fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Null => "None".to_owned(),
        other => other.to_string(),
    }
}

/// A leading `~` or `~user` by the home folder; an unknown user's stays as it is written.
pub fn expand_user(text: &str, environment: &BTreeMap<String, String>) -> String {
    let Some(after) = text.strip_prefix('~') else { return text.to_owned() };
    let (user, rest) = after.split_at(after.find('/').unwrap_or(after.len()));
    let home = if user.is_empty() {
        environment.get("HOME").cloned().or_else(|| std::env::var("HOME").ok())
    } else {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let mut entries = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let entry = entries.find(|fields| fields.first() == Some(&user));
        entry.and_then(|fields| fields.get(5).map(|home| (*home).to_owned()))
    };
    match home {
        Some(home) => format!("{}{rest}", home.trim_end_matches('/')),
        None => text.to_owned(),
    }
}

/// The files that a pattern names (`*`, `?`, `[a-z]`), sorted. One without any of these
/// gives the file itself, if it exists. A leading dot is matched by a dot alone.
pub fn files_matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str();
        let magic = name.to_str().filter(|text| text.contains(['*', '?', '[']));
        found = match magic.and_then(name_pattern) {
            None => found.into_iter().map(|folder| folder.join(name)).collect(),
            Some(regex) => found.iter().flat_map(|folder| entries(folder, &regex)).collect(),
        };
    }
    found.retain(|path| fs::symlink_metadata(path).is_ok());
    found.sort();
    found
}

/// How the pattern of a name begins that starts with a dot.
const HIDDEN: &str = "(?s)^\\.";

fn entries(folder: &Path, regex: &regex::Regex) -> Vec<PathBuf> {
    let read = fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let names = read.into_iter().flatten().flatten().map(|entry| entry.file_name());
    let hidden = regex.as_str().starts_with(HIDDEN);
    names
        .filter(|name| {
            name.to_str().is_some_and(|n| regex.is_match(n) && (hidden || !n.starts_with('.')))
        })
        .map(|name| folder.join(name))
        .collect()
}

/// None when the text is no pattern after all (an unclosed bracket).
fn name_pattern(text: &str) -> Option<regex::Regex> {
    let mut pattern = String::from("(?s)^");
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            '[' => match rest.as_str().char_indices().skip(1).find(|(_, c)| *c == ']') {
                Some((end, _)) => {
                    let class = rest.as_str().get(..end)?;
                    let class = class.strip_prefix('!').map_or_else(
                        || regex::escape(class).replace("\\-", "-"),
                        |negated| format!("^{}", regex::escape(negated).replace("\\-", "-")),
                    );
                    pattern.push_str(&format!("[{class}]"));
                    rest = rest.as_str().get(end + 1..)?.chars();
                }
                None => pattern.push_str("\\["),
            },
            c => pattern.push_str(&regex::escape(&c.to_string())),
        }
    }
    pattern.push('$');
    regex::Regex::new(&pattern).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_python_splits_them() {
        let split = |text| split(text).unwrap();
        assert_eq!(split("echo 'a b' \"c \\\" \\d\" e\\ f"), ["echo", "a b", "c \" \\d", "e f"]);
        assert_eq!(split("echo #1 ''"), ["echo", "#1", ""]);
        assert!(split("  \n ").is_empty());
    }

    #[test]
    fn an_open_quote_is_an_error() {
        assert_eq!(split("echo 'a"), Err("No closing quotation"));
        assert_eq!(split("echo \\"), Err("No escaped character"));
    }

    #[test]
    fn variables_are_expanded_and_unknown_ones_left() {
        let environment = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        let expand = |text| expand_variables(text, &environment);
        assert_eq!(expand("$A ${A}b $NO_SUCH_ONE ${NO} $ $$A"), "1 1b $NO_SUCH_ONE ${NO} $ $1");
    }

    #[test]
    fn a_tilde_is_the_home_folder_only_at_the_start() {
        let environment = BTreeMap::from([("HOME".to_owned(), "/home/me".to_owned())]);
        let expand = |text| expand_user(text, &environment);
        assert_eq!(expand("~/x"), "/home/me/x");
        assert_eq!(expand("a~"), "a~");
        assert_eq!(expand("~no-such-user/x"), "~no-such-user/x");
        assert_eq!(expand("~root"), "/root");
    }

    #[test]
    fn patterns_match_names_and_leave_hidden_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.conf", "b.conf", ".c.conf", "d[1"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let matching = |pattern: &str| {
            let found = files_matching(&folder.path().join(pattern));
            found
                .iter()
                .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(matching("*.conf"), ["a.conf", "b.conf"]);
        assert_eq!(matching("[!a].conf"), ["b.conf"]);
        assert_eq!(matching(".*.conf"), [".c.conf"]);
        assert_eq!(matching("d[1"), ["d[1"]);
        assert!(matching("nosuch").is_empty());
    }
}
