//! Runs that are killed, and resumed from their journals.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

struct Project(TempDir);

/// Kills the program alone. What its agents have under way goes on without it, and is
/// waited for.
fn kill(run: &mut Child) {
    let left = descendants(run.id());
    run.kill().expect("killed");
    run.wait().expect("ended");
    let deadline = Instant::now() + Duration::from_secs(60);
    for pid in left {
        let is_running = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z"))
        };
        while is_running() {
            assert!(Instant::now() < deadline, "process {pid} does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

impl Project {
    fn new(playbook: &str) -> Self {
        let project = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(project.folder()).expect("made");
        fs::write(project.path("site.yml"), playbook).expect("written");
        project
    }

    /// What is beside a project's folder is looked at too: there is nothing but itself.
    fn folder(&self) -> PathBuf {
        self.0.path().join("project")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn kup(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
        command
            .args(arguments)
            .current_dir(self.folder())
            .env("KUP_PLAY_STATE_DIR", self.path("state"))
            .stdin(Stdio::null());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.kup(arguments).output().expect("kup-play runs")
    }

    fn start(&self) -> Command {
        self.kup(&["site.yml", "-i", "a,b,", "-c", "local", "--journal"])
    }

    /// Starts the playbook and kills it after this time.
    fn killed_after(&self, time: Duration) {
        let mut run = self.start().stdout(Stdio::null()).spawn().expect("kup-play starts");
        thread::sleep(time);
        kill(&mut run);
    }

    /// Starts the playbook and kills it when the log has this line.
    fn killed_at(&self, line: &str) {
        let mut run = self.start().stdout(Stdio::null()).spawn().expect("kup-play starts");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.log().iter().any(|known| known == line) {
            assert!(Instant::now() < deadline, "{line} never came");
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_millis(300));
        kill(&mut run);
    }

    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.journal_path()).expect("a journal")
    }

    /// Whether it came to the first record.
    fn has_journal(&self) -> bool {
        let runs = fs::read_dir(self.path("state/runs")).into_iter().flatten();
        runs.flatten().any(|run| run.path().join("journal.jsonl").exists())
    }

    fn journal_path(&self) -> PathBuf {
        let mut runs = fs::read_dir(self.path("state/runs")).expect("runs");
        runs.next().expect("a run").expect("an entry").path().join("journal.jsonl")
    }
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

const STEPS: &str = r#"
- hosts: all
  gather_facts: false
  serial: 1
  vars: {log: "{{ playbook_dir }}/log"}
  tasks:
    - name: one
      shell: echo one-{{ inventory_hostname }} >> {{ log }}; echo of-{{ inventory_hostname }}
      register: one
      notify: handle
    - set_fact: {kept: "{{ one.stdout | default('of-' ~ inventory_hostname) }}"}
    - name: items
      shell: echo item-{{ item }}-{{ inventory_hostname }} >> {{ log }}; sleep 0.05
      loop: [1, 2, 3]
    - name: a failure that is rescued
      block:
        - shell: echo fails-{{ inventory_hostname }} >> {{ log }}; exit 1
      rescue:
        - name: a state
          copy: {content: "{{ kept }}", dest: "{{ playbook_dir }}/{{ inventory_hostname }}"}
    - name: last
      shell: echo last-{{ kept }} >> {{ log }}
    - name: only one host does it
      shell: echo once >> {{ log }}
      run_once: true
      when: inventory_hostname == 'a'
  handlers:
    - name: handle
      shell: echo handled-{{ one.stdout | default('of-' ~ inventory_hostname) }} >> {{ log }}
"#;

fn all_steps() -> Vec<String> {
    let mut lines = vec!["once".to_owned()];
    for host in ["a", "b"] {
        for line in
            ["one-H", "item-1-H", "item-2-H", "item-3-H", "fails-H", "last-of-H", "handled-of-H"]
        {
            lines.push(line.replace('H', host));
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_run_killed_at_any_moment_is_resumed_and_each_command_is_run_once() {
    let mut in_the_middle = 0;
    for moment in [60, 150, 250, 350, 450, 600, 800, 1000, 1300] {
        let project = Project::new(STEPS);
        project.killed_after(Duration::from_millis(moment));
        if !project.has_journal() {
            // It was killed before it had begun anything.
            assert_eq!(project.log(), Vec::<String>::new());
            continue;
        }
        let listed = text(&project.output(&["runs"]));
        if listed.contains("finished") {
            continue;
        }
        assert!(listed.contains("dead"), "{listed}");
        in_the_middle += usize::from(!project.log().is_empty());
        let mut resumed = project.output(&["resume"]);
        if text(&resumed).contains("whether it ended is not known") {
            // As the operator would: the log says whether the command was run.
            let before = project.log().len();
            let journal = project.journal();
            let ended = journal
                .lines()
                .filter(|line| line.contains("\"ended\"") && line.contains("\"shell\""))
                .count();
            let wish = if before > ended { "skip" } else { "run" };
            resumed = project.output(&["resume", "--in-doubt", wish]);
        }
        assert!(resumed.status.success(), "at {moment} ms: {}", text(&resumed));
        // What was taken for done has no output, so lines may differ, but none is there twice.
        let mut log = project.log();
        log.sort();
        assert_eq!(log.len(), all_steps().len(), "at {moment} ms: {log:?}");
        assert!(text(&project.output(&["runs"])).contains("finished"));
    }
    assert!(in_the_middle > 0, "every run was over, or had not begun");
}

#[test]
fn what_was_registered_set_and_notified_is_there_after_the_resumption() {
    let playbook = STEPS.replace("- name: last\n", "- pause: {seconds: 3}\n    - name: last\n");
    let project = Project::new(&playbook);
    project.killed_at("fails-a");
    let resumed = project.output(&["resume"]);
    assert!(resumed.status.success(), "{}", text(&resumed));
    let mut log = project.log();
    log.sort();
    assert_eq!(log, all_steps());
    assert_eq!(fs::read_to_string(project.path("a")).expect("the state"), "of-a");
    let shown = text(&project.output(&["show"]));
    assert!(shown.contains("resumed by") && shown.contains("ended with exit code 0"), "{shown}");
}

#[test]
fn under_the_free_strategy_each_host_goes_on_where_it_was() {
    let project = Project::new(
        r#"
- hosts: all
  gather_facts: false
  strategy: free
  vars: {log: "{{ playbook_dir }}/log"}
  tasks:
    - name: one
      shell: echo one-{{ inventory_hostname }} >> {{ log }}; echo of-{{ inventory_hostname }}
      register: one
      notify: handle
    - name: b comes later
      wait_for: {path: "{{ playbook_dir }}/go", timeout: 60}
      when: inventory_hostname == 'b'
    - name: two
      shell: echo two-{{ one.stdout }} >> {{ log }}
  handlers:
    - name: handle
      shell: echo handled-{{ one.stdout }} >> {{ log }}
"#,
    );
    // One host is at the end, and the other one in the middle.
    project.killed_at("handled-of-a");
    let mut before = project.log();
    before.sort();
    assert_eq!(before, ["handled-of-a", "one-a", "one-b", "two-of-a"]);
    fs::write(project.path("go"), "").expect("written");
    let resumed = project.output(&["resume"]);
    assert!(resumed.status.success(), "{}", text(&resumed));
    let log = project.log();
    assert_eq!(log[before.len()..], ["two-of-b", "handled-of-b"], "{log:?}");
}

#[test]
fn a_command_whose_end_is_not_known_is_not_run_again_unasked() {
    let playbook = "
- hosts: a
  gather_facts: false
  tasks:
    - name: slow
      shell: echo begun >> {{ playbook_dir }}/log; sleep 2
    - name: after
      shell: echo after >> {{ playbook_dir }}/log
";
    let project = Project::new(playbook);
    project.killed_at("begun");
    let refused = project.output(&["resume"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("'slow' (shell, "), "{}", text(&refused));
    assert_eq!(project.log(), ["begun"]);
    let skipped = project.output(&["resume", "--in-doubt", "skip"]);
    assert!(skipped.status.success(), "{}", text(&skipped));
    assert_eq!(project.log(), ["begun", "after"]);
}

#[test]
fn a_failed_run_goes_on_at_the_host_and_task_that_failed() {
    let playbook = "
- hosts: all
  gather_facts: false
  tasks:
    - shell: echo first-{{ inventory_hostname }} >> {{ playbook_dir }}/log
    - command: test -e {{ playbook_dir }}/{{ inventory_hostname }}.ready
    - shell: echo last-{{ inventory_hostname }} >> {{ playbook_dir }}/log
";
    let project = Project::new(playbook);
    fs::write(project.path("b.ready"), "").expect("written");
    let failed = project.start().output().expect("kup-play runs");
    assert_eq!(failed.status.code(), Some(2), "{}", text(&failed));
    assert!(text(&project.output(&["runs"])).contains("failed"));
    fs::write(project.path("a.ready"), "").expect("written");
    let resumed = project.output(&["resume"]);
    assert!(resumed.status.success(), "{}", text(&resumed));
    let mut log = project.log();
    log.sort();
    assert_eq!(log, ["first-a", "first-b", "last-a", "last-b"]);
    let nothing = text(&project.output(&["resume"]));
    assert!(nothing.contains("there is no such run"), "{nothing}");
}

#[test]
fn a_block_that_failed_is_done_again_from_its_beginning_but_for_its_commands() {
    let playbook = "
- hosts: all
  gather_facts: false
  any_errors_fatal: FATAL
  vars: {own: '{{ playbook_dir }}/{{ inventory_hostname }}'}
  tasks:
    - block:
        - copy: {content: '', dest: '{{ own }}.state'}
        - shell: echo once-{{ inventory_hostname }} >> {{ playbook_dir }}/log
        - command: test -e {{ own }}.ready
        - command: test -e {{ own }}.state
          changed_when: false
      always:
        - file: {path: '{{ own }}.state', state: absent}
        - shell: echo always-{{ inventory_hostname }} >> {{ playbook_dir }}/log
    - command: test -e {{ playbook_dir }}/end
";
    // Where one host takes all with it, `always` has undone what the others had done, too.
    for (fatal, times) in [("false", 1), ("true", 3)] {
        let project = Project::new(&playbook.replace("FATAL", fatal));
        fs::write(project.path("a.ready"), "").expect("written");
        let failed = project.start().output().expect("kup-play runs");
        assert_eq!(failed.status.code(), Some(2), "{}", text(&failed));
        let again = project.output(&["resume"]);
        assert_eq!(again.status.code(), Some(2), "{}", text(&again));
        fs::write(project.path("b.ready"), "").expect("written");
        let count = |line: &str| project.log().iter().filter(|known| *known == line).count();
        // The block comes through, and what is behind it fails: then it is done for good.
        let behind = project.output(&["resume"]);
        assert!(text(&behind).contains("end"), "{}", text(&behind));
        fs::write(project.path("end"), "").expect("written");
        let resumed = project.output(&["resume"]);
        assert!(resumed.status.success(), "{}", text(&resumed));
        assert_eq!((count("once-a"), count("once-b")), (1, 1), "{:?}", project.log());
        assert_eq!((count("always-a"), count("always-b")), (times, 3), "{:?}", project.log());
    }
}

#[test]
fn changed_playbooks_are_not_gone_on_with_unless_the_operator_says_so() {
    let project =
        Project::new("- hosts: a\n  gather_facts: false\n  tasks:\n    - command: 'false'\n");
    project.start().output().expect("kup-play runs");
    let mut playbook = fs::read_to_string(project.path("site.yml")).expect("read");
    playbook = playbook.replace("'false'", "'true'");
    fs::write(project.path("site.yml"), playbook).expect("written");
    let refused = project.output(&["resume"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("changed since the run began"), "{}", text(&refused));
    assert!(project.output(&["resume", "--changed"]).status.success());
}

#[test]
fn changed_inventories_variables_and_templates_are_noticed_too() {
    let playbook = "
- hosts: a
  gather_facts: false
  vars_files: ['{{ kind }}.yml']
  tasks:
    - template: {src: page.j2, dest: '{{ playbook_dir }}/page'}
    - include_tasks: tasks/{{ kind }}.yml
    - command: 'false'
";
    let files = [
        ("hosts.ini", "a\n"),
        ("group_vars/all.yml", "kind: plain\n"),
        ("vars/plain.yml", "colour: blue\n"),
        ("templates/page.j2", "{{ colour }}\n"),
        ("tasks/plain.yml", "- debug: {msg: '{{ colour }}'}\n"),
    ];
    for (changed, _) in files {
        let project = Project::new(playbook);
        for (path, contents) in files {
            let path = project.path(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, contents).expect("written");
        }
        let run = ["site.yml", "-i", "hosts.ini", "-c", "local", "--journal"];
        let failed = project.output(&run);
        assert_eq!(failed.status.code(), Some(2), "{}", text(&failed));
        let mut contents = fs::read_to_string(project.path(changed)).expect("read");
        contents += "# another line\n";
        fs::write(project.path(changed), contents).expect("written");
        let refused = project.output(&["resume"]);
        assert_eq!(refused.status.code(), Some(1), "{changed}: {}", text(&refused));
        assert!(text(&refused).contains(changed), "{changed}: {}", text(&refused));
    }
}

#[test]
fn what_an_include_brings_in_gives_the_run_a_journal() {
    let project = Project::new(
        "- hosts: a\n  gather_facts: false\n  tasks:\n    - include_tasks: '{{ name }}.yml'\n      when: false\n",
    );
    fs::write(project.path("quiet.yml"), "- debug:\n").expect("written");
    let run = ["site.yml", "-i", "a,", "-c", "local"];
    assert!(project.output(&run).status.success());
    assert!(!project.path("state/runs").exists(), "nothing in it changes clusters");
    let drains = "- block:\n    - kubectl_drain: {state: drained}\n";
    fs::write(project.path("drain.yml"), drains).expect("written");
    assert!(project.output(&run).status.success());
    assert!(project.journal_path().exists());
}

#[test]
fn secrets_never_reach_the_journal_which_is_for_its_owner_only() {
    let playbook = "
- hosts: a
  gather_facts: false
  tasks:
    - command: echo {{ db_password }} {{ plain }}
      no_log: true
      register: hidden
      changed_when: false
    - copy: {content: '{{ hidden.stdout }}', dest: '{{ playbook_dir }}/out', mode: '0600'}
      no_log: true
    - command: test -e {{ playbook_dir }}/ready
";
    let project = Project::new(playbook);
    let extra = ["-e", "db_password=sesame-4711", "-e", "plain=visible"];
    let failed = project.start().args(extra).output().expect("kup-play runs");
    assert_eq!(failed.status.code(), Some(2), "{}", text(&failed));
    let journal = project.journal();
    assert!(!journal.contains("sesame-4711"), "{journal}");
    assert!(journal.contains("visible"));
    let mode = |path: PathBuf| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    let path = project.journal_path();
    assert_eq!(mode(path.clone()), 0o600);
    assert_eq!(mode(path.parent().expect("a folder").to_owned()), 0o700);
    // What is not kept has to be given again; what it was in is run again.
    fs::write(project.path("ready"), "").expect("written");
    let refused = text(&project.output(&["resume"]));
    assert!(refused.contains("db_password"), "{refused}");
    let resumed = project.output(&["resume", "-e", "db_password=sesame-4711"]);
    assert!(resumed.status.success(), "{}", text(&resumed));
    assert_eq!(fs::read_to_string(project.path("out")).expect("read"), "sesame-4711 visible");
}

#[test]
fn a_torn_last_line_is_no_error() {
    let project =
        Project::new("- hosts: a\n  gather_facts: false\n  tasks:\n    - command: 'false'\n");
    project.start().output().expect("kup-play runs");
    let path = project.journal_path();
    let mut journal = fs::read(&path).expect("read");
    // Power went while the last record was written.
    journal.truncate(journal.len() - 9);
    fs::write(&path, journal).expect("written");
    let listed = text(&project.output(&["runs"]));
    assert!(listed.contains("dead"), "{listed}");
    assert_eq!(project.output(&["resume"]).status.code(), Some(2));
    assert!(text(&project.output(&["runs"])).contains("failed"));
}
