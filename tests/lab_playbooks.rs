//! Playbooks on real hosts: what only ssh and machines of their own can show. Needs root
//! and `tests/lab/lab build`.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use support::{Lab, recap, text};

/// Results of tasks by the names they were registered under.
type Results = BTreeMap<String, Map<String, Json>>;

/// A playbook in a folder of its own, run with these arguments.
fn play(lab: &Lab, folder: &Path, playbook: &str, arguments: &[&str]) -> Output {
    let path = folder.join("site.yml");
    fs::write(&path, playbook).expect("written");
    lab.kup(&[&[path.to_str().expect("a path")], arguments].concat())
}

fn count(output: &Output, host: &str, what: &str) -> u64 {
    let recap = recap(&text(output));
    recap.get(host).and_then(|counts| counts.get(what)).copied().unwrap_or(0)
}

#[test]
fn what_only_hosts_of_their_own_can_show() {
    let lab = Lab::fresh("pre", 1, 2);
    a_host_is_rebooted_and_the_play_goes_on(&lab);
    hosts_that_failed_are_run_again_by_their_retry_file(&lab);
    a_task_as_another_user_ends_with_its_connection(&lab);
    batches_stop_when_too_many_hosts_have_failed(&lab);
    files_of_a_loop_are_what_they_would_be_one_by_one(&lab);
    objects_are_made_waited_for_changed_and_removed(&lab);
    modules_of_kubernetes_core_do_what_the_collection_itself_did(&lab);
}

fn a_host_is_rebooted_and_the_play_goes_on(lab: &Lab) {
    let folder = tempfile::tempdir().expect("a folder");
    let boot = || lab.ssh("w1", "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1");
    let before = boot();
    let run = thread::scope(|scope| {
        // A machine of the lab that reboots goes down: somebody has to press its button.
        scope.spawn(|| {
            let moment = || thread::sleep(Duration::from_millis(500));
            let down = (0..240).any(|_| {
                moment();
                !lab.is_up("w1")
            });
            // sshd ends before the machine does, which is no start then.
            let up_again = (0..240).any(|_| {
                lab.start("w1");
                moment();
                lab.is_up("w1")
            });
            assert!(down && up_again);
        });
        play(
            lab,
            folder.path(),
            "- hosts: w1
  gather_facts: false
  become: true
  tasks:
    - command: touch /run/before
    - reboot: {reboot_timeout: 240, test_command: systemctl is-system-running --wait || true}
      register: rebooted
    - assert:
        that: [rebooted is changed, rebooted.rebooted, rebooted.elapsed > 0]
    - command: test ! -e /run/before
",
            &[],
        )
    });
    assert!(run.status.success(), "{}", text(&run));
    assert_eq!(count(&run, "w1", "ok"), 4);
    assert_ne!(boot(), before);
}

fn hosts_that_failed_are_run_again_by_their_retry_file(lab: &Lab) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("ansible.cfg"), "[defaults]\nretry_files_enabled = true\n")
        .expect("written");
    let playbook = "- hosts: kube_node
  gather_facts: false
  tasks:
    - command: test -e /run/mended
      when: inventory_hostname == 'w2'
    - command: hostname
";
    let config = folder.path().join("ansible.cfg").display().to_string();
    let run = |arguments: &[&str]| {
        let path = folder.path().join("site.yml");
        fs::write(&path, playbook).expect("written");
        let words = [&[path.to_str().expect("a path")], arguments].concat();
        lab.kup_with(&words, &[("ANSIBLE_CONFIG", &config)])
    };
    let first = run(&[]);
    assert_eq!(first.status.code(), Some(2), "{}", text(&first));
    let retry = folder.path().join("site.retry");
    assert_eq!(fs::read_to_string(&retry).expect("the retry file"), "w2\n");

    lab.ssh("w2", "touch /run/mended");
    let again = run(&["--limit", &format!("@{}", retry.display())]);
    assert!(again.status.success(), "{}", text(&again));
    assert_eq!((count(&again, "w2", "ok"), count(&again, "w1", "ok")), (2, 0));
    assert!(!recap(&text(&again)).contains_key("w1"), "{}", text(&again));
}

fn a_task_as_another_user_ends_with_its_connection(lab: &Lab) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("site.yml");
    let playbook = "- hosts: kube_node
  gather_facts: false
  become: true
  tasks:
    - command: sleep {{ 4321 if inventory_hostname == 'w2' else 1 }}
    - command: id -un
      register: who
    - assert: {that: who.stdout == 'root'}
