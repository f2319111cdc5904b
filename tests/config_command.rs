//! `kup-play config`: the settings, as `ansible-config` shows them. What is expected was
//! seen of ansible-core 2.18 with the same arguments.

use std::fs;
use std::process::{Command, Output};

fn config(folder: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
    command.arg("config").args(arguments).current_dir(folder).env_clear().env("HOME", folder);
    command.output().expect("a run")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_file_that_is_named_takes_the_place_of_the_one_that_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("ansible.cfg"), "[defaults]\nremote_user = me\n")
        .expect("written");
    fs::write(folder.path().join("né.cfg"), "[defaults]\nremote_user = admin\n").expect("written");

    let shown = config(folder.path(), &["view", "-c", "né.cfg"]);
    assert_eq!(out(&shown), "[defaults]\nremote_user = admin\n");
    let named = config(folder.path(), &["dump", "-c", "né.cfg", "--only-changed"]);
    let line = format!("DEFAULT_REMOTE_USER({}) = admin", folder.path().join("né.cfg").display());
    assert!(out(&named).contains(&line), "{}", out(&named));
    let found = config(folder.path(), &["dump", "--only-changed"]);
    assert!(out(&found).contains("ansible.cfg) = me"), "{}", out(&found));
}

#[test]
fn a_file_that_is_no_ansible_cfg_is_refused_with_code_5() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("settings"), "[defaults]\n").expect("written");
    let cases = [
        ("gone.cfg", "The provided configuration file is missing or not accessible: "),
        ("settings", "Unsupported configuration file extension for "),
    ];
    for (name, message) in cases {
        let output = config(folder.path(), &["view", "-c", name]);
        assert!(error(&output).starts_with(&format!("ERROR! {message}")), "{}", error(&output));
        assert_eq!(output.status.code(), Some(5));
    }
}

#[test]
fn which_file_is_used_is_said_with_v() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = config(folder.path(), &["dump", "--only-changed", "-v"]);
    assert!(out(&none).starts_with("No config file found; using defaults\n"), "{}", out(&none));
    let view = config(folder.path(), &["view"]);
    assert!(error(&view).contains("Invalid or no config file was supplied"), "{}", error(&view));
    assert_eq!(view.status.code(), Some(1));
}

#[test]
fn a_variable_of_a_wrong_type_is_refused_with_code_5() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_kup-play"))
        .args(["config", "dump"])
        .current_dir(folder.path())
        .env("ANSIBLE_TIMEOUT", "lola")
        .output()
        .expect("a run");
    let message = "Invalid type for configuration option setting: DEFAULT_TIMEOUT \
                   (from env: ANSIBLE_TIMEOUT)";
    assert!(error(&output).contains(message), "{}", error(&output));
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn a_file_of_all_defaults_is_printed_and_can_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = out(&config(folder.path(), &["init"]));
    assert!(printed.contains("[defaults]\n"), "{printed}");
    assert!(printed.contains("\nforks=5\n"), "{printed}");
    fs::write(folder.path().join("ansible.cfg"), &printed).expect("written");
    let output = config(folder.path(), &["dump"]);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));

    let disabled = out(&config(folder.path(), &["init", "--disabled"]));
    assert!(disabled.contains("\n;forks=5\n"), "{disabled}");
}

#[test]
fn it_says_whose_lines_are_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = out(&config(folder.path(), &["dump"]));
    assert!(text.contains("\nKUP_PLAY_TEXT_STYLE(built in) = ansible-core 2.18\n"), "{text}");
    let changed = out(&config(folder.path(), &["dump", "--only-changed"]));
    assert!(!changed.contains("TEXT_STYLE"), "{changed}");
}
