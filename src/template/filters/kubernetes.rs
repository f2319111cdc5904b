//! `k8s_config_resource_name`: the name of a ConfigMap or Secret with the hash of what is in it.

use sha2::{Digest, Sha256};

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, to_json};

pub const FILTERS: &[Plugin] =
    &[Plugin::new("k8s_config_resource_name", &["resource"], config_resource_name)];

fn config_resource_name(call: &mut Call) -> Result<Value, TemplateError> {
    let resource = to_json(call.value()?)?;
    let text = |path: &str| resource.pointer(path).and_then(|value| value.as_str());
    let name = text("/metadata/name").ok_or_else(|| {
        TemplateError::new("resource must have a metadata.name key to generate a resource name")
    })?;
    let kind = text("/kind").unwrap_or_default();
    let data = resource.get("data").cloned().unwrap_or_else(|| "".into());
    // As kubectl marshals it: these keys in this order, the data's own sorted.
    let mut marshalled =
        format!("{{\"data\":{},\"kind\":{},\"name\":{}", sorted(&data), quoted(kind), quoted(name));
    match kind {
        "ConfigMap" => {}
        "Secret" => {
            let kind = quoted(text("/type").unwrap_or_default());
            marshalled.push_str(&format!(",\"type\":{kind}"));
        }
        _ => return Err(call.error("only ConfigMaps and Secrets have such a name")),
    }
    marshalled.push('}');
    let digest = Sha256::digest(marshalled.as_bytes());
    let digits: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    // Letters that cannot be taken for others, nor make words.
    let safe = digits.chars().map(|digit| match digit {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    });
    Ok(Value::from(format!("{name}-{}", safe.collect::<String>())))
}

/// JSON without spaces, its keys sorted, all of it ASCII.
fn sorted(json: &serde_json::Value) -> String {
    match json {
        serde_json::Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            let entries =
                entries.iter().map(|(key, value)| format!("{}:{}", quoted(key), sorted(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        serde_json::Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    for character in serde_json::Value::from(text).to_string().chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}
