//! A module's `diff` as `--diff` shows it.

use serde_json::{Map, Value as Json};
use similar::TextDiff;

use super::colour::{Colour, Palette};
use super::dump::is_set;
use super::json;
use crate::events::HostResult;

/// What a result says of its changes, with so many lines around each; it is shown where it is
/// asked for.
pub fn of(outcome: &HostResult, context: usize, palette: &Palette) -> String {
    match outcome.result.get("diff") {
        Some(changes) if outcome.task.diff && is_set(&outcome.result, "changed") => {
            render(changes, context, palette)
        }
        _ => String::new(),
    }
}

/// The text for one result's `diff`: one object, or a list of them.
fn render(diff: &Json, context: usize, palette: &Palette) -> String {
    match diff {
        Json::Array(diffs) => diffs.iter().map(|one| render(one, context, palette)).collect(),
        Json::Object(fields) => {
            if let Some(prepared) = fields.get("prepared").and_then(Json::as_str) {
                return format!("{prepared}\n");
            }
            let skipped = skipped(fields);
            if !skipped.is_empty() {
                return skipped;
            }
            let (Some(before), Some(after)) = (fields.get("before"), fields.get("after")) else {
                return String::new();
            };
            let (before, after) = (as_text(before), as_text(after));
            if before == after {
                return String::new();
            }
            let diff = TextDiff::from_lines(&before, &after);
            let text = diff
                .unified_diff()
                .context_radius(context)
                .missing_newline_hint(true)
                .header(
                    &header("before", fields.get("before_header")),
                    &header("after", fields.get("after_header")),
                )
                .to_string();
            coloured(&text, palette)
        }
        _ => String::new(),
    }
}

/// Why there is nothing to be compared.
fn skipped(fields: &Map<String, Json>) -> String {
    let sides = [("dst", "destination"), ("src", "source")];
    let binary = sides.iter().filter(|(side, _)| fields.contains_key(&format!("{side}_binary")));
    let mut out: String = binary
        .map(|(_, name)| format!("diff skipped: {name} file appears to be binary\n"))
        .collect();
    for (side, name) in sides {
        if let Some(limit) = fields.get(&format!("{side}_larger")) {
            out += &format!("diff skipped: {name} file size is greater than {limit}\n");
        }
    }
    out
}

/// A state given as a mapping is compared as its JSON.
fn as_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => json::pretty(other) + "\n",
    }
}

fn header(side: &str, name: Option<&Json>) -> String {
    match name.and_then(Json::as_str) {
        Some(name) if !name.is_empty() => format!("{side}: {name}"),
        _ => side.to_owned(),
    }
}

fn coloured(diff: &str, palette: &Palette) -> String {
    let mut out = String::new();
    for line in diff.lines() {
        let colour = match line.as_bytes().first() {
            Some(b'+') => Colour::DiffAdd,
            Some(b'-') => Colour::DiffRemove,
            Some(b'@') => Colour::DiffLines,
            _ => Colour::Plain,
        };
        out.push_str(&palette.paint(colour, &format!("{line}\n")));
    }
    out.push('\n');
    out
}
