//! `kup-play precheck` on a real cluster. Needs root and `tests/lab/lab build`.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value as Json;
use support::Lab;

fn precheck(lab: &Lab, arguments: &[&str]) -> Output {
    let inventory = lab.inventory();
    Command::new(env!("CARGO_BIN_EXE_kup-play"))
        .args(["precheck", "-i", &inventory])
        .args(arguments)
        .output()
        .expect("kup-play")
}

fn report(lab: &Lab, arguments: &[&str]) -> (Option<i32>, Json) {
    let output = precheck(lab, &[arguments, &["--format", "json"]].concat());
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|e| panic!("{e}: {}", support::text(&output))))
}

/// The findings of an id: severity and object of each.
fn found<'a>(report: &'a Json, id: &str) -> Vec<(&'a str, &'a str)> {
    let findings = report["findings"].as_array().into_iter().flatten();
    let text = |finding: &'a Json, key: &str| finding[key].as_str().unwrap_or_default();
    findings
        .filter(|finding| finding["id"] == id)
        .map(|finding| (text(finding, "severity"), text(finding, "object")))
        .collect()
}

/// The evidence of the first finding of an id.
fn evidence<'a>(report: &'a Json, id: &str) -> &'a str {
    let mut findings = report["findings"].as_array().into_iter().flatten();
    let finding = findings.find(|finding| finding["id"] == id);
    finding.and_then(|finding| finding["evidence"].as_str()).unwrap_or_default()
}

fn wait_for(what: &str, seen: impl Fn() -> bool) {
    let came = (0..60).any(|_| {
        thread::sleep(Duration::from_millis(500));
        seen()
    });
    assert!(came, "it never came: {what}");
}

/// Of a version that 1.22 has no more.
const OLD_INGRESS: &str = "
apiVersion: networking.k8s.io/v1beta1
kind: Ingress
metadata: {name: old, namespace: default}
spec: {backend: {serviceName: app, servicePort: 80}}
";

/// A release as Helm keeps it: JSON in gzip in base64, in a Secret.
fn old_release() -> String {
    let release = serde_json::json!({"name": "shop", "manifest": OLD_INGRESS}).to_string();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(release.as_bytes()).expect("packed");
    let packed = STANDARD.encode(packed.finish().expect("packed"));
    format!(
        "apiVersion: v1
kind: Secret
type: helm.sh/release.v1
metadata:
  name: sh.helm.release.v1.shop.v1
  namespace: default
  labels: {{owner: helm, status: deployed, name: shop, version: '1'}}
stringData: {{release: '{packed}'}}
"
    )
}

