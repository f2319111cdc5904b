//! Playbooks as they are read: what tasks inherit, and what is found wrong before a
//! host is touched.

use std::fs;
use std::path::PathBuf;

use kup_play::engine::{Prepared, Settings};
use kup_play::playbook::{Item, Play, Task, Tasks};
use kup_play::source::Node;
use kup_play::template::{Layer, Variable};
use tempfile::TempDir;

struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, text).expect("a file");
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn prepare(&self) -> Result<Prepared, String> {
        let settings = Settings { inventory: vec!["h1,".to_owned()], ..Settings::default() };
        Prepared::load(&[self.path("site.yml")], settings, Layer::new()).map_err(|error| {
            error.to_string().replace(&format!("{}/", self.0.path().display()), "")
        })
    }

    fn plays(&self) -> Vec<Play> {
        let prepared = self.prepare().unwrap_or_else(|error| panic!("{error}"));
        prepared.playbooks.into_iter().flat_map(|(_, plays)| plays).collect()
    }

    fn error(&self) -> String {
        match self.prepare() {
            Ok(_) => panic!("nothing was found wrong"),
            Err(error) => error,
        }
    }
}

fn plays(text: &str) -> Vec<Play> {
    Files::new(&[("site.yml", text)]).plays()
}

fn error(text: &str) -> String {
    Files::new(&[("site.yml", text)]).error()
}

/// The error of a task, written as an entry of a list; its first line is line 3.
fn task_error(task: &str) -> String {
    let indented: Vec<String> = task.lines().map(|line| format!("    {line}")).collect();
    error(&format!("- hosts: all\n  tasks:\n{}\n", indented.join("\n")))
}

fn tasks(items: &[Item]) -> Vec<&Task> {
    items.iter().flat_map(|item| item.tasks(Tasks::All)).map(|task| &**task).collect()
}

fn task(items: &[Item], name: &str) -> Task {
    tasks(items)
        .into_iter()
        .find(|task| task.name.as_ref().and_then(Node::as_str) == Some(name))
        .unwrap_or_else(|| panic!("no task {name}"))
        .clone()
}

fn texts(nodes: &[Node]) -> Vec<String> {
    nodes.iter().filter_map(Node::as_str).map(str::to_owned).collect()
}

fn json(node: Option<&Node>) -> String {
    node.map_or_else(|| "none".to_owned(), |node| node.to_json().to_string())
}

fn names(layers: &[std::sync::Arc<Layer>]) -> Vec<&str> {
    layers.iter().flat_map(|layer| layer.keys()).map(String::as_str).collect()
}

#[test]
fn tasks_inherit_from_blocks_and_plays() {
    let plays = plays(
        "
- name: p
  hosts: all
  become: true
  tags: [play]
  vars: {of_play: 1}
  environment: {A: play}
  tasks:
    - when: outer
      tags: outer,both
      become_user: etcd
      environment: {A: block}
      vars: {of_block: 1}
      block:
        - name: t
          command: ls
          when: [inner, other]
          tags: [inner, both]
          become: false
          vars: {of_task: 1}
          environment: [{A: task}]
",
    );
    let task = task(&plays[0].tasks, "t");
    assert_eq!(texts(&task.keywords.when), ["outer", "inner", "other"]);
    assert_eq!(task.tags(), ["both", "inner", "outer", "play"]);
    assert_eq!(json(task.keywords.become_.as_ref()), "false");
    assert_eq!(json(task.keywords.become_user.as_ref()), "\"etcd\"");
    assert_eq!(names(&task.keywords.vars), ["of_block", "of_task"]);
    assert_eq!(task.keywords.environment.len(), 3);
    assert!(plays[0].vars.contains_key("of_play"));
    assert_eq!((task.span.line, task.span.column), (15, 11));
}

