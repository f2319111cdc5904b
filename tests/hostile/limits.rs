//! Named cases, each given to the program itself with little memory and little work to do:
//! it ends by its own will, with an error that says what is too much.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Of the whole program, in KB (`ulimit -v`).
const MEMORY: u64 = 1 << 20;
/// CPU seconds (`ulimit -t`), in a build without optimisation; how busy the machine is does
/// not count.
const WORK: u64 = 30;
/// Seconds for one that does nothing and does not end.
const TIME: u64 = 600;

/// What `kup-play ARGUMENTS` prints in a folder, and its exit code.
fn run(folder: &Path, arguments: &[&str]) -> (String, i32) {
    let output = Command::new("sh")
        .args([
            "-c",
            &format!(
                "ulimit -v {MEMORY} && ulimit -t {WORK} && exec timeout -s KILL {TIME} \"$@\""
            ),
        ])
        .args(["sh", env!("CARGO_BIN_EXE_kup-play")])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output()
        .expect("the program");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let start: String = printed.chars().take(2_000).collect();
    let code = output.status.code().unwrap_or_else(|| panic!("{}: {start}", output.status));
    assert!(matches!(code, 0..=5), "exit code {code}: {start}");
    assert!(!printed.contains("panicked"), "{start}");
    (printed, code)
}

/// Runs a playbook, which fails with this message.
fn refused(playbook: &str, message: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("site.yml"), playbook).expect("a file");
    let (printed, code) = run(folder.path(), &["-i", "h1,", "-c", "local", "site.yml"]);
    let start: String = printed.chars().take(2_000).collect();
    assert!(code != 0 && printed.contains(message), "'{message}' is not in {start}");
    assert!(printed.len() < 100_000, "{} bytes are printed", printed.len());
}

/// As above, of a play with these variables, as a line of YAML.
fn refused_vars(vars: &str, message: &str) {
    refused(
        &format!("- hosts: all\n  gather_facts: false\n  vars:\n{vars}\n  tasks: []\n"),
        message,
    );
}

