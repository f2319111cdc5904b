//! What breaks around a run while it works on a real cluster. `make chaos` runs the long ones
//! too. Needs root and `tests/lab/lab build`.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::Lab;
use support::busy::Busy;
use support::runs::{Run, Runs};

const NEW: &str = "v1.21.2";
const SHORT: Duration = Duration::from_secs(5);

/// An app that runs on w1 only, and its budget.
const PINNED: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: pinned, namespace: default}
spec:
  selector: {matchLabels: {app: pinned}}
  template:
    metadata: {labels: {app: pinned}}
    spec:
      nodeSelector: {kubernetes.io/hostname: w1}
      terminationGracePeriodSeconds: 1
      containers: [{name: pause, image: k8s.gcr.io/pause:3.2}]
---
apiVersion: policy/v1beta1
kind: PodDisruptionBudget
metadata: {name: pinned, namespace: default}
spec: {minAvailable: 1, selector: {matchLabels: {app: pinned}}}
";

fn pinned_app(lab: &Lab) {
    lab.apply(PINNED);
    lab.kubectl(&["rollout", "status", "deployment/pinned", "--timeout=180s"]);
}

/// The app may not be away.
fn forbid(lab: &Lab) {
    let patch = "{\"spec\":{\"minAvailable\":1}}";
    lab.kubectl(&["patch", "pdb", "pinned", "--type=merge", "-p", patch]);
}

const ALLOWED: &str = "{\"spec\":{\"minAvailable\":0}}";

fn allow(lab: &Lab) {
    lab.kubectl(&["patch", "pdb", "pinned", "--type=merge", "-p", ALLOWED]);
}

/// An object, a drain of w1, and w1 put back.
const DRAIN: &str = "- hosts: w1
  gather_facts: false
  tasks:
    - k8s:
        definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: drained, namespace: default}}
    - name: drain
      kubectl_drain: {state: drained, timeout: \"{{ drain_timeout | default(300) }}\"}
    - kubectl_drain: {state: uncordoned}
";

fn is_put_back(lab: &Lab) {
    assert_eq!(lab.cordoned(), Vec::<String>::new());
    assert_eq!(lab.memories(), "");
    assert_eq!(lab.lease(), "", "the lock is given up");
}

#[test]
fn an_apiserver_that_answers_429_and_500_is_asked_again() {
    let lab = Lab::fresh("chaos", 1, 2);
    pinned_app(&lab);
    allow(&lab);
    let runs = Runs::new();
    let busy = Busy::before(&lab);
    let (status, said) = drain_through(&busy, &lab, &runs).end();
    assert!(status.success(), "{status}:\n{said}");
    // The lock, the cordon, evictions and the object all were refused at first.
    for request in [
        "POST /apis/coordination.k8s.io/",
        "PATCH /api/v1/nodes/w1",
        "POST /api/v1/namespaces/default/pods/pinned-",
        "PATCH /api/v1/namespaces/default/configmaps/",
    ] {
        assert!(busy.refused(request) >= 2, "{request} was never refused:\n{said}");
    }
    assert!(!said.contains("WARNING"), "{said}");
    is_put_back(&lab);
}

/// The drain of w1 by an operator whose kubeconfig leads through the busy one.
fn drain_through(busy: &Busy, lab: &Lab, runs: &Runs) -> Run {
    let kubeconfig = runs.folder().join("kubeconfig");
    fs::write(&kubeconfig, busy.kubeconfig()).expect("written");
    let environment = [("K8S_AUTH_KUBECONFIG", kubeconfig.to_str().expect("UTF-8"))];
    runs.start_with(&[&runs.playbook(DRAIN), "-i", &lab.inventory()], &environment)
}

#[test]
#[ignore = "takes long: make chaos"]
fn a_drain_survives_an_apiserver_that_answers_429_and_500_for_a_minute() {
    let lab = Lab::fresh("chaos", 1, 2);
    pinned_app(&lab);
    forbid(&lab);
    let runs = Runs::new();
    let busy = Busy::before(&lab);
    let mut run = drain_through(&busy, &lab, &runs);
    run.wait_until("the cordon", || lab.is_cordoned("w1"));
    let minute = Duration::from_secs(60);
    busy.refuse_for(minute);
    let began = Instant::now();
    allow(&lab);
    let (status, said) = run.end();
    assert!(status.success(), "{status}:\n{said}");
    assert!(began.elapsed() > minute, "it did not need the apiserver");
    is_put_back(&lab);
}

#[test]
fn a_drain_survives_five_seconds_without_network_and_gives_up_on_a_budget_that_never_allows() {
    let lab = Lab::fresh("chaos", 1, 2);
    pinned_app(&lab);
    forbid(&lab);
    let runs = Runs::new();
    let (playbook, inventory) = (runs.playbook(DRAIN), lab.inventory());
    let mut run = runs.start(&[&playbook, "-i", &inventory]);
    run.wait_until("the cordon", || lab.is_cordoned("w1"));
    lab.cut_for("cp1", SHORT);
    lab.cut_for("w1", SHORT);
    allow(&lab);
    let (status, said) = run.end();
    assert!(status.success(), "{status}:\n{said}");
    is_put_back(&lab);

    lab.kubectl(&["rollout", "status", "deployment/pinned", "--timeout=180s"]);
    forbid(&lab);
    let (status, said) = runs.start(&[&playbook, "-i", &inventory, "-e", "drain_timeout=10"]).end();
    assert_eq!(status.code(), Some(2), "{said}");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("node w1 was not drained in 10 seconds: default/pinned-"), "{said}");
    assert!(said.contains("PodDisruptionBudget"), "{said}");
    is_put_back(&lab);
}