#[test]
fn modules_are_named_in_every_way_ansible_allows() {
    let plays = plays(
        "
- hosts: all
  tasks:
    - {name: a, ansible.builtin.command: ls -l chdir=/tmp}
    - {name: b, command: {cmd: ls, chdir: /tmp}}
    - {name: c, action: command ls chdir=/tmp}
    - {name: d, local_action: {module: command, cmd: ls}}
    - {name: e, command: ls, args: {chdir: /tmp}}
    - {name: f, copy: src=a dest='/b c'}
",
    );
    let tasks = &plays[0].tasks;
    let argument = |name: &str, argument: &str| {
        let task = task(tasks, name);
        json(task.arguments.as_ref().and_then(|arguments| arguments.get(argument)))
    };
    for name in ["a", "b", "c", "e"] {
        assert_eq!(task(tasks, name).module, "command");
        assert_eq!(argument(name, "chdir"), "\"/tmp\"", "{name}");
    }
    assert_eq!(json(task(tasks, "a").free_form.as_ref()), "\"ls -l\"");
    assert_eq!(task(tasks, "a").written_module, "ansible.builtin.command");
    assert_eq!(json(task(tasks, "d").keywords.delegate_to.as_ref()), "\"localhost\"");
    assert_eq!(argument("f", "dest"), "\"/b c\"");
}

#[test]
fn imported_tasks_stand_in_their_place_and_inherit_from_the_import() {
    let files = Files::new(&[
        (
            "site.yml",
            "- hosts: all\n  tasks:\n    - import_tasks: tasks/a.yml\n      when: x\n      tags: t\n      vars: {v: 1}\n",
        ),
        ("tasks/a.yml", "- import_tasks: b.yml\n- {name: a, command: ls}\n"),
        ("tasks/b.yml", "- {name: b, command: ls, when: y}\n"),
    ]);
    let plays = files.plays();
    let order: Vec<_> = tasks(&plays[0].tasks).iter().map(|t| json(t.name.as_ref())).collect();
    assert_eq!(order, ["\"b\"", "\"a\""]);
    let b = task(&plays[0].tasks, "b");
    assert_eq!(texts(&b.keywords.when), ["x", "y"]);
    assert_eq!(b.tags(), ["t"]);
    assert_eq!(names(&b.keywords.vars), ["v"]);
}

