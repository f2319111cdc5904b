//! `ini_file`: one option of a section.

use std::fs;
use std::path::Path;

use fancy_regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, HostPath, Text, TextList};
use super::files::{self, Attributes};
use super::mode::Mode;
use super::{Context, Diff, Failure, Module, Outcome};

/// Sets or removes an option of an ini file, or a whole section.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IniFile {
    #[serde(alias = "dest")]
    path: HostPath,
    /// Without it the options stand before the first section.
    section: Option<Text>,
    /// Of several sections of that name the one with these options.
    section_has_values: Option<Vec<Condition>>,
    option: Option<Text>,
    value: Option<Text>,
    values: Option<TextList>,
    #[serde(default)]
    state: State,
    /// Nothing but the values that are given.
    #[serde(default = "Flag::yes")]
    exclusive: Flag,
    #[serde(default)]
    backup: Flag,
    /// `a=b`, not `a = b`.
    #[serde(default)]
    no_extra_spaces: Flag,
    /// A line that differs in blanks alone stays.
    #[serde(default)]
    ignore_spaces: Flag,
    /// Options may be names alone.
    #[serde(default)]
    allow_no_value: Flag,
    /// A line that is a comment becomes the option.
    #[serde(default = "Flag::yes")]
    modify_inactive_option: Flag,
    #[serde(default = "Flag::yes")]
    create: Flag,
    #[serde(default)]
    follow: Flag,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<Mode>,
}

/// An option that a section must have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Condition {
    option: Text,
    value: Option<Text>,
    values: Option<TextList>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for IniFile {
    const NAME: &'static str = "ini_file";
    const WRITES_FILES: bool = true;

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let both =
            |value: &Option<Text>, values: &Option<TextList>| value.is_some() && values.is_some();
        let conditions = self.section_has_values.as_deref().unwrap_or_default();
        if both(&self.value, &self.values) || conditions.iter().any(|c| both(&c.value, &c.values)) {
            return Err(Failure::new("parameters are mutually exclusive: value|values"));
        }
        let values = values_of(&self.value, &self.values);
        if self.state == State::Present
            && !self.allow_no_value.0
            && self.value.is_none()
            && values.is_empty()
        {
            return Err(Failure::new(
                "Parameter 'value(s)' must be defined if state=present and allow_no_value=False.",
            ));
        }
        let link = self.follow.0 && self.path.is_symlink();
        let target = match link {
            true => fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.0.clone()),
            false => self.path.0.clone(),
        };
        let existed = target.exists();
        if !existed && !self.create.0 {
            let msg = format!("Destination {} does not exist!", target.display());
            return Err(Failure::new(msg).with("rc", 257));
        }
        let before = match existed {
            true => fs::read_to_string(&target)
                .map_err(|error| files::failed("cannot be read", &target, &error))?,
            false => String::new(),
        };
        let before = before.strip_prefix('\u{feff}').unwrap_or(&before).to_owned();
        let edit = Edit::of(&self, values, &before)?.done()?;
        let mut outcome = Outcome::changed(edit.changed)
            .with("msg", edit.msg)
            .with("path", self.path.display().to_string());
        if edit.changed && !context.check {
            outcome = self.write(outcome, &target, &edit.text, context)?;
        }
        let header = format!("{} (content)", self.path.display());
        let shown = |text: String| if context.diff { text } else { String::new() };
        outcome = outcome.with_diff(Diff {
            before_header: header.clone(),
            after_header: header,
            before: shown(before).into(),
            after: shown(edit.text).into(),
            ..Diff::default()
        });
        if !context.check && self.path.exists() {
            let (owner, group, mode) = (self.owner.clone(), self.group.clone(), self.mode.clone());
            outcome.changed |= Attributes { owner, group, mode }.apply(&self.path, false, false)?;
        }
        Ok(files::describe_existing(outcome, &self.path))
    }
}

impl IniFile {
    fn write(
        &self,
        mut outcome: Outcome,
        target: &Path,
        text: &str,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        if let Some(folder) = target.parent().filter(|folder| !folder.exists()) {
            fs::create_dir_all(folder)
                .map_err(|error| files::failed("cannot be made", folder, &error))?;
        }
        if self.backup.0 && target.exists() {
            let backup = files::back_up(target)?.display().to_string();
            outcome = outcome.with("backup_file", backup);
        }
        files::write(target, &mut text.as_bytes(), None, context.unsafe_writes)?;
        Ok(outcome)
    }
}

