//! Modules of the operator's own: executables beside a playbook or a role, in any language.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn write(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode");
}

/// The exit code and what was printed.
fn run(folder: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kup-play"))
        .args(["site.yml", "-c", "local"])
        .current_dir(folder)
        .output()
        .expect("a run");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

const SHELL: &str =
    "#!/bin/sh\n# WANT_JSON\nprintf '{\"changed\": true, \"got\": %s}' \"$(cat \"$1\")\"\n";

#[test]
fn they_are_found_beside_the_playbook_and_in_roles_and_get_their_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    write(&at("library/beside.sh"), SHELL, 0o755);
    // As in Ansible a script need not be executable.
    write(&at("roles/web/library/of_role.sh"), SHELL, 0o644);
    let tasks = "- of_role: {colour: \"{{ 'bl' ~ 'ue' }}\"}\n  register: second\n";
    write(&at("roles/web/tasks/main.yml"), tasks, 0o644);
    write(
        &at("site.yml"),
        "- hosts: localhost\n  gather_facts: false\n  roles: [web]\n  pre_tasks:\n    \
         - beside: size=3\n      register: first\n  post_tasks:\n    - assert:\n        that:\n          \
         - first is changed and first.got.size == '3'\n          - second.got.colour == 'blue'\n          \
         - first.got._ansible_module_name == 'beside'\n          - not first.got._ansible_check_mode\n",
        0o644,
    );
    let (code, text) = run(folder.path());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("failed=0"), "{text}");
}

#[test]
fn one_that_prints_no_json_fails_with_what_it_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    write(&at("library/broken"), "#!/bin/sh\necho oops\nexit 3\n", 0o755);
    write(
        &at("site.yml"),
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - broken:\n",
        0o644,
    );
    let (code, text) = run(folder.path());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("MODULE FAILURE") && text.contains("oops"), "{text}");
}

#[test]
fn one_in_python_needs_no_first_line_and_what_it_breaks_off_with_is_a_jobs_stderr() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let module = "import sys, time\ntime.sleep(1.5)\nsys.exit('broken off')\n";
    write(&at("library/breaks.py"), module, 0o644);
    write(
        &at("site.yml"),
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - breaks:\n      async: 10\n      \
         poll: 1\n      register: broken\n      ignore_errors: true\n    - assert:\n        that:\n          \
         - broken is failed\n          - broken.finished == 1\n          - broken.stderr is search('broken off')\n",
        0o644,
    );
    let (code, text) = run(folder.path());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("ASYNC POLL on localhost: jid=j"), "{text}");
    assert!(text.contains("started=1 finished=0\n"), "{text}");
}
