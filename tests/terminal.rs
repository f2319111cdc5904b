//! What a terminal shows: a live line while a task runs, and nothing of it afterwards.

use std::fs;
use std::process::{Command, Output};

const PLAYBOOK: &str = "
- hosts: all
  gather_facts: false
  tasks:
    - name: takes a while
      command: sleep 0.6
";

/// Runs kup-play on a pseudo-terminal of `script` (util-linux).
fn on_a_terminal(variables: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("site.yml"), PLAYBOOK).expect("a playbook");
    let command = format!(
        "stty cols 100 rows 40; {variables} {} -i a,b, -c local site.yml",
        env!("CARGO_BIN_EXE_kup-play")
    );
    Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .output()
        .expect("script of util-linux")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_live_line_tells_the_task_and_how_many_hosts_are_done() {
    let output = on_a_terminal("");
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("takes a while (0/2 hosts)"), "{shown:?}");
}

#[test]
fn the_live_line_is_gone_at_the_end() {
    let shown = text(&on_a_terminal(""));
    let (_, after) = shown.split_once("PLAY RECAP").expect("a recap");
    assert!(!after.contains("hosts)"), "{after:?}");
}

#[test]
fn results_stand_on_lines_of_their_own() {
    let shown = text(&on_a_terminal("NO_COLOR=1"));
    let plain = console::strip_ansi_codes(&shown).replace('\r', "\n");
    for host in ["a", "b"] {
        assert!(plain.lines().any(|line| line == format!("changed: [{host}]")), "{plain}");
    }
}

#[test]
fn headers_are_as_wide_as_the_terminal() {
    let shown = text(&on_a_terminal("NO_COLOR=1"));
    let header = shown.lines().find(|line| line.contains("PLAY [all]")).expect("the play's header");
    assert_eq!(console::measure_text_width(header.trim_end()), 99 + 1, "{header:?}");
}

#[test]
fn results_are_coloured_as_ansible_colours_them() {
    assert!(text(&on_a_terminal("")).contains("\x1b[0;33mchanged: [a]\x1b[0m"));
}
