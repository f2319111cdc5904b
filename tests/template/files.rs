//! Template files and lookups: what is read from the controller's disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kup_play::template::{FileOptions, Settings, Templar, TemplateError, Value, to_json};
use serde_json::json;
use tempfile::TempDir;

use super::scope;

const VARIABLES: &str = "n: 5\nlist: [a, b]\nname: web";

/// A playbook's folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn templar(folder: &Path) -> Templar {
    Templar::new(Settings { playbook_dir: folder.to_owned(), ..Settings::default() })
}

fn file(folder: &Path, name: &str) -> Result<String, TemplateError> {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).expect("the test's own file");
    let options = FileOptions {
        path: Some(path),
        search_path: vec![folder.to_owned()],
        ..FileOptions::default()
    };
    templar(folder).render_file(&text, &options, &scope(VARIABLES))
}

fn rendered(text: &str) -> String {
    let folder = folder(&[("t.j2", text)]);
    file(folder.path(), "t.j2").unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_template_file_keeps_its_last_line_end_and_loses_those_of_its_tags() {
    assert_eq!(rendered("n={{ n }}\n"), "n=5\n");
    assert_eq!(rendered("n={{ n }}"), "n=5");
    assert_eq!(rendered("{% if n > 3 %}\nbig\n{% endif %}\n"), "big\n");
    assert_eq!(
        rendered("{% for x in list %}\n- {{ x }}\n{% endfor %}\nend\n\n"),
        "- a\n- b\nend\n\n"
    );
    assert_eq!(rendered("  {% if n %}\nx\n  {% endif %}\n"), "  x\n  \n");
}

#[test]
fn backslashes_in_a_template_file_are_jinjas() {
    assert_eq!(rendered(r"{{ 'a\nb' }}"), "a\nb");
}

#[test]
fn a_header_sets_options() {
    let header = "#jinja2: trim_blocks: \"False\", lstrip_blocks: \"True\"\n";
    assert_eq!(rendered(&format!("{header}  {{% if n %}}\nx\n{{% endif %}}\n")), "\nx\n");
    let marks = "#jinja2: variable_start_string: '[%', variable_end_string: '%]'\n";
    assert_eq!(rendered(&format!("{marks}[% n %] {{{{ n }}}}\n")), "5 {{ n }}\n");
    assert_eq!(rendered("#jinja2: newline_sequence: '\\r\\n'\na\nb {{ n }}\n"), "a\r\nb 5\r\n");
}

#[test]
fn templates_include_import_and_extend_each_other() {
    let folder = folder(&[
        (
            "templates/main.j2",
            "{% import 'macros.j2' as m %}{% include 'sub/part.j2' %}|{{ m.wrap(n) }}\n",
        ),
        ("templates/sub/part.j2", "part {{ nope.x | default(name) }}\n"),
        ("templates/macros.j2", "{% macro wrap(x) %}<{{ x }}>{% endmacro %}"),
        ("templates/base.j2", "[{% block body %}base{% endblock %}]\n"),
        (
            "templates/child.j2",
            "{% extends 'base.j2' %}{% block body %}{{ super() }}+{{ n }}{% endblock %}\n",
        ),
    ]);
    assert_eq!(file(folder.path(), "templates/main.j2"), Ok("part web|<5>\n".to_owned()));
    assert_eq!(file(folder.path(), "templates/child.j2"), Ok("[base+5]\n".to_owned()));
}

#[test]
fn an_error_in_a_template_file_names_its_line() {
    let folder = folder(&[
        ("a.j2", "first\nsecond {{ n }}\nthird {{ nmae }}\n"),
        ("b.j2", "#jinja2: trim_blocks: True\nfirst\n{{ n | }}\n"),
        ("c.j2", "{% include 'nothing.j2' %}\n"),
    ]);
    let place = |name: &str| {
        let error = file(folder.path(), name).expect_err(name);
        let span = error.span.clone().map(|span| (span.line, span.column));
        (error.message, span, error.help)
    };
    let (message, span, help) = place("a.j2");
    assert_eq!((message.as_str(), span), ("'nmae' is undefined", Some((3, 10))));
    assert_eq!(help.as_deref(), Some("did you mean 'name'?"));
    let (message, span, _) = place("b.j2");
    assert!(message.starts_with("template error while templating string"), "{message}");
    assert_eq!(span.map(|(line, _)| line), Some(3));
    assert!(place("c.j2").0.contains("nothing.j2"));
}

fn lookup(folder: &Path, expression: &str) -> serde_json::Value {
    let templar = templar(folder);
    let value = templar.evaluate(expression, None, &scope(VARIABLES));
    to_json(&value.unwrap_or_else(|error| panic!("{expression}: {error}"))).expect("JSON")
}

#[test]
fn lookups_find_files_beside_the_playbook() {
    let folder = folder(&[
        ("files/motd", "  hello \n\n"),
        ("templates/greet.j2", "hi {{ name }} {{ extra | default('-') }}\n"),
        ("files/b.conf", ""),
        ("files/a.conf", ""),
        ("files/.hidden.conf", ""),
    ]);
    let path = |name: &str| json!(folder.path().join(name).display().to_string());
    assert_eq!(lookup(folder.path(), "lookup('file', 'motd')"), json!("  hello"));
    assert_eq!(
        lookup(folder.path(), "lookup('file', 'motd', rstrip=false)"),
        json!("  hello \n\n")
    );
    assert_eq!(lookup(folder.path(), "lookup('template', 'greet.j2')"), json!("hi web -\n"));
    assert_eq!(
        lookup(folder.path(), "lookup('template', 'greet.j2', template_vars={'extra': 7})"),
        json!("hi web 7\n")
    );
    assert_eq!(
        lookup(folder.path(), "q('fileglob', '*.conf')"),
        json!([path("files/a.conf"), path("files/b.conf")])
    );
    assert_eq!(
        lookup(folder.path(), "lookup('first_found', ['none.conf', 'b.conf'])"),
        path("files/b.conf")
    );
    assert_eq!(
        lookup(
            folder.path(),
            "lookup('first_found', {'files': ['x', 'motd'], 'paths': ['nowhere', 'files']})"
        ),
        path("files/motd")
    );
    assert_eq!(lookup(folder.path(), "q('first_found', ['none'], skip=true)"), json!([]));
}

#[test]
fn a_password_is_made_once_and_readable_by_its_owner_alone() {
    let folder = folder(&[]);
    let expression = "lookup('password', 'secrets/db length=12 chars=digits')";
    let first = lookup(folder.path(), expression);
    let text = first.as_str().expect("a text");
    assert!(text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    assert_eq!(lookup(folder.path(), expression), first);
    let mode =
        fs::metadata(folder.path().join("secrets/db")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn loops_get_the_items_of_their_lookup() {
    let templar = Templar::new(Settings::default());
    let items = |name: &str, yaml: &str| {
        let value = templar.render(&super::node(yaml), &scope(VARIABLES)).expect("renders");
        let items = templar.loop_items(name, value, &scope(VARIABLES)).expect("items");
        to_json(&Value::from(items)).expect("JSON")
    };
    assert_eq!(items("items", "[1, [2, 3], '{{ list }}']"), json!([1, 2, 3, "a", "b"]));
    assert_eq!(items("items", "one"), json!(["one"]));
    assert_eq!(items("dict", "{x: 1}"), json!([{"key": "x", "value": 1}]));
    assert_eq!(items("nested", "[['a', 'b'], [1]]"), json!([["a", 1], ["b", 1]]));
    assert_eq!(items("sequence", "start=1 end=3 format=n%02x"), json!(["n01", "n02", "n03"]));
    assert_eq!(items("together", "[['a', 'b'], [1]]"), json!([["a", 1], ["b", null]]));
    assert!(Templar::has_lookup("ansible.builtin.first_found") && !Templar::has_lookup("nope"));
}
