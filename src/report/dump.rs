//! A result as text, in the forms that the reporters have.

use serde_json::{Map, Value as Json};

use super::json;
use crate::events::HostResult;
use crate::template::{self, yaml};

/// The form of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// On one line.
    Compact,
    /// With four spaces per level.
    Pretty,
    Yaml,
    /// YAML with everything in it.
    WholeYaml,
    /// As the callback community.general.yaml writes it.
    CommunityYaml,
    /// JSON, then the long texts for themselves, as the callback debug writes it.
    Debug,
}

/// The text behind a result's `=>`.
pub fn dump(shown: Map<String, Json>, form: Form) -> String {
    match form {
        Form::Compact => json::compact(&Json::Object(shown)),
        Form::Pretty => json::pretty(&Json::Object(shown)),
        Form::Yaml => format!("\n{}", indented(&as_yaml(without_lines(shown), 4, 80), 4)),
        Form::WholeYaml => format!("\n{}", indented(&as_yaml(shown, 4, 80), 4)),
        Form::CommunityYaml => community_yaml(shown),
        Form::Debug => with_sections(shown),
    }
}

fn as_yaml(shown: Map<String, Json>, indent: usize, width: usize) -> String {
    let style =
        yaml::Style { indent, flow_leaves: false, width, literal: true, ..yaml::Style::default() };
    let value = template::from_json(&Json::Object(shown));
    // A result is plain data; what could not be written would be shown as JSON.
    yaml::dump(&value, &style).unwrap_or_default()
}

/// Lines of texts that are there anyway are left out.
fn without_lines(mut shown: Map<String, Json>) -> Map<String, Json> {
    for text in ["stdout", "stderr"] {
        let lines = format!("{text}_lines");
        if shown.contains_key(text)
            && let Some(lines) = shown.get_mut(&lines)
        {
            *lines = "<omitted>".into();
        }
    }
    shown
}

fn community_yaml(mut shown: Map<String, Json>) -> String {
    let mut text = String::new();
    for key in ["changed", "skipped"] {
        if let Some(value) = shown.remove(key) {
            text += &format!("{key}={value} ");
        }
    }
    if !shown.is_empty() {
        text.push('\n');
        text += &indented(&as_yaml(without_lines(shown), 2, usize::MAX), 2);
    }
    text
}

fn indented(text: &str, spaces: usize) -> String {
    let margin = " ".repeat(spaces);
    let lines: Vec<_> = text
        .trim_end()
        .lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("{margin}{line}") })
        .collect();
    lines.join("\n")
}

fn with_sections(mut shown: Map<String, Json>) -> String {
    let mut sections = String::new();
    for name in ["module_stdout", "module_stderr", "stdout", "stderr", "msg"] {
        shown.remove(&format!("{name}_lines"));
        let text = match shown.remove(name) {
            None | Some(Json::Null) => continue,
            Some(Json::String(text)) => text,
            Some(other) => template::python_text(&template::from_json(&other)),
        };
        if !text.is_empty() {
            sections += &format!("\n\n{}:\n\n{text}\n", name.to_uppercase());
        }
    }
    json::pretty(&Json::Object(shown)) + &sections
}

/// The result without what is not for people: internal keys, the diff (shown
/// already), the arguments below -vvv; of debug only what it was asked to show.
pub fn shown(outcome: &HostResult, verbosity: u8) -> Map<String, Json> {
    let debug = outcome.task.module == "debug";
    let message_only = debug && outcome.result.contains_key("msg");
    let of_debug = |key: &str| {
        if message_only {
            key == "msg"
        } else {
            !(debug && matches!(key, "changed" | "failed" | "skipped" | "skip_reason"))
        }
    };
    public(&outcome.result, verbosity).into_iter().filter(|(key, _)| of_debug(key)).collect()
}

/// The result without internal keys.
pub fn public(result: &Map<String, Json>, verbosity: u8) -> Map<String, Json> {
    let hidden = |key: &str| {
        key.starts_with("_ansible_")
            || (verbosity < 3 && matches!(key, "invocation" | "diff"))
            || matches!(key, "failed" | "skipped" | "warnings" | "deprecations" | "exception")
    };
    let shown = result.iter().filter(|(key, _)| !hidden(key));
    shown.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Whether a key of a result is there and true.
pub fn is_set(result: &Map<String, Json>, key: &str) -> bool {
    result.get(key).and_then(Json::as_bool).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result(value: Json) -> Map<String, Json> {
        match value {
            Json::Object(map) => map,
            _ => Map::new(),
        }
    }

    #[test]
    fn yaml_leaves_out_the_lines_of_a_text() {
        let shown = result(json!({"stdout": "a\nb", "stdout_lines": ["a", "b"], "rc": 0}));
        assert_eq!(
            dump(shown, Form::Yaml),
            "\n    rc: 0\n    stdout: |-\n        a\n        b\n    stdout_lines: <omitted>"
        );
    }

    #[test]
    fn community_yaml_says_changed_first() {
        let shown = result(json!({"changed": true, "rc": 1}));
        assert_eq!(dump(shown, Form::CommunityYaml), "changed=true \n  rc: 1");
    }

    #[test]
    fn debug_shows_long_texts_for_themselves() {
        let shown = result(json!({"rc": 0, "stdout": "out", "stdout_lines": ["out"], "msg": ""}));
        assert_eq!(dump(shown, Form::Debug), "{\n    \"rc\": 0\n}\n\nSTDOUT:\n\nout\n");
    }
}
