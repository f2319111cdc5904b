//! `kup-play vault` as a program, on files.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

fn vault(folder: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
    // The settings of whoever runs the tests are not those of the tests.
    command.current_dir(folder).env_clear().env("HOME", folder);
    command.arg("vault").args(arguments).assert()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("old", "fish"), ("new", "bird"), ("vars.yml", "key: value\n")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_file_is_encrypted_rekeyed_and_decrypted_in_place() {
    let folder = folder();
    let at = folder.path();
    let text = || fs::read_to_string(at.join("vars.yml")).unwrap();
    vault(at, &["encrypt", "--vault-password-file", "old", "vars.yml"]).success();
    assert!(text().starts_with("$ANSIBLE_VAULT;1.1;AES256\n"));
    let rekey = ["rekey", "--vault-id", "old", "--new-vault-id", "prod@new", "vars.yml"];
    vault(at, &rekey).success().stderr("Rekey successful\n");
    assert!(text().starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
    let wrong = vault(at, &["decrypt", "--vault-password-file", "old", "vars.yml"]);
    wrong.code(1).stderr(
        "ERROR! Decryption failed (no vault secrets were found that could decrypt) on vars.yml\n",
    );
    vault(at, &["view", "--vault-id", "new", "vars.yml"]).success().stdout("key: value\n");
    vault(at, &["decrypt", "--vault-id", "new", "vars.yml"]).success();
    assert_eq!(text(), "key: value\n");
}

#[test]
fn of_several_passwords_one_has_to_be_chosen() {
    let folder = folder();
    let ids = ["encrypt", "--vault-id", "a@old", "--vault-id", "b@new", "vars.yml"];
    vault(folder.path(), &ids).code(5);
    let chosen = [&ids[..], &["--encrypt-vault-id", "b"]].concat();
    vault(folder.path(), &chosen).success();
    vault(folder.path(), &["view", "--vault-id", "new", "vars.yml"]).stdout("key: value\n");
}

#[test]
fn who_only_looks_at_a_playbook_needs_no_password_for_its_variables() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("group_vars")).expect("a folder");
    fs::write(folder.path().join("group_vars/all.yml"), "word: fish\n").expect("written");
    vault(folder.path(), &["encrypt", "--vault-password-file", "old", "group_vars/all.yml"])
        .success();
    let playbook = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ping:\n";
    fs::write(folder.path().join("site.yml"), playbook).expect("written");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
        command.args(["-i", "localhost,", "-c", "local", "site.yml"]).args(arguments);
        command.current_dir(folder.path()).output().expect("a run")
    };
    for looking in ["--syntax-check", "--list-tasks", "--list-hosts"] {
        assert!(run(&[looking]).status.success(), "{looking}");
    }
    let output = run(&[]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("Attempting to decrypt but no vault secrets found"), "{error}");
}
