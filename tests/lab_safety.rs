//! Runs on real clusters that die in the middle. Needs root and `tests/lab/lab build`.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use support::Lab;
use support::runs::Runs;

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
        let said = File::create(folder.path().join("said")).expect("a file");
        command.stdout(said.try_clone().expect("it")).stderr(said).spawn().expect("kup-play")
    };
    let said = || {
        let text = fs::read_to_string(folder.path().join("said")).expect("what it said");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };

    // The budget never allows: the drain is under way when the run is killed.
    let first = start();
    lab.wait_until("the cordon", |lab| lab.is_cordoned("w1"));
    // It says for which pod it waits, and what keeps it.
    lab.wait_until("the pod's name", |_| said().contains("default/app-"));
    lab.wait_until("its budget", |_| said().contains("PodDisruptionBudget default/app"));
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

/// A drain that its budget does not allow, until it does.
const DRAIN: &str = "- hosts: w1
  gather_facts: false
  tasks:
    - kubectl_drain: {state: drained, timeout: 600}
    - kubectl_drain: {state: uncordoned}
";

/// An app on the only worker, with its budget.
fn start_app(lab: &Lab) {
    lab.kubectl(&["create", "deployment", "app", "--image=k8s.gcr.io/pause:3.2"]);
    let budget = ["create", "poddisruptionbudget", "app", "--selector=app=app"];
    lab.kubectl(&[&budget[..], &["--min-available=1"]].concat());
    lab.kubectl(&["rollout", "status", "deployment/app", "--timeout=120s"]);
}

fn set_budget(lab: &Lab, min_available: u8) {
    let patch = format!("{{\"spec\":{{\"minAvailable\":{min_available}}}}}");
    lab.kubectl(&["patch", "pdb", "app", "--type=merge", "-p", &patch]);
}

#[test]
fn a_node_that_the_operator_had_cordoned_stays_cordoned() {
    let lab = Lab::fresh("journal", 1, 1);
    start_app(&lab);
    let runs = Runs::new();
    let (playbook, inventory) = (runs.playbook(DRAIN), lab.inventory());
    for resumes in [true, false] {
        lab.kubectl(&["rollout", "status", "deployment/app", "--timeout=120s"]);
        set_budget(&lab, 1);
        lab.kubectl(&["cordon", "w1"]);
        let mut run = runs.start(&[&playbook, "-i", &inventory]);
        run.wait_until("the node remembers", || lab.memories() == "true");
        assert!(run.kill().is_none());
        set_budget(&lab, 0);
        match resumes {
            true => runs.must(&["resume"]),
            false => runs.must(&[&playbook, "-i", &inventory]),
        };
        assert_eq!(lab.cordoned(), ["w1"]);
        assert_eq!(lab.memories(), "");
        lab.kubectl(&["uncordon", "w1"]);
    }
    // Ctrl-C, SIGTERM and a terminal that is gone, in the middle.
    lab.kubectl(&["rollout", "status", "deployment/app", "--timeout=120s"]);
    set_budget(&lab, 1);
    lab.kubectl(&["cordon", "w1"]);
    for signal in ["INT", "TERM", "HUP"] {
        let mut run = runs.start(&[&playbook, "-i", &inventory]);
        run.wait_until("the node remembers", || lab.memories() == "true");
        run.signal(signal);
        let (status, said) = run.end();
        assert_eq!(status.code(), Some(99), "{signal}: {said}");
        assert_eq!(lab.cordoned(), ["w1"], "{signal}");
        assert_eq!(lab.memories(), "", "{signal}");
    }
    // One that was schedulable is so again.
    lab.kubectl(&["uncordon", "w1"]);
    let mut run = runs.start(&[&playbook, "-i", &inventory]);
    run.wait_until("the node remembers", || lab.memories() == "false");
    run.signal("TERM");
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(99), "{said}");
    assert_eq!((lab.cordoned(), lab.memories()), (Vec::new(), String::new()));
}

