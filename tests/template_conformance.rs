//! Expressions, templates and conditions give what they give in ansible-core.
//!
//! `tests/data/template/expressions.yml` has the table and `expected.json` what
//! ansible-core (the version is in it) makes of each row; `record.py` beside
//! them makes the latter anew.

use std::path::Path;
use std::sync::Arc;

use kup_play::source::{self, Node};
use kup_play::template::{Scope, Settings, Templar, Variable, to_json};
use serde_json::Value as Json;

/// Rows where the result is meant to be another than Ansible's.
const DIFFERENT: &[(&str, &str)] = &[
    ("lazy", "a variable that is one expression keeps its type, as from ansible-core 2.19 on"),
    ("{{ n }}\n", "the row gets a second tag here, so that it is a text; alone it is 5 as well"),
    ("d.nope | default(omit) is defined", "record.py has no omit; in a task it is defined"),
    ("d.a | ansible.builtin.string", "Jinja2's own filters have a full name as well"),
    ("{'a': 1}.update({'b': 2})", "a change that nobody could see is an error"),
    ("'nope' is filter", "asking for a filter that is not there is no error"),
    ("{'timedout': {'period': 5}} is timedout", "a test is true or false"),
    (
        "{% for a in nums %}{% if a == 1 %}{% continue %}{% endif %}{{ a }}{% endfor %}",
        "loop controls are always on",
    ),
    ("{{ lipsum is defined }}", "there is no filler text"),
    ("{{ q('sequence', start=5, end=1, stride=-2) }}", "options without a term count"),
    ("lookup('community.general.dict', {'a': 1})", "a lookup is known by its last name"),
    ("omit is defined", "record.py has no omit; in a task it is defined"),
    (
        "{% if true -%}\n  x\n{%- endif %}\n",
        "the row gets a second tag here; alone it keeps its end",
    ),
    (
        "{% for x in nums %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}",
        "loop controls are always on",
    ),
    ("{{ lazy + 1 }} {{ lazy }}", "a variable that is one expression keeps its type"),
    ("deep | ansible.utils.get_path('x.y.z')", "what is found keeps its type, as from 2.19 on"),
    ("d.keys()", "the keys are a list"),
    ("{'keys': 5}.keys", "an entry comes before a method of its name"),
    ("'x' if false", "an inline `if` without `else` is empty, as it prints"),
    ("(1 if false)", "an inline `if` without `else` is empty, as it prints"),
    (
        "{% macro f(x, y='d') %}{{ x }}{{ y }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, z=4) }}",
        "a macro takes the arguments that it names",
    ),
    (
        "{% macro f(x) %}{{ x }}{% endmacro %}{{ f.name }} {{ f.arguments }} {{ f.catch_kwargs }} {{ f.caller }}",
        "a macro takes the arguments that it names",
    ),
    ("n.real", "numbers have methods, no attributes"),
    ("d | community.general.json_query(\"keys(@)\")", "JMESPath's objects are ordered by key"),
    ("d | community.general.json_query(\"*\")", "JMESPath's objects are ordered by key"),
    ("d | community.general.json_query(\"values(@)\")", "JMESPath's objects are ordered by key"),
    (
        "deep | community.general.json_query(\"merge(x, {q: `1`})\")",
        "JMESPath's objects are ordered by key",
    ),
    (
        "users | community.general.json_query(\"[*].{name: name, city: info.city}[0]\")",
        "a multi-select does not end a projection, says JMESPath's own test suite",
    ),
];

/// Rows whose order Python leaves to chance.
const UNORDERED: [&str; 4] = ["union(", "intersect(", "difference(", "symmetric_difference("];

#[derive(Debug)]
struct Variables(Node);

impl Scope for Variables {
    fn lookup(&self, name: &str) -> Option<Variable> {
        self.0.get(name).map(|node| Variable::Source(Arc::new(node.clone())))
    }

    fn names(&self) -> Vec<String> {
        let entries = self.0.as_map().unwrap_or_default().iter();
        entries.filter_map(|(key, _)| key.as_str().map(str::to_owned)).collect()
    }
}

struct Table {
    templar: Templar,
    scope: Arc<dyn Scope>,
    expected: Json,
}