fn values_of(value: &Option<Text>, values: &Option<TextList>) -> Vec<String> {
    let all = value.iter().map(|value| value.0.clone());
    let all = all.chain(values.iter().flat_map(|values| values.0.clone()));
    all.fold(Vec::new(), |mut unique, value| {
        if !unique.contains(&value) {
            unique.push(value);
        }
        unique
    })
}

/// What came of it.
struct Done {
    text: String,
    changed: bool,
    msg: &'static str,
}

/// One change of a file's text.
struct Edit<'a> {
    task: &'a IniFile,
    option: Option<&'a str>,
    /// The values that no line has yet.
    values: Vec<String>,
    before: Vec<String>,
    /// The section's lines, and which of them are as they should be.
    section: Vec<(String, bool)>,
    after: Vec<String>,
    found: bool,
    changed: bool,
    msg: &'static str,
    /// A line with the option alone is there.
    bare: bool,
}

/// An option on a line: what it is commented out with, and its value.
struct Assignment {
    comment: String,
    value: String,
}

fn assignment(option: &str, line: &str, inactive: bool) -> Option<Assignment> {
    let rest = line.trim_end_matches('\n').trim_start_matches([' ', '\t']);
    let (comment, rest) = match rest.strip_prefix(['#', ';']) {
        Some(more) if inactive => (rest.get(..1)?, more.trim_start_matches([' ', '\t'])),
        Some(_) => return None,
        None => ("", rest),
    };
    let rest = rest.strip_prefix(option)?.trim_start_matches([' ', '\t']);
    let value = match rest.strip_prefix('=') {
        Some(value) => value.trim_start_matches([' ', '\t']),
        None if rest.is_empty() => "",
        None => return None,
    };
    Some(Assignment { comment: comment.to_owned(), value: value.to_owned() })
}