";
    fs::write(&path, playbook).expect("written");
    let path = path.display().to_string();
    // As a user who becomes root by sudo, not as root itself.
    let run = lab.lose("w2", &[&path, "-e", "ansible_user=ops"], |lab| {
        !lab.ssh("w2", "pgrep -u root -f 'sleep 4321' || true").is_empty()
    });
    assert_eq!(run.status.code(), Some(4), "{}", text(&run));
    assert_eq!((count(&run, "w2", "unreachable"), count(&run, "w1", "ok")), (1, 3));
    // A minute without a word from the controller is the end for the agent.
    let script = "for i in $(seq 70); do pgrep -f 'sleep 432[1]' >/dev/null || exit 0; sleep 1; done; echo runs";
    assert_eq!(lab.ssh("w2", script), "");
}

fn batches_stop_when_too_many_hosts_have_failed(lab: &Lab) {
    let folder = tempfile::tempdir().expect("a folder");
    let playbook = "- hosts: all
  gather_facts: false
  serial: 1
  max_fail_percentage: 0
  tasks:
    - command: test {{ inventory_hostname }} != w1
    - command: touch /run/batch
- hosts: all
  gather_facts: false
  tasks:
    - command: touch /run/next-play
";
    let run = play(lab, folder.path(), playbook, &[]);
    assert_eq!(run.status.code(), Some(2), "{}", text(&run));
    let marks = lab.state("ls /run/batch /run/next-play 2>/dev/null || true");
    assert_eq!(marks, ["/run/batch\n", "", ""], "{}", text(&run));
}

fn files_of_a_loop_are_what_they_would_be_one_by_one(lab: &Lab) {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    let large = "a line\n".repeat(50_000);
    for name in ["a", "c"] {
        write(&format!("templates/{name}.j2"), "{{ inventory_hostname }} has {{ item }}\n");
    }
    write("files/small", "small\n");
    write("files/large", &large);
    write("files/folder/x", "x\n");
    write("files/folder/sub/y", "y\n");
    write("files/last", "last\n");
    let run = play(
        lab,
        folder.path(),
        "- hosts: kube_node
  gather_facts: false
  become: true
  tasks:
    - file: {path: /root/loops, state: directory}
    - name: One is left out, and one has no template
      template: {src: '{{ item }}.j2', dest: '/root/loops/{{ item }}'}
      loop: [a, b, none, c]
      when: item != 'b'
      ignore_errors: true
    - name: The last one stays
      copy: {content: '{{ item }}', dest: /root/loops/same}
      loop: [first, second, third]
      register: same
    - name: Some are small, one is not, and one is a folder
      copy: {src: '{{ item }}', dest: /root/loops/}
      loop: [small, large, folder, last]
    - name: Each is a copy of the one before
      copy: {src: '/root/loops/{{ item }}', dest: '/root/loops/{{ item }}2', remote_src: true}
      loop: [a, a2, a22]
    - assert:
        that: same.results | map(attribute='changed') | list == [true, true, true]
",
        &[],
    );
    assert!(run.status.success(), "{}", text(&run));
    assert_eq!(count(&run, "w1", "ignored"), 1);
    for host in ["w1", "w2"] {
        let files = lab.ssh(host, "cd /root/loops; find . -type f | LC_ALL=C sort | tr '\\n' ' '");
        let expected =
            "./a ./a2 ./a22 ./a222 ./c ./folder/sub/y ./folder/x ./large ./last ./same ./small";
        assert_eq!(files.trim(), expected);
        let texts = lab
            .ssh(host, "cd /root/loops; cat a222 c same folder/sub/y folder/x last; cksum < large");
        let begins = format!("{host} has a\n{host} has c\nthirdy\nx\nlast\n");
        assert!(texts.starts_with(&begins), "{texts}");
        assert!(texts.trim().ends_with(&format!(" {}", large.len())), "{texts}");
    }
}

fn objects_are_made_waited_for_changed_and_removed(lab: &Lab) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("templates")).expect("a folder");
    fs::write(folder.path().join("templates/web.yml.j2"), WEB).expect("written");
    let run = play(lab, folder.path(), OBJECTS, &[]);
    assert!(run.status.success(), "{}", text(&run));
    assert!(!lab.is_cordoned("w1"));
    assert_eq!(lab.kubectl(&["get", "deployment,configmap", "-l", "of=test", "-o", "name"]), "");
}

