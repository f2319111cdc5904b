//! Tasks that are retried while the cluster's API is away.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::apiserver::Apiserver;
use support::runs::Runs;

#[test]
fn an_attempt_does_not_wait_for_an_api_that_is_away_as_a_task_without_retries_does() {
    let (apiserver, runs) = (Apiserver::start(), Runs::new());
    let kubeconfig = runs.folder().join("kubeconfig");
    fs::write(&kubeconfig, apiserver.kubeconfig()).expect("written");
    apiserver.is_down(true);
    let playbook = runs.playbook(
        "- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - k8s_info: {kind: Node, name: n1}
      register: node
      until: node is succeeded
      retries: 1
      delay: 0
",
    );
    let began = Instant::now();
    let kubeconfig = kubeconfig.to_str().expect("UTF-8");
    let arguments = [&*playbook, "-i", "localhost,"];
    let (status, said) = runs.start_with(&arguments, &[("K8S_AUTH_KUBECONFIG", kubeconfig)]).end();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("FAILED - RETRYING") && said.contains("cannot be reached"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
