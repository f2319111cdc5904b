//! Templates as playbooks use them: types, laziness, what is undefined, where errors point.

mod files;
mod robust;

use std::path::Path;
use std::sync::Arc;

use kup_play::source::{self, Node};
use kup_play::template::{Scope, Settings, Templar, TemplateError, Value, Variable, to_json};
use serde_json::{Value as Json, json};

/// Variables as a vars file holds them, and results that are never templates.
#[derive(Debug)]
struct Variables {
    file: Node,
    data: Vec<(String, Value)>,
}

impl Scope for Variables {
    fn lookup(&self, name: &str) -> Option<Variable> {
        if let Some((_, value)) = self.data.iter().find(|(key, _)| key == name) {
            return Some(Variable::Data(value.clone()));
        }
        self.file.get(name).map(|node| Variable::Source(Arc::new(node.clone())))
    }

    fn names(&self) -> Vec<String> {
        let file = self.file.as_map().unwrap_or_default().iter();
        file.filter_map(|(key, _)| key.as_str().map(str::to_owned)).collect()
    }
}

fn node(yaml: &str) -> Node {
    source::load_str(yaml, Path::new("play.yml")).expect("the test's own YAML")
}

fn scope(yaml: &str) -> Arc<dyn Scope> {
    let data = vec![("result".to_owned(), Value::from("{{ not a template }}"))];
    Arc::new(Variables { file: node(yaml), data })
}

fn render_with(variables: &str, yaml: &str) -> Result<Json, TemplateError> {
    let value = Templar::new(Settings::default()).render(&node(yaml), &scope(variables))?;
    to_json(&value)
}