/// As above, of a template.
fn refused_template(template: &str, message: &str) {
    let template = template.replace('\'', "''");
    refused(
        &format!(
            "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug:\n        msg: '{template}'\n"
        ),
        message,
    );
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut vars = "    a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut merged = "    a: &a {x: 1}\n".to_owned();
    for (name, next) in ('a'..='m').zip('b'..='n') {
        let aliases = vec![format!("*{name}"); 9].join(", ");
        vars += &format!("    {next}: &{next} [{aliases}]\n");
        merged += &format!("    {next}: &{next} {{<<: [{aliases}], {next}: [{aliases}]}}\n");
    }
    refused_vars(&vars, "too many values");
    refused_vars(&merged, "too many values");
    let long = format!("    a: &a {}\n    b: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(3_000));
    refused_vars(&long, "too many values");
    let within: String = (0..150).map(|number| format!("&a{number} [")).collect();
    let items = "1, ".repeat(50_000);
    refused_vars(&format!("    a: {within}{items}{}", "]".repeat(150)), "too many values");
}

#[test]
fn what_nests_without_end_is_refused() {
    let many = |text: &str| text.repeat(10_000);
    for (vars, message) in [
        (format!("    a: {}{}", many("["), many("]")), "recursion limit exceeded"),
        (format!("    a: {}", many("[")), "recursion limit exceeded"),
        (format!("    a: {}{}", many("{a: "), many("}")), "nested too deep"),
        (format!("    - {}x", many("- ")), "nested too deep"),
        (format!("    ? {}x", many("? ")), "nested too deep"),
    ] {
        refused_vars(&vars, message);
    }
    let keys: String = (0..1_000).map(|depth| " ".repeat(depth) + "a:\n").collect();
    refused(&keys, "nested too deep");
    for template in [
        many("(") + "1" + &many(")"),
        many("[") + &many("]"),
        many("not ") + "1",
        "1".to_owned() + &many(" + 1"),
        "1".to_owned() + &many(" | int"),
    ] {
        refused_template(&format!("{{{{ {template} }}}}"), "the template nests too deep");
    }
    refused_template(&many("{% if 1 %}"), "the template nests too deep");
    refused_template("{{ ('['*10000 ~ ']'*10000) | from_json }}", "recursion limit exceeded");
    refused_template("{{ ('['*10000 ~ ']'*10000) | from_yaml }}", "recursion limit exceeded");
    refused_template("{{ ('- '*10000 ~ 'x') | from_yaml }}", "nested too deep");
}

#[test]
fn deep_inventories_and_variables_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let deep = format!("{{\"all\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    fs::write(at("hosts.json"), &deep).expect("a file");
    fs::write(at("hosts.ini"), format!("h1 x={}\n", "[".repeat(100_000))).expect("a file");
    fs::write(at("ok.yml"), "- hosts: all\n  tasks: []\n").expect("a file");
    let (printed, code) = run(folder.path(), &["-i", "hosts.json", "ok.yml"]);
    assert!(code == 4 && printed.contains("recursion limit exceeded"), "{printed}");
    let (_, code) = run(folder.path(), &["-i", "hosts.ini", "--syntax-check", "ok.yml"]);
    assert_eq!(code, 0, "what is no literal is a text");
    let (printed, code) = run(folder.path(), &["-i", "h1,", "-e", &deep, "ok.yml"]);
    assert!(code != 0 && printed.contains("recursion limit exceeded"), "{printed}");
}

#[test]
fn templates_that_ask_for_too_much_are_refused() {
    for (template, message) in [
        ("{{ range(10**12) | list }}", "range() of 1000000000000 numbers is too big"),
        ("{{ 'x' * 10**12 }}", "the template does too much"),
        ("{{ [1] * 10**12 }}", "repeated sequence is too large"),
        ("{{ 10**10**10 }}", "unable to calculate"),
        (
            "{% for i in range(1000000) %}{% for j in range(1000000) %}{% endfor %}{% endfor %}",
            "the template does too much",
        ),
        (
            "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "the template does too much",
        ),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion limit exceeded"),
        ("{{ ('a'*40 ~ 'b') is match('(?=(a|aa)+$)x') }}", "Max limit for backtracking"),
        (
            "{{ 'x' | regex_search('(((a{1000}){1000}){1000}){1000}') }}",
            "not a valid regular expression",
        ),
    ] {
        refused_template(template, message);
    }
}

#[test]
fn variables_that_multiply_or_loop_are_refused() {
    let text = |value: &str| format!("    v0: {value}\n");
    let play = |vars: &str| {
        format!(
            "- hosts: all\n  gather_facts: false\n  vars:\n{vars}  tasks: [debug: {{msg: '{{{{ v30 }}}}'}}]\n"
        )
    };
    let chain = |first: &str, next: &dyn Fn(usize) -> String| {
        let rest: String = (1..=30)
            .map(|number| format!("    v{number}: \"{{{{ {} }}}}\"\n", next(number - 1)))
            .collect();
        play(&(text(first) + &rest))
    };
    refused(&chain("xxxxxxxx", &|n| format!("v{n} ~ v{n} ~ v{n}")), "the result is too large");
    refused(
        &chain("\"{{ v30 }}\"", &|n| format!("v{n} ~ 1")),
        "recursive loop detected in template",
    );
    // Not looked at twice for being named twice.
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("site.yml"), chain("1", &|n| format!("v{n} and v{n}")))
        .expect("a file");
    let (printed, code) = run(folder.path(), &["-i", "h1,", "-c", "local", "site.yml"]);
    assert_eq!(code, 0, "{printed}");
}

#[test]
fn files_of_100_megabytes_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("ok.yml"), "- hosts: all\n  tasks: []\n").expect("a file");
    // Not by what the file system says of their size, but by what is read of them.
    let lines = |line: &str| line.repeat((100 << 20) / line.len());
    fs::write(at("big.yml"), "- hosts: all\n  tasks:\n".to_owned() + &lines("  - ping:\n"))
        .expect("a file");
    fs::write(at("big.ini"), "[g]\n".to_owned() + &lines("host x=1\n")).expect("a file");
    for arguments in [
        &["-i", "h1,", "big.yml"][..],
        &["-i", "big.ini", "ok.yml"],
        &["-i", "/dev/zero", "ok.yml"],
        &["-i", "h1,", "-e", "@/dev/zero", "ok.yml"],
        &["-i", "h1,", "-e", "@big.yml", "ok.yml"],
    ] {
        let (printed, code) = run(folder.path(), arguments);
        assert!(code != 0 && printed.contains("is larger than 32 MB"), "{arguments:?}: {printed}");
    }
}