#[test]
fn what_would_stop_an_upgrade_is_found_before_it_begins() {
    let lab = Lab::fresh("pre", 1, 2);
    let before = lab.state("ls /etc/kubernetes/tmp /var/lib/kup-play 2>/dev/null; dpkg-query -W");
    let (code, healthy) = report(&lab, &["--to", "v1.21.2"]);
    assert_eq!((code, &healthy["errors"]), (Some(0), &Json::from(0)), "{healthy:#}");
    assert_eq!(healthy["version"], "v1.20.2");
    assert_eq!(healthy["hosts"].as_array().map(Vec::len), Some(3));
    let after = lab.state("ls /etc/kubernetes/tmp /var/lib/kup-play 2>/dev/null; dpkg-query -W");
    assert_eq!(before, after, "a precheck changes nothing");

    assert_eq!(found(&healthy, "single-control-plane"), [("info", "cp1")]);

    // The lab's etcd is older than any that 3.6 may follow.
    let (_, gate) = report(&lab, &["--to", "v1.34.1"]);
    assert_eq!(found(&gate, "etcd-version-gate"), [("error", "cp1")]);

    images_are_tried_when_it_is_told_to(&lab);
    what_the_repositories_offer_is_tried(&lab);
    the_nodes_are_an_inventory(&lab);

    lab.start_app();
    lab.kubectl(&["patch", "pdb", "app", "--type=merge", "-p", "{\"spec\":{\"minAvailable\":3}}"]);
    lab.kubectl(&["cordon", "w2"]);
    lab.kubectl(&["run", "bare", "--image=docker.io/library/app:1", "--", "httpd", "-f"]);
    wait_for("the budget", || {
        let path = "jsonpath={.status.desiredHealthy} {.status.disruptionsAllowed}";
        lab.kubectl(&["get", "pdb", "app", "-o", path]).trim() == "3 0"
    });
    wait_for("the bare pod's node", || {
        !lab.kubectl(&["get", "pod", "bare", "-o", "jsonpath={.spec.nodeName}"]).trim().is_empty()
    });
    let manifest = "/etc/kubernetes/manifests/kube-scheduler.yaml";
    lab.ssh("cp1", &format!("cp {manifest} {manifest}.bak"));
    lab.ssh("cp1", &format!("sed -i 's/^    - kube-scheduler$/&\\n    - --v=2/' {manifest}"));
    lab.ssh(
        "cp1",
        "mkdir -p /etc/kubernetes/tmp; mount -t tmpfs -o size=1m tmpfs /etc/kubernetes/tmp",
    );
    let certificate = "/etc/kubernetes/pki/etcd/healthcheck-client.crt";
    let expired = include_str!("data/expired.crt");
    lab.ssh("cp1", &format!("mv {certificate} /root; echo '{expired}' > {certificate}"));
    lab.apply(OLD_INGRESS);
    lab.apply(&old_release());
    let (code, broken) = report(&lab, &["--to", "v1.22.1", "-e", "precheck_certificate_days=400"]);
    lab.ssh("cp1", &format!("mv {manifest}.bak {manifest}; umount /etc/kubernetes/tmp"));
    lab.ssh("cp1", &format!("mv /root/healthcheck-client.crt {certificate}"));
    lab.kubectl(&["delete", "ingress/old", "secret/sh.helm.release.v1.shop.v1"]);
    assert_eq!(code, Some(2), "{broken:#}");
    assert_eq!(found(&broken, "minor-skipped"), [("error", "cluster")]);
    assert_eq!(found(&broken, "budget-blocks-drain"), [("error", "default/app")]);
    assert_eq!(found(&broken, "node-cordoned"), [("warning", "w2")]);
    assert_eq!(found(&broken, "bare-pod"), [("error", "default/bare")]);
    assert_eq!(found(&broken, "foreign-manifest"), [("error", "cp1:kube-scheduler.yaml.bak")]);
    assert_eq!(found(&broken, "manifest-edited"), [("warning", "cp1")]);
    assert!(evidence(&broken, "manifest-edited").contains("--v=2"), "{broken:#}");
    let tmp = [("error", "cp1:/etc/kubernetes/tmp")];
    assert_eq!(found(&broken, "disk-space"), tmp);
    assert_eq!(found(&broken, "kubeadm-tmp-elsewhere"), tmp);
    let old = "Ingress in networking.k8s.io/v1beta1";
    assert_eq!(found(&broken, "removed-api-object"), [("warning", old)]);
    assert_eq!(found(&broken, "removed-api-helm"), [("error", "default/shop")]);
    assert_eq!(
        found(&broken, "certificate-expired"),
        [("error", format!("cp1:{certificate}").as_str())]
    );
    let requested = found(&broken, "removed-api-requested");
    assert!(
        requested.iter().any(|(_, what)| what.contains("networking.k8s.io/v1beta1")),
        "{broken:#}"
    );
    let soon = found(&broken, "certificate-expires-soon");
    for folder in ["/etc/kubernetes/pki/etcd/", "/var/lib/kubelet/pki/"] {
        assert!(soon.iter().any(|(_, file)| file.contains(folder)), "{folder}: {broken:#}");
    }
    let hosts: Vec<_> =
        found(&broken, "target-repository-missing").into_iter().map(|(_, host)| host).collect();
    assert_eq!(hosts, ["cp1", "w1", "w2"]);

    // The same stops the playbook before it changes anything, unless each is ignored.
    let upgrade = ["playbooks/upgrade.yml", "-e", "kube_version=1.21.2", "-e", "precheck_settle=0"];
    let stopped = lab.kup(&upgrade);
    let told = support::text(&stopped);
    assert_eq!(stopped.status.code(), Some(2), "{told}");
    assert!(told.contains("budget-blocks-drain: default/app"), "{told}");
    assert!(!told.contains("PLAY [Save"), "nothing comes after the precheck:\n{told}");
    let ignoring = ["--to", "1.21.2", "--ignore", "budget-blocks-drain,bare-pod"];
    let ignored = precheck(&lab, &ignoring);
    let text = support::text(&ignored);
    assert!(ignored.status.success(), "{text}");
    assert!(text.contains("IGNORED  budget-blocks-drain: default/app"), "{text}");
}

