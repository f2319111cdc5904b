//! `replace`: every match of a pattern in a file.

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, HostPath, Text};
use super::files::Attributes;
use super::mode::Mode;
use super::pattern::{self, Replacement};
use super::text_file::{TextFile, Writing};
use super::{Context, Failure, Module, Outcome};

/// Replaces all that a regular expression matches, line by line.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: HostPath,
    /// What to look for; `^` and `$` are those of each line.
    regexp: Text,
    /// What to put there (`\1` for what was matched); without it the matches go.
    #[serde(default)]
    replace: Text,
    /// Only what comes after the first match of this is changed.
    after: Option<Text>,
    /// Only what comes before the first match of this is changed.
    before: Option<Text>,
    #[serde(default)]
    backup: Flag,
    validate: Option<Text>,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<Mode>,
    // Taken for compatibility: text is UTF-8.
    #[serde(default, rename = "encoding")]
    _encoding: Option<String>,
}

impl Module for Replace {
    const NAME: &'static str = "replace";
    const WRITES_FILES: bool = true;

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let file = TextFile::read(&self.path)?;
        if !file.existed {
            let msg = format!("Path {} does not exist !", self.path.display());
            return Err(Failure::new(msg).with("rc", 257));
        }
        let Some((start, end)) = self.section(&file.text)? else {
            let msg = format!(
                "Pattern for before/after params did not match the given file: {}",
                self.section_pattern().unwrap_or_default()
            );
            return Ok(Outcome::default().with("msg", msg).with("rc", 0));
        };
        let part = |from, to| file.text.get(from..to).unwrap_or_default();
        let (new, count) = self.replaced(part(start, end))?;
        let text = [part(0, start), &new, part(end, file.text.len())].concat();
        let writing = Writing {
            backup: self.backup.0,
            validate: self.validate.as_ref(),
            attributes: Attributes {
                owner: self.owner.clone(),
                group: self.group.clone(),
                mode: self.mode.clone(),
            },
            two_diffs: false,
        };
        let msg = format!("{count} replacements made");
        Ok(file.finish(&text, &msg, &writing, context)?.with("rc", 0))
    }
}

impl Replace {
    /// The pattern that finds the part to change; none: the whole file.
    fn section_pattern(&self) -> Option<String> {
        match (&self.after, &self.before) {
            (Some(after), Some(before)) => {
                Some(format!("{}(?P<subsection>.*?){}", after.0, before.0))
            }
            (Some(after), None) => Some(format!("{}(?P<subsection>.*)", after.0)),
            (None, Some(before)) => Some(format!("(?P<subsection>.*){}", before.0)),
            (None, None) => None,
        }
    }

    fn section(&self, text: &str) -> Result<Option<(usize, usize)>, Failure> {
        let Some(section) = self.section_pattern() else {
            return Ok(Some((0, text.len())));
        };
        let regex = pattern::compile(&format!("(?s){section}"), false)?;
        let captures = pattern::search(&regex, text)?;
        Ok(captures.and_then(|found| {
            found.name("subsection").map(|section| (section.start(), section.end()))
        }))
    }

    fn replaced(&self, text: &str) -> Result<(String, usize), Failure> {
        let regex = pattern::compile(&self.regexp.0, true)?;
        let replacement = Replacement::read(&self.replace.0, &regex).map_err(|error| {
            Failure::new(format!("Unable to process replace due to error: {error}"))
        })?;
        let mut new = String::with_capacity(text.len());
        let (mut done, mut count) = (0, 0);
        for captures in regex.captures_iter(text) {
            let captures = captures.map_err(|error| {
                Failure::new(format!("the regular expression '{}' failed: {error}", self.regexp.0))
            })?;
            let Some(whole) = captures.get(0) else { continue };
            new.push_str(text.get(done..whole.start()).unwrap_or_default());
            replacement.write(&captures, &mut new);
            done = whole.end();
            count += 1;
        }
        new.push_str(text.get(done..).unwrap_or_default());
        Ok((new, count))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use serde_json::{Value as Json, json};

    fn edited(before: &str, arguments: Json) -> (String, Outcome) {
        testing::edited::<Replace>(before, arguments)
    }

    #[test]
    fn every_match_is_replaced_and_counted() {
        let (text, outcome) =
            edited("a 1\nb 2\na 3\n", json!({"regexp": r"^a (\d)$", "replace": r"c=\1"}));
        assert_eq!(text, "c=1\nb 2\nc=3\n");
        assert_eq!(outcome.result["msg"], "2 replacements made");
    }

    #[test]
    fn only_the_part_between_after_and_before_is_changed() {
        let arguments = json!({"regexp": "x", "replace": "y", "after": "<", "before": ">"});
        assert_eq!(edited("x<x\nx>x", arguments.clone()).0, "x<y\ny>x");
        let (text, outcome) = edited("x", arguments);
        assert_eq!((text.as_str(), outcome.changed), ("x", false));
    }
}
