//! `debugger`: what an operator types is done, as `ansible-playbook` does it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

const PLAYBOOK: &str = "
- hosts: localhost
  gather_facts: false
  vars: {word: wrong}
  tasks:
    - name: fails at first
      command: test {{ word }} = right
      debugger: on_failed
    - name: is skipped
      command: 'true'
      when: false
      debugger: on_skipped
    - name: goes by
      debug: msg=end
      debugger: never
";

fn debugged(playbook: &str, commands: &str) -> (String, Output) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("site.yml");
    std::fs::write(&path, playbook).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_kup-play"))
        .arg(&path)
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kup-play");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(commands.as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output)
}

#[test]
fn a_task_runs_again_with_other_arguments() {
    let commands = "p task\np task.args\np result._result.rc\np host\n\
                    task.args['_raw_params'] = 'test a = a'\nr\nc\n";
    let (text, output) = debugged(PLAYBOOK, commands);
    assert!(output.status.success(), "{text}");
    let prompt = "[localhost] TASK: fails at first (debug)> ";
    for answer in
        ["TASK: fails at first", "{'_raw_params': 'test wrong = right'}", "1", "localhost"]
    {
        assert!(text.contains(&format!("{prompt}{answer}\n")), "{answer}\n{text}");
    }
    assert!(text.contains(&format!("{prompt}changed: [localhost]")), "{text}");
    assert!(text.contains("[localhost] TASK: is skipped (debug)> "), "{text}");
    assert!(!text.contains("TASK: goes by (debug)"), "{text}");
    assert!(text.contains("ok=2    changed=1    unreachable=0    failed=0"), "{text}");
}

#[test]
fn a_task_runs_again_with_other_variables() {
    let (text, output) = debugged(PLAYBOOK, "task_vars['word'] = 'right'\nu\nr\nc\n");
    assert!(output.status.success(), "{text}");
    assert!(text.contains("failed=0"), "{text}");
}

#[test]
fn what_is_wrong_is_told_and_the_prompt_comes_again() {
    let (text, output) = debugged(PLAYBOOK, "p nope\nimport os\nc\n");
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("***NameError:NameError(\"'nope' is undefined\")"), "{text}");
    assert!(text.contains("h lists the commands"), "{text}");
}

#[test]
fn to_quit_or_to_end_the_input_ends_the_run() {
    for commands in ["q\n", ""] {
        let (text, output) = debugged(PLAYBOOK, commands);
        assert_eq!(output.status.code(), Some(99), "{text}");
        assert!(!text.contains("TASK [is skipped]"), "{text}");
    }
}

#[test]
fn the_strategy_debug_asks_at_each_failure() {
    let playbook = "
- hosts: localhost
  gather_facts: false
  strategy: debug
  tasks:
    - command: 'false'
      ignore_errors: true
    - command: 'false'
";
    let (text, output) = debugged(playbook, "c\n");
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.matches("(debug)> ").count(), 1, "{text}");
}

#[test]
fn nothing_of_a_task_with_no_log_is_shown() {
    let playbook = "
- hosts: localhost
  gather_facts: false
  tasks:
    - command: test secret = other
      no_log: true
      debugger: always
";
    let (text, _) = debugged(playbook, "p task.args\np result._result\nc\n");
    assert!(!text.contains("secret"), "{text}");
}
