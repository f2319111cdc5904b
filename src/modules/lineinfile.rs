//! `lineinfile`: one line of a file.

use fancy_regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, HostPath, Text};
use super::files::Attributes;
use super::mode::Mode;
use super::pattern;
use super::text_file::{TextFile, Writing};
use super::{Context, Failure, Module, Outcome};

/// Warnings for those who look for nothing, in Ansible's words.
const EMPTY_PATTERN: &str = "The regular expression is an empty string, which will match every \
     line in the file. This may have unintended consequences, such as replacing the last line in \
     the file rather than appending. If this is desired, use '^' to match every line in the file \
     and avoid this warning.";
const EMPTY_TEXT: &str = "The search string is an empty string, which will match every line in \
     the file. This may have unintended consequences, such as replacing the last line in the \
     file rather than appending.";

/// Makes sure that a line is in a file, or is not.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineInFile {
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: HostPath,
    #[serde(default)]
    state: State,
    /// The line; needed unless `state` is `absent`.
    #[serde(alias = "value")]
    line: Option<Text>,
    /// The last line that this matches is replaced; all of them are removed.
    #[serde(alias = "regex")]
    regexp: Option<Text>,
    /// A text to look for in lines, in place of `regexp`.
    search_string: Option<Text>,
    /// Where a new line goes: after the last line that this matches, or `EOF`.
    insertafter: Option<Text>,
    /// Where a new line goes: before the last line that this matches, or `BOF`.
    insertbefore: Option<Text>,
    /// Take `\1` in `line` for what `regexp` matched; without a match nothing changes.
    #[serde(default)]
    backrefs: Flag,
    /// The first match counts, not the last.
    #[serde(default)]
    firstmatch: Flag,
    /// Make a file that does not exist.
    #[serde(default)]
    create: Flag,
    /// Keep the old file under a name with the time.
    #[serde(default)]
    backup: Flag,
    /// A command that must accept the new file (`%s`).
    validate: Option<Text>,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<Mode>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

/// Where a new line goes when no line matches.
enum Place {
    Start,
    End,
    Before(Regex),
    After(Regex),
}

impl Module for LineInFile {
    const NAME: &'static str = "lineinfile";
    const WRITES_FILES: bool = true;

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        self.validate_arguments()?;
        let file = TextFile::read(&self.path)?;
        if !file.existed && self.state == State::Absent {
            return Ok(Outcome::default().with("msg", "file not present"));
        }
        if !file.existed && !self.create.0 {
            let msg = format!("Destination {} does not exist !", self.path.display());
            return Err(Failure::new(msg).with("rc", 257));
        }
        let mut lines: Vec<String> = file.text.split_inclusive('\n').map(str::to_owned).collect();
        let (msg, found) = match self.state {
            State::Present => (self.put(&mut lines)?.to_owned(), None),
            State::Absent => {
                let removed = self.remove(&mut lines)?;
                (format!("{removed} line(s) removed"), Some(removed))
            }
        };
        let writing = Writing {
            backup: self.backup.0,
            validate: self.validate.as_ref(),
            attributes: Attributes {
                owner: self.owner.clone(),
                group: self.group.clone(),
                mode: self.mode.clone(),
            },
            two_diffs: true,
        };
        let mut outcome = file.finish(&lines.concat(), &msg, &writing, context)?;
        outcome.result.shift_remove("backup_file");
        let is_empty = |text: &Option<Text>| text.as_ref().is_some_and(|text| text.0.is_empty());
        for (text, warning) in [(&self.regexp, EMPTY_PATTERN), (&self.search_string, EMPTY_TEXT)] {
            if is_empty(text) {
                outcome = outcome.with("warnings", json!([warning]));
            }
        }
        let outcome = if outcome.result.contains_key("backup") {
            outcome
        } else {
            outcome.with("backup", "")
        };
        Ok(match found {
            Some(found) => outcome.with("found", found),
            None => outcome,
        })
    }
}

impl LineInFile {
    fn validate_arguments(&self) -> Result<(), Failure> {
        let refuse = |msg: &str| Err(Failure::new(msg));
        if self.regexp.is_some() && self.search_string.is_some() {
            return refuse("parameters are mutually exclusive: search_string|regexp");
        }
        match self.state {
            State::Present if self.backrefs.0 && self.regexp.is_none() => {
                refuse("regexp is required with backrefs=true")
            }
            State::Present if self.line.is_none() => refuse("line is required with state=present"),
            State::Present if self.insertafter.is_some() && self.insertbefore.is_some() => {
                refuse("parameters are mutually exclusive: insertbefore|insertafter")
            }
            State::Absent
                if self.regexp.is_none() && self.search_string.is_none() && self.line.is_none() =>
            {
                refuse("one of line, search_string, or regexp is required with state=absent")
            }
            _ => Ok(()),
        }
    }