#[test]
fn a_lock_is_broken_when_its_holder_is_silent_or_by_force_and_the_holder_stops() {
    let lab = Lab::fresh("journal", 1, 1);
    start_app(&lab);
    // Two operators: neither knows the other's journals.
    let (first, second) = (Runs::new(), Runs::new());
    let (playbook, inventory) = (first.playbook(DRAIN), lab.inventory());
    let run = [playbook.as_str(), "-i", &inventory];
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let refused = |more: &[&str], why: &str| {
        let (status, said) = second.start(&[&run[..], more].concat()).end();
        assert_eq!(status.code(), Some(4), "{more:?}: {said}");
        assert!(words(&said).contains(why), "{more:?}: {said}");
    };

    // Silent, and yet alive.
    let mut holder = first.start(&run);
    holder.wait_until("the cordon", || lab.is_cordoned("w1"));
    refused(&["--break-lock"], "it gives signs of life");
    holder.signal("STOP");
    std::thread::sleep(std::time::Duration::from_secs(35));
    refused(&[], "it gives no sign of life; --break-lock takes the lock from it");
    set_budget(&lab, 0);
    let said = second.must(&[&run[..], &["--break-lock"]].concat());
    assert!(words(&said).contains("as it gave no sign of life"), "{said}");
    // What the other one had left is put back, whoever has its journal.
    assert!(words(&said).contains("had left node w1 cordoned: it was put back"), "{said}");
    let shown = second.must(&["show"]);
    assert!(words(&shown).contains("the lock of the cluster was taken from"), "{shown}");
    holder.signal("CONT");
    let (status, said) = holder.end();
    // It finds its drain done, or that it has lost the cluster.
    assert!(matches!(status.code(), Some(0 | 4)), "{status}: {said}");
    assert_eq!(lab.cordoned(), Vec::<String>::new());

    // By force: the holder is told, and does nothing more.
    lab.kubectl(&["rollout", "status", "deployment/app", "--timeout=120s"]);
    set_budget(&lab, 1);
    let mut holder = first.start(&run);
    holder.wait_until("the cordon", || lab.is_cordoned("w1"));
    let mut forced = second.start(&[&run[..], &["--break-lock=always"]].concat());
    forced.wait_until("the lock is taken", || second.begun("kubectl_drain", "w1") > 0);
    let (status, said) = holder.end();
    assert_eq!(status.code(), Some(4), "{said}");
    assert!(words(&said).contains("is not this run's any more: somebody has broken it"), "{said}");
    assert!(lab.is_cordoned("w1"), "the node is the other run's now");
    set_budget(&lab, 0);
    let (status, said) = forced.end();
    assert!(status.success(), "{said}");
    assert!(words(&said).contains("by force"), "{said}");
    assert_eq!(lab.cordoned(), Vec::<String>::new());
    assert_eq!(lab.memories(), "");
    assert_eq!(lab.lease(), "");
}

#[test]
fn while_the_api_is_away_a_file_on_the_first_control_plane_is_the_lock() {
    let lab = Lab::fresh("journal", 1, 1);
    lab.ssh(
        "cp1",
        "mv /etc/kubernetes/manifests/kube-apiserver.yaml /root
         while pgrep -x kube-apiserver; do sleep 1; done",
    );
    // Two operators: neither knows the other's journals.
    let (first, second) = (Runs::new(), Runs::new());
    let playbook = first.playbook(
        "- hosts: cp1
  gather_facts: false
  become: true
  tasks:
    - static_pods: {names: [kube-scheduler], state: stopped}
    - wait_for: {path: /root/go-on, timeout: 300}
    - static_pods: {names: [kube-scheduler], state: started}
",
    );
    let inventory = lab.inventory();
    let run = [playbook.as_str(), "-i", &inventory];
    let mut holder = first.start(&run);
    let stopped = "ls /etc/kubernetes/manifests.stopped/kube-scheduler.yaml 2>/dev/null || true";
    holder.wait_until("the first change", || !lab.ssh("cp1", stopped).is_empty());
    let (status, said) = second.start(&run).end();
    assert_eq!(status.code(), Some(4), "{said}");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("another run changes this cluster"), "{said}");
    lab.ssh("cp1", "mv /root/kube-apiserver.yaml /etc/kubernetes/manifests; touch /root/go-on");
    let (status, said) = holder.end();
    assert!(status.success(), "{said}");
    let left = lab.ssh("cp1", "ls /var/lib/kup-play/cluster-lock.json 2>/dev/null || true");
    assert_eq!(left, "", "the file is given up");
}
