//! Whatever a text holds, the answer is a value or an error.

use kup_play::template::{FileOptions, Settings, Templar};
use proptest::prelude::*;

use super::{node, scope};

const VARIABLES: &str =
    "a: {b: [1, {c: x}]}\nn: 3\ns: text\nlist: [3, 1, 2]\ncircle: '{{ circle }}'";

/// Pieces of templates, put together at random.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{{ a.b }}",
        "a",
        "n",
        "s",
        "list",
        "nope",
        "circle",
        ".",
        "b",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ",",
        ":",
        "|",
        "'",
        "\"",
        "'x'",
        "\\",
        "1",
        "0",
        "-",
        "+",
        "%",
        "~",
        "<",
        ">=",
        "==",
        "in",
        "is",
        "not",
        "and",
        "or",
        "if",
        "else",
        "endif",
        "for",
        "endfor",
        "set",
        "endset",
        "raw",
        "endraw",
        "macro",
        "do",
        "=",
        "defined",
        "default",
        "map",
        "upper",
        "join",
        "sort",
        "first",
        "items()",
        " ",
        " ",
        "\n",
        "é",
        "length",
        "regex_replace",
        "to_nice_yaml",
        "version",
        "loop",
        "range",
        "::-1",
        "namespace",
    ];
    prop_oneof![4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => ".{0,3}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_renders_or_fails_without_a_panic(pieces in proptest::collection::vec(piece(), 0..14), spaced: bool) {
        let text = pieces.join(if spaced { " " } else { "" });
        let templar = Templar::new(Settings::default());
        let scope = scope(VARIABLES);
        let span = node("a: 1\nb: 2").span;
        let _ = templar.render_text(&text, Some(&span), &scope);
        let _ = templar.render_text(&format!("{{{{ {text} }}}}"), Some(&span), &scope);
        let _ = templar.evaluate(&text, Some(&span), &scope);
        let _ = templar.render_file(&text, &FileOptions::default(), &scope);
        let quoted = format!("'{}'", text.replace('\'', "''").replace(['\n', '\r'], " "));
        if let Ok(node) = kup_play::source::load_str(&quoted, std::path::Path::new("t.yml")) {
            let _ = templar.check(&node);
            let _ = templar.check_condition(&node);
        }
    }
}
