//! `blockinfile`: lines between two markers.

use fancy_regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, HostPath, Text};
use super::files::Attributes;
use super::mode::Mode;
use super::pattern;
use super::text_file::{TextFile, Writing};
use super::{Context, Failure, Module, Outcome};

/// Keeps a block of lines in a file, between lines that mark it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockInFile {
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: HostPath,
    #[serde(default)]
    state: State,
    /// The lines between the markers; without any the block is removed.
    #[serde(default, alias = "content")]
    block: Text,
    /// The lines around the block; `{mark}` is BEGIN or END.
    #[serde(default = "marker")]
    marker: Text,
    #[serde(default = "begin")]
    marker_begin: Text,
    #[serde(default = "end")]
    marker_end: Text,
    /// Where a new block goes: after the last line that this matches, or `EOF`.
    insertafter: Option<Text>,
    /// Where a new block goes: before the last line that this matches, or `BOF`.
    insertbefore: Option<Text>,
    /// Make a file that does not exist.
    #[serde(default)]
    create: Flag,
    #[serde(default)]
    backup: Flag,
    validate: Option<Text>,
    /// An empty line after the block.
    #[serde(default)]
    append_newline: Flag,
    /// An empty line before the block.
    #[serde(default)]
    prepend_newline: Flag,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<Mode>,
}

fn marker() -> Text {
    Text("# {mark} ANSIBLE MANAGED BLOCK".to_owned())
}

fn begin() -> Text {
    Text("BEGIN".to_owned())
}

