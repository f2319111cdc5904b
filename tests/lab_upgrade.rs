//! The upgrade of real clusters on the lab. Needs root and `tests/lab/lab build`.

mod support;

use std::fs;
use std::thread;
use std::time::Duration;

use support::{Lab, recap};

const OLD: &str = "v1.20.2";
const NEW: &str = "v1.21.2";

/// What an upgrade would change on a host.
const STATE: &str = "find /etc/kubernetes /var/lib/kubelet/config.yaml /etc/cni /usr/bin/kube* \
    -type f -not -path '*/tmp/*' -print0 | sort -z | xargs -0 sha256sum; apt-mark showhold; \
    dpkg-query -W; ls /var/lib/kup-play /var/backups 2>/dev/null; true";

#[test]
fn three_control_planes_and_two_workers_are_upgraded_under_a_budget() {
    let lab = Lab::fresh("ha", 3, 2);
    lab.start_app();
    let backups = tempfile::tempdir().expect("a folder");
    let root = format!("backup_root={}", backups.path().display());
    let upgrade = ["playbooks/upgrade.yml", "-e", "kube_version=1.21.2", "-e", &root];

    // --check says what would be done and does nothing.
    let before = lab.state(STATE);
    let checked = lab.kup(&[&upgrade[..], &["--check"]].concat());
    assert!(checked.status.success(), "{}", support::text(&checked));
    assert_eq!(lab.state(STATE), before, "--check changed something");
    assert_eq!(lab.versions(), vec![OLD; 5]);

    // --tags backup leaves a snapshot that etcd's own tool accepts.
    let saved = lab.kup(&[&upgrade[..], &["--tags", "backup"]].concat());
    assert!(saved.status.success(), "{}", support::text(&saved));
    let snapshot = support::find_file(backups.path(), "etcd-snapshot.db").expect("a snapshot");
    let status = support::run("etcdctl", &["snapshot", "status", &snapshot.display().to_string()]);
    assert!(status.status.success(), "{}", support::text(&status));
    assert_eq!(support::mode(&snapshot), 0o600);
    assert_eq!(lab.versions(), vec![OLD; 5]);

    // The upgrade itself, while the app is watched through the API.
    let watch = lab.watch_app();
    let upgraded = lab.kup(&upgrade);
    let fewest = watch.fewest_ready();
    assert!(upgraded.status.success(), "{}", support::text(&upgraded));
    assert_eq!(lab.versions(), vec![NEW; 5]);
    assert_eq!(lab.cordoned(), Vec::<String>::new());
    assert!(fewest >= 2, "the app had only {fewest} ready pods, its budget allows 2");
    for host in lab.hosts() {
        let held = lab.ssh(&host, "apt-mark showhold");
        assert_eq!(held.split_whitespace().collect::<Vec<_>>(), ["kubeadm", "kubectl", "kubelet"]);
    }

    // A second run finds nothing to do.
    let again = lab.kup(&upgrade);
    assert!(again.status.success(), "{}", support::text(&again));
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    for (host, counts) in recap(&text) {
        assert_eq!(counts["changed"], 0, "{host} changed in a second run:\n{text}");
    }
}

#[test]
fn an_interrupted_drain_leaves_no_node_cordoned() {
    let lab = Lab::fresh("drain", 1, 2);
    lab.start_app();
    // A budget that never allows: the drain waits until it is interrupted.
    lab.kubectl(&["patch", "pdb", "app", "--type=merge", "-p", "{\"spec\":{\"minAvailable\":3}}"]);
    let folder = tempfile::tempdir().expect("a folder");
    let playbook = folder.path().join("drain.yml");
    fs::write(
        &playbook,
        "- hosts: kube_node\n  gather_facts: false\n  serial: 1\n  tasks:\n    \
         - kubectl_drain: {state: drained, timeout: 600}\n",
    )
    .expect("written");
    let mut run = lab.spawn(&[&playbook.display().to_string(), "-v"]);
    for _ in 0..120 {
        if !lab.cordoned().is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(500));
    }
    assert!(!lab.cordoned().is_empty(), "no node was ever cordoned");
    support::interrupt(&run);
    let status = run.wait().expect("an end");
    assert_eq!(status.code(), Some(99));
    assert_eq!(lab.cordoned(), Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_a_host_is_said_and_the_others_go_on() {
    let lab = Lab::fresh("drain", 1, 2);
    let folder = tempfile::tempdir().expect("a folder");
    let playbook = folder.path().join("p.yml");
    fs::write(
        &playbook,
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: hostname\n      \
         become: \"{{ wants_root | default(false) }}\"\n",
    )
    .expect("written");
    let playbook = playbook.display().to_string();

    // A host that is off the network is unreachable; the others are not.
    lab.cut("w2");
    let run = lab.kup(&[&playbook, "-T", "5"]);
    lab.heal("w2");
    let text = support::text(&run);
    assert_eq!(run.status.code(), Some(4), "{text}");
    let counts = recap(&text);
    assert_eq!((counts["w2"]["unreachable"], counts["cp1"]["ok"], counts["w1"]["ok"]), (1, 1, 1));

    // A wrong key.
    let key = folder.path().join("key");
    support::run(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", &key.display().to_string()],
    );
    let wrong = format!("ansible_ssh_private_key_file={}", key.display());
    let run = lab.kup(&[&playbook, "-l", "w1", "-e", &wrong]);
    let text = support::text(&run);
    assert_eq!(run.status.code(), Some(4), "{text}");
    assert!(text.contains("Permission denied"), "{text}");

    // A host whose key is not known.
    let unknown = "ansible_ssh_common_args=-o UserKnownHostsFile=/dev/null";
    let run = lab.kup(&[
        &playbook,
        "-l",
        "w1",
        "-e",
        &format!(
            "{{{:?}: {:?}}}",
            "ansible_ssh_common_args",
            unknown.split_once('=').expect("=").1
        ),
    ]);
    let text = support::text(&run);
    assert_eq!(run.status.code(), Some(4), "{text}");
    assert!(text.contains("Host key verification failed"), "{text}");

    // A user without sudo, one who needs a password, and one who does not.
    let as_user = |user: &str, more: &[&str]| {
        let user = format!("ansible_user={user}");
        let mut arguments =
            vec![playbook.as_str(), "-l", "w1", "-e", &user, "-e", "wants_root=true"];
        arguments.extend(more);
        lab.kup(&arguments)
    };
    assert_eq!(as_user("nosudo", &[]).status.code(), Some(2));
    let refused = as_user("opspw", &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(support::text(&refused).contains("Missing sudo password"));
    assert!(as_user("opspw", &["-e", "ansible_become_password=labpass"]).status.success());
    assert!(as_user("ops", &[]).status.success());
}