    fn regex(&self) -> Result<Option<Regex>, Failure> {
        self.regexp.as_ref().map(|text| pattern::compile(&text.0, false)).transpose()
    }

    fn place(&self) -> Result<Place, Failure> {
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.0.clone());
        Ok(match (text(&self.insertafter).as_deref(), text(&self.insertbefore).as_deref()) {
            (Some("BOF"), _) | (None, Some("BOF")) => Place::Start,
            (None | Some("EOF"), None) | (Some("EOF"), _) => Place::End,
            (Some(after), _) => Place::After(pattern::compile(after, false)?),
            (None, Some(before)) => Place::Before(pattern::compile(before, false)?),
        })
    }

    /// Replaces or adds the line; returns what was done.
    fn put(&self, lines: &mut Vec<String>) -> Result<&'static str, Failure> {
        let line = self.line.as_ref().map(|line| line.0.as_str()).unwrap_or_default();
        if let Some((at, new)) = self.matching(lines, line)? {
            if let Some(old) = lines.get_mut(at) {
                *old = with_line_end(new);
            }
            return Ok("line replaced");
        }
        if let Some(old) = lines.iter_mut().rfind(|old| bare(old) == line) {
            // It is there, but perhaps without its end, or with that of another system.
            let whole = with_line_end(line.to_owned());
            let same = *old == whole;
            *old = whole;
            return Ok(if same { "" } else { "line replaced" });
        }
        if self.backrefs.0 {
            return Ok("");
        }
        let at = self.insertion(lines)?;
        if at > 0
            && at == lines.len()
            && let Some(last) = lines.last_mut()
            && !last.ends_with('\n')
        {
            last.push('\n');
        }
        lines.insert(at, with_line_end(line.to_owned()));
        Ok("line added")
    }

    /// The line that `regexp` or `search_string` finds, and what it becomes.
    fn matching(&self, lines: &[String], line: &str) -> Result<Option<(usize, String)>, Failure> {
        let regex = self.regex()?;
        let mut found = None;
        for (at, old) in lines.iter().enumerate() {
            let new = match (&regex, &self.search_string) {
                (Some(regex), _) => match pattern::search(regex, old)? {
                    Some(captures) if self.backrefs.0 => {
                        Some(pattern::expand(regex, line, &captures)?)
                    }
                    Some(_) => Some(line.to_owned()),
                    None => None,
                },
                (None, Some(text)) => old.contains(&text.0).then(|| line.to_owned()),
                (None, None) => None,
            };
            if let Some(new) = new {
                found = Some((at, new));
                if self.firstmatch.0 {
                    break;
                }
            }
        }
        Ok(found)
    }

    fn insertion(&self, lines: &[String]) -> Result<usize, Failure> {
        let (regex, behind) = match self.place()? {
            Place::Start => return Ok(0),
            Place::End => return Ok(lines.len()),
            Place::Before(regex) => (regex, 0),
            Place::After(regex) => (regex, 1),
        };
        let mut at = lines.len();
        for (number, line) in lines.iter().enumerate() {
            if pattern::search(&regex, line)?.is_some() {
                at = number + behind;
                if self.firstmatch.0 {
                    break;
                }
            }
        }
        Ok(at)
    }

    /// Removes all lines that match; returns how many.
    fn remove(&self, lines: &mut Vec<String>) -> Result<usize, Failure> {
        let regex = self.regex()?;
        let before = lines.len();
        let mut kept = Vec::with_capacity(before);
        for old in lines.drain(..) {
            let matches = match (&regex, &self.search_string) {
                (Some(regex), _) => pattern::search(regex, &old)?.is_some(),
                (None, Some(text)) => old.contains(&text.0),
                (None, None) => self.line.as_ref().is_some_and(|line| bare(&old) == line.0),
            };
            if !matches {
                kept.push(old);
            }
        }
        *lines = kept;
        Ok(before - lines.len())
    }
}