#[test]
fn a_lock_of_dpkg_is_waited_for_and_who_has_it_is_said() {
    let lab = Lab::fresh("chaos", 1, 2);
    let runs = Runs::new();
    let inventory = lab.inventory();
    let playbook = runs.playbook(
        "- hosts: w2\n  gather_facts: false\n  become: true\n  tasks:\n    - apt_hold:\n        \
         packages: [kubectl]\n        version: \"{{ wanted }}\"\n        \
         lock_timeout: \"{{ patience }}\"\n",
    );
    // As dpkg itself locks it, for so many seconds.
    let hold = |seconds: u8| {
        let perl = format!(
            "use Fcntl; open(F, \">>\", \"/var/lib/dpkg/lock-frontend\"); \
             my $lock = pack(\"s s x4 q q i x4\", F_WRLCK, 0, 0, 0, 0); \
             fcntl(F, F_SETLK, $lock) or die; sleep {seconds}"
        );
        lab.ssh("w2", &format!("nohup perl -e '{perl}' >/dev/null 2>&1 & sleep 1"));
    };
    let install = |version: &str, patience: &str| {
        let (version, patience) = (format!("wanted={version}"), format!("patience={patience}"));
        runs.start(&[&playbook, "-i", &inventory, "-e", &version, "-e", &patience]).end()
    };
    let installed = || lab.ssh("w2", "dpkg-query -W -f '${Version} ${Status}' kubectl");

    let (before, other) = ("1.20.2-00", "1.21.2-00");
    let held = |version: &str| format!("{version} hold ok installed");

    hold(25);
    let (status, said) = install(other, "3");
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("was locked by another process with pid "), "{said}");
    assert_eq!(installed(), held(before));
    let began = Instant::now();
    let (status, said) = install(other, "120");
    assert!(status.success(), "{said}");
    assert!(began.elapsed() > Duration::from_secs(5), "the lock was not waited for");
    assert_eq!(installed(), held(other));
}

/// The upgrade of a cluster that will suffer from something.
struct Upgrade {
    lab: Lab,
    runs: Runs,
    arguments: Vec<String>,
}

impl Upgrade {
    fn new() -> Self {
        let lab = Lab::fresh("chaos", 1, 2);
        lab.start_app();
        let runs = Runs::new();
        let backups = format!("backup_root={}/backups", runs.folder().display());
        let inventory = lab.inventory();
        let image = "verify_image=docker.io/library/app:1";
        // A pod of a host that is lost is never seen gone.
        let values = ["kube_version=1.21.2", image, "drain_timeout=90", &backups];
        let mut arguments = vec!["playbooks/upgrade.yml", "-i", &inventory];
        arguments.extend(values.iter().flat_map(|value| ["-e", value]));
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Self { lab, runs, arguments }
    }

    fn start(&self) -> Run {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        self.runs.start(&arguments)
    }

    fn is_complete(&self) {
        assert_eq!(self.lab.versions(), vec![NEW; 3]);
        is_put_back(&self.lab);
        self.lab.wait_until("the pod of the verification is gone", |lab| {
            lab.kubectl(&["get", "pod", "kup-play-verify", "--ignore-not-found"]).is_empty()
        });
    }
}

