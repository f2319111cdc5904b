//! Lists of dictionaries with some keys kept, left out, or named anew.

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};
use super::regex::{Flags, is_match};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("keep_keys", &["data", "target", "matching_parameter"], |call| chosen(call, true)),
    Plugin::new("remove_keys", &["data", "target", "matching_parameter"], |call| {
        chosen(call, false)
    }),
    Plugin::new("replace_keys", &["data", "target", "matching_parameter"], replace_keys),
];

/// How a key is compared with what is asked for.
#[derive(Clone, Copy)]
enum Matching {
    Equal,
    StartsWith,
    EndsWith,
    Regex,
}

impl Matching {
    fn of(call: &Call) -> Result<Self, TemplateError> {
        Ok(match call.text_or("matching_parameter", "equal").as_str() {
            "equal" => Self::Equal,
            "starts_with" => Self::StartsWith,
            "ends_with" => Self::EndsWith,
            "regex" => Self::Regex,
            other => {
                return Err(TemplateError::new(format!(
                    "The matching_parameter must be one of ['equal', 'starts_with', 'ends_with', 'regex']. matching_parameter={other}"
                )));
            }
        })
    }

    fn holds(self, key: &str, wanted: &str) -> Result<bool, TemplateError> {
        Ok(match self {
            Self::Equal => key == wanted,
            Self::StartsWith => key.starts_with(wanted),
            Self::EndsWith => key.ends_with(wanted),
            Self::Regex => is_match(key, wanted, Flags { anchored: true, ..Flags::default() })?,
        })
    }
}

/// The entries of each dictionary of the list.
fn rows(call: &Call) -> Result<Vec<Vec<(Value, Value)>>, TemplateError> {
    let data = call.value()?;
    if data.kind() != minijinja::value::ValueKind::Seq {
        return Err(TemplateError::new(format!(
            "First argument must be a list. {} is <class '{}'>",
            python::text(data),
            python::type_name(data)
        )));
    }
    python::items(data)?.iter().map(python::entries).collect()
}

fn chosen(call: &mut Call, keep: bool) -> Result<Value, TemplateError> {
    let matching = Matching::of(call)?;
    let target = call.need("target")?;
    let target = match target.as_str() {
        Some(text) => vec![text.to_owned()],
        None => python::items(target)?.iter().map(python::text).collect(),
    };
    if target.is_empty() {
        return Err(TemplateError::new("The target can't be empty."));
    }
    let mut kept = Vec::new();
    for row in rows(call)? {
        let mut entries = Vec::new();
        for (key, item) in row {
            let name = python::text(&key);
            let mut found = false;
            for wanted in &target {
                found = found || matching.holds(&name, wanted)?;
            }
            if found == keep {
                entries.push((key, item));
            }
        }
        kept.push(Value::from_pairs(entries));
    }
    Ok(Value::from(kept))
}

/// Targets are `{before: …, after: …}`; the first that fits wins.
fn replace_keys(call: &mut Call) -> Result<Value, TemplateError> {
    let matching = Matching::of(call)?;
    let mut targets = Vec::new();
    for target in call.items("target")? {
        let part = |name: &str| target.get_attr(name).ok().filter(|part| !part.is_undefined());
        let (before, after) = part("before").zip(part("after")).ok_or_else(|| {
            TemplateError::new("All dictionaries in target must include attributes: after, before.")
        })?;
        targets.push((python::text(&before), after));
    }
    let mut replaced = Vec::new();
    for row in rows(call)? {
        let mut entries = Vec::new();
        for (key, item) in row {
            let name = python::text(&key);
            let mut new = key;
            for (before, after) in &targets {
                if matching.holds(&name, before)? {
                    new = after.clone();
                    break;
                }
            }
            entries.push((new, item));
        }
        replaced.push(Value::from_pairs(entries));
    }
    Ok(Value::from(replaced))
}