/// What it did was recorded by `kubernetes_core/record`.
fn modules_of_kubernetes_core_do_what_the_collection_itself_did(lab: &Lab) {
    // docs/compatibility.md: nothing came in time.
    const STRICTER: &str = "case_info_wait_late";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("results.json");
    let variables = json!({"kubeconfig": lab.kubeconfig(), "results": file}).to_string();
    let run = lab.kup(&["tests/kubernetes_core/site.yml", "-e", &variables]);
    assert!(run.status.success(), "{}", text(&run));

    let results: Results = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    let expected = include_str!("kubernetes_core/expected.json");
    let expected: Results = serde_json::from_str(expected).expect("JSON");
    assert_eq!(results.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let of = |result: &Map<String, Json>| {
        ["changed", "failed", "method", "skipped"].map(|key| result.get(key).cloned())
    };
    let is_other =
        |(case, result): &(&String, &Map<String, Json>)| of(&expected[*case]) != of(result);
    let others: Vec<_> = results.iter().filter(is_other).map(|(case, _)| case).collect();
    assert_eq!(others, [STRICTER], "{}", text(&run));
}

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default, labels: {of: test}}
spec:
  replicas: [[ replicas ]]
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: pause, image: 'k8s.gcr.io/pause:3.2'}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: default, labels: {of: test}}
data: {a: '1', b: '2'}
";