/// A task of each phase, and the host that is lost in it or right behind it.
const PHASES: [(&str, &str, &str); 4] = [
    ("backup", "Save configuration, certificates, sources and versions of packages", "w1"),
    ("control plane", "Upgrade the components", "cp1"),
    ("worker drain", "Drain the node", "w1"),
    ("verify", "Read the control plane's pods", "cp1"),
];

#[test]
#[ignore = "takes long: make chaos"]
fn five_seconds_without_network_in_each_phase_do_not_stop_an_upgrade() {
    let upgrade = Upgrade::new();
    let mut run = upgrade.start();
    for (phase, task, host) in PHASES {
        run.wait_until(phase, || upgrade.runs.begun(task, host) > 0);
        upgrade.lab.cut_for(host, SHORT);
        println!("{phase}: {host} was away for 5 s");
    }
    let (status, said) = run.end();
    assert!(status.success(), "{status}:\n{said}");
    upgrade.is_complete();
}

#[test]
#[ignore = "takes long: make chaos"]
fn a_host_that_is_lost_for_good_in_each_phase_is_gone_on_with_by_resume() {
    let upgrade = Upgrade::new();
    let (lab, runs) = (&upgrade.lab, &upgrade.runs);
    let mut run = upgrade.start();
    for (phase, task, host) in PHASES {
        let before = runs.begun(task, host);
        run.wait_until(phase, || runs.begun(task, host) > before);
        lab.cut(host);
        let cut = Instant::now();
        let (status, said) = run.end();
        lab.heal(host);
        println!("{phase}: {status} {} s after {host} was lost", cut.elapsed().as_secs());
        // The batches behind it do not begin.
        if phase == "control plane" {
            assert_eq!(runs.begun("Install kubeadm 1.21.2", "w1"), 0, "{said}");
        }
        if phase == "worker drain" {
            assert_eq!(runs.begun("Install kubeadm 1.21.2", "w2"), 0, "{said}");
        }
        // By ssh it is unreachable (4); through the API, which was waited for, it failed (2).
        assert!(matches!(status.code(), Some(2 | 4)), "{phase}: {status}:\n{said}");
        lab.wait_ready(host);
        run = runs.start(&["resume"]);
    }
    let (status, said) = run.end();
    assert!(status.success(), "{status}:\n{said}");
    upgrade.is_complete();
}

#[test]
#[ignore = "takes long: make chaos"]
fn power_that_fails_while_the_apiserver_restarts_and_killed_etcds_are_survived() {
    let upgrade = Upgrade::new();
    let (lab, runs) = (&upgrade.lab, &upgrade.runs);
    let mut run = upgrade.start();
    let manifest =
        "grep -q v1.21.2 /etc/kubernetes/manifests/kube-apiserver.yaml && echo new || true";
    run.wait_until("the apiserver's new manifest", || lab.ssh("cp1", manifest).contains("new"));
    lab.power_cycle("cp1");
    let (status, said) = run.end();
    println!("{status} after the power failed");
    assert!(matches!(status.code(), Some(2 | 4)), "{status}:\n{said}");
    lab.wait_ready("cp1");

    // Its kubelet starts etcd again; meanwhile there is no API.
    let mut run = runs.start(&["resume"]);
    for worker in ["w1", "w2"] {
        run.wait_until(worker, || runs.begun("Drain the node", worker) > 0);
        lab.ssh("cp1", "pkill -KILL -x etcd");
    }
    let (status, said) = run.end();
    assert!(status.success(), "{status}:\n{said}");
    upgrade.is_complete();
}

#[test]
#[ignore = "takes long: make chaos"]
fn a_static_pod_that_does_not_come_up_is_named_and_resume_completes_the_upgrade() {
    let upgrade = Upgrade::new();
    let (lab, runs) = (&upgrade.lab, &upgrade.runs);
    let mut run = upgrade.start();
    run.wait_until("kubeadm", || runs.begun("Upgrade the components", "cp1") > 0);
    // Nobody looks at the manifests any more; kubeadm waits for five minutes.
    lab.ssh("cp1", "systemctl stop kubelet");
    let (status, said) = run.end();
    lab.ssh("cp1", "systemctl start kubelet");
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("the static pod kube-apiserver did not come up"), "{said}");
    lab.wait_ready("cp1");
    runs.must(&["resume"]);
    upgrade.is_complete();
}

