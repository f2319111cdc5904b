//! A module's `diff` as `--diff` shows it.

use serde_json::Value as Json;
use similar::TextDiff;

use super::colour::{Colour, Palette};
use super::dump::is_set;
use super::json;
use crate::events::HostResult;

/// What a result says of its changes; it is shown where it is asked for.
pub fn of(outcome: &HostResult, palette: Palette) -> String {
    match outcome.result.get("diff") {
        Some(changes) if outcome.task.diff && is_set(&outcome.result, "changed") => {
            render(changes, palette)
        }
        _ => String::new(),
    }
}

/// The text for one result's `diff`: one object, or a list of them.
fn render(diff: &Json, palette: Palette) -> String {
    match diff {
        Json::Array(diffs) => diffs.iter().map(|one| render(one, palette)).collect(),
        Json::Object(fields) => {
            if let Some(prepared) = fields.get("prepared").and_then(Json::as_str) {
                return format!("{prepared}\n");
            }
            let (Some(before), Some(after)) = (fields.get("before"), fields.get("after")) else {
                return String::new();
            };
            unified(
                &as_text(before),
                &as_text(after),
                &header("before", fields.get("before_header")),
                &header("after", fields.get("after_header")),
                palette,
            )
        }
        _ => String::new(),
    }
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

fn unified(before: &str, after: &str, from: &str, to: &str, palette: Palette) -> String {
    if before == after {
        return String::new();
    }
    let diff = TextDiff::from_lines(before, after);
    let text = diff
        .unified_diff()
        .context_radius(3)
        .missing_newline_hint(true)
        .header(from, to)
        .to_string();
    let mut out = String::new();
    for line in text.lines() {
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