#[test]
fn imported_playbooks_bring_their_plays() {
    let files = Files::new(&[
        (
            "site.yml",
            "- import_playbook: sub/a.yml\n  tags: [t]\n  when: x\n  vars: {v: outer, w: outer}\n",
        ),
        ("sub/a.yml", "- import_playbook: b.yml\n  vars: {v: inner}\n- {name: a, hosts: all}\n"),
        (
            "sub/b.yml",
            "- name: b\n  hosts: all\n  vars: {v: play, u: play}\n  tasks:\n    - {name: t, command: ls}\n",
        ),
    ]);
    let plays = files.plays();
    assert_eq!(plays.iter().map(|play| play.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    let variable = |name: &str| match plays[0].vars.get(name) {
        Some(Variable::Source(node)) => json(Some(node)),
        _ => "none".to_owned(),
    };
    assert_eq!(variable("v"), "\"outer\"");
    assert_eq!(variable("u"), "\"play\"");
    let task = task(&plays[0].tasks, "t");
    assert_eq!(task.tags(), ["t"]);
    assert_eq!(texts(&task.keywords.when), ["x"]);
    assert!(plays[0].directory().ends_with("sub"));
}

#[test]
fn defaults_of_modules_are_put_into_their_tasks() {
    let plays = plays(
        "
- hosts: all
  module_defaults: {copy: {mode: '0600', owner: a}}
  tasks:
    - module_defaults: {ansible.builtin.copy: {owner: b}}
      block:
        - {name: t, copy: {src: x, dest: /y, mode: '0644'}}
        - {name: c, command: ls}
",
    );
    let task_t = task(&plays[0].tasks, "t");
    let get = |name: &str| json(task_t.arguments.as_ref().and_then(|a| a.get(name)));
    assert_eq!(
        (get("mode"), get("owner"), get("src")),
        ("\"0644\"".into(), "\"b\"".into(), "\"x\"".into())
    );
    assert!(task(&plays[0].tasks, "c").arguments.is_none());
}

#[test]
fn defaults_of_a_group_stand_below_those_of_its_modules() {
    let plays = plays(
        "
- hosts: all
  module_defaults:
    group/k8s: {kubeconfig: of-group, namespace: of-group}
    k8s_info: {namespace: of-module}
    group/amazon.aws.aws: {x: y}
  tasks:
    - {name: t, kubernetes.core.k8s_info: {kind: Pod}}
",
    );
    let task = task(&plays[0].tasks, "t");
    let get = |name: &str| json(task.arguments.as_ref().and_then(|a| a.get(name)));
    assert_eq!(get("kubeconfig"), "\"of-group\"");
    assert_eq!(get("namespace"), "\"of-module\"");
}

#[test]
fn plays_keep_all_their_keywords() {
    let plays = plays(
        "
- hosts: [a, b]
  gather_facts: no
  serial: [1, '25%']
  max_fail_percentage: 30%
  order: sorted
  strategy: linear
  user: admin
  vars_files: [a.yml, [b.yml, c.yml]]
  vars_prompt:
    - {name: version, prompt: Which?, default: '1.21', private: false}
  handlers:
    - {name: h, command: ls, listen: [x, y]}
  tasks:
    - name: l
      command: ls
      with_items: [1]
      loop_control: {loop_var: i, index_var: n, label: x, pause: 1, extended: true}
      register: r
      until: r.rc == 0
      retries: 3
      delay: 0.5
      async: 10
      poll: 0
      notify: h
      changed_when: false
      failed_when: [r.rc > 1, r.rc < 9]
",
    );
    let play = &plays[0];
    assert_eq!(play.name, "a,b");
    assert_eq!(play.serial.len(), 2);
    assert_eq!(json(play.keywords.remote_user.as_ref()), "\"admin\"");
    assert_eq!(
        (play.vars_prompt[0].name.as_str(), play.vars_prompt[0].private),
        ("version", false)
    );
    assert_eq!(play.vars_files.len(), 2);
    assert_eq!(task(&play.handlers, "h").listen, ["x", "y"]);
    let task = task(&play.tasks, "l");
    assert_eq!(task.loop_.as_ref().map(|l| l.kind.as_str()), Some("items"));
    assert_eq!(task.loop_control.loop_var.as_deref(), Some("i"));
    assert!(task.loop_control.extended);
    assert_eq!(task.failed_when.len(), 2);
    assert_eq!(texts(&task.notify), ["h"]);
    assert_eq!(json(task.poll.as_ref()), "0");
}

#[test]
fn a_typo_in_a_play_is_shown_with_the_nearest_keyword() {
    assert_eq!(
        error("- name: x\n  hots: all\n"),
        "'hots' is not a valid attribute for a Play
  --> site.yml:2:3
   |
 2 |   hots: all
   |   ^
  = help: did you mean 'hosts'?"
    );
}

#[test]
fn a_typo_in_the_last_task_is_found() {
    assert_eq!(
        task_error("- command: ls\n- name: last\n  comand: ls"),
        "couldn't resolve module/action 'comand'. This often indicates a misspelling, missing \
         collection, or incorrect module path.
  --> site.yml:5:7
   |
 5 |       comand: ls
   |       ^
  = help: did you mean 'command'?"
    );
}

#[test]
fn a_mistyped_keyword_of_a_task_is_told_from_a_module() {
    assert_eq!(
        task_error("- command: ls\n  wen: x"),
        "conflicting action statements: command, wen
  --> site.yml:4:7
   |
 4 |       wen: x
   |       ^
  = help: 'wen' is no module; did you mean 'when'?"
    );
    let both = task_error("- command: ls\n  shell: ls");
    assert!(both.contains("command, shell") && both.contains("make two tasks"), "{both}");
}

#[test]
fn a_wrong_argument_is_shown_with_the_nearest_one() {
    assert_eq!(
        task_error("- copy:\n    scr: a\n    dest: b"),
        "Unsupported parameters for (copy) module: scr.
  --> site.yml:4:9
   |
 4 |         scr: a
   |         ^
  = help: did you mean 'src'?"
    );
}

#[test]
fn a_wrong_value_is_shown_with_the_choices() {
    assert_eq!(
        task_error("- file:\n    path: /a\n    state: directry"),
        "value of state must be one of: file, directory, link, hard, touch, absent, got: directry
  --> site.yml:5:16
   |
 5 |         state: directry
   |                ^
  = help: did you mean 'directory'?"
    );
    let missing = task_error("- file: {state: absent}");
    assert!(
        missing.contains("missing required arguments: path") && missing.contains(":3:7"),
        "{missing}"
    );
}

#[test]
fn a_template_in_an_argument_puts_the_check_off() {
    plays("- hosts: all\n  tasks:\n    - file: {path: /a, state: '{{ state }}'}\n");
}

#[test]
fn wrong_templates_and_conditions_are_found_where_they_are() {
    for (task, place) in [
        ("- command: ls {{ a", "3:"),
        ("- command: ls\n  when: a ==", "4:"),
        ("- debug:\n    msg: \"{{ a | nosuch_filter }}\"", "4:"),
        ("- debug:\n    var: a ==", "4:"),
        ("- assert:\n    that:\n      - a ==", "5:"),
        ("- command: ls\n  vars:\n    x: \"{{ a b }}\"", "5:"),
        ("- command: ls\n  loop: \"{{ a | }}\"", "4:"),
    ] {
        let error = task_error(task);
        assert!(error.contains(&format!("site.yml:{place}")), "{task}\n{error}");
    }
}

#[test]
fn wrong_plays_are_explained_at_their_place() {
    for (text, place, message) in [
        ("", "1:1", "Empty playbook, nothing to do"),
        ("[]\n", "1:1", "A playbook must contain at least one play"),
        ("hosts: all\n", "1:1", "A playbook must be a list of plays, got a mapping instead"),
        ("- all\n", "1:3", "playbook entries must be either valid plays"),
        ("- name: x\n", "1:3", "the field 'hosts' is required but was not set"),
        ("- hosts: []\n", "1:10", "Hosts list cannot be empty"),
        ("- hosts: [a, {b: c}]\n", "1:14", "invalid host value"),
        ("- hosts: all\n  tasks:\n    command: ls\n", "3:5", "should be a list or None"),
        ("- hosts: all\n  tasks: [ls]\n", "2:11", "should be a list of dictionaries"),
        ("- hosts: all\n  become: maybe\n", "2:11", "could not be converted to bool"),
        ("- hosts: all\n  serial: [1, x]\n", "2:15", "serial must be a number of hosts"),
        ("- hosts: all\n  order: sortd\n", "2:10", "did you mean 'sorted'?"),
        ("- hosts: all\n  strategy: fre\n", "2:13", "Invalid play strategy specified: fre"),
        ("- hosts: all\n  vars: [x]\n", "2:9", "must be specified as a dictionary"),
        ("- hosts: all\n  vars: {a-b: 1}\n", "2:10", "'a-b' is not a valid variable name"),
        ("- hosts: all\n  environment: x\n", "2:16", "environment must be a dictionary"),
        ("- hosts: all\n  max_fail_percentage: x\n", "2:24", "converted to percent"),
        ("- hosts: all\n  user: a\n  remote_user: b\n", "2:9", "both 'user' and 'remote_user'"),
        ("- hosts: all\n  vars_prompt: [{nme: x}]\n", "2:18", "unsupported key 'nme'"),
        ("- hosts: all\n  roles: [x]\n", "2:11", "the role 'x' was not found in "),
        ("- import_playbook: nosuch.yml\n", "1:20", "nosuch.yml could not be found"),
        ("- import_playbook: site.yml\n", "1:20", "import each other without an end"),
        (
            "- import_playbook: site.yml\n  hosts: all\n",
            "2:3",
            "not a valid attribute for a PlaybookInclude",
        ),
    ] {
        let error = error(text);
        assert!(
            error.contains(&format!("site.yml:{place}")) && error.contains(message),
            "{text}\n{error}"
        );
    }
}

#[test]
fn wrong_tasks_are_explained_at_their_place() {
    for (task, place, message) in [
        ("- name: x", "3:7", "no module/action detected in task."),
        ("- block: {command: ls}", "3:14", "should be a list or None"),
        ("- rescue: []", "3:7", "'rescue' keyword cannot be used without 'block'"),
        ("- block: []\n  loop: [1]", "4:7", "'loop' is not a valid attribute for a Block"),
        (
            "- command: ls\n  loop: [1]\n  with_items: [1]",
            "5:7",
            "duplicate loop in task: loop and with_items",
        ),
        ("- command: ls\n  loop: abc", "4:13", "it requires a list"),
        ("- command: ls\n  loop:", "4:7", "you must specify a value when using loop"),
        ("- command: ls\n  loop_control: {labl: x}", "4:22", "did you mean 'label'?"),
        ("- command: ls\n  loop_control: x", "4:21", "must be specified as a dictionary"),
        (
            "- command: ls\n  register: a-b",
            "4:17",
            "Invalid variable name in 'register' specified: 'a-b'",
        ),
        ("- command: ls\n  timeout: x", "4:16", "could not be converted to int"),
        ("- command: ls\n  when: {a: b}", "4:13", "a condition must be an expression"),
        ("- command: ls\n  tags: {a: b}", "4:13", "tags must be specified as a list"),
        ("- command: ls\n  args: x", "4:13", "'args' must be a mapping"),
        ("- command: ls\n  listen: x", "4:7", "only handlers listen"),
        ("- copy: src=a nonsense dest=b", "3:13", "this task 'copy' has extra params"),
        ("- copy: src='a dest=b", "3:13", "failed at splitting arguments"),
        ("- copy: [a]", "3:13", "the arguments of copy must be a mapping, not a list"),
        ("- action: {cmd: ls}", "3:7", "'action' needs a 'module'"),
        ("- meta: flush_handler", "3:13", "did you mean 'flush_handlers'?"),
        ("- import_tasks: nosuch.yml", "3:21", "Could not find or access"),
        ("- import_tasks: '{{ x }}.yml'", "3:21", "Error when evaluating variable in import path"),
        (
            "- import_tasks: x.yml\n  loop: [1]",
            "4:7",
            "You cannot use loops on 'import_tasks' statements",
        ),
        (
            "- include_tasks: x.yml\n  become: true",
            "4:7",
            "'become' is not a valid attribute for a TaskInclude",
        ),
        ("- import_role: {name: x}", "3:27", "the role 'x' was not found in "),
        ("- command: ls\n  module_defaults: {copy: x}", "4:31", "the defaults of a module"),
        ("- 1: 2", "3:7", "a keyword of a task must be a string"),
    ] {
        let error = task_error(task);
        assert!(
            error.contains(&format!("site.yml:{place}")) && error.contains(message),
            "{task}\n{error}"
        );
    }
}

#[test]
fn an_error_in_an_imported_file_points_into_that_file() {
    let files = Files::new(&[
        ("site.yml", "- hosts: all\n  tasks:\n    - import_tasks: a.yml\n"),
        ("a.yml", "- comand: ls\n"),
    ]);
    assert!(files.error().contains("--> a.yml:1:3"), "{}", files.error());
}

#[test]
fn a_missing_playbook_is_named() {
    let error = Files::new(&[]).error();
    assert_eq!(error, "the playbook: site.yml could not be found");
}
