//! The cluster's lock in runs that are resumed.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::fs;
use std::path::PathBuf;

use support::apiserver::Apiserver;
use support::runs::{Run, Runs};

/// The task that takes the lock, and one behind it that waits for a file.
const PLAYBOOK: &str = "- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - kubectl_drain: {state: uncordoned, name: n1}
    - shell: echo begun >> log; until test -e go; do sleep 0.1; done
      args: {chdir: \"{{ playbook_dir }}\"}
      changed_when: false
";

struct Cluster {
    apiserver: Apiserver,
    runs: Runs,
    playbook: String,
}

impl Cluster {
    /// With a run that was killed behind the task that takes the lock.
    fn with_a_dead_run() -> Self {
        let (apiserver, runs) = (Apiserver::start(), Runs::new());
        fs::write(runs.folder().join("kubeconfig"), apiserver.kubeconfig()).expect("written");
        let playbook = runs.playbook(PLAYBOOK);
        let cluster = Self { apiserver, runs, playbook };
        let mut run = cluster.start(&[&cluster.playbook, "-i", "localhost,"]);
        cluster.wait_begun(&mut run, 1);
        assert!(run.kill().is_none());
        assert!(!cluster.apiserver.holder().is_empty(), "the dead run has the lock");
        cluster
    }

    fn start(&self, arguments: &[&str]) -> Run {
        let kubeconfig = self.path("kubeconfig");
        let kubeconfig = kubeconfig.to_str().expect("UTF-8");
        self.runs.start_with(arguments, &[("K8S_AUTH_KUBECONFIG", kubeconfig)])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.runs.folder().join(name)
    }

    fn begun(&self) -> usize {
        fs::read_to_string(self.path("log")).unwrap_or_default().lines().count()
    }

    fn wait_begun(&self, run: &mut Run, times: usize) {
        run.wait_until("the task behind the lock", || self.begun() == times);
    }

    /// Lets the task that waits go on, to the end of the run; what was said.
    fn complete(&self, run: Run) -> String {
        fs::write(self.path("go"), "").expect("written");
        let (status, said) = run.end();
        assert!(status.success(), "{status}:\n{said}");
        said
    }
}

#[test]
fn a_resumed_run_takes_the_lock_that_it_had_and_gives_it_up() {
    let cluster = Cluster::with_a_dead_run();
    let dead = cluster.apiserver.holder();
    let mut run = cluster.start(&["resume"]);
    cluster.wait_begun(&mut run, 2);
    let holder = cluster.apiserver.holder();
    assert!(!holder.is_empty() && holder != dead, "{holder} after {dead}");
    // Killed and resumed once more.
    assert!(run.kill().is_none());
    let mut run = cluster.start(&["resume"]);
    cluster.wait_begun(&mut run, 3);
    cluster.complete(run);
    assert_eq!(cluster.apiserver.holder(), "");
}

#[test]
fn the_lock_is_given_up_although_the_api_was_away_when_the_run_was_resumed() {
    let cluster = Cluster::with_a_dead_run();
    cluster.apiserver.is_down(true);
    let mut run = cluster.start(&["resume"]);
    cluster.wait_begun(&mut run, 2);
    assert!(run.said().contains("the cluster cannot be locked: "), "{}", run.said());
    cluster.apiserver.is_down(false);
    cluster.complete(run);
    assert_eq!(cluster.apiserver.holder(), "");
}

#[test]
fn a_lock_that_cannot_be_given_up_is_told() {
    let cluster = Cluster::with_a_dead_run();
    let mut run = cluster.start(&["resume"]);
    cluster.wait_begun(&mut run, 2);
    cluster.apiserver.is_down(true);
    let said = cluster.complete(run);
    assert!(said.contains("the lock of the cluster could not be given up"), "{said}");
}

#[test]
fn a_run_whose_lock_somebody_else_has_taken_is_not_resumed() {
    let cluster = Cluster::with_a_dead_run();
    cluster.apiserver.give_lock_to("somebody@elsewhere 1 1");
    let (status, said) = cluster.start(&["resume"]).end();
    assert_eq!(status.code(), Some(4), "{said}");
    assert!(said.contains("another run changes this cluster: somebody@elsewhere"), "{said}");
    assert_eq!(cluster.begun(), 1);
    assert_eq!(cluster.apiserver.holder(), "somebody@elsewhere 1 1");
}
