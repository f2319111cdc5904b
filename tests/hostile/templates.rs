//! Templates, those that Ansible's results were recorded of, changed at random.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use kup_play::source::{self, Node, Yaml};
use kup_play::template::{FileOptions, Scope, Settings, Templar, Variable};
use proptest::prelude::*;

use super::assert_right_place;
use super::mutation::{corpus, mutated};
use super::watch::{cases, watched};

/// Lookups that act on this machine.
const ACTING: &[&str] = &["pipe", "lines", "password", "url"];
/// The largest result that may come of a small text.
const MAX_RESULT: usize = 65 << 20;

static RECORDED: LazyLock<Node> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/template/expressions.yml");
    source::load(&path).expect("the recorded expressions")
});

#[derive(Debug)]
struct Variables;

impl Scope for Variables {
    fn lookup(&self, name: &str) -> Option<Variable> {
        let node = RECORDED.get("variables")?.get(name)?;
        Some(Variable::Source(Arc::new(node.clone())))
    }

    fn names(&self) -> Vec<String> {
        let variables = RECORDED.get("variables").and_then(Node::as_map).unwrap_or_default();
        variables.iter().filter_map(|(name, _)| name.as_str().map(str::to_owned)).collect()
    }
}

fn texts_in(node: &Node, texts: &mut Vec<String>) {
    match &node.value {
        Yaml::Str(text) => texts.push(text.clone()),
        Yaml::Seq(items) => items.iter().for_each(|item| texts_in(item, texts)),
        Yaml::Map(entries) => entries.iter().for_each(|(_, value)| texts_in(value, texts)),
        _ => {}
    }
}

fn expressions() -> Vec<String> {
    let mut texts = Vec::new();
    if let Some(entries) = RECORDED.as_map() {
        let families = entries.iter().filter(|(key, _)| key.as_str() != Some("variables"));
        families.for_each(|(_, family)| texts_in(family, &mut texts));
    }
    texts.retain(|text| harmless(text));
    assert!(texts.len() > 500, "only {} expressions are recorded", texts.len());
    texts
}

fn files() -> Vec<String> {
    let mut texts = corpus("tests/conformance", &[".j2"]);
    texts.extend(expressions().into_iter().filter(|text| text.contains("{%")));
    texts.retain(|text| harmless(text));
    texts
}

fn harmless(text: &str) -> bool {
    !ACTING.iter().any(|name| text.contains(name))
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn any_expression_gives_a_value_or_an_error(text in mutated(expressions())) {
        prop_assume!(harmless(&text));
        let scope: Arc<dyn Scope> = Arc::new(Variables);
        let templar = Templar::new(Settings::default());
        watched(&text, || {
            let _ = templar.evaluate(&text, None, &scope);
            for text in [text.clone(), format!("{{{{ {text} }}}}")] {
                let node = Node::from_json(&text.clone().into(), &source::Span::start(&source::SourceFile::new(Path::new("t"), &text)));
                let node = Node::new(Yaml::Str(text.clone()), node.span);
                match templar.render(&node, &scope) {
                    Ok(value) => assert!(value.as_str().map_or(0, str::len) <= MAX_RESULT),
                    Err(error) => assert_right_place(&error.into()),
                }
                if let Err(error) = templar.check(&node) {
                    assert_right_place(&error);
                }
                let _ = templar.check_condition(&node);
            }
        });
    }

    #[test]
    fn any_template_file_gives_a_text_or_an_error_at_its_place(text in mutated(files())) {
        prop_assume!(harmless(&text));
        let scope: Arc<dyn Scope> = Arc::new(Variables);
        let templar = Templar::new(Settings::default());
        watched(&text, || {
            if let Err(error) = templar.render_file(&text, &FileOptions::default(), &scope) {
                assert_right_place(&error.into());
            }
        });
    }
}
