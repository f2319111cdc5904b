//! Filters that make HTML.

use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};
use super::regex::{Flags, compile};

pub const FILTERS: &[Plugin] = &[
    Plugin::new(
        "urlize",
        &["value", "trim_url_limit", "nofollow", "target", "rel", "extra_schemes"],
        urlize,
    ),
    Plugin::new("xmlattr", &["d", "autospace"], xmlattr),
];

fn escaped(text: &str) -> String {
    let pairs = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&#34;"), ('\'', "&#39;")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(*from, to))
}

/// The entries of a dictionary as attributes of a tag.
fn xmlattr(call: &mut Call) -> Result<Value, TemplateError> {
    let mut out = Vec::new();
    for (key, item) in python::entries(call.value()?)? {
        if item.is_none() || item.is_undefined() {
            continue;
        }
        let key = python::text(&key);
        if key.contains(|c: char| c.is_ascii_whitespace() || "/>=".contains(c)) {
            return Err(TemplateError::new(format!(
                "Invalid character in attribute name: {}",
                python::quoted(&key)
            )));
        }
        out.push(format!("{}=\"{}\"", escaped(&key), escaped(&python::text(&item))));
    }
    let space = if call.truth("autospace", true) && !out.is_empty() { " " } else { "" };
    Ok(Value::from(format!("{space}{}", out.join(" "))))
}

/// Addresses of pages and people in a text become links.
fn urlize(call: &mut Call) -> Result<Value, TemplateError> {
    let mut rel: Vec<String> = match call.some("rel") {
        Some(rel) => python::text(rel).split_whitespace().map(str::to_owned).collect(),
        None => Vec::new(),
    };
    if call.truth("nofollow", false) {
        rel.push("nofollow".to_owned());
    }
    rel.push("noopener".to_owned());
    rel.sort();
    rel.dedup();
    let target =
        call.some("target").map(|target| format!(" target=\"{}\"", escaped(&python::text(target))));
    let attributes = format!(" rel=\"{}\"{}", escaped(&rel.join(" ")), target.unwrap_or_default());
    let limit = call.some("trim_url_limit").map(|limit| call.as_integer("trim_url_limit", limit));
    let limit = limit.transpose()?.and_then(|limit| usize::try_from(limit).ok());
    let schemes: Vec<String> = match call.some("extra_schemes") {
        Some(schemes) if schemes.kind() == ValueKind::Seq => {
            python::items(schemes)?.iter().map(python::text).collect()
        }
        _ => Vec::new(),
    };
    let page = compile(r"^(https?://|www\.)\S+$", Flags { ignore_case: true, ..Flags::default() })?;
    let person = compile(r"^(mailto:)?[^\s@/:]+@[\w.-]+\.\w+$", Flags::default())?;
    let mut out = String::new();
    for word in escaped(&call.text("value")?).split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let (space, (head, middle, tail)) = (&word[bare.len()..], without_punctuation(bare));
        let found = |regex: &fancy_regex::Regex| regex.is_match(middle).unwrap_or_default();
        let shown = match limit {
            Some(limit) if middle.chars().count() > limit => {
                middle.chars().take(limit).collect::<String>() + "..."
            }
            _ => middle.to_owned(),
        };
        let link = if schemes.iter().any(|scheme| middle.starts_with(scheme.as_str())) {
            format!("<a href=\"{middle}\"{attributes}>{middle}</a>")
        } else if found(&page) {
            let scheme = if middle.to_lowercase().starts_with("http") { "" } else { "https://" };
            format!("<a href=\"{scheme}{middle}\"{attributes}>{shown}</a>")
        } else if found(&person) {
            let address = middle.trim_start_matches("mailto:");
            format!("<a href=\"mailto:{address}\">{address}</a>")
        } else {
            middle.to_owned()
        };
        out.push_str(&format!("{head}{link}{tail}{space}"));
    }
    Ok(Value::from(out))
}

/// A word without the marks before and after it.
fn without_punctuation(word: &str) -> (&str, &str, &str) {
    let rest = word.trim_start_matches("&lt;").trim_start_matches(['(', '<']);
    let middle =
        rest.trim_end_matches("&gt;").trim_end_matches([')', '>', '.', ',', '\n', ';', '!', '?']);
    (&word[..word.len() - rest.len()], middle, &rest[middle.len()..])
}