#[test]
fn the_api_is_found_through_another_control_plane_when_the_first_is_lost() {
    let lab = Lab::fresh("quorum", 3, 1);
    pinned_app(&lab);
    let runs = Runs::new();
    let playbook = runs.playbook(DRAIN);
    forbid(&lab);
    let mut run = runs.start(&[&playbook, "-i", &lab.inventory()]);
    run.wait_until("the cordon", || lab.is_cordoned("w1"));
    lab.cut("cp1");
    let allowed = format!(
        "for i in $(seq 60); do kubectl --kubeconfig /etc/kubernetes/admin.conf patch pdb pinned \
         --type=merge -p '{ALLOWED}' && exit 0; sleep 2; done; exit 1"
    );
    lab.ssh("cp2", &allowed);
    let began = Instant::now();
    let (status, said) = run.end();
    println!("{} s until the drain was done without cp1", began.elapsed().as_secs());
    lab.heal("cp1");
    assert!(status.success(), "{status}:\n{said}");
    lab.wait_ready("cp1");
    is_put_back(&lab);

    // With the etcd of another control plane gone, none may go down.
    lab.ssh(
        "cp3",
        "mv /etc/kubernetes/manifests/etcd.yaml /root; while pgrep -x etcd; do sleep 1; done",
    );
    let guard = runs.playbook(
        "- hosts: cp1\n  gather_facts: false\n  become: true\n  tasks:\n    \
         - upgrade_guard: {timeout: \"{{ patience }}\"}\n",
    );
    let look = |patience: &str| {
        runs.start(&[&guard, "-i", &lab.inventory(), "-e", &format!("patience={patience}")]).end()
    };
    let (status, said) = look("5");
    lab.ssh("cp3", "mv /root/etcd.yaml /etc/kubernetes/manifests");
    assert_eq!(status.code(), Some(2), "{said}");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("cp3 is not healthy"), "{said}");
    let (status, said) = look("120");
    assert!(status.success(), "{said}");

    // Nor with the apiserver of another one gone.
    lab.ssh("cp3", "mv /etc/kubernetes/manifests/kube-apiserver.yaml /root");
    lab.wait_until("the end of its pod", |lab| {
        let pod = ["-n", "kube-system", "get", "pod", "kube-apiserver-cp3", "--ignore-not-found"];
        lab.kubectl(&pod).is_empty()
    });
    let (status, said) = look("5");
    lab.ssh("cp3", "mv /root/kube-apiserver.yaml /etc/kubernetes/manifests");
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("no apiserver runs on cp3"), "{said}");
}

/// One pod whose successor has its name, and four that need fifteen seconds to end.
const SLOW: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: same, namespace: default}
spec:
  serviceName: same
  selector: {matchLabels: {app: same}}
  template:
    metadata: {labels: {app: same}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: pause, image: k8s.gcr.io/pause:3.2}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: slow, namespace: default}
spec:
  replicas: 4
  selector: {matchLabels: {app: slow}}
  template:
    metadata: {labels: {app: slow}}
    spec:
      nodeSelector: {kubernetes.io/hostname: w1}
      terminationGracePeriodSeconds: 20
      containers:
        - name: sh
          image: docker.io/library/app:1
          command: [sh, -c, 'trap \"\" TERM; while :; do sleep 1; done']
";

#[test]
fn pods_are_evicted_side_by_side_and_a_successor_of_the_same_name_is_another() {
    let lab = Lab::fresh("chaos", 1, 2);
    lab.kubectl(&["cordon", "w2"]);
    lab.apply(SLOW);
    for app in ["statefulset/same", "deployment/slow"] {
        lab.kubectl(&["rollout", "status", app, "--timeout=300s"]);
    }
    lab.kubectl(&["uncordon", "w2"]);
    let uid = || {
        lab.kubectl(&[
            "get",
            "pod",
            "same-0",
            "--ignore-not-found",
            "-o",
            "jsonpath={.metadata.uid}",
        ])
    };
    let terminating = || {
        let times = "jsonpath={.items[*].metadata.deletionTimestamp}";
        let pods = lab.kubectl(&["get", "pods", "-l", "app=slow", "-o", times]);
        pods.split_whitespace().count()
    };
    let before = uid();
    let runs = Runs::new();
    let mut run = runs.start(&[&runs.playbook(DRAIN), "-i", &lab.inventory()]);
    run.wait_until("none of the four waits for another's end", || terminating() == 4);
    let (status, said) = run.end();
    assert!(status.success(), "{status}:\n{said}");
    assert_eq!(terminating(), 0, "nobody waited for the slow ones");
    lab.wait_until("the successor is another", |_| {
        let now = uid();
        !now.is_empty() && now != before
    });
    is_put_back(&lab);
}
