//! Working copies of a repository in a folder.

use super::*;
use crate::modules::process::Process;

fn shell(folder: &Path, script: &str) {
    let quiet = "export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b \
                 GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b;";
    let output = Process::shell(format!("{quiet} {script}")).cwd(folder).run().expect("started");
    assert!(output.success(), "{script}: {}", output.stderr);
}

fn git(base: &Path, more: Json) -> Result<Outcome, Failure> {
    let mut arguments = json!({"repo": base.join("origin"), "dest": base.join("copy")});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let context = Context { scratch: base.to_owned(), ..Context::default() };
    serde_json::from_value::<Git>(arguments).expect("arguments").run(&context)
}

/// A repository with a commit, a tag and another branch.
fn origin(base: &Path) {
    shell(
        base,
        "git init -q -b main origin && cd origin && echo 1 > f && git add f && git commit -qm 1 && \
         git tag -a v1 -m v1 && git branch other && echo 2 > f && git commit -qam 2",
    );
}

#[test]
fn a_copy_is_made_once_and_follows_its_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = folder.path();
    origin(base);
    let first = git(base, json!({})).expect("cloned");
    assert!(first.changed && first.result["before"].is_null());
    assert!(!git(base, json!({})).expect("there").changed);
    let tag = git(base, json!({"version": "v1"})).expect("the tag");
    assert!(tag.changed && tag.result["before"] == first.result["after"]);
    assert_eq!(fs::read_to_string(base.join("copy/f")).expect("read"), "1\n");
    shell(base, "cd origin && git checkout -q other && echo 3 > f && git commit -qam 3");
    let branch = git(base, json!({"version": "other"})).expect("the branch");
    assert!(branch.changed && branch.result["remote_url_changed"] == false);
    assert_eq!(fs::read_to_string(base.join("copy/f")).expect("read"), "3\n");
}

#[test]
fn local_changes_are_kept_unless_forced() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = folder.path();
    origin(base);
    git(base, json!({})).expect("cloned");
    fs::write(base.join("copy/f"), "mine").expect("written");
    let failure = git(base, json!({})).expect_err("refused");
    let copy = base.join("copy");
    assert_eq!(
        failure.msg,
        format!("Local modifications exist in the destination: {} (force=no).", copy.display())
    );
    assert!(git(base, json!({"force": true})).expect("reset").changed);
    assert_eq!(fs::read_to_string(copy.join("f")).expect("read"), "2\n");
}

#[test]
fn shallow_copies_and_archives() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = folder.path();
    origin(base);
    let archive = base.join("a.tar");
    let done =
        git(base, json!({"depth": 1, "version": "other", "archive": archive})).expect("cloned");
    assert!(done.changed && archive.exists());
    assert!(base.join("copy/.git/shallow").exists());
    assert!(
        !git(base, json!({"depth": 1, "version": "other", "archive": archive}))
            .expect("there")
            .changed
    );
}

#[test]
fn what_git_refuses_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let failure = git(folder.path(), json!({"repo": "/nosuch/repo"})).expect_err("refused");
    assert!(failure.msg.contains("nosuch"), "{}", failure.msg);
    assert_eq!(failure.result["rc"], 128);
}