/// The lab has no registry: an image that is not on its hosts cannot be had.
fn images_are_tried_when_it_is_told_to(lab: &Lab) {
    let (proxy, aside) = ("k8s.gcr.io/kube-proxy:v1.21.2", "localhost/aside:1");
    let rename = |from: &str, to: &str| {
        let images = "ctr -n k8s.io images";
        lab.ssh("w1", &format!("{images} tag {from} {to} && {images} rm {from}"));
    };
    rename(proxy, aside);
    let look = |more: &[&str]| report(lab, &[&["--to", "1.21.2"], more].concat());
    for asked in [&[][..], &["--pull", "--check"]] {
        let (code, missing) = look(asked);
        assert_eq!(code, Some(0), "{missing:#}");
        assert_eq!(found(&missing, "image-missing"), [("info", "w1")]);
    }
    let (code, refused) = look(&["--pull"]);
    assert_eq!(code, Some(2), "{refused:#}");
    assert_eq!(found(&refused, "image-not-pullable"), [("error", "w1")]);
    assert_eq!(found(&refused, "image-missing"), []);
    rename(aside, proxy);
    let (code, there) = look(&["--pull"]);
    assert_eq!(code, Some(0), "{there:#}");
}

/// A version that one host alone is offered, and there it needs a package that nobody has.
fn what_the_repositories_offer_is_tried(lab: &Lab) {
    let sum = "0".repeat(64);
    let offered = ["kubeadm", "kubelet", "kubectl"].map(|name| {
        format!(
            "Package: {name}\nVersion: 1.21.7-00\nArchitecture: all\nDepends: nobody-has-it\n\
             Filename: ./{name}.deb\nSize: 1\nSHA256: {sum}\n"
        )
    });
    let list = "/etc/apt/sources.list.d/broken.list";
    let update = format!(
        "apt-get -q update -o Dir::Etc::sourcelist={list} -o Dir::Etc::sourceparts=- \
         -o APT::Get::List-Cleanup=0"
    );
    lab.ssh(
        "w2",
        &format!(
            "mkdir -p /srv/broken; echo '{}' > /srv/broken/Packages
             echo 'deb [trusted=yes] file:/srv/broken ./' > {list}
             {update} && apt-mark unhold kubelet",
            offered.join("\n")
        ),
    );
    let (code, looked) = report(lab, &["--to", "1.21.7"]);
    lab.ssh("w2", &format!("rm -r {list} /srv/broken; apt-mark hold kubelet"));
    assert_eq!(code, Some(2), "{looked:#}");
    assert_eq!(found(&looked, "package-not-installable"), [("error", "w2")]);
    assert_eq!(found(&looked, "package-version-missing"), [("error", "cp1"), ("error", "w1")]);
    assert_eq!(found(&looked, "package-not-held"), [("warning", "w2")]);
}

