//! YAML as it is read, and what is said when it cannot be.

use std::path::Path;

use kup_play::source::{Node, SourceFile, Yaml, load_all_str, load_noting, load_str};

fn parse(text: &str) -> Node {
    load_str(text, Path::new("x.yml")).unwrap_or_else(|error| panic!("{error}"))
}

fn json(text: &str) -> String {
    parse(text).to_json().to_string()
}

fn error(text: &str) -> String {
    match load_str(text, Path::new("x.yml")) {
        Ok(node) => panic!("{text} is read as {}", node.to_json()),
        Err(error) => error.to_string(),
    }
}

fn place(node: &Node) -> (usize, usize) {
    (node.span.line, node.span.column)
}

#[test]
fn every_key_and_value_knows_its_place() {
    let node = parse("- hosts: all\n  tasks:\n    - debug:\n        msg: hi\n      ключ: \"x\"\n");
    let play = &node.as_seq().expect("plays")[0];
    assert_eq!(place(play), (1, 3));
    let task = &play.get("tasks").and_then(Node::as_seq).expect("tasks")[0];
    assert_eq!(place(task), (3, 7));
    let entries = task.as_map().expect("a task");
    assert_eq!(place(&entries[0].0), (3, 7));
    assert_eq!(place(&entries[0].1), (4, 9));
    assert_eq!(place(&entries[1].0), (5, 7));
    assert_eq!(place(&entries[1].1), (5, 13));
}

#[test]
fn styles_decide_what_is_text() {
    assert_eq!(
        json("a: '1'\nb: \"yes\"\nc: |\n  0644\nd: >-\n  a\n  b\ne: 1\n"),
        r#"{"a":"1","b":"yes","c":"0644\n","d":"a b","e":1}"#
    );
}

