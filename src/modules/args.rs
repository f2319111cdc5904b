//! Argument types that take what Ansible takes: templates give text where a
//! number or a boolean is meant, and one value where a list is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use super::words::{expand_user, expand_variables};
use super::{Failure, lenient};

/// A boolean, also as `yes`, `on`, `1` and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Flag(#[serde(deserialize_with = "lenient::boolean")] pub bool);

impl Flag {
    /// For arguments that are on unless switched off.
    pub fn yes() -> Self {
        Self(true)
    }
}

/// A path on the host: `~` and `$NAME` stand for what they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostPath(pub PathBuf);

impl<'de> Deserialize<'de> for HostPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::expanded(&text_of(Json::deserialize(deserializer)?)?))
    }
}

impl HostPath {
    /// With the home folders and variables of whom the task runs as.
    pub fn expanded(text: &str) -> Self {
        let environment = BTreeMap::new();
        let text = expand_user(&expand_variables(text, &environment), &environment);
        Self(PathBuf::from(text))
    }
}

impl std::ops::Deref for HostPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for HostPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// Text, also given as a number or a boolean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_of(Json::deserialize(deserializer)?).map(Self)
    }
}

/// A list of texts, also given as one text with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TextList(pub Vec<String>);

impl<'de> Deserialize<'de> for TextList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Null => Ok(Self::default()),
            Json::Array(items) => {
                items.into_iter().map(text_of).collect::<Result<_, _>>().map(Self)
            }
            Json::String(text) => Ok(Self(
                text.split(',')
                    .map(|part| part.trim().to_owned())
                    .filter(|part| !part.is_empty())
                    .collect(),
            )),
            one => text_of(one).map(|text| Self(vec![text])),
        }
    }
}

/// A whole number, also as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Number(pub i64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        let number = match &value {
            Json::Number(number) => {
                number.as_i64().or_else(|| number.as_f64().map(|number| number as i64))
            }
            Json::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Self).ok_or_else(|| D::Error::custom(format!("a whole number, not {value}")))
    }
}

fn text_of<E: Error>(value: Json) -> Result<String, E> {
    match value {
        Json::String(text) => Ok(text),
        Json::Number(number) => Ok(number.to_string()),
        // As Python prints them.
        Json::Bool(true) => Ok("True".to_owned()),
        Json::Bool(false) => Ok("False".to_owned()),
        other => Err(E::custom(format!("a text was expected, not {other}"))),
    }
}

/// Why arguments do not fit a module; that one is missing is said in Ansible's words.
pub fn wrong(module: &str, error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    Failure::new(match missing {
        // Its own words.
        Some("dest") if module == "copy" => "dest is required".to_owned(),
        Some(name) => format!("missing required arguments: {name}"),
        None => format!("wrong arguments for {module}: {text}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_may_be_one_text_with_commas() {
        let list = |value: Json| serde_json::from_value::<TextList>(value).map(|list| list.0).ok();
        let expected = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(list(json!("a, b")), expected);
        assert_eq!(list(json!(["a", "b"])), expected);
        assert_eq!(list(json!({"a": 1})), None);
    }

    #[test]
    fn a_number_may_be_text() {
        assert_eq!(serde_json::from_value::<Number>(json!("5")).ok(), Some(Number(5)));
        assert!(serde_json::from_value::<Number>(json!("five")).is_err());
    }
}
