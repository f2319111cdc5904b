//! Runs on real clusters that die in the middle. Needs root and `tests/lab/lab build`.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use support::Lab;

/// kup-play with its journals in a folder of the test's own.
fn kup(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
    command.args(arguments).env("KUP_PLAY_STATE_DIR", state).stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("kup-play")
}

fn kill(mut run: Child) {
    run.kill().expect("killed");
    run.wait().expect("ended");
}

#[test]
fn a_run_killed_in_a_drain_is_resumed_or_cleaned_up_after_and_two_never_run_at_once() {
    let lab = Lab::fresh("journal", 1, 1);
    lab.kubectl(&["create", "deployment", "app", "--image=k8s.gcr.io/pause:3.2"]);
    lab.kubectl(&[
        "create",
        "poddisruptionbudget",
        "app",
        "--selector=app=app",
        "--min-available=1",
    ]);
    let allow = || {
        lab.kubectl(&[
            "patch",
            "pdb",
            "app",
            "--type=merge",
            "-p",
            "{\"spec\":{\"minAvailable\":0}}",
        ])
    };
    let forbid = || {
        lab.kubectl(&[
            "patch",
            "pdb",
            "app",
            "--type=merge",
            "-p",
            "{\"spec\":{\"minAvailable\":1}}",
        ])
    };
    lab.kubectl(&["rollout", "status", "deployment/app", "--timeout=120s"]);
    let folder = tempfile::tempdir().expect("a folder");
    let (state, other) = (folder.path().join("state"), folder.path().join("other"));
    let playbook = folder.path().join("drain.yml");
    fs::write(
        &playbook,
        "- hosts: kube_node
  gather_facts: false
  serial: 1
  tasks:
    - shell: echo before >> /root/journal-log
    - kubectl_drain: {state: drained, timeout: 600}
    - shell: echo drained >> /root/journal-log
    - kubectl_drain: {state: uncordoned}
",
    )
    .expect("written");
    let playbook = playbook.display().to_string();
    let inventory = lab.inventory();
    let run = [playbook.as_str(), "-i", &inventory];
    let start = || {
        let mut command = kup(&state, &run);
        command.stdout(Stdio::null()).spawn().expect("kup-play")
    };

    // The budget never allows: the drain is under way when the run is killed.
    let first = start();
    lab.wait_until("the cordon", |lab| lab.is_cordoned("w1"));
    // A second operator is told who has the cluster.
    let second = output(&mut kup(&other, &run));
    assert_eq!(second.status.code(), Some(4), "{}", support::text(&second));
    assert!(support::text(&second).contains("another run changes this cluster: "));
    kill(first);
    assert!(lab.is_cordoned("w1"));
    allow();
    let resumed = output(&mut kup(&state, &["resume"]));
    assert!(resumed.status.success(), "{}", support::text(&resumed));
    assert!(!lab.is_cordoned("w1"));
    assert_eq!(lab.lease(), "", "the lock is given up");
    let log = lab.ssh("w1", "cat /root/journal-log");
    // Twice: the second operator's own first task ran before the lock was met.
    assert_eq!(log.split_whitespace().filter(|line| *line == "drained").count(), 1, "{log}");
    assert_eq!(log.split_whitespace().filter(|line| *line == "before").count(), 2, "{log}");

    // Killed again, and not resumed: the next run puts the node back first.
    lab.kubectl(&["rollout", "status", "deployment/app", "--timeout=120s"]);
    forbid();
    let third = start();
    lab.wait_until("the cordon", |lab| lab.is_cordoned("w1"));
    kill(third);
    allow();
    let next = output(&mut kup(&state, &run));
    assert!(next.status.success(), "{}", support::text(&next));
    let told = support::text(&next);
    assert!(
        told.split_whitespace().collect::<Vec<_>>().join(" ").contains("had left node w1 cordoned"),
        "{told}"
    );
    assert!(!lab.is_cordoned("w1"));
    assert_eq!(lab.lease(), "");
}
