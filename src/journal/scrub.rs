//! Secrets are taken out of what goes into the journal.

use serde_json::{Map, Value as Json};

use crate::secret;

const HIDDEN: &str = "(secret)";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Hides every text that holds a known secret, and the data of Kubernetes' Secrets; true
/// if there was any.
pub fn scrub(value: &mut Json) -> bool {
    match value {
        Json::String(text) => hide(text),
        Json::Array(items) => items.iter_mut().fold(false, |found, item| scrub(item) | found),
        Json::Object(entries) => scrub_map(entries),
        _ => false,
    }
}

fn hide(text: &mut String) -> bool {
    let secret = secret::is_known_in(text);
    if secret {
        *text = HIDDEN.to_owned();
    }
    secret
}

fn scrub_map(entries: &mut Map<String, Json>) -> bool {
    let mut found = false;
    if entries.get("kind").and_then(Json::as_str) == Some("Secret") {
        for key in ["data", "stringData"] {
            found |= entries.shift_remove(key).is_some();
        }
        // kubectl keeps the whole object there.
        let annotations = entries.get_mut("metadata").and_then(|meta| meta.get_mut("annotations"));
        if let Some(Json::Object(annotations)) = annotations {
            found |= annotations.shift_remove(LAST_APPLIED).is_some();
        }
    }
    for value in entries.values_mut() {
        found |= scrub(value);
    }
    let secret_keys: Vec<_> =
        entries.keys().filter(|key| secret::is_known_in(key)).cloned().collect();
    for key in secret_keys {
        found |= entries.shift_remove(&key).is_some();
    }
    found
}

/// Extra variables that may be kept, and the names of those that may not.
pub fn scrubbed_variables(variables: Map<String, Json>) -> (Map<String, Json>, Vec<String>) {
    let mut withheld = Vec::new();
    let kept = variables
        .into_iter()
        .filter_map(|(name, mut value)| {
            if sounds_secret(&name) || holds_secret_names(&value) || scrub(&mut value) {
                withheld.push(name);
                return None;
            }
            Some((name, value))
        })
        .collect();
    (kept, withheld)
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = ["pass", "secret", "token", "credential", "private_key", "api_key", "apikey"];
    words.iter().any(|word| name.contains(word))
}

fn holds_secret_names(value: &Json) -> bool {
    match value {
        Json::Object(entries) => {
            entries.iter().any(|(name, value)| sounds_secret(name) || holds_secret_names(value))
        }
        Json::Array(items) => items.iter().any(holds_secret_names),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::secret::Secret;

    #[test]
    fn texts_that_hold_a_secret_are_hidden_wherever_they_are() {
        let _secret = Secret::new("hunter2-of-the-journal");
        let mut value = json!({"a": ["x hunter2-of-the-journal y", 1], "b": "plain"});
        assert!(scrub(&mut value));
        assert_eq!(value, json!({"a": [HIDDEN, 1], "b": "plain"}));
        assert!(!scrub(&mut json!({"b": "plain"})));
    }

    #[test]
    fn the_data_of_a_kubernetes_secret_is_not_kept() {
        let mut value = json!({"resources": [{"kind": "Secret", "data": {"a": "eA=="}}]});
        assert!(scrub(&mut value));
        assert_eq!(value, json!({"resources": [{"kind": "Secret"}]}));
        let applied = json!({LAST_APPLIED: "{\"data\": {\"a\": \"eA==\"}}", "b": "c"});
        let mut value = json!({"kind": "Secret", "metadata": {"annotations": applied}});
        assert!(scrub(&mut value));
        assert_eq!(value["metadata"]["annotations"], json!({"b": "c"}));
    }

    #[test]
    fn extra_variables_whose_names_sound_secret_are_withheld() {
        let given = json!({"version": "1.21", "db_password": "x", "login": {"token": "y"}});
        let (kept, withheld) = scrubbed_variables(given.as_object().cloned().unwrap());
        assert_eq!(Json::Object(kept), json!({"version": "1.21"}));
        assert_eq!(withheld, ["db_password", "login"]);
    }
}
