//! What a terminal shows: a live line while a task runs, and nothing of it afterwards.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

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

const PAUSES: &str = "
- hosts: all
  gather_facts: false
  tasks:
    - pause: {prompt: What now}
      register: answer
    - debug: {var: answer.user_input}
    - pause: {prompt: Secret, echo: false}
    - pause: {minutes: 5}
    - debug: {msg: the end}
";

/// Runs the playbook with pauses; each key is pressed when what stands before it is shown.
fn paused(keys: &[(&str, &str)]) -> (String, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("site.yml"), PAUSES).expect("a playbook");
    let command = format!("{} -i a, -c local site.yml", env!("CARGO_BIN_EXE_kup-play"));
    let mut script = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("TERM", "dumb")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script of util-linux");
    let mut shown = script.stdout.take().expect("piped");
    let mut pressed = script.stdin.take().expect("piped");
    let mut told = Vec::new();
    let mut keys = keys.iter().peekable();
    let mut seen = 0;
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = shown.read(&mut part) {
        told.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&told).into_owned();
        while let Some((before, key)) = keys.next_if(|(before, _)| text[seen..].contains(before)) {
            seen += text[seen..].find(before).expect("found") + before.len();
            pressed.write_all(key.as_bytes()).expect("pressed");
        }
    }
    let ended = script.wait().expect("ended");
    (String::from_utf8_lossy(&told).into_owned(), ended.success())
}

#[test]
fn a_pause_takes_what_is_typed_and_goes_on_early_with_ctrl_c_and_c() {
    let (shown, ended_well) = paused(&[
        ("What now:", "go om\x7fn\r"),
        ("Secret (output is hidden):", "hunter2\r"),
        ("(ctrl+C then 'C' = continue early, ctrl+C then 'A' = abort)", "\x03"),
        ("Press 'C' to continue the play or 'A' to abort", "c"),
    ]);
    assert!(ended_well, "{shown}");
    assert!(shown.contains("\"answer.user_input\": \"go on\""), "{shown}");
    assert!(shown.contains("the end"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_pause_is_aborted_with_ctrl_c_and_a() {
    let (shown, ended_well) =
        paused(&[("What now:", "\x03"), ("Press 'C' to continue the play or 'A' to abort", "xA")]);
    assert!(!ended_well, "{shown}");
    assert!(shown.contains("user requested abort!"), "{shown}");
    assert!(!shown.contains("the end"), "{shown}");
}
