//! The upgrade of real clusters on the lab. Needs root and `tests/lab/lab build`.

#[allow(dead_code)] // Other tests use the rest of it.
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

    // The control planes' kubelets ask haproxy, and so come after all apiservers.
    let looked = lab.kup(&["precheck", "--to", "1.21.2"]);
    let text = support::text(&looked);
    assert!(looked.status.success(), "{text}");
    assert!(text.contains("kubelet-through-balancer: cluster"), "{text}");

    // The upgrade itself, while the app is watched through the API.
    let runtime = || lab.state("systemctl show -p MainPID containerd");
    let runtime_before = runtime();
    let watch = lab.watch_app();
    let upgraded = lab.kup(&upgrade);
    let fewest = watch.fewest_ready();
    assert!(upgraded.status.success(), "{}", support::text(&upgraded));
    assert_eq!(lab.versions(), vec![NEW; 5]);
    assert_eq!(lab.cordoned(), Vec::<String>::new());
    assert!(fewest >= 2, "the app had only {fewest} ready pods, its budget allows 2");
    let text = String::from_utf8_lossy(&upgraded.stdout).into_owned();
    let apiserver = text.rfind("TASK [Upgrade the components]").expect("the last control plane");
    let kubelet = text.find("TASK [Restart the kubelet]").expect("the first kubelet");
    assert!(apiserver < kubelet, "a kubelet was newer than an apiserver:\n{text}");
    for host in lab.hosts() {
        let held = lab.ssh(&host, "apt-mark showhold");
        assert_eq!(held.split_whitespace().collect::<Vec<_>>(), ["kubeadm", "kubectl", "kubelet"]);
        let versions = lab.ssh(&host, "dpkg-query -W -f '${Version} ' kubeadm kubectl kubelet");
        assert_eq!(versions.split_whitespace().collect::<Vec<_>>(), ["1.21.2-00"; 3]);
    }
    // No node's runtime was restarted, and no copy of a manifest lies beside it.
    assert_eq!(runtime(), runtime_before);
    for host in ["cp1", "cp2", "cp3"] {
        let manifests = lab.ssh(host, "ls -A /etc/kubernetes/manifests | wc -l");
        assert_eq!(manifests.trim(), "4", "{host}");
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
fn what_kubeadm_or_its_health_check_refuses_is_told_before_anything_is_changed() {
    let lab = Lab::fresh("pre", 1, 2);
    // The check's Job cannot be made.
    lab.kubectl(&["-n", "kube-system", "create", "quota", "none", "--hard=count/jobs.batch=0"]);
    let (_folder, apply) = playbook(
        "- hosts: kube_control_plane\n  gather_facts: false\n  become: true\n  tasks:\n    \
         - apt_hold: {packages: [kubeadm], version: 1.21.2-00}\n    \
         - kubeadm: {command: apply, version: 1.21.2}\n",
    );
    let manifests = || lab.ssh("cp1", "cat /etc/kubernetes/manifests/* | sha256sum");
    let before = manifests();
    let run = lab.kup(&[&apply]);
    let text = support::text(&run);
    assert_eq!(run.status.code(), Some(2), "{text}");
    assert!(text.contains("CreateJob: ") && text.contains("upgrade-health-check"), "{text}");
    assert!(text.contains("ignore_preflight_errors"), "{text}");
    assert_eq!(manifests(), before);

    let (_folder, newer) = playbook(
        "- hosts: kube_control_plane\n  gather_facts: false\n  become: true\n  tasks:\n    \
         - copy: {dest: /root/newer.yaml, content: \"kind: UpgradeConfiguration\\n\"}\n    \
         - kubeadm: {command: plan, version: 1.21.2, config: /root/newer.yaml}\n",
    );
    let run = lab.kup(&[&newer]);
    let text = support::text(&run);
    assert_eq!(run.status.code(), Some(2), "{text}");
    assert!(text.contains("only from 1.31 on"), "{text}");
}

#[test]
fn an_interrupted_drain_leaves_no_node_cordoned() {
    let lab = Lab::fresh("pre", 1, 2);
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
    let lab = Lab::fresh("pre", 1, 2);
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

/// A folder with a playbook in it.
fn playbook(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.yml");
    fs::write(&path, text).expect("written");
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn a_full_disk_is_said_and_nothing_is_left_half_written() {
    let lab = Lab::fresh("pre", 1, 2);
    for host in ["cp1", "w1"] {
        lab.ssh(host, "mkdir -p /mnt/full && mount -t tmpfs -o size=1m none /mnt/full");
    }
    let (folder, copied) = playbook(
        "- hosts: w1\n  gather_facts: false\n  tasks:\n    \
         - copy: {src: big, dest: /mnt/full/big}\n",
    );
    fs::write(folder.path().join("big"), vec![b'x'; 4 << 20]).expect("written");
    let run = lab.kup(&[&copied]);
    let text = support::text(&run);
    assert_eq!(run.status.code(), Some(2), "{text}");
    assert!(text.contains("No space left on device"), "{text}");
    assert_eq!(lab.ssh("w1", "ls -A /mnt/full"), "");

    let etcd = || lab.ssh("cp1", "pgrep -x etcd");
    let etcd_before = etcd();
    // etcd's database does not fit on the host: it is said before anything is written.
    let (_folder, on_host) = playbook(
        "- hosts: cp1\n  gather_facts: false\n  become: true\n  tasks:\n    \
         - etcd_snapshot: {state: saved, folder: /mnt/full}\n",
    );
    let run = lab.kup(&[&on_host]);
    let text = support::text(&run);
    assert_eq!(run.status.code(), Some(2), "{text}");
    assert!(text.contains("MB free") && text.contains("database"), "{text}");
    assert_eq!(lab.ssh("cp1", "ls -A /mnt/full"), "");

    // Nor on the controller.
    let small = tempfile::tempdir().expect("a folder");
    let path = small.path().display().to_string();
    support::run("mount", &["-t", "tmpfs", "-o", "size=1m", "none", &path]);
    let (_folder, here) = playbook(&format!(
        "- hosts: cp1\n  gather_facts: false\n  become: true\n  tasks:\n    \
         - etcd_snapshot: {{state: copied, dest: {path}/etcd-snapshot.db}}\n"
    ));
    let run = lab.kup(&[&here]);
    let left = fs::read_dir(&path).expect("the folder").count();
    support::run("umount", &[&path]);
    let text = support::text(&run);
    assert_eq!(run.status.code(), Some(2), "{text}");
    assert!(text.contains("No space left on device") && text.contains(&path), "{text}");
    assert_eq!(left, 0, "something was left in the full folder");
    assert_eq!(etcd(), etcd_before, "a backup that fails leaves etcd alone");
}

#[test]
fn a_connection_lost_in_mid_task_ends_the_task_and_a_second_run_finishes_the_upgrade() {
    let lab = Lab::fresh("lost", 1, 2);

    // A command under way: the host is unreachable, the others go on, the command ends.
    let (_folder, sleeps) = playbook(
        "- hosts: kube_node\n  gather_facts: false\n  tasks:\n    \
         - command: sleep {{ 1234 if inventory_hostname == 'w2' else 1 }}\n    \
         - command: hostname\n",
    );
    let lost = lab
        .lose("w2", &[&sleeps], |lab| !lab.ssh("w2", "pgrep -f 'sleep 1234' || true").is_empty());
    assert_eq!(lost.status.code(), Some(4), "{}", support::text(&lost));
    let counts = recap(&support::text(&lost));
    assert_eq!((counts["w2"]["unreachable"], counts["w1"]["ok"]), (1, 2));
    assert_eq!(lab.ssh("w2", "sleep 1; pgrep -f 'sleep 123[4]' || true"), "");

    // A drained worker is lost: it is made schedulable, and a second run goes on.
    let backups = tempfile::tempdir().expect("a folder");
    let root = format!("backup_root={}", backups.path().display());
    let upgrade = ["playbooks/upgrade.yml", "-e", "kube_version=1.21.2", "-e", &root];
    let lost = lab.lose("w2", &upgrade, |lab| lab.is_cordoned("w2"));
    assert_eq!(lost.status.code(), Some(4), "{}", support::text(&lost));
    assert_eq!(lab.cordoned(), Vec::<String>::new());
    assert_eq!(recap(&support::text(&lost))["w2"]["unreachable"], 1);

    // kubeadm is asked again on a control plane whose static pods are the target's already, as
    // it was broken off before it had written that the cluster is.
    let config = "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get cm kubeadm-config -o yaml";
    let put = "kubectl --kubeconfig /etc/kubernetes/admin.conf replace -f -";
    lab.ssh(
        "cp1",
        &format!("{config} | sed 's/kubernetesVersion: {NEW}/kubernetesVersion: {OLD}/' | {put}"),
    );
    let again = lab.kup(&upgrade);
    assert!(again.status.success(), "{}", support::text(&again));
    assert_eq!(lab.versions(), vec![NEW; 3]);
    assert!(lab.ssh("cp1", config).contains(&format!("kubernetesVersion: {NEW}")));

    // And all of it back.
    let before = lab.kubectl(&["get", "nodes"]);
    let rollback = ["playbooks/rollback.yml", "-e", "rollback_confirm=true", "-e", &root];
    let checked = lab.kup(&[&rollback[..], &["--check"]].concat());
    assert!(checked.status.success(), "{}", support::text(&checked));
    assert_eq!(lab.versions(), vec![NEW; 3], "{before}");
    let back = lab.kup(&rollback);
    assert!(back.status.success(), "{}", support::text(&back));
    assert_eq!(lab.versions(), vec![OLD; 3]);
    assert_eq!(lab.cordoned(), Vec::<String>::new());
    for host in lab.hosts() {
        let installed = lab.ssh(&host, "kubeadm version -o short; apt-mark showhold | wc -l");
        assert_eq!(installed.split_whitespace().collect::<Vec<_>>(), [OLD, "3"]);
    }
    let image = lab.kubectl(&[
        "-n",
        "kube-system",
        "get",
        "pod",
        "kube-apiserver-cp1",
        "-o",
        "jsonpath={.spec.containers[0].image}",
    ]);
    assert!(image.ends_with(OLD), "{image}");
}
