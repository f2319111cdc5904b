//! The ways back on real clusters, with their objects compared before and after. Needs root
//! and `tests/lab/lab build`.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use support::Lab;
use support::runs::{Run, Runs};

const OLD: &str = "v1.20.2";
const NEW: &str = "v1.21.2";

/// The certificate that the apiserver shows to kubelets, valid for another day only.
const NEARLY_OVER: &str = "cd /etc/kubernetes/pki && \
     echo extendedKeyUsage=clientAuth > /tmp/usage && \
     openssl req -new -key apiserver-kubelet-client.key \
         -subj /O=system:masters/CN=kube-apiserver-kubelet-client \
     | openssl x509 -req -CA ca.crt -CAkey ca.key -set_serial 77 -days 1 \
         -extfile /tmp/usage -out apiserver-kubelet-client.crt";

/// A cluster with objects in it, and runs whose backups are with their journals.
struct Cluster {
    lab: Lab,
    runs: Runs,
}

impl Cluster {
    fn fresh(name: &'static str, control_planes: usize, workers: usize) -> Self {
        let lab = Lab::fresh(name, control_planes, workers);
        lab.open_shop();
        Self { lab, runs: Runs::new() }
    }

    fn start(&self, playbook: &str, more: &[&str]) -> Run {
        let root = format!("backup_root={}", self.runs.folder().display());
        let playbook = format!("playbooks/{playbook}.yml");
        let inventory = self.lab.inventory();
        let usual = ["-e", "kube_version=1.21.2", "-e", &root, "-e", "drain_force=true"];
        self.runs.start(&[&[playbook.as_str(), "-i", &inventory], &usual[..], more].concat())
    }

    fn play(&self, playbook: &str, more: &[&str]) -> (ExitStatus, String) {
        self.start(playbook, more).end()
    }

    fn must(&self, playbook: &str, more: &[&str]) -> String {
        let (status, text) = self.play(playbook, more);
        assert!(status.success(), "{playbook} {more:?}:\n{text}");
        text
    }

    /// The newest backup.
    fn backup(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.runs.folder()).expect("backups");
        let folders = entries.map(|entry| entry.expect("an entry").path());
        let backups = folders.filter(|path| path.join("etcd-snapshot.db").exists());
        backups.max().expect("a backup")
    }

    fn is_old(&self) {
        let nodes = self.lab.hosts().len();
        assert_eq!(self.lab.versions(), vec![OLD; nodes]);
        assert_eq!(self.lab.cordoned(), Vec::<String>::new());
        for host in self.lab.hosts() {
            let held = self.lab.ssh(&host, "kubeadm version -o short; apt-mark showhold | wc -l");
            assert_eq!(held.split_whitespace().collect::<Vec<_>>(), [OLD, "3"], "{host}");
        }
        let images = self.lab.kubectl(&[
            "-n",
            "kube-system",
            "get",
            "pods",
            "-o",
            "jsonpath={range .items[*]}{.spec.containers[0].image}{\"\\n\"}{end}",
        ]);
        assert!(!images.contains(NEW), "{images}");
    }
}

