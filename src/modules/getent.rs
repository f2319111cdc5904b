//! `getent`: entries of the host's databases (passwd, group, hosts…) as facts.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::args::{Flag, Text};
use super::{Context, Failure, Module, Outcome, tools};

/// Reads a database of the host's name services into the fact `getent_<database>`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Getent {
    database: Text,
    /// The entry to look for; all of them without it.
    key: Option<Text>,
    /// The name service to ask, in place of those of nsswitch.conf.
    service: Option<Text>,
    /// What stands between the fields of an entry.
    split: Option<Text>,
    /// Fail when the key is not there.
    #[serde(default = "Flag::yes")]
    fail_key: Flag,
}

/// Databases with `:` between the fields.
const COLON: [&str; 4] = ["passwd", "shadow", "group", "gshadow"];

impl Module for Getent {
    const NAME: &'static str = "getent";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let database = &self.database.0;
        let mut command = tools::command(context, "getent")?.arg(database);
        if let Some(key) = &self.key {
            command = command.arg(&key.0);
        }
        if let Some(service) = &self.service {
            command = command.args(["-s", &service.0]);
        }
        let output = command.run()?;
        let split = match &self.split {
            Some(split) => Some(split.0.as_str()),
            None => COLON.contains(&database.as_str()).then_some(":"),
        };
        let missing = "One or more supplied key could not be found in the database.";
        match (output.rc, &self.key) {
            (0, _) => Ok(facts(database, entries(&output.stdout, split))),
            (1, _) => Err(Failure::new("Missing arguments, or database unknown.")),
            (2, Some(key)) if !self.fail_key.0 => {
                let nothing = Map::from_iter([(key.0.clone(), Json::Null)]);
                Ok(facts(database, nothing).with("msg", missing))
            }
            (2, _) => Err(Failure::new(missing)),
            (3, _) => Err(Failure::new("Enumeration not supported on this database.")),
            _ => Err(Failure::new("Unexpected failure!")),
        }
    }
}

fn facts(database: &str, entries: Map<String, Json>) -> Outcome {
    let mut facts = Map::new();
    facts.insert(format!("getent_{database}"), Json::Object(entries));
    Outcome::default().with("ansible_facts", facts)
}

/// Fields of the entries by key; a key that is there more than once has a list of them.
fn entries(text: &str, split: Option<&str>) -> Map<String, Json> {
    let mut found: Map<String, Json> = Map::new();
    let mut repeated: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut fields: Vec<&str> = match split {
            Some(split) => line.split(split).collect(),
            None => line.split_whitespace().collect(),
        };
        if fields.is_empty() {
            continue;
        }
        let key = fields.remove(0).to_owned();
        match found.get_mut(&key) {
            None => {
                found.insert(key, json!(fields));
            }
            Some(Json::Array(list)) if repeated.contains(&key) => list.push(json!(fields)),
            Some(first) => {
                *first = json!([first.take(), fields]);
                repeated.push(key);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_again_has_all_its_entries() {
        let text = "::1 localhost\n10.0.0.1 a b\n::1 ip6\n::1 x\n";
        let found = Json::Object(entries(text, None));
        assert_eq!(found, json!({"::1": [["localhost"], ["ip6"], ["x"]], "10.0.0.1": ["a", "b"]}));
    }

    #[test]
    fn root_is_a_user_and_an_unknown_key_a_failure() {
        let getent = |arguments| {
            serde_json::from_value::<Getent>(arguments).expect("arguments").run(&Context::default())
        };
        let root = getent(json!({"database": "passwd", "key": "root"})).expect("root");
        assert_eq!(root.result["ansible_facts"]["getent_passwd"]["root"][1], "0");
        assert!(getent(json!({"database": "passwd", "key": "nosuchuser"})).is_err());
        let none = getent(json!({"database": "passwd", "key": "nosuchuser", "fail_key": false}));
        assert_eq!(
            none.expect("nothing").result["ansible_facts"]["getent_passwd"]["nosuchuser"],
            Json::Null
        );
    }
}