/// `-i cluster:KUBECONFIG`, with variables and groups from other sources beside it.
fn the_nodes_are_an_inventory(lab: &Lab) {
    let zone = "topology.kubernetes.io/zone";
    lab.kubectl(&["label", "node", "w1", &format!("{zone}=eu-west-1a"), "pool=gpu"]);
    lab.kubectl(&["taint", "node", "w1", "dedicated=gpu:PreferNoSchedule"]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("written");
    let own: serde_yaml::Value =
        serde_yaml::from_str(&std::fs::read_to_string(lab.inventory()).expect("the lab's own"))
            .expect("YAML");
    let ssh = serde_yaml::to_string(&own["all"]["vars"]).expect("YAML");
    write(
        "groups.yml",
        "plugin: constructed\nkeyed_groups: [{key: node_kubelet_version, prefix: at}]\n",
    );
    std::fs::create_dir(folder.path().join("group_vars")).expect("a folder");
    write("group_vars/all.yml", &ssh);
    write("group_vars/zone_eu_west_1a.yml", "rack: 7\n");
    let kubeconfig = Path::new(&lab.inventory()).with_file_name("kubeconfig");
    let context = "kubernetes-admin@kubernetes";
    let source = format!("cluster:{}?context={context}", kubeconfig.display());
    let kup = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kup-play"))
            .args(arguments)
            .args(["-i", &source, "-i", &path("groups.yml")])
            .output()
            .expect("kup-play");
        assert!(output.status.success(), "{}", support::text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let listed: Json = serde_json::from_str(&kup(&["inventory", "--list"])).expect("JSON");
    let (planes, workers): (Vec<_>, Vec<_>) =
        lab.hosts().into_iter().partition(|host| host.starts_with("cp"));
    assert_eq!(listed["kube_control_plane"]["hosts"], serde_json::json!(planes));
    assert_eq!(listed["kube_node"]["hosts"], serde_json::json!(workers));
    assert_eq!(listed["zone_eu_west_1a"]["hosts"], serde_json::json!(["w1"]));
    assert_eq!(listed["label_pool_gpu"]["hosts"], serde_json::json!(["w1"]));
    assert_eq!(listed["at_v1_20_2"]["hosts"], serde_json::json!([planes, workers].concat()));
    let w1 = &listed["_meta"]["hostvars"]["w1"];
    assert_eq!(w1["node_kubelet_version"], "v1.20.2");
    assert_eq!(w1["node_taints"][0]["key"], "dedicated");
    assert_eq!((&w1["node_cordoned"], &w1["node_ready"]), (&Json::from(false), &Json::from(true)));
    assert_eq!(w1["rack"], 7);
    // The addresses are those at which the hosts are reached.
    let said = kup(&["run", "all", "-o", "-m", "command", "-a", "hostname"]);
    for host in lab.hosts() {
        assert!(said.contains(&format!("{host} | CHANGED | rc=0 | (stdout) {host}")), "{said}");
    }
    lab.kubectl(&["label", "node", "w1", &format!("{zone}-"), "pool-"]);
    lab.kubectl(&["taint", "node", "w1", "dedicated-"]);
}

/// A playbook in a folder of its own.
fn playbook(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("play.yml");
    std::fs::write(&path, text).expect("written");
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn budgets_that_forbid_are_dealt_with_as_the_policy_says_and_the_guard_counts_workers() {
    let lab = Lab::fresh("pre", 1, 2);
    lab.start_app();
    lab.kubectl(&["patch", "pdb", "app", "--type=merge", "-p", "{\"spec\":{\"minAvailable\":3}}"]);
    let drain = "- hosts: w1
  gather_facts: false
  become: true
  tasks:
    - kubectl_drain:
        state: drained
        timeout: 120
        budget_policy: \"{{ policy }}\"
        budget_policies: \"{{ policies | default({}) }}\"
        budget_timeout: 3
      register: drained
    - assert: {that: drained.node_skipped == skipped}
    - kubectl_drain: {state: uncordoned}
";
    let (_folder, path) = playbook(drain);
    let skip = lab.kup(&[&path, "-e", "{policy: skip, skipped: true}"]);
    assert!(skip.status.success(), "{}", support::text(&skip));
    assert!(!lab.is_cordoned("w1"), "a node that is skipped is put back");
    // One that the operator had cordoned stays so, in the way that the playbooks put it back.
    lab.kubectl(&["cordon", "w1"]);
    let (_folder, restored) = playbook(&drain.replace("uncordoned", "restored"));
    let skip = lab.kup(&[&restored, "-e", "{policy: skip, skipped: true}"]);
    assert!(skip.status.success(), "{}", support::text(&skip));
    assert_eq!((lab.cordoned(), lab.memories()), (vec!["w1".to_owned()], String::new()));
    lab.kubectl(&["uncordon", "w1"]);
    let own = "{policy: wait, skipped: false, policies: {default: {policy: force}}}";
    let force = lab.kup(&[&path, "-v", "-e", own]);
    assert!(force.status.success(), "{}", support::text(&force));
    assert!(
        support::text(&force).contains("\"forced\": [\"default/app-"),
        "{}",
        support::text(&force)
    );

    let guard = "- hosts: \"{{ batch }}\"
  gather_facts: false
  become: true
  tasks:
    - upgrade_guard:
        max_unavailable: \"{{ limit | default('') }}\"
        kubelet_version: \"{{ kubelet | default('') }}\"
        timeout: 4
";
    let (_folder, path) = playbook(guard);
    // A node that a run has cordoned is away.
    lab.kubectl(&["annotate", "node", "w2", "kup-play.dev/cordoned-before=false"]);
    let without_limit = lab.kup(&[&path, "-e", "batch=w1"]);
    lab.kubectl(&["annotate", "node", "w2", "kup-play.dev/cordoned-before-"]);
    let told = support::text(&without_limit);
    assert_eq!(without_limit.status.code(), Some(2), "{told}");
    assert!(told.contains("w2 away already"), "{told}");
    let ahead = lab.kup(&[&path, "-e", "batch=w1", "-e", "kubelet=1.21.2"]);
    let told = support::text(&ahead);
    assert_eq!(ahead.status.code(), Some(2), "{told}");
    assert!(told.contains("cp1 is 1.20.2, and no kubelet may be newer"), "{told}");
    let without_limit = lab.kup(&[&path, "-e", "batch=w1,w2"]);
    assert!(without_limit.status.success(), "{}", support::text(&without_limit));

    let code = |batch: &str| {
        let output = lab.kup(&[&path, "-e", &format!("batch={batch}"), "-e", "limit=1"]);
        (output.status.code(), support::text(&output))
    };
    let (ok, told) = code("cp1");
    assert_eq!(ok, Some(0), "{told}");
    let (ok, told) = code("w1");
    assert_eq!(ok, Some(0), "{told}");
    let (failed, told) = code("w1,w2");
    assert_eq!(failed, Some(2), "{told}");
    assert!(told.contains("no more than 1 workers may be away"), "{told}");
}