const OBJECTS: &str = "- hosts: kube_control_plane[0]
  gather_facts: false
  become: true
  tasks:
    - name: Make what a template gives, and wait for it
      kubernetes.core.k8s:
        template: {path: web.yml.j2, variable_start_string: '[[', variable_end_string: ']]'}
        wait: true
      vars: {replicas: 2}
      register: made
    - assert:
        that:
          - made is changed
          - made.result.results | map(attribute='method') | list == ['create', 'create']
          - made.result.results[0].result.status.availableReplicas == 2
          - made.result.results[0].duration >= 0

    - name: Give it a label
      k8s:
        api_version: apps/v1
        kind: Deployment
        name: web
        definition: {metadata: {labels: {team: a}}}
    - name: Give it an annotation and a pod more
      k8s:
        api_version: apps/v1
        kind: Deployment
        name: web
        definition: {metadata: {annotations: {by: test}}, spec: {replicas: 3}}
        wait: true
        wait_condition: {type: Available, status: true}
        wait_definition: {status: {availableReplicas: 3}}
      register: more
    - name: What another task gave it stays
      assert:
        that:
          - more is changed
          - more.method == 'update'
          - more.result.metadata.labels | dictsort == [('of', 'test'), ('team', 'a')]
          - more.result.status.availableReplicas == 3
    - name: The same again changes nothing
      k8s:
        api_version: apps/v1
        kind: Deployment
        name: web
        definition: {metadata: {annotations: {by: test}}, spec: {replicas: 3}}
        wait: true
      register: same
      failed_when: same is changed

    - name: One pod less
      kubernetes.core.k8s_scale:
        api_version: apps/v1
        kind: Deployment
        name: web
        namespace: default
        replicas: 2
        wait_timeout: 120
      register: scaled
    - name: Only if there were five
      k8s_scale:
        api_version: apps/v1
        kind: Deployment
        name: web
        current_replicas: 5
        replicas: 6
      register: unscaled
    - assert:
        that:
          - scaled is changed
          - scaled.result.status.availableReplicas == 2
          - unscaled is not changed
          - unscaled.result.spec.replicas == 2

    - name: Drain a node
      kubernetes.core.k8s_drain:
        name: w1
        delete_options:
          ignore_daemonsets: true
          delete_emptydir_data: true
          force: true
          terminate_grace_period: 1
          wait_timeout: 120
      register: drained
    - name: No pod of ours is left on it
      k8s_info:
        kind: Pod
        namespace: default
        label_selectors: [app=web]
        field_selectors: [spec.nodeName=w1]
      register: left
    - name: Cordon it, which it is, and let it take pods again
      k8s_drain: {name: w1, state: \"{{ item }}\"}
      loop: [cordon, uncordon, uncordon]
      register: marked
    - assert:
        that:
          - drained is changed
          - drained.result is match('node w1 marked unschedulable[.] [1-9][0-9]* Pod[(]s[)] deleted from node[.]')
          - left.resources == []
          - marked.results | map(attribute='changed') | list == [false, true, false]
          - \"marked.results | map(attribute='result') | list == [
            'node w1 already marked unschedulable.', 'node w1 marked schedulable.',
            'node w1 already marked schedulable.']\"

    - name: Change a value by its path
      kubernetes.core.k8s_json_patch:
        kind: ConfigMap
        namespace: default
        name: web
        patch: [{op: replace, path: /data/a, value: '9'}, {op: remove, path: /data/b}]
      register: patched
    - assert:
        that: [patched is changed, patched.result.data == dict(a='9')]

    - name: A part in the place of all of it
      k8s:
        kind: ConfigMap
        name: web
        force: true
        definition: {metadata: {labels: {of: test}}, data: {c: '3'}}
      register: replaced
    - assert:
        that: [replaced is changed, replaced.method == 'replace', replaced.result.data == dict(c='3')]
    - name: Apply, and apply without what was applied before
      k8s:
        kind: ConfigMap
        name: web
        apply: true
        server_side_apply: {field_manager: tester, force_conflicts: true}
        definition: {data: \"{{ item }}\"}
      loop: [{d: '4', e: '5'}, {d: '4'}]
      register: applied
    - assert:
        that: applied.results[1].result.data == dict(c='3', d='4')
    - name: What is not there is not patched
      k8s: {kind: ConfigMap, name: none, state: patched, definition: {data: {a: '1'}}}
      register: unpatched
    - assert:
        that: [unpatched is not changed, unpatched.warnings | length == 1]

    - name: Define a kind
      k8s:
        definition:
          apiVersion: apiextensions.k8s.io/v1
          kind: CustomResourceDefinition
          metadata: {name: toys.kup-play.test}
          spec:
            group: kup-play.test
            scope: Namespaced
            names: {kind: Toy, plural: toys, singular: toy, listKind: ToyList}
            versions:
              - name: v1
                served: true
                storage: true
                schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
        wait: true
        wait_condition: {type: Established}
    - name: Such an object, made and changed
      k8s:
        api_version: kup-play.test/v1
        kind: Toy
        name: ball
        definition: {spec: {size: \"{{ item }}\"}}
        wait: true
      loop: [1, 2]
      register: toys
    - assert:
        that:
          - toys.results | map(attribute='method') | list == ['create', 'update']
          - toys.results[1].result.spec.size | int == 2

    - name: One of two is wrong
      k8s:
        continue_on_error: true
        definition:
          - {kind: Nothing, metadata: {name: a}}
          - {kind: ConfigMap, metadata: {name: web, labels: {of: test}}, data: {f: '6'}}
      register: two
    - assert:
        that:
          - two is changed
          - \"'Nothing' in two.result.results[0].error\"
          - two.result.results[1].result.data.f == '6'

    - name: What does not come is told
      k8s_info:
        kind: ConfigMap
        name: web
        wait: true
        wait_timeout: 2
        wait_definition: {data: {f: '7'}}
      register: late
      ignore_errors: true
    - assert:
        that:
          - late is failed
          - late.msg == 'ConfigMap web did not become Ready with {\"data\":{\"f\":\"7\"}} in 2 seconds'

    - name: A taint on the last worker
      kubernetes.core.k8s_taint: &taint
        name: w2
        taints:
          - {key: test, value: '1', effect: NoSchedule}
          - {key: test, value: '1', effect: PreferNoSchedule}
      register: tainted
    - name: The same again
      k8s_taint: *taint
      register: tainted_again
    - name: Another value for one of them
      k8s_taint: {name: w2, taints: [{key: test, value: '2', effect: NoSchedule}]}
      register: valued
    - name: All of them go
      k8s_taint: {name: w2, state: absent, taints: [{key: test}]}
      register: untainted
    - name: They are gone already
      k8s_taint: {name: w2, state: absent, taints: [{key: test}]}
      register: untainted_again
    - k8s_info: {kind: Node, name: w2}
      register: w2
    - k8s_taint: {name: nobody, taints: [{key: a, effect: NoSchedule}]}
      register: nobody
      ignore_errors: true
    - assert:
        that:
          - tainted is changed and tainted_again is not changed
          - tainted.result.spec.taints | map(attribute='effect') | list == ['NoSchedule', 'PreferNoSchedule']
          - valued is changed
          - valued.result.spec.taints | map(attribute='value') | sort | list == ['1', '2']
          - untainted is changed and untainted_again is not changed
          - w2.resources[0].spec.taints is not defined
          - nobody.msg == \"Node 'nobody' has not been found.\"

    - name: Another image that is never there
      k8s:
        definition:
          apiVersion: apps/v1
          kind: Deployment
          metadata: {name: web, namespace: default}
          spec: {template: {metadata: {labels: {bad: 'yes'}}, spec: {containers: [{name: pause, image: 'k8s.gcr.io/nothing:1'}]}}}
    - name: As it was before that
      kubernetes.core.k8s_rollback: {api_version: apps/v1, kind: Deployment, name: web, namespace: default}
      register: back
    - k8s_info: {api_version: apps/v1, kind: Deployment, name: web, namespace: default, wait: true}
      register: web
    - assert:
        that:
          - back is changed
          - back.rollback_info[0].method == 'patch'
          - web.resources[0].spec.template.spec.containers[0].image == 'k8s.gcr.io/pause:3.2'
          - web.resources[0].spec.template.metadata.labels | list == ['app']
          - web.resources[0].metadata.annotations.by == 'test'

    - name: Read what the scheduler has written
      kubernetes.core.k8s_log:
        namespace: kube-system
        name: \"kube-scheduler-{{ inventory_hostname }}\"
        tail_lines: 3
      register: log
    - name: The same by labels
      k8s_log: {namespace: kube-system, label_selectors: [component=kube-scheduler], all_containers: true, since_seconds: 86400}
      register: labelled
    - k8s_log: {namespace: kube-system, name: nobody}
      register: unlogged
      ignore_errors: true
    - assert:
        that:
          - log is not changed
          - log.log_lines | select | list | length == 3
          - log.log_lines[0] in labelled.log_lines
          - unlogged.msg == 'Pod kube-system/nobody not found.'

    - name: What the cluster is
      kubernetes.core.k8s_cluster_info:
      register: about
    - assert:
        that:
          - about.version.server.kubernetes.gitVersion == 'v1.20.2'
          - about.apis['apps/v1'].Deployment.short_names == ['deploy']
          - about.apis['apps/v1'].Deployment.preferred
          - not about.apis['v1'].Node.namespaced

    - name: Read when a kubelet was heard of
      k8s_info: &lease
        api_version: coordination.k8s.io/v1
        kind: Lease
        namespace: kube-node-lease
        name: \"{{ inventory_hostname }}\"
      register: heard
    - name: Wait until it is heard of again
      k8s_info:
        <<: *lease
        wait: true
        wait_changed_since: \"{{ heard.resources }}\"
      register: again
    - assert:
        that: again.resources[0].spec.renewTime > heard.resources[0].spec.renewTime

    - name: A container is found by its name
      k8s_info:
        kind: Pod
        namespace: kube-system
        name: \"kube-scheduler-{{ inventory_hostname }}\"
        wait: true
        wait_timeout: 5
        wait_definition: {spec: {containers: [{name: kube-scheduler, imagePullPolicy: IfNotPresent}]}}

    - name: What was done is told, though what is waited for does not come
      k8s:
        definition: {kind: ConfigMap, metadata: {name: web}, data: {g: '1'}}
        wait: true
        wait_timeout: 1
        wait_condition: {type: Never}
      register: never
      ignore_errors: true
    - name: A name that cannot be is refused by the server
      k8s: {definition: {kind: ConfigMap, metadata: {name: 'not a name'}}}
      register: unnamed
      ignore_errors: true
    - assert:
        that:
          - never is failed and never is changed
          - never.method == 'update' and never.result.data.g == '1'
          - unnamed.reason == 'Unprocessable Entity'

    - name: Remove them and wait until they are gone
      k8s:
        state: absent
        api_version: \"{{ item.api_version | default('v1') }}\"
        kind: \"{{ item.kind }}\"
        name: \"{{ item.name }}\"
        delete_options: {propagationPolicy: Foreground, gracePeriodSeconds: 1}
        wait: true
      loop:
        - {api_version: apps/v1, kind: Deployment, name: web}
        - {kind: ConfigMap, name: web}
        - {api_version: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, name: toys.kup-play.test}
      register: removed
    - assert:
        that: [removed is changed, (removed.results | first).duration >= 0]
    - name: Nothing is left to wait for
      k8s: {state: absent, kind: ConfigMap, name: web, wait: true}
      register: gone
      failed_when: gone is changed
";
