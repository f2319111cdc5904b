//! `kup-play run`: one task without a playbook, as `ansible` does it. What is expected was
//! seen of ansible-core 2.18 with the same arguments.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use tempfile::TempDir;

fn inventory() -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hosts");
    fs::write(&path, "[web]\na ansible_connection=local\nb ansible_connection=local\n")
        .expect("written");
    let path = path.display().to_string();
    (folder, path)
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
    command.arg("run").args(arguments).env("ANSIBLE_CONFIG", "/dev/null").output().expect("a run")
}

fn lines(output: &Output) -> Vec<String> {
    let mut lines: Vec<_> =
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_command_is_shown_with_its_output_and_changed() {
    let (_folder, hosts) = inventory();
    let output = run(&["-i", &hosts, "web", "-a", "echo hello"]);
    assert_eq!(
        lines(&output),
        ["a | CHANGED | rc=0 >>", "b | CHANGED | rc=0 >>", "hello", "hello"]
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_failure_ends_with_code_2() {
    let (_folder, hosts) = inventory();
    let output = run(&["a", "-i", &hosts, "-m", "shell", "-a", "exit 3"]);
    assert_eq!(lines(&output), ["a | FAILED | rc=3 >>", "non-zero return code"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn arguments_are_pairs_or_json_and_templates_in_them_are_filled_in() {
    let (_folder, hosts) = inventory();
    for arguments in ["msg={{ inventory_hostname }}", r#"{"msg": "{{ inventory_hostname }}"}"#] {
        let output = run(&["a", "-i", &hosts, "-o", "-m", "debug", "-a", arguments]);
        let expected = r#"a | SUCCESS => {    "changed": false,    "msg": "a"}"#;
        assert_eq!(lines(&output), [expected]);
    }
}

#[test]
fn hosts_are_listed() {
    let (_folder, hosts) = inventory();
    let output = run(&["-i", &hosts, "all:!b", "--list-hosts"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "  hosts (1):\n    a\n");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (_folder, hosts) = inventory();
    let output = run(&["a", "-i", &hosts]);
    assert_eq!(output.status.code(), Some(5));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("No argument passed to command module"), "{error}");

    let output = run(&["nobody", "-i", &hosts, "-m", "ping"]);
    assert_eq!(output.status.code(), Some(0));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("No hosts matched, nothing to do"), "{error}");
}

#[test]
fn under_the_name_of_ansible_it_is_that_program() {
    let (folder, hosts) = inventory();
    let ansible = folder.path().join("ansible");
    symlink(env!("CARGO_BIN_EXE_kup-play"), &ansible).expect("a link");
    let output =
        Command::new(&ansible).args(["a", "-i", &hosts, "-m", "ping"]).output().expect("a run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("a | SUCCESS => {"), "{text}");
}

#[test]
fn the_folder_of_the_playbook_is_typed_or_set() {
    let (folder, hosts) = inventory();
    let shown = |output: Output| lines(&output).concat();
    let task = ["a", "-i", &hosts, "-m", "debug", "-a", "var=playbook_dir"];
    let typed = run(&[task.as_slice(), &["--playbook-dir", "/nowhere/a"]].concat());
    assert!(shown(typed).contains("\"playbook_dir\": \"/nowhere/a\""));

    let settings = folder.path().join("set.cfg");
    fs::write(&settings, "[defaults]\nplaybook_dir = /nowhere/b\n").expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
    command.arg("run").args(task).env("ANSIBLE_CONFIG", settings);
    let set = command.output().expect("a run");
    assert!(shown(set).contains("\"playbook_dir\": \"/nowhere/b\""));
}

#[test]
fn extra_variables_that_are_none_end_with_code_5() {
    let (_folder, hosts) = inventory();
    for (typed, message) in [
        ("./vars.yml", "Please prepend extra_vars filename './vars.yml' with '@'"),
        ("[1, 2]", "must hold a mapping"),
    ] {
        let output = run(&["a", "-i", &hosts, "-m", "ping", "-e", typed]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(message), "{error}");
        assert_eq!(output.status.code(), Some(5));
    }
}

#[test]
fn what_is_shown_goes_into_the_log_file_with_its_level() {
    let (folder, hosts) = inventory();
    let log = folder.path().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
    command.args(["run", "a:nobody", "-i", &hosts, "-m", "ping"]).env("ANSIBLE_LOG_PATH", &log);
    command.env("LOGNAME", "me").output().expect("a run");
    let text = fs::read_to_string(log).expect("a log");
    let messages: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(" u=me n=ansible "))
        .map(|(_, message)| message)
        .collect();
    assert_eq!(
        messages,
        [
            "WARNING| [WARNING]: Could not match supplied host pattern, ignoring: nobody",
            "INFO| a | SUCCESS => {"
        ]
    );
}
