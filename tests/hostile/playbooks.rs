//! YAML, playbooks, and arguments in one line.

use std::path::Path;

use kup_play::engine::{Prepared, Settings};
use kup_play::modules;
use kup_play::playbook::key_value;
use kup_play::source::{self, Node, Yaml};
use kup_play::template::Layer;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value as Json, json};

use super::mutation::{corpus, mutated};
use super::watch::{cases, watched};
use super::{assert_in_file, assert_right_place};

fn playbooks() -> Vec<String> {
    let mut texts = corpus("tests/conformance/cases", &[".yml", ".yaml"]);
    texts.extend(corpus("tests/gallery", &[".yml"]));
    // What a playbook runs on the controller stays out of these tests.
    texts.retain(|text| !text.contains("pipe") && !text.contains("lines"));
    texts
}

/// Every part of a value stands somewhere in the file.
fn assert_places(node: &Node) {
    assert_in_file(&node.span);
    match &node.value {
        Yaml::Seq(items) => items.iter().for_each(assert_places),
        Yaml::Map(entries) => entries.iter().for_each(|(key, value)| {
            assert_places(key);
            assert_places(value);
        }),
        _ => {}
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn any_text_is_yaml_or_an_error_at_its_place(text in mutated(playbooks())) {
        watched(&text, || match source::load_all_str(&text, Path::new("x.yml")) {
            Ok(documents) => documents.iter().for_each(|document| {
                assert_places(document);
                document.to_json();
            }),
            Err(error) => assert_right_place(&error),
        });
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_playbook_loads_or_is_an_error_at_its_place(text in mutated(playbooks())) {
        prop_assume!(!text.contains("pipe") && !text.contains("lines"));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("site.yml");
        std::fs::write(&path, &text).expect("a file");
        let settings = Settings { inventory: vec!["h1,".to_owned()], ..Settings::default() };
        watched(&text, || match Prepared::load(&[path], settings, Layer::new()) {
            Ok(_) => {}
            Err(error) => assert_right_place(error.error()),
        });
    }

    #[test]
    fn pairs_that_are_joined_are_split_again(
        pairs in vec(("[a-z_]{1,8}", "[ -!#-&(-\\[\\]-z|~é\n=]{0,20}"), 0..6),
        quote in select(vec!['"', '\'']),
    ) {
        let line: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={quote}{value}{quote}")).collect();
        let split = key_value::split(&line.join(" ")).expect("pairs");
        prop_assert_eq!(&split.pairs, &pairs);
        prop_assert_eq!(split.rest, "");
    }

    #[test]
    fn any_line_is_split_or_refused(line in mutated(lines()), shell: bool) {
        watched(&line, || {
            let _ = key_value::split(&line);
            let split = key_value::split_free_form(&line, if shell { "shell" } else { "include" });
            assert!(split.rest.len() <= line.len());
        });
    }

    #[test]
    fn any_arguments_are_taken_or_refused(arguments in vec(("[a-z_]{0,8}", json_value()), 0..4), place in any::<prop::sample::Index>()) {
        for name in modules::names() {
            let Some(spec) = modules::find(name) else { continue };
            let known = (spec.arguments)();
            let named = arguments.iter().enumerate().map(|(at, (word, value))| {
                let known = known.get((place.index(64) + at) % known.len().max(1));
                (known.map_or_else(|| word.clone(), |known| (*known).to_owned()), value.clone())
            });
            let given: Map<String, Json> = named.collect();
            let _ = (spec.validate)(Json::Object(given));
        }
    }
}

/// Arguments in one line, as playbooks have them.
fn lines() -> Vec<String> {
    [
        "src=a dest='b c' mode=0644",
        "echo \"a b\" | cat chdir=/tmp creates='/x y'",
        "path={{ x | join(' ') }}/y state=present # no comment",
        "msg={% if a %}b c{% endif %} n=\"1\\n2\" k=",
        "if a; then\n  b='c d'\nfi \\\n  | x\n",
        "{{ item }}_count=1 other=\\\"x",
        "name=a,b state=latest update_cache=yes",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn json_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Json::from),
        select(vec![
            "0644",
            "u+rwX,g-w",
            "yes",
            "present",
            "a=1",
            "1.5",
            "-1",
            "/etc/x",
            "~",
            "[1]",
            "é"
        ])
        .prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            vec(("[a-z]{0,4}", inner), 0..4)
                .prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    })
}
