//! Arguments in the type that a module wants, as Ansible reads them: a number where a
//! text is wanted, a text where a number is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde_json::{Map, Value as Json, json};

use crate::source;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
}

type Kinds = Arc<BTreeMap<String, Kind>>;

/// The arguments with each plain value in the type that `T` has for it, where there is one way
/// to read it so; others stay, and are refused later.
pub fn coerced<T: JsonSchema>(arguments: Json) -> Json {
    let Json::Object(mut arguments) = arguments else {
        return arguments;
    };
    let kinds = kinds::<T>();
    for (name, value) in &mut arguments {
        if let Some(better) = kinds.get(name).and_then(|kind| read(*kind, value)) {
            *value = better;
        }
    }
    Json::Object(arguments)
}

/// What is known of a type's fields; worked out once for each type.
fn kinds<T: JsonSchema>() -> Kinds {
    static KNOWN: Mutex<BTreeMap<&'static str, Kinds>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = known.entry(std::any::type_name::<T>());
    entry.or_insert_with(|| Arc::new(of_schema(&schemars::schema_for!(T)))).clone()
}

fn of_schema(schema: &schemars::Schema) -> BTreeMap<String, Kind> {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
    properties.iter().filter_map(|(name, field)| Some((name.clone(), kind(field)?))).collect()
}

/// The one type of a field beside null.
fn kind(field: &Json) -> Option<Kind> {
    // A choice of words is no free text.
    if field.get("enum").is_some() {
        return None;
    }
    let types = match field.get("type")? {
        Json::Array(types) => types.iter().filter_map(Json::as_str).collect(),
        one => vec![one.as_str()?],
    };
    let types: Vec<_> = types.into_iter().filter(|name| *name != "null").collect();
    match types[..] {
        ["string"] => Some(Kind::Text),
        ["integer"] => Some(Kind::Integer),
        ["number"] => Some(Kind::Number),
        ["boolean"] => Some(Kind::Boolean),
        _ => None,
    }
}

fn read(kind: Kind, value: &Json) -> Option<Json> {
    match (kind, value) {
        (Kind::Text, Json::Bool(true)) => Some(json!("True")),
        (Kind::Text, Json::Bool(false)) => Some(json!("False")),
        (Kind::Text, Json::Number(number)) => Some(json!(number.to_string())),
        (Kind::Integer, Json::String(text)) => Some(json!(text.trim().parse::<i64>().ok()?)),
        (Kind::Integer, Json::Number(number)) => {
            let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
            Some(json!(number as i64))
        }
        (Kind::Number, Json::String(text)) => Some(json!(text.trim().parse::<f64>().ok()?)),
        (Kind::Boolean, Json::String(text)) => Some(json!(source::boolean(text)?)),
        (Kind::Boolean, Json::Number(number)) => Some(json!(source::boolean(&number.to_string())?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Arguments {
        text: String,
        number: Option<u8>,
        flag: bool,
    }

    #[test]
    fn plain_values_take_the_type_that_is_wanted() {
        let given = json!({"text": true, "number": "3", "flag": "yes"});
        let read: Arguments = serde_json::from_value(coerced::<Arguments>(given)).unwrap();
        assert_eq!(read, Arguments { text: "True".to_owned(), number: Some(3), flag: true });
    }

    #[test]
    fn what_cannot_be_read_stays_and_is_refused() {
        let given = json!({"text": [1], "number": "x", "flag": "maybe"});
        assert_eq!(coerced::<Arguments>(given.clone()), given);
    }
}