fn end() -> Text {
    Text("END".to_owned())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for BlockInFile {
    const NAME: &'static str = "blockinfile";
    const WRITES_FILES: bool = true;

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if self.insertafter.is_some() && self.insertbefore.is_some() {
            return Err(Failure::new(
                "parameters are mutually exclusive: insertbefore|insertafter",
            ));
        }
        let file = TextFile::read(&self.path)?;
        if !file.existed && !self.create.0 {
            let msg = format!("Path {} does not exist !", self.path.display());
            return Err(Failure::new(msg).with("rc", 257));
        }
        if !file.existed && self.state == State::Absent {
            return Ok(
                Outcome::default().with("msg", format!("File {} not present", self.path.display()))
            );
        }
        let mut lines: Vec<String> = file.text.split_inclusive('\n').map(str::to_owned).collect();
        let block = self.lines();
        let had = self.block_in(&lines);
        self.edit(&mut lines, had, &block)?;
        let msg = match (block.is_empty(), file.existed) {
            (_, false) => "File created",
            (true, true) => "Block removed",
            (false, true) => "Block inserted",
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
        file.finish(&lines.concat(), msg, &writing, context)
    }
}

impl BlockInFile {
    /// The block with its markers, each line with its end; empty when it is to go.
    fn lines(&self) -> Vec<String> {
        let block = self.block.0.as_str();
        if self.state == State::Absent || block.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![format!("{}\n", self.mark(&self.marker_begin))];
        // Only `\n` ends a line: a carriage return is part of it.
        let block = block.strip_suffix('\n').unwrap_or(block);
        lines.extend(block.split('\n').map(|line| format!("{line}\n")));
        lines.push(format!("{}\n", self.mark(&self.marker_end)));
        lines
    }

    fn mark(&self, word: &Text) -> String {
        self.marker.0.replace("{mark}", &word.0)
    }

    /// The first and the last line of the block that is there.
    fn block_in(&self, lines: &[String]) -> Option<(usize, usize)> {
        let find = |mark: String| {
            lines.iter().rposition(|line| line.trim_end_matches(['\r', '\n']) == mark)
        };
        let (begin, end) =
            (find(self.mark(&self.marker_begin))?, find(self.mark(&self.marker_end))?);
        // Markers in the wrong order enclose nothing but what is between them.
        Some((begin.min(end), begin.max(end)))
    }

    fn edit(
        &self,
        lines: &mut Vec<String>,
        had: Option<(usize, usize)>,
        block: &[String],
    ) -> Result<(), Failure> {
        let at = match had {
            Some((begin, end)) => {
                lines.drain(begin..=end);
                begin
            }
            None if block.is_empty() => return Ok(()),
            None => self.insertion(lines)?,
        };
        if block.is_empty() {
            return Ok(());
        }
        if let Some(previous) = at.checked_sub(1).and_then(|previous| lines.get_mut(previous))
            && !previous.ends_with('\n')
        {
            previous.push('\n');
        }
        let empty = |line: Option<&String>| line.is_some_and(|line| line.trim().is_empty());
        let mut new = block.to_vec();
        if self.prepend_newline.0 && at > 0 && !empty(lines.get(at - 1)) {
            new.insert(0, "\n".to_owned());
        }
        if self.append_newline.0 && at < lines.len() && !empty(lines.get(at)) {
            new.push("\n".to_owned());
        }
        lines.splice(at..at, new);
        Ok(())
    }

    fn insertion(&self, lines: &[String]) -> Result<usize, Failure> {
        let after = self.insertafter.as_ref().map(|text| text.0.as_str());
        let before = self.insertbefore.as_ref().map(|text| text.0.as_str());
        let last = |pattern: &str| -> Result<Option<usize>, Failure> {
            let regex: Regex = pattern::compile(pattern, false)?;
            let mut found = None;
            if is_multi_line(pattern) {
                // Such a pattern looks at the text as a whole, and the last line it meets counts.
                let text = lines.concat();
                let hit = pattern::search(&regex, &text)?.and_then(|hit| hit.get(0));
                let end = hit.map(|hit| if after.is_some() { hit.end() } else { hit.start() });
                return Ok(end.map(|end| text.get(..end).map_or(0, |t| t.matches('\n').count())));
            }
            for (at, line) in lines.iter().enumerate() {
                if pattern::search(&regex, line)?.is_some() {
                    found = Some(at);
                }
            }
            Ok(found)
        };
        Ok(match (after, before) {
            (_, Some("BOF")) => 0,
            (Some("EOF") | None, None) => lines.len(),
            (Some(after), _) => last(after)?.map_or(lines.len(), |at| at + 1),
            (None, Some(before)) => last(before)?.unwrap_or(lines.len()),
        })
    }
}

/// `(?m)` and its like at the start of a pattern.
fn is_multi_line(pattern: &str) -> bool {
    let flags = pattern.strip_prefix("(?").and_then(|rest| rest.split_once(')'));
    flags.is_some_and(|(flags, _)| flags.contains('m') && flags.chars().all(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use serde_json::{Value as Json, json};

    fn edited(before: &str, arguments: Json) -> (String, Outcome) {
        testing::edited::<BlockInFile>(before, arguments)
    }

    const WITH_BLOCK: &str =
        "x\n# BEGIN ANSIBLE MANAGED BLOCK\na\nb\n# END ANSIBLE MANAGED BLOCK\ny\n";

    #[test]
    fn a_block_is_inserted_changed_and_removed() {
        let (text, outcome) = edited("x\ny\n", json!({"block": "a\nb", "insertafter": "^x"}));
        assert_eq!((text.as_str(), &outcome.result["msg"]), (WITH_BLOCK, &json!("Block inserted")));
        let (text, outcome) = edited(WITH_BLOCK, json!({"block": "a\nb\n"}));
        assert_eq!((text.as_str(), outcome.changed), (WITH_BLOCK, false));
        let (text, _) = edited(WITH_BLOCK, json!({"block": "c"}));
        assert_eq!(text, WITH_BLOCK.replace("a\nb", "c"));
        assert_eq!(edited(WITH_BLOCK, json!({"state": "absent"})).0, "x\ny\n");
        assert_eq!(edited(WITH_BLOCK, json!({"block": ""})).0, "x\ny\n");
    }

    #[test]
    fn it_goes_to_the_end_or_to_the_start() {
        let block = "# {mark}\n";
        let end = edited("x", json!({"block": "a", "marker": block.trim()})).0;
        assert_eq!(end, "x\n# BEGIN\na\n# END\n");
        let start =
            edited("x\n", json!({"block": "a", "marker": "# {mark}", "insertbefore": "BOF"})).0;
        assert_eq!(start, "# BEGIN\na\n# END\nx\n");
    }
}
