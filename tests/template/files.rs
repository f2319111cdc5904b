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
    let header = "#jinja2: trim_blocks: False, lstrip_blocks: True\n";
    assert_eq!(rendered(&format!("{header}  {{% if n %}}\nx\n{{% endif %}}\n")), "\nx\n");
    let marks = "#jinja2: variable_start_string: '[%', variable_end_string: '%]'\n";
    assert_eq!(rendered(&format!("{marks}[% n %] {{{{ n }}}}\n")), "5 {{ n }}\n");
    assert_eq!(rendered("#jinja2: newline_sequence: '\\r\\n'\na\nb {{ n }}\n"), "a\r\nb 5\r\n");
}

#[test]
fn values_in_a_header_are_pythons() {
    // A text is true unless it is empty.
    let header = "#jinja2: trim_blocks: 'False'\n";
    assert_eq!(rendered(&format!("{header}{{% if n %}}\nx\n{{% endif %}}\n")), "x\n");
    for header in ["trim_blocks: yes", "trim_blocks", "no_such_option: True"] {
        let folder = folder(&[("t.j2", &format!("#jinja2: {header}\nx\n"))]);
        let error = file(folder.path(), "t.j2").expect_err(header);
        assert_eq!(error.span.map(|span| span.line), Some(1), "{header}");
    }
}

#[test]
fn lines_may_be_statements_and_end_in_comments() {
    let header = "#jinja2: line_statement_prefix: '%', line_comment_prefix: '##'\n";
    let text =
        "% for x in list if x != nope.b | default('b'):\n- {{ x }} ## the item\n% endfor\nend\n";
    assert_eq!(rendered(&format!("{header}{text}")), "- a\nend\n");
}

#[test]
fn an_error_in_an_included_template_names_that_template() {
    let folder = folder(&[
        ("main.j2", "1\n{% include 'sub/part.j2' %}\n"),
        ("templates/sub/part.j2", "one\ntwo\nthree {{ nmae }}\n"),
        ("types.j2", "{% include 'sub/types.j2' %}\n"),
        ("templates/sub/types.j2", "one\n{{ list + 1 }}\n"),
        ("call.j2", "{% from 'sub/macros.j2' import broken %}\n\n{{ broken(1) }}\n"),
        ("templates/sub/macros.j2", "{% macro broken(x) %}\n{{ x.y.z }}\n{% endmacro %}\n"),
    ]);
    let place = |name: &str| {
        let error = file(folder.path(), name).expect_err(name);
        let span = error.span.expect("a place");
        let file = span.file.path.file_name().map(|name| name.to_string_lossy().into_owned());
        (file.unwrap_or_default(), span.line, span.column, error.help)
    };
    let help = Some("did you mean 'name'?".to_owned());
    assert_eq!(place("main.j2"), ("part.j2".to_owned(), 3, 10, help));
    assert_eq!(place("types.j2"), ("types.j2".to_owned(), 2, 1, None));
    assert_eq!(place("call.j2").0, "macros.j2");
}

#[test]
fn an_included_template_is_looked_for_in_the_search_path_first() {
    let folder = folder(&[
        ("templates/sub/main.j2", "{% include 'part.j2' %}\n"),
        ("templates/sub/part.j2", "beside"),
        ("templates/part.j2", "in the search path"),
    ]);
    assert_eq!(file(folder.path(), "templates/sub/main.j2"), Ok("in the search path\n".to_owned()));
}