fn bare(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

fn with_line_end(line: String) -> String {
    if line.ends_with('\n') { line } else { line + "\n" }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use serde_json::{Value as Json, json};

    fn edited(before: &str, arguments: Json) -> (String, Outcome) {
        testing::edited::<LineInFile>(before, arguments)
    }

    #[test]
    fn the_last_matching_line_is_replaced() {
        let (text, outcome) = edited("a=1\nb=2\na=3\n", json!({"regexp": "^a=", "line": "a=9"}));
        assert_eq!(text, "a=1\nb=2\na=9\n");
        assert_eq!((outcome.changed, &outcome.result["msg"]), (true, &json!("line replaced")));
        let (text, _) =
            edited("a=1\nb=2\na=3\n", json!({"regexp": "^a=", "line": "a=9", "firstmatch": true}));
        assert_eq!(text, "a=9\nb=2\na=3\n");
    }

    #[test]
    fn a_line_that_is_there_is_left() {
        let (text, outcome) = edited("x\ny", json!({"line": "x"}));
        assert_eq!((text.as_str(), outcome.changed), ("x\ny", false));
        assert_eq!(outcome.result["msg"], "");
    }

    #[test]
    fn a_line_that_is_there_gets_its_end() {
        let (text, outcome) = edited("a\nb\na", json!({"line": "a"}));
        assert_eq!((text.as_str(), outcome.changed), ("a\nb\na\n", true));
        assert_eq!(outcome.result["msg"], "line replaced");
        assert_eq!(edited("a\r\nb", json!({"line": "a"})).0, "a\nb");
    }

    #[test]
    fn a_new_line_goes_where_it_is_told() {
        let put = |extra: Json| {
            let mut arguments = json!({"line": "new"});
            arguments
                .as_object_mut()
                .expect("a map")
                .extend(extra.as_object().cloned().expect("a map"));
            edited("one\ntwo\none", arguments).0
        };
        assert_eq!(put(json!({})), "one\ntwo\none\nnew\n");
        assert_eq!(put(json!({"insertbefore": "BOF"})), "new\none\ntwo\none");
        assert_eq!(put(json!({"insertafter": "^two"})), "one\ntwo\nnew\none");
        assert_eq!(put(json!({"insertafter": "^one"})), "one\ntwo\none\nnew\n");
        assert_eq!(put(json!({"insertafter": "^one", "firstmatch": true})), "one\nnew\ntwo\none");
        assert_eq!(put(json!({"insertbefore": "^two"})), "one\nnew\ntwo\none");
        assert_eq!(put(json!({"insertbefore": "nosuch"})), "one\ntwo\none\nnew\n");
    }

    #[test]
    fn backrefs_change_only_what_matches() {
        let swap = json!({"regexp": r"^(\w+) (\w+)$", "line": r"\2 \1", "backrefs": true});
        assert_eq!(edited("a b\n", swap.clone()).0, "b a\n");
        let (text, outcome) = edited("abc\n", swap);
        assert_eq!((text.as_str(), outcome.changed), ("abc\n", false));
    }

    #[test]
    fn absent_removes_every_match() {
        let (text, outcome) = edited("a\nb\na\n", json!({"state": "absent", "regexp": "^a"}));
        assert_eq!((text.as_str(), &outcome.result["found"]), ("b\n", &json!(2)));
        assert_eq!(outcome.result["msg"], "2 line(s) removed");
        let (text, _) = edited("ab\nb\n", json!({"state": "absent", "line": "b"}));
        assert_eq!(text, "ab\n");
    }

    #[test]
    fn a_missing_file_needs_create() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/f");
        let run = |create: bool| {
            let arguments = json!({"path": path, "line": "x", "create": create, "mode": "0600"});
            serde_json::from_value::<LineInFile>(arguments)
                .expect("arguments")
                .run(&Context::default())
        };
        let failure = run(false).expect_err("missing");
        assert_eq!(failure.msg, format!("Destination {} does not exist !", path.display()));
        assert!(run(true).expect("made").changed);
        assert!(!run(true).expect("there").changed);
    }

    #[test]
    fn a_file_that_is_not_accepted_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        std::fs::write(&path, "old\n").expect("written");
        let arguments = json!({"path": path, "line": "new", "validate": "grep -v new %s"});
        let module: LineInFile = serde_json::from_value(arguments).expect("arguments");
        assert!(
            module.run(&Context { check: true, ..Context::default() }).expect("checked").changed
        );
        let arguments = json!({"path": path, "line": "new", "validate": "false %s"});
        let module: LineInFile = serde_json::from_value(arguments).expect("arguments");
        let failure = module.run(&Context::default()).expect_err("refused");
        assert!(failure.msg.starts_with("failed to validate: rc:1"), "{}", failure.msg);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "old\n");
    }
}