impl Table {
    fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/template");
        let source = source::load(&folder.join("expressions.yml")).expect("expressions.yml");
        let expected =
            std::fs::read_to_string(folder.join("expected.json")).expect("expected.json");
        let variables = source.get("variables").expect("variables").clone();
        Self {
            templar: Templar::new(Settings::default()),
            scope: Arc::new(Variables(variables)),
            expected: serde_json::from_str(&expected).expect("expected.json is JSON"),
        }
    }

    fn text(&self, template: &str) -> Result<Json, String> {
        let rendered = self.templar.render_text(template, None, &self.scope);
        rendered.and_then(|value| to_json(&value)).map_err(|error| error.message)
    }

    /// Compares all rows of a kind; `run` gives what we make of a row.
    fn compare(&self, kind: &str, run: impl Fn(&str, &Json) -> Option<String>) {
        let rows = self.expected[kind].as_object().expect("a table");
        let mut wrong = Vec::new();
        let mut right = 0;
        for (row, expected) in rows {
            let meant = DIFFERENT.iter().any(|(different, _)| different == row);
            match run(row, expected) {
                None if meant => wrong.push(format!("{row}\n    is no longer different")),
                Some(_) if meant => {}
                None => right += 1,
                Some(difference) => wrong.push(format!("{row}\n    {difference}")),
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {} {kind} differ from ansible-core {}:\n{}",
            wrong.len(),
            wrong.len() + right,
            self.expected["ansible"],
            wrong.join("\n")
        );
    }
}

/// What is different about a result, if anything is.
fn difference(
    found: &Result<Json, String>,
    expected: &Json,
    key: &str,
    sort: bool,
) -> Option<String> {
    let sorted = |value: &Json| match value {
        Json::Array(items) if sort => {
            let mut items: Vec<String> = items.iter().map(Json::to_string).collect();
            items.sort();
            Json::from(items)
        }
        other => other.clone(),
    };
    match (found, expected.get("error"), expected.get(key)) {
        (Ok(found), None, Some(wanted)) if sorted(found) == sorted(wanted) => None,
        (Ok(found), None, Some(wanted)) => Some(format!("gives {found}\n    not   {wanted}")),
        (Ok(found), Some(error), _) => Some(format!("gives {found}\n    not the error {error}")),
        (Err(error), None, Some(wanted)) => {
            Some(format!("fails with {error}\n    but gives {wanted}"))
        }
        (Err(error), Some(wanted), _) => {
            let wanted = wanted.as_str().unwrap_or_default();
            let names = wanted.ends_with(" is undefined") || wanted.contains("dict object");
            (names && !wanted.ends_with(error.as_str()))
                .then(|| format!("fails with {error}\n    not with   {wanted}"))
        }
        (_, None, None) => None,
    }
}

#[test]
fn expressions_give_ansibles_values_and_texts() {
    let table = Table::load();
    table.compare("expressions", |row, expected| {
        let sort = UNORDERED.iter().any(|name| row.contains(name));
        let value = table.text(&format!("{{{{ {row} }}}}"));
        difference(&value, expected, "json", sort).or_else(|| {
            let text = table.text(&format!("<{{{{ {row} }}}}>"));
            let text = text
                .map(|text| Json::from(text.as_str().unwrap_or_default().trim_matches(['<', '>'])));
            let wanted = expected
                .get("text")
                .map(|text| text.as_str().unwrap_or_default().trim_matches(['<', '>']));
            let expected = wanted.map_or(Json::Null, |text| serde_json::json!({ "text": text }));
            if sort || expected.is_null() {
                None
            } else {
                difference(&text, &expected, "text", false)
            }
        })
    });
}

/// Filters, tests and lookups of ansible-core that are not here.
const MISSING: &[(&str, &str)] = &[
    ("unvault", "what is encrypted is decrypted where it is used"),
    ("url", "nothing is loaded from the network while a template is rendered"),
    ("vault", "what is encrypted is decrypted where it is used"),
];

#[test]
fn every_filter_test_and_lookup_of_ansible_core_is_known() {
    let table = Table::load();
    let mut wrong = Vec::new();
    for (kind, template) in [
        ("filters", "{{ x | ansible.builtin.NAME }}"),
        ("tests", "{{ x is ansible.builtin.NAME(1) }}"),
        ("lookups", "{{ q(\"ansible.builtin.NAME\") }}"),
    ] {
        for name in table.expected["names"][kind].as_array().expect("names") {
            let name = name.as_str().expect("a name");
            let quoted = format!("'{}'", template.replace("NAME", name));
            let node = source::load_str(&quoted, Path::new("names.yml")).expect("a quoted text");
            let known = table.templar.check(&node).is_ok();
            if !known && !MISSING.iter().any(|(missing, _)| *missing == name) {
                wrong.push(format!("{kind}: {name} is not known"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn templates_give_ansibles_texts() {
    let table = Table::load();
    table.compare("templates", |row, expected| {
        // A template that is one expression keeps its type here; Ansible 2.18 makes it a text.
        let found = table.text(&format!("{row}{{{{ '' }}}}"));
        difference(&found, expected, "text", false)
    });
}

#[test]
fn conditions_hold_when_ansibles_hold() {
    let table = Table::load();
    table.compare("conditions", |row, expected| {
        let quoted = format!("'{}'", row.replace('\'', "''"));
        let node = source::load_str(&quoted, Path::new("when.yml")).expect("a quoted text");
        let found = table.templar.condition(&node, &table.scope);
        difference(&found.map(Json::from).map_err(|error| error.message), expected, "json", false)
    });
}