#[test]
fn the_way_back_is_found_and_gone_from_every_case() {
    let cluster = Cluster::fresh("back", 1, 1);
    let lab = &cluster.lab;
    let before = lab.objects();
    let yes = ["-e", "rollback_confirm=true"];

    // Nothing to go back from, and nobody asks.
    cluster.must("upgrade", &["--tags", "precheck,backup"]);
    let nothing = cluster.must("rollback", &[]);
    assert!(nothing.contains("nothing to roll back"), "{nothing}");

    // A: the new kubeadm is there, and nothing else.
    lab.ssh("cp1", "apt-mark unhold kubeadm && apt-get install -y kubeadm=1.21.2-00 >/dev/null");
    let (refused, _) = cluster.play("rollback", &[]);
    assert_eq!(refused.code(), Some(2), "nobody has said yes");
    let checked = cluster.must("rollback", &["--check"]);
    assert!(checked.contains("case A, back to 1.20.2"), "{checked}");
    assert!(checked.contains("cp1: kubeadm 1.21.2-00 -> 1.20.2-00"), "{checked}");
    cluster.must("rollback", &yes);
    cluster.is_old();
    lab.assert_objects(&before);

    // B: everything is upgraded, and etcd is the same. One saved certificate is nearly over.
    lab.ssh("cp1", NEARLY_OVER);
    cluster.must("upgrade", &[]);
    assert_eq!(lab.versions(), vec![NEW; 2]);
    lab.kubectl(&["-n", "shop", "create", "configmap", "later", "--from-literal=a=b"]);
    let state = lab.state(
        "find /etc/kubernetes /var/lib/kubelet/config.yaml -type f | sort | xargs sha256sum",
    );
    let checked = cluster.must("rollback", &["--check"]);
    assert!(checked.contains("case B, back to 1.20.2"), "{checked}");
    assert!(checked.contains("cp1: the renewed /etc/kubernetes/pki/apiserver-kubelet-client.crt, /etc/kubernetes/pki/apiserver-kubelet-client.key stay"), "{checked}");
    assert_eq!(
        lab.state(
            "find /etc/kubernetes /var/lib/kubelet/config.yaml -type f | sort | xargs sha256sum"
        ),
        state
    );
    cluster.must("rollback", &yes);
    cluster.is_old();
    lab.ssh("cp1", "cd /etc/kubernetes/pki && openssl x509 -noout -checkend 5184000 -in apiserver-kubelet-client.crt && openssl verify -CAfile ca.crt apiserver-kubelet-client.crt");
    lab.kubectl(&["-n", "shop", "logs", "deployment/web", "--tail=1"]);
    // What was written meanwhile stays.
    lab.kubectl(&["-n", "shop", "delete", "configmap", "later"]);
    lab.assert_objects(&before);

    // C: asked for. What was written since the backup is gone, what was deleted is back.
    cluster.must("upgrade", &[]);
    lab.kubectl(&["-n", "shop", "create", "configmap", "later", "--from-literal=a=b"]);
    lab.kubectl(&["-n", "shop", "delete", "configmap", "settings"]);
    let back = cluster.must("rollback", &[&yes[..], &["-e", "rollback_case=C"]].concat());
    assert!(back.contains("writes since the snapshot are lost"), "{back}");
    cluster.is_old();
    lab.assert_objects(&before);
}

#[test]
fn an_upgrade_that_its_rules_do_not_like_goes_back_by_itself() {
    let cluster = Cluster::fresh("back", 1, 1);
    let before = cluster.lab.objects();
    // The pod of the verification can never be started.
    let rules = [
        "-e",
        "verify_image=docker.io/library/none:1",
        "-e",
        "{\"rollback_on\": {\"verify_failed\": true}}",
    ];
    let (status, text) = cluster.play("upgrade-or-rollback", &rules);
    assert_eq!(status.code(), Some(2), "{text}");
    assert!(
        text.contains("the cluster went back to 1.20.2: Start a pod and wait until it is Ready"),
        "{text}"
    );
    cluster.is_old();
    cluster.lab.assert_objects(&before);
}

