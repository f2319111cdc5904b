//! JSON as Python's `json.dumps(sort_keys=True, ensure_ascii=False)` prints it.

use std::fmt::Write;

use serde_json::Value as Json;

/// On one line, `", "` and `": "` between.
pub fn compact(value: &Json) -> String {
    let mut out = String::new();
    write_value(&mut out, value, None, 0);
    out
}

/// On one line, without blanks behind commas.
pub fn dense(value: &Json) -> String {
    let mut out = String::new();
    write_value(&mut out, value, Some(0), 0);
    // Line ends within texts are escaped: these are the ones between values.
    out.replace('\n', "")
}

/// With four spaces per level.
pub fn pretty(value: &Json) -> String {
    indented(value, 4)
}

/// With so many spaces per level.
pub fn indented(value: &Json, spaces: usize) -> String {
    let mut out = String::new();
    write_value(&mut out, value, Some(spaces), 0);
    out
}

fn write_value(out: &mut String, value: &Json, indent: Option<usize>, depth: usize) {
    match value {
        Json::Array(items) if items.is_empty() => out.push_str("[]"),
        Json::Object(map) if map.is_empty() => out.push_str("{}"),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(out, indent, depth + 1, index);
                write_value(out, item, indent, depth + 1);
            }
            newline(out, indent, depth);
            out.push(']');
        }
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                separate(out, indent, depth + 1, index);
                // Writing to a String cannot fail.
                let _ = write!(out, "{}: ", Json::String(key.clone()));
                write_value(out, item, indent, depth + 1);
            }
            newline(out, indent, depth);
            out.push('}');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

fn separate(out: &mut String, indent: Option<usize>, depth: usize, index: usize) {
    if index > 0 {
        out.push(',');
    }
    match indent {
        Some(_) => newline(out, indent, depth),
        None if index > 0 => out.push(' '),
        None => {}
    }
}

fn newline(out: &mut String, indent: Option<usize>, depth: usize) {
    if let Some(width) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', width * depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_separated_as_python_does() {
        let value = json!({"b": [1, 2], "a": {"x": "é", "e": []}});
        assert_eq!(compact(&value), r#"{"a": {"e": [], "x": "é"}, "b": [1, 2]}"#);
    }

    #[test]
    fn pretty_indents_by_four() {
        assert_eq!(pretty(&json!({"msg": ["a"]})), "{\n    \"msg\": [\n        \"a\"\n    ]\n}");
    }
}