#[test]
fn tables_are_looked_up_by_key() {
    let folder = folder(&[
        ("files/hosts.csv", "name,ip,zone\nn1,10.0.0.1,a\n\"n 2\",10.0.0.2,b\n"),
        ("ansible.csv", "k\tv\n"),
        (
            "app.ini",
            "[DEFAULT]\nroot = /srv\n[web]\nUser = www\npath = %(root)s/www\nport1 = 80\nport2 = 443\n",
        ),
        ("app.properties", "user.name=joe\n"),
    ]);
    for (expression, expected) in [
        ("lookup('csvfile', 'n1 file=hosts.csv delimiter=,')", json!("10.0.0.1")),
        ("lookup('csvfile', 'n1', file='hosts.csv', delimiter=',', col=2)", json!("a")),
        ("lookup('csvfile', 'n 2 file=hosts.csv delimiter=, col=2')", json!("b")),
        ("lookup('csvfile', 'k')", json!("v")),
        ("lookup('csvfile', 'x', file='hosts.csv', delimiter=',', default='-')", json!("-")),
        ("q('csvfile', 'x', file='hosts.csv', delimiter=',')", json!([])),
        ("lookup('csvfile', '10.0.0.1 file=hosts.csv delimiter=, keycol=1 col=0')", json!("n1")),
        ("lookup('ini', 'user', section='web', file='app.ini')", json!("www")),
        ("lookup('ini', 'user section=web file=app.ini')", json!("www")),
        ("lookup('ini', 'path', section='web', file='app.ini')", json!("/srv/www")),
        (
            "lookup('ini', 'path', section='web', file='app.ini', interpolation=false)",
            json!("%(root)s/www"),
        ),
        ("q('ini', 'port.*', section='web', file='app.ini', re=true)", json!(["80", "443"])),
        ("lookup('ini', 'nope', section='web', file='app.ini', default='d')", json!("d")),
        ("lookup('ini', 'user.name', type='properties', file='app.properties')", json!("joe")),
    ] {
        assert_eq!(lookup(folder.path(), expression), expected, "{expression}");
    }
}

#[test]
fn hosts_are_looked_up_by_pattern() {
    let hosts = |pattern: &str| match pattern {
        "web:!old" => Ok(vec!["w1".to_owned(), "w2".to_owned()]),
        other => Err(format!("no hosts match {other}")),
    };
    let settings = Settings { hosts: Some(std::sync::Arc::new(hosts)), ..Settings::default() };
    let templar = Templar::new(settings);
    let found = templar.evaluate("q('inventory_hostnames', 'web:!old')", None, &scope(VARIABLES));
    assert_eq!(found.and_then(|value| to_json(&value)), Ok(json!(["w1", "w2"])));
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

#[test]
fn a_lookup_that_may_fail_warns_once() {
    let templar = templar(folder(&[]).path());
    let found = |expression: &str| {
        let value = templar.evaluate(expression, None, &scope(VARIABLES)).expect(expression);
        to_json(&value).expect("JSON")
    };
    for _ in 0..2 {
        assert_eq!(found("lookup('file', 'nope', errors='warn')"), json!(null));
    }
    assert_eq!(found("q('file', 'other', errors='ignore')"), json!([]));
    let warnings = templar.take_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings.iter().all(|text| text.contains("error is being ignored")), "{warnings:?}");
    assert!(templar.take_warnings().is_empty());
}

#[test]
fn a_template_knows_itself() {
    let text = "{{ ansible_managed }} {{ template_path == template_fullpath }} {{ template_fullpath | basename }} {{ template_uid is defined }} {{ template_run_date.year >= 2024 }} {{ template_mtime is defined }} {{ template_destpath is none }}\n";
    assert_eq!(rendered(text), "Ansible managed True t.j2 True True True True\n");
    let folder = folder(&[("templates/own.j2", "{{ template_path }} {{ ansible_managed }}")]);
    let variables = scope("ansible_managed: by us");
    let found = templar(folder.path()).evaluate("lookup('template', 'own.j2')", None, &variables);
    assert_eq!(found.map(|value| value.to_string()), Ok("own.j2 by us".to_owned()));
}

#[test]
fn a_seed_makes_ansibles_password() {
    let folder = folder(&[]);
    for (expression, expected) in [
        ("lookup('password', '/dev/null seed=x length=12')", "O9iX65WvW9::"),
        (
            "lookup('password', '/dev/null', seed='x', chars=['digits', 'abc'])",
            "a59971c697a762679c88",
        ),
    ] {
        assert_eq!(lookup(folder.path(), expression), json!(expected));
    }
}

#[test]
fn an_encrypted_password_keeps_its_salt() {
    let folder = folder(&[("plain", "secret\n"), ("salted", "secret salt=mysalt\n")]);
    let md5 = |name: &str| {
        lookup(folder.path(), &format!("lookup('password', '{name} encrypt=md5_crypt')"))
    };
    assert_eq!(md5("salted"), lookup(folder.path(), "'secret' | password_hash('md5', 'mysalt')"));
    let first = md5("plain");
    assert_eq!(md5("plain"), first);
    let kept = fs::read_to_string(folder.path().join("plain")).expect("the file");
    assert!(kept.starts_with("secret salt=") && kept.trim_end().len() == 20, "{kept}");
    assert_eq!(lookup(folder.path(), "lookup('password', 'plain')"), json!("secret"));
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
        let items = templar.loop_items(name, value, "files", &scope(VARIABLES)).expect("items");
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
