//! Bodies of requests: JSON as Python writes it, forms, and forms of several parts.

use std::path::Path;

use serde_json::Value as Json;

use crate::modules::words::plain;

/// `json.dumps(value)`: blanks behind commas and colons, ASCII only.
pub fn json_text(value: &Json) -> String {
    let mut text = String::new();
    write_json(value, &mut text);
    text
}

fn write_json(value: &Json, text: &mut String) {
    match value {
        Json::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                write_json(item, text);
            }
            text.push(']');
        }
        Json::Object(map) => {
            text.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                write_text(key, text);
                text.push_str(": ");
                write_json(item, text);
            }
            text.push('}');
        }
        Json::String(own) => write_text(own, text),
        other => text.push_str(&other.to_string()),
    }
}

fn write_text(own: &str, text: &mut String) {
    for c in Json::from(own).to_string().chars() {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

/// A mapping, or a list of pairs, as `a=1&b=2`; a text is a form already.
pub fn form(body: &Json) -> Result<String, String> {
    let mut pairs = Vec::new();
    match body {
        Json::String(text) => return Ok(text.clone()),
        Json::Object(map) => map.iter().for_each(|(key, value)| add(&mut pairs, key, value)),
        Json::Array(items) => {
            for item in items {
                match item.as_array().map(Vec::as_slice) {
                    Some([key, value]) => add(&mut pairs, &plain(key), value),
                    Some(other) => {
                        let (few, got) = (other.len() < 2, other.len());
                        return Err(match few {
                            true => format!("not enough values to unpack (expected 2, got {got})"),
                            false => "too many values to unpack (expected 2)".to_owned(),
                        });
                    }
                    None => return Err("too many values to unpack (expected 2)".to_owned()),
                }
            }
        }
        other => return Ok(plain(other)),
    }
    let pairs: Vec<_> =
        pairs.iter().map(|(key, value)| format!("{}={}", quoted(key), quoted(value))).collect();
    Ok(pairs.join("&"))
}

fn add(pairs: &mut Vec<(String, String)>, key: &str, value: &Json) {
    match value {
        Json::Array(values) => {
            let values = values.iter().filter(|value| !value.is_null());
            pairs.extend(values.map(|value| (key.to_owned(), plain(value))));
        }
        Json::Object(map) => pairs.extend(map.keys().map(|own| (key.to_owned(), own.clone()))),
        Json::Null => {}
        value => pairs.push((key.to_owned(), plain(value))),
    }
}

/// As `quote_plus` writes it.
fn quoted(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            b if b.is_ascii_alphanumeric() || b"_.-~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// A form of several parts: its content type and its bytes. Files are read here.
pub fn multipart(body: &Json, boundary: &str) -> Result<(String, Vec<u8>), String> {
    let Json::Object(fields) = body else {
        return Err(format!("Mapping is required, cannot be type {}", kind(body)));
    };
    let mut names: Vec<_> = fields.iter().collect();
    names.sort_by_key(|(name, _)| name.as_str());
    let mut bytes = Vec::new();
    for (name, value) in names {
        bytes.extend(format!("--{boundary}\r\n").into_bytes());
        bytes.extend(part(name, value)?);
    }
    bytes.extend(format!("--{boundary}--\r\n").into_bytes());
    Ok((format!("multipart/form-data; boundary=\"{boundary}\""), bytes))
}

fn part(name: &str, value: &Json) -> Result<Vec<u8>, String> {
    let text = |key: &str| value.get(key).map(plain).filter(|text| !text.is_empty());
    let (mime, content, file) = match value {
        Json::String(content) => ("text/plain".to_owned(), content.clone().into_bytes(), None),
        Json::Object(_) => {
            let (file, content) = (text("filename"), text("content"));
            let content = match (&file, content) {
                (_, Some(content)) => content.into_bytes(),
                (Some(file), None) => {
                    std::fs::read(file).map_err(|error| format!("{error}: '{file}'"))?
                }
                (None, None) => {
                    return Err("at least one of filename or content must be provided".to_owned());
                }
            };
            let guessed = || mime_of(file.as_deref().unwrap_or_default()).to_owned();
            (text("mime_type").unwrap_or_else(guessed), content, file)
        }
        other => {
            return Err(format!(
                "value must be a string, or mapping, cannot be type {}",
                kind(other)
            ));
        }
    };
    let mut disposition = format!("form-data; name=\"{name}\"");
    if let Some(file) = file.as_deref().and_then(|file| Path::new(file).file_name()) {
        disposition += &format!("; filename=\"{}\"", file.to_string_lossy());
    }
    let head = format!("Content-Type: {mime}\r\nContent-Disposition: {disposition}\r\n\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend(content);
    bytes.extend(b"\r\n");
    Ok(bytes)
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}

fn mime_of(name: &str) -> &'static str {
    let extension = Path::new(name).extension().and_then(|e| e.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "txt" | "conf" | "log" | "c" | "h" => "text/plain",
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "csv" => "text/csv",
        "xml" => "text/xml",
        "py" => "text/x-python",
        "js" => "text/javascript",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "tar" => "application/x-tar",
        "sh" => "application/x-sh",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_as_python_writes_it() {
        let value = json!({"a": [1, "é\n😀"], "b": {}, "c": null});
        assert_eq!(
            json_text(&value),
            "{\"a\": [1, \"\\u00e9\\n\\ud83d\\ude00\"], \"b\": {}, \"c\": null}"
        );
    }

    #[test]
    fn forms_of_mappings_and_pairs() {
        assert_eq!(
            form(&json!({"a b": [1, null, "x&"], "c": true})).unwrap(),
            "a+b=1&a+b=x%26&c=True"
        );
        assert_eq!(form(&json!([["a", 1], ["a", 2]])).unwrap(), "a=1&a=2");
        assert!(form(&json!([["a"]])).is_err());
    }

    #[test]
    fn parts_of_a_form() {
        let body = json!({"b": {"content": "x", "filename": "d/f.json"}, "a": "t"});
        let (kind, bytes) = multipart(&body, "B").unwrap();
        assert_eq!(kind, "multipart/form-data; boundary=\"B\"");
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "--B\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nt\
             \r\n--B\r\nContent-Type: application/json\r\nContent-Disposition: form-data; \
             name=\"b\"; filename=\"f.json\"\r\n\r\nx\r\n--B--\r\n"
        );
        assert!(multipart(&json!({"a": {}}), "B").is_err());
    }
}