fn render(variables: &str, yaml: &str) -> Json {
    render_with(variables, yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

fn error(variables: &str, yaml: &str) -> TemplateError {
    match render_with(variables, yaml) {
        Err(error) => error,
        Ok(value) => panic!("{yaml}: should have failed, gave {value}"),
    }
}

fn condition(variables: &str, yaml: &str) -> Result<bool, TemplateError> {
    Templar::new(Settings::default()).condition(&node(yaml), &scope(variables))
}

#[test]
fn one_expression_keeps_its_type_and_text_around_makes_a_text() {
    let variables = "n: 5\nlist: [1, a]\nmap: {x: true, y: null}";
    assert_eq!(render(variables, "'{{ n }}'"), json!(5));
    assert_eq!(render(variables, "'{{ list }}'"), json!([1, "a"]));
    assert_eq!(render(variables, "'{{ map }}'"), json!({"x": true, "y": null}));
    assert_eq!(render(variables, "'{{ n > 4 }}'"), json!(true));
    assert_eq!(render(variables, "'n is {{ n }}'"), json!("n is 5"));
    assert_eq!(render(variables, "'{{ n }}{{ n }}'"), json!("55"));
    assert_eq!(
        render(variables, "'{{ list }} {{ map }}'"),
        json!("[1, 'a'] {'x': True, 'y': None}")
    );
    assert_eq!(render(variables, "|\n  {{ n }}\n"), json!(5));
    assert_eq!(render(variables, "|\n  {{ 'a' }}\n"), json!("a\n"));
}

#[test]
fn templates_are_rendered_in_every_value_and_not_in_keys() {
    let rendered =
        render("k: key\nv: 7", "{'{{ k }}': ['{{ v }}', {a: 'x{{ v }}'}], plain: 010, no: 1.5}");
    assert_eq!(rendered, json!({"{{ k }}": [7, {"a": "x7"}], "plain": 8, "false": 1.5}));
}

#[test]
fn variables_are_rendered_when_they_are_used_and_only_then() {
    let variables = "a: '{{ b }}-{{ c.d }}'\nb: '{{ c.e | default(\"x\") }}'\nc: {d: '{{ n }}'}\nn: 3\nbad: '{{ nope }}'";
    assert_eq!(render(variables, "'{{ a }}'"), json!("x-3"));
    assert_eq!(render(variables, "'{{ vars.n + 1 }}'"), json!(4));
    assert_eq!(render(variables, "'{{ bad | default(\"fine\") }}'"), json!("fine"));
}

#[test]
fn results_and_unsafe_texts_are_never_templates() {
    assert_eq!(render("u: !unsafe '{{ x }}'", "'{{ u }}'"), json!("{{ x }}"));
    assert_eq!(render("a: 1", "'{{ result }}!'"), json!("{{ not a template }}!"));
    assert_eq!(render("a: 1", "!unsafe '{{ a }}'"), json!("{{ a }}"));
}

#[test]
fn a_circle_of_variables_is_named() {
    let error = error("a: '{{ b }}'\nb: 'x{{ c }}'\nc: '{{ a }}'", "'{{ a }}'");
    assert!(error.message.contains("a -> b -> c -> a"), "{}", error.message);
    assert!(!error.undefined);
}

#[test]
fn a_long_chain_of_variables_fits_the_stack_of_a_worker() {
    let mut variables = String::from("v0: end\n");
    for index in 1..50 {
        variables.push_str(&format!(
            "v{index}: '{{% if true %}}{{{{ v{} }}}}{{% endif %}}'\n",
            index - 1
        ));
    }
    let rendered = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || render(&variables, "'{{ v49 }}'"))
        .expect("a thread")
        .join()
        .expect("no overflow");
    assert_eq!(rendered, json!("end"));
}

#[test]
fn what_is_undefined_may_be_asked_about_and_defaulted() {
    let variables = "a: {b: {c: 1}}\nempty: ''\nlist: [1]";
    for (expression, expected) in [
        ("nope | default('x')", json!("x")),
        ("nope.b.c | default('x')", json!("x")),
        ("nope['b'][0].c | default('x')", json!("x")),
        ("nope.b[1:] | default('x')", json!("x")),
        ("a.x.y | d('x')", json!("x")),
        ("a.b.c | default('x')", json!(1)),
        ("list[4] | default('x')", json!("x")),
        ("list.0 | default('x')", json!(1)),
        ("empty | default('x')", json!("")),
        ("empty | default('x', true)", json!("x")),
        ("empty | default('x', boolean=true)", json!("x")),
        ("nope is defined", json!(false)),
        ("nope.b.c is undefined", json!(true)),
        ("a.b.c is defined and a.b.c == 1", json!(true)),
        ("nope is defined and nope.x > 3", json!(false)),
        ("nope is not defined or nope == 1", json!(true)),
        ("(nope | default(a.nope2)) | default('z')", json!("z")),
        ("nope | type_debug", json!("AnsibleUndefined")),
        ("-a.b.c", json!(-1)),
    ] {
        assert_eq!(
            render(variables, &format!("\"{{{{ {expression} }}}}\"")),
            expected,
            "{expression}"
        );
    }
}

#[test]
fn using_what_is_undefined_is_an_error_that_names_it() {
    let variables = "a: {b: 1}\nlist: [1]\nnone: null\ntrue_thing: true";
    for (expression, message) in [
        ("nope", "'nope' is undefined"),
        ("nope.x.y", "'nope' is undefined"),
        ("a.x", "'dict object' has no attribute 'x'"),
        ("a['x']", "'dict object' has no attribute 'x'"),
        ("list[3]", "list object has no element 3"),
        ("none.x", "'None' has no attribute 'x'"),
        ("[1, nope]", "'nope' is undefined"),
        ("{'k': nope}", "'nope' is undefined"),
        ("nope ~ 'x'", "'nope' is undefined"),
        ("nope + 1", "'nope' is undefined"),
        ("nope == 1", "'nope' is undefined"),
        ("1 in nope", "'nope' is undefined"),
        ("nope in list", "'nope' is undefined"),
        ("nope | upper", "'nope' is undefined"),
        ("nope | length", "'nope' is undefined"),
        ("nope | list", "'nope' is undefined"),
        ("nope | join(',')", "'nope' is undefined"),
        ("nope | bool", "'nope' is undefined"),
        ("nope.items()", "'nope' is undefined"),
        ("not nope", "'nope' is undefined"),
        ("nope and true", "'nope' is undefined"),
        ("true and nope.x", "'nope' is undefined"),
        ("1 if nope else 2", "'nope' is undefined"),
        ("other | default('x') ~ a.y", "'dict object' has no attribute 'y'"),
        ("nope | mandatory", "Mandatory variable 'nope'  not defined."),
        ("nope | mandatory('say so')", "say so"),
        ("a.b()", "is not callable"),
    ] {
        for text in
            [format!("\"{{{{ {expression} }}}}\""), format!("\"text {{{{ {expression} }}}}\"")]
        {
            let error = error(variables, &text);
            assert!(error.message.contains(message), "{text}: {}", error.message);
        }
    }
    for text in
        ["{% for x in nope %}{% endfor %}", "{% if nope %}{% endif %}", "{{ nope if true }}"]
    {
        assert!(error(variables, &format!("\"- {text}\"")).undefined, "{text}");
    }
}

#[test]
fn an_undefined_name_comes_with_its_place_and_the_nearest_name() {
    let found = error("kube_version: 1", "msg:\n  - ok\n  - 'v {{ kube_versoin }}'");
    assert_eq!(found.help.as_deref(), Some("did you mean 'kube_version'?"));
    assert_eq!(found.span.map(|span| (span.line, span.column)), Some((3, 11)));
    let block = error("a: 1", "msg: |\n  first\n  second {{ b }}\n");
    assert_eq!(block.span.map(|span| (span.line, span.column)), Some((3, 13)));
    let attribute = error("a: {stdout: 1}", "'{{ a.stdot }}'");
    assert_eq!(attribute.help.as_deref(), Some("did you mean 'stdout'?"));
    let inner = error("outer: '{{ inner }}'\ninner: '{{ nope }}'", "'{{ outer }}'");
    assert_eq!(inner.message, "'nope' is undefined");
    assert_eq!(inner.span.map(|span| (span.line, span.column)), Some((2, 12)));
}

#[test]
fn conditions_take_booleans_expressions_and_templates() {
    let variables = "yes_: true\nno_: false\ns: 'text'\nempty: ''\nn: 3\nexpr: 'n == 3'";
    for (yaml, expected) in [
        ("true", true),
        ("false", false),
        ("'yes_'", true),
        ("'not yes_'", false),
        ("'n == 3 and s is defined'", true),
        ("'nope is defined'", false),
        ("'s'", true),
        ("'empty'", false),
        ("['yes_', 'n > 5']", false),
        ("['yes_', 'n < 5', true]", true),
        ("'{{ yes_ }}'", true),
        ("'{{ \"False\" }}'", false),
        ("'{{ \"true\" }}'", true),
        ("'{{ expr }}'", true),
        ("'{{ n }} == 3'", true),
        ("''", true),
        ("", true),
        ("'[]'", false),
        ("1", true),
    ] {
        assert_eq!(condition(variables, yaml), Ok(expected), "{yaml}");
    }
    let error = condition(variables, "'nope and n == 3'").expect_err("undefined");
    assert_eq!(
        error.message,
        "The conditional check 'nope and n == 3' failed. The error was: error while evaluating conditional (nope and n == 3): 'nope' is undefined"
    );
    assert!(error.undefined);
    assert!(condition(variables, "'nope'").is_err());
    assert!(condition(variables, "'not nope'").is_err());
}

#[test]
fn texts_and_numbers_are_not_ordered() {
    for expression in ["'10' < 5", "n > 'a'", "list <= 3", "none > 1"] {
        let error = error("n: 1\nlist: [1]", &format!("\"{{{{ {expression} }}}}\""));
        assert!(error.message.contains("not supported between instances of"), "{}", error.message);
    }
    assert_eq!(render("n: 1", "'{{ n < 2 and not n >= 2 and 1 < n + 1 < 3 }}'"), json!(true));
    assert_eq!(
        render("n: 1", "'{% for x in [1, 2, 3] if x > n recursive %}{{ x }}{% endfor %}'"),
        json!("23")
    );
}

#[test]
fn omitted_arguments_are_left_out() {
    let templar = Templar::new(Settings::default());
    let arguments = node(
        "path: /x\nmode: '{{ mode | default(omit) }}'\nlist: ['{{ omit }}', 1]\nmap: {a: '{{ omit }}', b: 2}",
    );
    let value = templar.render_arguments(&arguments, &scope("x: 1")).expect("renders");
    assert_eq!(to_json(&value), Ok(json!({"path": "/x", "list": [1], "map": {"b": 2}})));
    let kept = templar.render_text("{{ omit }}", None, &scope("x: 1")).expect("renders");
    assert!(kup_play::template::is_omit(&kept));
}

#[test]
fn templates_are_checked_before_anything_runs() {
    let templar = Templar::new(Settings::default());
    let place = |yaml: &str| {
        let error = templar.check(&node(yaml)).expect_err(yaml);
        let span = error.span.expect("a place");
        (span.line, span.column, error.message, error.help.unwrap_or_default())
    };
    let (line, column, message, help) = place("a: 1\nb: 'x {{ y | deafult(1) }}'");
    assert_eq!((line, column), (2, 14));
    assert_eq!(message, "no filter named 'deafult'");
    assert_eq!(help, "did you mean 'default'?");
    let (line, column, message, _) = place("a: |\n  {% if x is definde %}\n  {% endif %}\n");
    assert_eq!((line, column), (2, 14));
    assert_eq!(message, "no test named 'definde'");
    let (line, column, message, help) = place("a: 1\nb: \"{{ lookup('fiel', 'x') }}\"");
    assert_eq!((line, column), (2, 16));
    assert_eq!(message, "no lookup named 'fiel'");
    assert_eq!(help, "did you mean 'file'?");
    let (line, _, message, _) = place("a: 1\nb: '{{ y | }}'");
    assert_eq!(line, 2);
    assert!(message.starts_with("template error while templating string:"), "{message}");
    assert!(templar.check(&node("a: '{{ x.y | ansible.builtin.default([]) }}'")).is_ok());
    assert!(templar.check_condition(&node("[\"a is definde\"]")).is_err());
    assert!(templar.check_condition(&node("[\"a is defined\", true]")).is_ok());
}
