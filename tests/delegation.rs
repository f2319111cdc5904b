//! Tasks that are done on another host.

use std::fs;
use std::process::Command;

#[test]
fn a_delegate_that_is_drawn_by_lot_is_one_host_for_all_that_the_task_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let playbook = "- hosts: h1
  gather_facts: false
  tasks:
    - set_fact:
        told: \"{{ ansible_delegated_vars[ansible_host].ansible_host == ansible_host }}\"
      delegate_to: \"{{ range(1000) | map('string') | random }}\"
    - assert: {that: told}
";
    fs::write(folder.path().join("site.yml"), playbook).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_kup-play"))
        .args(["site.yml", "-i", "h1,", "-c", "local"])
        .current_dir(folder.path())
        .output()
        .expect("a run");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
}