#[test]
fn aliases_and_merge_keys_mean_what_they_say() {
    assert_eq!(
        json("base: &b {a: 1, b: 2}\nmine:\n  b: 3\n  <<: *b\n  c: 4\nlist: &l [1]\nsame: *l\n"),
        r#"{"base":{"a":1,"b":2},"mine":{"a":1,"b":3,"c":4},"list":[1],"same":[1]}"#
    );
    assert_eq!(json("<<: [{a: 1}, {a: 2, b: 2}]\nc: 3\n"), r#"{"a":1,"b":2,"c":3}"#);
    assert_eq!(json("'<<': {a: 1}\n"), r#"{"<<":{"a":1}}"#);
    assert!(error("<<: 1\n").contains("expected a mapping or list of mappings for merging"));
}

#[test]
fn tags_decide_over_the_look_of_a_value() {
    assert_eq!(json("[!!str 5, !!int '7', !!float 3, !!bool yes]"), r#"["5",7,3.0,true]"#);
    assert!(error("!!int x").contains("'x' cannot be read as !!int"));
    assert!(
        error("a: !nosuch x").contains("could not determine a constructor for the tag '!nosuch'")
    );
    let node = parse(
        "a: !unsafe '{{ x }}'\nb: !vault |\n  $ANSIBLE_VAULT;1.1\nc: !unsafe [\"{{ y }}\"]\n",
    );
    assert_eq!(node.get("a").map(|n| &n.value), Some(&Yaml::Unsafe("{{ x }}".to_owned())));
    assert_eq!(
        node.get("b").map(|n| &n.value),
        Some(&Yaml::Vault("$ANSIBLE_VAULT;1.1\n".to_owned()))
    );
    let inner = node.get("c").and_then(Node::as_seq).expect("a list");
    assert_eq!(inner[0].value, Yaml::Unsafe("{{ y }}".to_owned()));
}

#[test]
fn a_key_written_twice_keeps_its_last_value_and_is_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.yml");
    std::fs::write(&path, "a: 1\nb: 2\na: 3\n").expect("a file");
    let mut warnings = Vec::new();
    let node = load_noting(&path, &mut warnings).expect("a node");
    assert_eq!(node.to_json().to_string(), r#"{"a":3,"b":2}"#);
    assert_eq!(warnings.len(), 1);
    let text = warnings[0].to_string();
    assert!(
        text.contains("found a duplicate dict key (a)") && text.contains("x.yml:3:1"),
        "{text}"
    );
}

#[test]
fn several_documents_are_several_nodes_but_a_playbook_is_one() {
    let documents = load_all_str("--- 1\n---\n2\n...\n", Path::new("x.yml")).expect("documents");
    assert_eq!(documents.len(), 2);
    assert!(error("a: 1\n---\nb: 2\n").contains("expected a single document"));
    assert_eq!(parse("# nothing\n").value, Yaml::Null);
    assert_eq!(parse("").value, Yaml::Null);
    assert_eq!(parse("---\n").value, Yaml::Null);
}

#[test]
fn aliases_cannot_grow_without_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let alias = format!("*a{}", n - 1);
        text += &format!("a{n}: &a{n} [{}]\n", vec![alias; 10].join(", "));
    }
    assert!(error(&text).contains("expand to too many values"));
    assert!(error("a: &a [*a]\n").contains("not complete yet"));
    assert!(error(&format!("{}{}", "[".repeat(300), "]".repeat(300))).contains("recursion limit"));
}

#[test]
fn brackets_and_quotes_may_go_on_at_any_depth() {
    assert_eq!(
        json("a:\n  b: [\n  c,\n d\n]\n  e: {\n  f: 1\n}\n"),
        r#"{"a":{"b":["c","d"],"e":{"f":1}}}"#
    );
    assert_eq!(
        json("a:\n  b: \"x\n y\\\"\nz\"\n  c: 'it''s\nso'\n"),
        r#"{"a":{"b":"x y\" z","c":"it's so"}}"#
    );
    let node = parse("a:\n  b: [\n  c,\n d\n]\n");
    let items = node.get("a").and_then(|a| a.get("b")).and_then(Node::as_seq).expect("a list");
    assert_eq!((place(&items[0]), place(&items[1])), ((3, 3), (4, 2)));
}

#[test]
fn an_unquoted_template_is_explained() {
    assert_eq!(
        error("a:\n  b: {{ c }}\n"),
        "found unhashable key: the key of a mapping must be a plain value
  --> x.yml:2:6
   |
 2 |   b: {{ c }}
   |      ^
  = help: a value that begins with {{ needs quotes around all of it: \"{{ … }}\""
    );
}

#[test]
fn the_classic_slips_are_explained_where_they_are() {
    for (text, place, help) in [
        ("a: {{ b }}/c\nd: 1\n", "x.yml:1:4", "{{ needs quotes"),
        ("- name: x\n  when: {{ a }} == 1\n", "x.yml:2:9", "{{ needs quotes"),
        ("a:\n\tb: 1\n", "x.yml:2:1", "indented with spaces"),
        ("a:\n  b: 1\n\tc: 2\n", "x.yml:3:1", "indented with spaces"),
        ("name: do this: and that\n", "x.yml:1:7", "holds ': ' needs quotes"),
        ("- name:x\n  debug: {}\n", "x.yml:1:7", "there must be a space"),
        ("a: 1\nb:2\nc: 3\n", "x.yml:2:2", "there must be a space"),
        ("path: \"a\"/b\n", "x.yml:1:7", "begins with a quote must end with it"),
        ("when: 'a' == b\n", "x.yml:1:7", "begins with a quote must end with it"),
        ("x: %d\n", "x.yml:1:4", "needs quotes"),
        ("x: @here\n", "x.yml:1:4", "needs quotes"),
        ("x: *.txt\n", "x.yml:1:4", "begins with * needs quotes"),
        ("- a: 1\n   b: 2\n", "x.yml:2:4", "indented deeper"),
        ("a:\n  b: 1\n c: 2\n", "x.yml:3:2", "matches no line above"),
    ] {
        let error = error(text);
        assert!(error.contains(place) && error.contains(help), "{text}\n{error}");
    }
}

#[test]
fn what_cannot_be_explained_still_has_its_place() {
    for (text, place) in [("a: [1, 2\n", "x.yml:"), ("a: 'x\n", "x.yml:"), ("}\n", "x.yml:1:1")] {
        let error = error(text);
        assert!(
            error.starts_with("Syntax Error while loading YAML") && error.contains(place),
            "{error}"
        );
    }
}

#[test]
fn places_stay_in_their_line() {
    for text in ["%}{{{{<<: 😀\0", "%}: {#😀\0\n", "%}😀=: \u{feff}"] {
        let Err(error) = load_all_str(text, Path::new("x.yml")) else { continue };
        let column = error.span.map_or(0, |span| span.column);
        assert!(column <= text.trim_end().chars().count() + 1, "{text}: {column}");
    }
}

proptest::proptest! {
    /// What is read is a value or an error with a place in the text, never a panic.
    #[test]
    fn any_text_can_be_read(text in "[-a-c01:{}\\[\\],'\"#&*!|>%@ \t\n\\\\<é]{0,60}") {
        if let Err(error) = load_all_str(&text, Path::new("x.yml")) {
            let lines = text.lines().count() + 1;
            let line = error.span.as_ref().map(|span| span.line);
            proptest::prop_assert!(line.is_none_or(|line| line <= lines), "{error}");
            proptest::prop_assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn a_byte_has_its_place_whatever_ends_the_lines() {
    let file = SourceFile::new(Path::new("f"), "a\r\nbä\rc\n");
    let place = |byte| {
        let span = file.span(byte);
        (span.line, span.column)
    };
    assert_eq!((place(0), place(3), place(4), place(6)), ((1, 1), (2, 1), (2, 2), (2, 3)));
    // Within a character, and behind the end.
    assert_eq!((place(5), place(7), place(99)), ((2, 2), (3, 1), (4, 1)));
}