#[test]
#[ignore = "takes long: make chaos"]
fn a_worker_that_failed_and_time_that_is_over_send_an_upgrade_back() {
    let cluster = Cluster::fresh("back", 1, 1);
    let lab = &cluster.lab;
    let never = "{\"spec\":{\"maxUnavailable\":0}}";
    lab.kubectl(&["-n", "shop", "patch", "pdb", "web", "--type=merge", "-p", never]);
    let before = lab.objects();
    let rules = |rules: &str| {
        let rules = format!("{{\"rollback_on\": {rules}}}");
        let ignored = "{\"precheck_ignore\": [\"budget-blocks-drain\"]}";
        let times = ["-e", "drain_timeout=20", "-e", "drain_budget_timeout=5"];
        let (status, text) = cluster
            .play("upgrade-or-rollback", &[&["-e", &rules, "-e", ignored], &times[..]].concat());
        assert_eq!(status.code(), Some(2), "{text}");
        text
    };

    // The worker's drain never comes to its end, and one is not enough.
    let stays = rules("{\"nodes_failed\": 2, \"verify_failed\": false}");
    assert!(stays.contains("no rule of rollback_on sends the cluster back"), "{stays}");
    assert!(stays.contains("Drain the node: "), "{stays}");
    assert_eq!(lab.versions(), [NEW, OLD]);
    assert_eq!(lab.cordoned(), Vec::<String>::new());

    let back = rules("{\"nodes_failed\": 1, \"verify_failed\": false}");
    assert!(back.contains("the cluster went back to 1.20.2: Drain the node: "), "{back}");
    cluster.is_old();
    lab.assert_objects(&before);

    // The control plane alone takes longer.
    let late = rules("{\"minutes\": 1}");
    assert!(late.contains("the cluster went back to 1.20.2: 1 minutes have passed"), "{late}");
    cluster.is_old();
    lab.assert_objects(&before);
}

#[test]
#[ignore = "takes long: make chaos"]
fn a_way_back_that_was_killed_while_some_control_planes_were_restored_is_gone_to_its_end() {
    let cluster = Cluster::fresh("quorum", 3, 1);
    let lab = &cluster.lab;
    let before = lab.objects();
    cluster.must("upgrade", &[]);
    lab.kubectl(&["-n", "shop", "create", "configmap", "later", "--from-literal=a=b"]);
    let yes = ["-e", "rollback_confirm=true"];
    let mut run = cluster.start("rollback", &[&yes[..], &["-e", "rollback_case=C"]].concat());
    let begun = || cluster.runs.begun("Restore the snapshot", "cp2") > 0;
    run.wait_until("the second member", begun);
    assert!(run.kill().is_none());

    // Nobody asks for C now: what is there says it.
    let back = cluster.must("rollback", &yes);
    assert!(back.contains("case C, back to 1.20.2: a restore has not come to its end"), "{back}");
    cluster.is_old();
    lab.assert_objects(&before);
    assert_eq!(lab.memories(), "");
    assert_eq!(lab.lease(), "", "the lock is given up");
}

#[test]
#[ignore = "takes long: make chaos"]
fn there_is_a_way_back_when_a_run_was_killed_with_some_control_planes_upgraded() {
    let cluster = Cluster::fresh("quorum", 3, 1);
    let before = cluster.lab.objects();
    let mut run = cluster.start("upgrade", &[]);
    let begun = || cluster.runs.begun("Upgrade the components", "cp2") > 0;
    run.wait_until("the second control plane", begun);
    // kubeadm goes on without it.
    assert!(run.kill().is_none());
    let back = cluster.must("rollback", &["-e", "rollback_confirm=true"]);
    assert!(back.contains("case B, back to 1.20.2"), "{back}");
    cluster.is_old();
    cluster.lab.assert_objects(&before);
    assert_eq!(cluster.lab.memories(), "");
    assert_eq!(cluster.lab.lease(), "", "the lock is given up");
}