#[test]
fn lines_and_ranges_without_end_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("ok.yml"), "- hosts: all\n  tasks: []\n").expect("a file");
    // One line without end, in each language.
    let long = "x".repeat(5 << 20);
    fs::write(at("line.yml"), format!("- hosts: all\n  vars:\n    a: \"{long}\n")).expect("a file");
    fs::write(at("line.ini"), format!("[g]\nhost {long}\n")).expect("a file");
    fs::write(at("ranges"), "[g]\n".to_owned() + &"h[1:100000]-[1:100000]\n".repeat(9))
        .expect("a file");
    let many: String = (0..100).map(|number| format!("h{number}-[1:100000]\n")).collect();
    fs::write(at("many"), "[g]\n".to_owned() + &many).expect("a file");
    for (arguments, message) in [
        (&["-i", "h1,", "line.yml"][..], "found unexpected end of stream"),
        (&["-i", "line.ini", "ok.yml"], "the line is longer than"),
        (&["-i", "ranges", "ok.yml"], "more than 100000 hosts"),
        (&["-i", "many", "ok.yml"], "the inventory has more than 500000 hosts"),
        (&["-i", "h[0:999999999999],", "ok.yml"], "more than 100000 hosts"),
    ] {
        let (printed, code) = run(folder.path(), arguments);
        let start: String = printed.chars().take(2_000).collect();
        assert!(code != 0 && printed.contains(message), "{arguments:?}: {start}");
        assert!(printed.len() < 20_000, "{} bytes are printed", printed.len());
    }
}

#[test]
fn slips_without_number_are_told_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let twice: String = (0..20_000).map(|number| format!("    k: {number}\n")).collect();
    fs::write(
        at("twice.yml"),
        format!("- hosts: all\n  gather_facts: false\n  vars:\n{twice}  tasks: []\n"),
    )
    .expect("a file");
    let shallow = "    k: [\n  1]\n".repeat(20_000);
    fs::write(at("shallow.yml"), format!("- hosts: all\n  vars:\n{shallow}")).expect("a file");
    let (printed, code) = run(folder.path(), &["-i", "h1,", "-c", "local", "twice.yml"]);
    let start: String = printed.chars().take(2_000).collect();
    assert!(code == 0 && printed.contains("duplicate"), "{code} {start}");
    let (printed, code) = run(folder.path(), &["-i", "h1,", "--syntax-check", "shallow.yml"]);
    let start: String = printed.chars().take(2_000).collect();
    assert!(code == 4 && printed.contains("invalid indentation"), "{code} {start}");
}

#[test]
fn nothing_that_is_left_open_panics() {
    let folder = tempfile::tempdir().expect("a folder");
    let opening = [
        "[",
        "{",
        "'",
        "\"",
        "|",
        ">",
        "&",
        "*",
        "!",
        "!!",
        "? ",
        "- ",
        "%",
        "@",
        "`",
        "<<",
        "{{",
        "{%",
        "{#",
        "{{ a[",
        "{{ f(",
        "{{ '",
        "{{ \"",
        "{% if",
        "{% raw %}",
        "{% for x in",
        "{% set x %}",
        "{% macro f(",
    ];
    for open in opening {
        for text in [
            open.to_owned(),
            format!("- hosts: {open}"),
            format!("- hosts: all\n  tasks:\n    - debug: msg={open}"),
            format!(
                "- hosts: all\n  tasks:\n    - debug:\n        msg: 'x {}",
                open.replace('\'', "''")
            ),
            format!(
                "- hosts: all\n  tasks:\n    - debug:\n        msg: 'x {}'\n",
                open.replace('\'', "''")
            ),
        ] {
            fs::write(folder.path().join("site.yml"), text).expect("a file");
            run(folder.path(), &["-i", "h1,", "-c", "local", "site.yml"]);
        }
    }
}
