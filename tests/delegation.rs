//! Tasks that are done on another host.

use std::fs;
use std::process::Command;

fn run(playbook: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("site.yml"), playbook).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_kup-play"))
        .args(["site.yml", "-i", "h1,h2,", "-c", "local"])
        .current_dir(folder.path())
        .output()
        .expect("a run");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code(), text)
}

#[test]
fn a_delegate_that_is_drawn_by_lot_is_one_host_for_all_that_the_task_asks() {
    let (code, text) = run("- hosts: h1
  gather_facts: false
  tasks:
    - set_fact:
        told: \"{{ ansible_delegated_vars[ansible_host].ansible_host == ansible_host }}\"
      delegate_to: \"{{ range(1000) | map('string') | random }}\"
    - assert: {that: told}
");
    assert_eq!(code, Some(0), "{text}");
}

/// As observed of Ansible: the play's and the task's variables lead to the delegate too.
#[test]
fn how_a_delegate_is_reached_may_stand_in_the_play_or_the_task() {
    let nowhere = "{ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}";
    for (play, task) in [(nowhere, "{}"), ("{}", nowhere)] {
        let (code, text) = run(&format!(
            "- hosts: h1
  gather_facts: false
  vars: {play}
  tasks:
    - command: echo here
      delegate_to: h2
      vars: {task}
"
        ));
        assert_eq!(code, Some(4), "{text}");
        assert!(text.contains("UNREACHABLE!"), "{text}");
    }
}