impl<'a> Edit<'a> {
    /// Finds the section.
    fn of(task: &'a IniFile, values: Vec<String>, text: &str) -> Result<Self, Failure> {
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        if lines.is_empty() {
            lines.push("\n".to_owned());
        }
        let mut changed = false;
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push('\n');
            changed = true;
        }
        let wanted = task.section.as_ref().map(|section| section.0.as_str()).unwrap_or_default();
        let mut edit = Self {
            task,
            option: task.option.as_ref().map(|option| option.0.as_str()).filter(|o| !o.is_empty()),
            values,
            before: Vec::new(),
            section: Vec::new(),
            after: Vec::new(),
            found: false,
            changed,
            msg: "OK",
            bare: false,
        };
        let (start, end) = match wanted.is_empty() {
            true => (Some(0), lines.iter().position(|line| line.starts_with('['))),
            false => edit.section_at(&lines, wanted)?,
        };
        let Some(start) = start else {
            edit.before = lines;
            return Ok(edit);
        };
        edit.found = true;
        edit.after = lines.split_off(end.unwrap_or(lines.len()));
        edit.section = lines.split_off(start).into_iter().map(|line| (line, false)).collect();
        edit.before = lines;
        Ok(edit)
    }

    /// Where the section begins that has what it must have, and where it ends.
    fn section_at(
        &self,
        lines: &[String],
        wanted: &str,
    ) -> Result<(Option<usize>, Option<usize>), Failure> {
        let name = format!(r"^\[\s*{}\s*]", regex::escape(wanted.trim()));
        let pattern = Regex::new(&name).map_err(|error| Failure::new(error.to_string()))?;
        let mut start = None;
        for (at, line) in lines.iter().enumerate() {
            if let Some(from) = start.filter(|_| line.starts_with('[')) {
                if self.has_values(lines.get(from..at).unwrap_or_default()) {
                    return Ok((start, Some(at)));
                }
                start = None;
            }
            if pattern.is_match(line).unwrap_or(false) {
                start = Some(at);
            }
        }
        let fits = start.filter(|from| self.has_values(lines.get(*from..).unwrap_or_default()));
        Ok((fits, None))
    }

    fn has_values(&self, section: &[String]) -> bool {
        let conditions = self.task.section_has_values.as_deref().unwrap_or_default();
        conditions.iter().all(|condition| {
            let values = values_of(&condition.value, &condition.values);
            let found =
                section.iter().filter_map(|line| assignment(&condition.option.0, line, true));
            found.into_iter().any(|found| values.is_empty() || values.contains(&found.value))
        })
    }

    fn done(mut self) -> Result<Done, Failure> {
        match self.task.state {
            State::Present => self.put(),
            State::Absent => self.remove(),
        }
        let section = self.section.into_iter().map(|(line, _)| line);
        let text: String = self.before.into_iter().chain(section).chain(self.after).collect();
        Ok(Done { text, changed: self.changed, msg: self.msg })
    }

    fn put(&mut self) {
        if !self.found {
            self.append_section();
            return;
        }
        if let Some(option) = self.option {
            self.keep_matching(option);
            if self.task.exclusive.0 && !self.task.allow_no_value.0 {
                self.replace_others(option);
            }
            self.insert_missing(option);
        }
    }

    fn matches(&self, option: &str, line: &str) -> Option<Assignment> {
        assignment(option, line, self.task.modify_inactive_option.0)
    }

    fn written(&self, option: &str, value: &str) -> String {
        match self.task.no_extra_spaces.0 {
            true => format!("{option}={value}\n"),
            false => format!("{option} = {value}\n"),
        }
    }

    /// Lines that have one of the values are what they should be.
    fn keep_matching(&mut self, option: &str) {
        for at in 0..self.section.len() {
            let Some((line, _)) = self.section.get(at) else { break };
            let Some(found) = self.matches(option, line) else { continue };
            if let Some(index) = self.values.iter().position(|value| *value == found.value) {
                let bare = found.value.is_empty() && self.task.allow_no_value.0;
                self.bare |= bare;
                let new =
                    if bare { format!("{option}\n") } else { self.written(option, &found.value) };
                self.set(at, option, new);
                self.values.remove(index);
            } else if self.values.is_empty() && self.task.allow_no_value.0 {
                self.set(at, option, format!("{option}\n"));
                self.bare = true;
                break;
            }
        }
    }

    fn replace_others(&mut self, option: &str) {
        for at in 0..self.section.len() {
            let Some((line, false)) = self.section.get(at) else { continue };
            if self.values.is_empty() {
                break;
            }
            if self.matches(option, line).is_some() {
                let value = self.values.remove(0);
                let new = self.written(option, &value);
                self.set(at, option, new);
            }
        }
        let head = usize::from(self.task.section.as_ref().is_some_and(|s| !s.0.is_empty()));
        let mut at = 0;
        let inactive = self.task.modify_inactive_option.0;
        let before = self.section.len();
        self.section.retain(|(line, done)| {
            at += 1;
            at <= head || *done || assignment(option, line, inactive).is_none()
        });
        if self.section.len() != before {
            self.changed = true;
            self.msg = "option changed";
        }
    }

    fn set(&mut self, at: usize, option: &str, new: String) {
        let Some((line, done)) = self.section.get_mut(at) else { return };
        let differs = match assignment(option, line, true) {
            Some(old) if self.task.ignore_spaces.0 && old.comment.is_empty() => {
                assignment(option, &new, true).is_none_or(|new| new.value != old.value)
            }
            _ => *line != new,
        };
        if differs {
            *line = new;
            self.changed = true;
            self.msg = "option changed";
        }
        *done = true;
    }

    /// New lines go behind the last that is neither empty nor a comment.
    fn insert_missing(&mut self, option: &str) {
        let empty = |line: &str| {
            let line = line.trim_start_matches([' ', '\t']).trim_end_matches('\n');
            line.is_empty() || line.starts_with(['#', ';'])
        };
        let last = self.section.iter().rposition(|(line, _)| !empty(line)).map(|at| at + 1);
        let first = self.task.section.as_ref().is_none_or(|section| section.0.is_empty());
        let Some(at) = last.or(first.then_some(0)) else { return };
        let mut new: Vec<_> = self.values.iter().map(|value| self.written(option, value)).collect();
        if new.is_empty() && self.task.allow_no_value.0 && !self.bare && self.task_has_no_value() {
            new.push(format!("{option}\n"));
        }
        if !new.is_empty() {
            self.section.splice(at..at, new.into_iter().map(|line| (line, true)));
            self.changed = true;
            self.msg = "option added";
        }
    }

    /// The option is to stand alone: its values are not merely on lines already.
    fn task_has_no_value(&self) -> bool {
        values_of(&self.task.value, &self.task.values).is_empty()
    }

    fn append_section(&mut self) {
        let name = self.task.section.as_ref().map(|section| section.0.as_str()).unwrap_or_default();
        let mut lines = vec![format!("[{name}]\n")];
        self.msg = "section and option added";
        for condition in self.task.section_has_values.as_deref().unwrap_or_default() {
            let values = values_of(&condition.value, &condition.values);
            let own = condition.option.0.as_str();
            if Some(own) != self.option {
                lines.extend(values.iter().map(|value| self.written(own, value)));
                if values.is_empty() && self.task.allow_no_value.0 {
                    lines.push(format!("{own}\n"));
                }
            } else if !self.task.exclusive.0 {
                let more: Vec<_> =
                    values.into_iter().filter(|value| !self.values.contains(value)).collect();
                self.values.extend(more);
            }
        }
        match self.option {
            Some(option) if !self.values.is_empty() => {
                lines.extend(self.values.iter().map(|value| self.written(option, value)));
            }
            Some(option) if self.task.allow_no_value.0 => lines.push(format!("{option}\n")),
            _ => self.msg = "only section added",
        }
        self.before.extend(lines);
        self.changed = true;
    }

    fn remove(&mut self) {
        let before = self.section.len();
        match self.option {
            Some(option) => {
                let (exclusive, values) = (self.task.exclusive.0, &self.values);
                self.section.retain(|(line, _)| match assignment(option, line, false) {
                    Some(found) => !(exclusive || values.contains(&found.value)),
                    None => true,
                });
                if self.section.len() != before {
                    self.changed = true;
                    self.msg = "option changed";
                }
            }
            None if before > 0 => {
                self.section.clear();
                self.changed = true;
                self.msg = "section removed";
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn edited(before: &str, arguments: Json) -> (String, String, bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f.ini");
        fs::write(&path, before).expect("written");
        let mut arguments = arguments;
        arguments["path"] = json!(path);
        let module: IniFile = serde_json::from_value(arguments).expect("arguments");
        let outcome = module.run(&Context::default()).expect("edited");
        let msg = outcome.result["msg"].as_str().expect("a text").to_owned();
        (fs::read_to_string(&path).expect("read"), msg, outcome.changed)
    }

    const TEXT: &str = "top = 1\n\n[a]\nx = 1\n;y = 2\n\n[b]\nx = 3\n";

    #[test]
    fn an_option_is_set_in_its_section() {
        let set = |section: &str, option: &str, value: &str| {
            edited(TEXT, json!({"section": section, "option": option, "value": value}))
        };
        assert_eq!(set("a", "x", "1"), (TEXT.to_owned(), "OK".to_owned(), false));
        assert_eq!(set("a", "x", "9").0, TEXT.replace("[a]\nx = 1", "[a]\nx = 9"));
        assert_eq!(set("a", "y", "5").0, TEXT.replace(";y = 2", "y = 5"));
        let (text, msg, _) = set("b", "z", "5");
        assert_eq!((text, msg.as_str()), (format!("{TEXT}z = 5\n"), "option added"));
        let (text, msg, _) = set("c", "z", "5");
        assert_eq!(
            (text, msg.as_str()),
            (format!("{TEXT}[c]\nz = 5\n"), "section and option added")
        );
    }

    #[test]
    fn options_before_all_sections() {
        assert_eq!(
            edited(TEXT, json!({"option": "top", "value": "2"})).0,
            TEXT.replace("top = 1", "top = 2")
        );
        assert_eq!(
            edited(TEXT, json!({"option": "n", "value": "2"})).0,
            TEXT.replace("top = 1\n", "top = 1\nn = 2\n")
        );
    }

    #[test]
    fn several_values_and_only_these() {
        let before = "[a]\nx = 1\nx = 2\nx = 3\n";
        let arguments = json!({"section": "a", "option": "x", "values": ["2", "4"]});
        assert_eq!(edited(before, arguments.clone()).0, "[a]\nx = 4\nx = 2\n");
        let mut more = arguments;
        more["exclusive"] = json!(false);
        assert_eq!(edited(before, more).0, format!("{before}x = 4\n"));
    }

    #[test]
    fn options_and_sections_are_removed() {
        let absent = json!({"section": "a", "option": "x", "state": "absent"});
        assert_eq!(edited(TEXT, absent).0, TEXT.replacen("x = 1\n", "", 1));
        let (text, msg, _) = edited(TEXT, json!({"section": "a", "state": "absent"}));
        assert_eq!((text.as_str(), msg.as_str()), ("top = 1\n\n[b]\nx = 3\n", "section removed"));
    }

    #[test]
    fn of_sections_with_one_name_the_one_with_the_values() {
        let before = "[p]\nk = 1\nv = a\n[p]\nk = 2\nv = b\n";
        let arguments = json!({
            "section": "p", "option": "v", "value": "c",
            "section_has_values": [{"option": "k", "value": "2"}]
        });
        assert_eq!(edited(before, arguments).0, before.replace("v = b", "v = c"));
    }

    #[test]
    fn names_alone_where_they_are_allowed() {
        let arguments = json!({"section": "a", "option": "skip", "allow_no_value": true});
        assert_eq!(edited("[a]\nx = 1\n", arguments.clone()).0, "[a]\nx = 1\nskip\n");
        assert!(!edited("[a]\nskip\n", arguments).2);
    }
}
