//! Playbooks on real hosts: what only ssh and machines of their own can show. Needs root
//! and `tests/lab/lab build`.

#[allow(dead_code)] // Other tests use the rest of it.
mod support;

use std::fs;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::Duration;

use support::{Lab, recap, text};

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
}

fn a_host_is_rebooted_and_the_play_goes_on(lab: &Lab) {
    let folder = tempfile::tempdir().expect("a folder");
    let boot = || lab.ssh("w1", "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1");
    let before = boot();
    let run = thread::scope(|scope| {
        // A machine of the lab that reboots goes down: somebody has to press its button.
        scope.spawn(|| {
            let down = (0..240).any(|_| {
                thread::sleep(Duration::from_millis(500));
                !lab.is_up("w1")
            });
            if down {
                lab.start("w1");
            }
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