#[test]
fn objects_that_were_deleted_come_back_in_their_order() {
    let cluster = Cluster::fresh("back", 1, 1);
    let lab = &cluster.lab;
    let before = lab.objects();
    cluster.must("backup", &[]);
    let resources = format!("restore_resources={}/resources", cluster.backup().display());
    let nothing = cluster.must("restore-resources", &["-e", &resources]);
    assert!(nothing.contains("0 restored"), "{nothing}");

    lab.kubectl(&["delete", "namespace", "shop"]);
    lab.kubectl(&["delete", "crd", "apps.example.org"]);
    lab.kubectl(&["delete", "pv", "vol"]);
    let checked = cluster.must("restore-resources", &["-e", &resources, "--check", "--diff"]);
    assert!(checked.contains("+++ after: shop/apps.example.org/one"), "{checked}");
    assert!(!checked.contains("aHVudGVyMg"), "a Secret is shown");
    assert_ne!(lab.objects(), before);
    let restored = ["-e", &resources, "-e", "restore_confirm=true"];
    cluster.must("restore-resources", &restored);
    lab.kubectl(&["-n", "shop", "rollout", "status", "deployment/web", "--timeout=180s"]);
    lab.assert_objects(&before);
    let again = cluster.must("restore-resources", &restored);
    assert!(again.contains("0 restored"), "{again}");
}

#[test]
fn three_members_are_restored_to_one_snapshot() {
    let cluster = Cluster::fresh("quorum", 3, 1);
    let lab = &cluster.lab;
    let before = lab.objects();
    cluster.must("backup", &[]);
    let snapshot = format!("restore_snapshot={}/etcd-snapshot.db", cluster.backup().display());
    lab.kubectl(&["-n", "shop", "create", "configmap", "later", "--from-literal=a=b"]);
    lab.kubectl(&["-n", "shop", "delete", "deployment", "web"]);

    let (refused, _) = cluster.play("restore-etcd", &["-e", &snapshot]);
    assert_eq!(refused.code(), Some(2), "nobody has said yes");
    let yes = ["-e", &snapshot, "-e", "restore_confirm=true"];
    // One of three alone would be a cluster of its own.
    let (_, alone) = cluster.play("restore-etcd", &[&yes[..], &["-l", "cp1"]].concat());
    assert!(alone.contains("leave --limit away"));
    // Nor are two, behind an inventory that does not know of the third.
    let listed = std::fs::read_to_string(lab.inventory()).expect("the inventory");
    let without: Vec<_> = listed.lines().filter(|line| !line.contains("cp3")).collect();
    let inventory = cluster.runs.folder().join("two.yml");
    std::fs::write(&inventory, without.join("\n")).expect("written");
    let two = inventory.display().to_string();
    let two =
        ["playbooks/restore-etcd.yml", "-i", &two, "-e", &snapshot, "-e", "restore_confirm=true"];
    let (status, unlisted) = cluster.runs.start(&two).end();
    assert_eq!(status.code(), Some(2), "{unlisted}");
    assert!(unlisted.contains("no control plane of the inventory is: cp3"), "{unlisted}");
    let restored = cluster.must("restore-etcd", &yes);
    assert!(restored.contains("writes since the snapshot are lost"), "{restored}");
    lab.kubectl(&["-n", "shop", "rollout", "status", "deployment/web", "--timeout=180s"]);
    lab.assert_objects(&before);
    for host in ["cp1", "cp2", "cp3"] {
        let kept = lab.ssh(host, "ls -d /var/lib/etcd.failed-*; stat -c %a /var/lib/etcd; ls /var/lib/etcd.restoring 2>&1 || true");
        assert!(kept.contains("\n700\n") && kept.contains("cannot access"), "{kept}");
    }
    // Who watched the API before sees what is written now: kube-proxy, which was not restarted,
    // among them.
    lab.kubectl(&["-n", "shop", "create", "service", "clusterip", "after", "--tcp=80:8080"]);
    lab.kubectl(&[
        "-n",
        "shop",
        "patch",
        "service",
        "after",
        "-p",
        "{\"spec\":{\"selector\":{\"app\":\"web\"}}}",
    ]);
    let address =
        lab.kubectl(&["-n", "shop", "get", "service", "after", "-o", "jsonpath={.spec.clusterIP}"]);
    let rule = format!(
        "for i in $(seq 60); do iptables-save -t nat | grep -q {address}/32 && exit 0; sleep 1; done; exit 1"
    );
    lab.ssh("w1", &rule);
    assert!(Path::new(&cluster.backup()).exists());
}
