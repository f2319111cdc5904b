//! Inventories as files, and what is made of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use kup_play::inventory::{Inventory, Reading};
use kup_play::settings::Config;
use kup_play::source::Error;
use kup_play::template::{Layer, Variable};
use tempfile::TempDir;

/// As the defaults of the settings have it.
fn load(
    sources: &[String],
    playbook_dir: Option<PathBuf>,
) -> Result<(Inventory, Vec<String>), Error> {
    let mut reading = Reading::of(&Config::default())?;
    reading.playbook_dir = playbook_dir;
    Inventory::load(sources, &reading)
}

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

    fn source(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn executable(&self, name: &str) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    fn load(&self, name: &str) -> Inventory {
        let (inventory, warnings) =
            load(&[self.source(name)], None).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(warnings, Vec::<String>::new());
        inventory
    }

    /// The error's text with the folder's name cut out.
    fn error(&self, name: &str) -> String {
        let error = load(&[self.source(name)], None).expect_err("an error");
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn inventory(name: &str, text: &str) -> Inventory {
    Files::new(&[(name, text)]).load(name)
}

fn error(name: &str, text: &str) -> String {
    Files::new(&[(name, text)]).error(name)
}

/// The variable that wins, as JSON.
fn variable(inventory: &Inventory, host: &str, name: &str) -> String {
    let mut merged = Layer::new();
    for (_, layer) in inventory.layers(host) {
        merged.extend(layer.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    match merged.get(name) {
        Some(Variable::Source(node)) => node.to_json().to_string(),
        Some(Variable::Data(value)) => value.to_string(),
        None => "undefined".to_owned(),
    }
}

fn select(inventory: &Inventory, pattern: &str) -> String {
    inventory.select(pattern).unwrap_or_else(|error| panic!("{error}")).0.join(" ")
}

const CLUSTER: &str = "\
all:
  vars:
    cluster: lab
  children:
    kube_control_plane:
      hosts:
        cp1: {ansible_host: 10.0.0.1}
        cp2:
    kube_node:
      hosts:
        w[1:3]:
      vars:
        zone: a
    k8s:
      children:
        kube_control_plane:
        kube_node:
";

#[test]
fn yaml_groups_hosts_and_variables() {
    let inventory = inventory("hosts.yml", CLUSTER);
    assert_eq!(inventory.host_names(), ["cp1", "cp2", "w1", "w2", "w3"]);
    assert_eq!(inventory.group_hosts("k8s"), ["cp1", "cp2", "w1", "w2", "w3"]);
    assert_eq!(inventory.group_names("w2"), ["k8s", "kube_node"]);
    assert_eq!(variable(&inventory, "cp1", "ansible_host"), "\"10.0.0.1\"");
    assert_eq!(variable(&inventory, "w3", "zone"), "\"a\"");
    assert_eq!(variable(&inventory, "w3", "cluster"), "\"lab\"");
    let groups: Vec<String> = inventory.groups().into_iter().map(|(name, _)| name).collect();
    assert_eq!(groups, ["all", "ungrouped", "kube_control_plane", "kube_node", "k8s"]);
}

#[test]
fn ini_values_are_python_literals() {
    let inventory = inventory(
        "hosts",
        "lonely\n\
         [kube_node]\n\
         w1 ansible_host=10.0.0.2 n=1 list='[1, 2]' text=\"a b\" flag=True other=true # comment\n\
         w[2:3]:2222\n\
         [kube_node:vars]\n\
         zone = a\n\
         mode = 0644\n\
         dict = {'a': 1}\n\
         [k8s:children]\n\
         kube_node\n",
    );
    assert_eq!(inventory.group_hosts("all"), ["lonely", "w1", "w2", "w3"]);
    assert_eq!(inventory.group_names("lonely"), ["ungrouped"]);
    for (name, value) in [
        ("n", "1"),
        ("list", "[1,2]"),
        ("text", "\"a b\""),
        ("flag", "true"),
        ("other", "\"true\""),
        ("zone", "\"a\""),
        ("mode", "\"0644\""),
        ("dict", "{\"a\":1}"),
        ("ansible_host", "\"10.0.0.2\""),
    ] {
        assert_eq!(variable(&inventory, "w1", name), value, "{name}");
    }
    assert_eq!(variable(&inventory, "w3", "ansible_port"), "2222");
}

#[test]
fn a_list_of_hosts_needs_no_file() {
    let sources = ["cp1,w[1:2],10.0.0.9:22,".to_owned()];
    let (inventory, _) = load(&sources, None).expect("an inventory");
    assert_eq!(inventory.host_names(), ["cp1", "w1", "w2", "10.0.0.9"]);
    assert_eq!(variable(&inventory, "10.0.0.9", "ansible_port"), "22");
    assert_eq!(inventory.source_file("cp1"), None);
}

#[test]
fn group_and_host_variables_win_in_ansibles_order() {
    let files = Files::new(&[
        (
            "inv/hosts.yml",
            "all: {vars: {v: 1, a: 1}, hosts: {h: {v: 8, e: 8}}, children: {g: {hosts: {h: }, vars: {v: 3, b: 3}}}}",
        ),
        ("inv/group_vars/all.yml", "v: 4\na: 4\nb: 4\n"),
        ("play/group_vars/all/x.yml", "v: 5\nb: 5\n"),
        ("play/group_vars/all/y.yaml", "v: 5\n"),
        ("play/group_vars/all/ignored.txt", "v: wrong\n"),
        ("inv/group_vars/g.yaml", "v: 6\nc: 6\nd: 6\n"),
        ("play/group_vars/g", "v: 7\nd: 7\n"),
        ("inv/host_vars/h.json", "{\"v\": 9, \"e\": 9}"),
        ("play/host_vars/h.yml", "v: 10\n"),
    ]);
    let (inventory, warnings) = load(&[files.source("inv/hosts.yml")], Some(files.path("play")))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warnings, Vec::<String>::new());
    for (name, value) in [("v", "10"), ("a", "4"), ("b", "5"), ("c", "6"), ("d", "7"), ("e", "9")] {
        assert_eq!(variable(&inventory, "h", name), value, "{name}");
    }
    let levels: Vec<_> = inventory.layers("h").into_iter().map(|(level, _)| level).collect();
    assert!(levels.is_sorted(), "{levels:?}");
}

#[test]
fn deeper_groups_win_then_priority_then_the_name() {
    let inventory = inventory(
        "hosts.yml",
        "
all:
  children:
    zz: {hosts: {h: }, vars: {depth: outer, name: zz, prio: zz}}
    aa: {hosts: {h: }, vars: {name: aa, prio: aa, ansible_group_priority: 10}}
    outer: {children: {inner: {hosts: {h: }, vars: {depth: inner}}}}
",
    );
    assert_eq!(variable(&inventory, "h", "depth"), "\"inner\"");
    assert_eq!(variable(&inventory, "h", "prio"), "\"aa\"");
}

#[test]
fn a_folder_is_all_its_sources() {
    let files = Files::new(&[
        ("inv/01-hosts.yml", "all: {hosts: {a: {x: 1}}}"),
        ("inv/02-more", "b\n[g]\na x=2\n"),
        ("inv/notes.md", "no inventory"),
        ("inv/old.bak", "no inventory"),
        ("inv/group_vars/g.yml", "y: 3\n"),
    ]);
    let inventory = files.load("inv");
    assert_eq!(inventory.host_names(), ["a", "b"]);
    assert_eq!(variable(&inventory, "a", "x"), "2");
    assert_eq!(variable(&inventory, "a", "y"), "3");
    assert_eq!(inventory.source_file("b"), Some(files.source("inv/02-more")));
    assert_eq!(inventory.source_dir("b"), Some(files.source("inv")));
}

#[test]
fn an_executable_answers_list_and_host() {
    let script = "#!/bin/sh\n\
        if [ $1 = --list ]; then echo '{\"g\": {\"hosts\": [\"a\"], \"vars\": {\"x\": 1}, \"children\": [\"h\"]}, \"h\": [\"b\"]}'\n\
        else echo \"{\\\"me\\\": \\\"$2\\\"}\"; fi\n";
    let files = Files::new(&[("inv.sh", script)]);
    files.executable("inv.sh");
    let inventory = files.load("inv.sh");
    assert_eq!(inventory.group_hosts("g"), ["a", "b"]);
    assert_eq!(variable(&inventory, "b", "me"), "\"b\"");
    assert_eq!(variable(&inventory, "b", "x"), "1");
}

#[test]
fn an_executable_that_fails_says_why() {
    let files = Files::new(&[("inv.sh", "#!/bin/sh\necho no cloud >&2; exit 3\n")]);
    files.executable("inv.sh");
    assert!(files.error("inv.sh").contains("had an execution error: no cloud"));
}

#[test]
fn patterns_select_in_their_own_order() {
    let inventory = inventory("hosts.yml", CLUSTER);
    for (pattern, hosts) in [
        ("all", "cp1 cp2 w1 w2 w3"),
        ("*", "cp1 cp2 w1 w2 w3"),
        ("kube_node:cp1", "w1 w2 w3 cp1"),
        ("kube_node,cp1", "w1 w2 w3 cp1"),
        ("kube_node:!w2", "w1 w3"),
        ("!w2", "cp1 cp2 w1 w3"),
        ("k8s:&kube_node:!w1", "w2 w3"),
        ("!w1:k8s:&kube_node", "w2 w3"),
        ("w*", "w1 w2 w3"),
        ("w?,cp*", "w1 w2 w3 cp1 cp2"),
        ("w[12]", ""),
        ("w[!1-2]", "w3"),
        ("~w[12]$", "w1 w2"),
        ("~(cp|w)2", "cp2 w2"),
        ("kube_node[0]", "w1"),
        ("kube_node[-1]", "w3"),
        ("kube_node[1:]", "w2 w3"),
        ("kube_node[0:1]", "w1 w2"),
        ("kube_node[5:]", ""),
        ("w2", "w2"),
        ("localhost", "localhost"),
        ("kube_node:kube_node", "w1 w2 w3"),
    ] {
        assert_eq!(select(&inventory, pattern), hosts, "{pattern}");
    }
}

#[test]
fn a_pattern_that_matches_nothing_is_a_warning_with_the_nearest_name() {
    let inventory = inventory("hosts.yml", CLUSTER);
    let (hosts, warnings) = inventory.select("kube_nodes:cp1").expect("hosts");
    assert_eq!(hosts, ["cp1"]);
    assert_eq!(
        warnings,
        ["Could not match supplied host pattern, ignoring: kube_nodes (did you mean 'kube_node'?)"]
    );
}

#[test]
fn wrong_patterns_are_errors() {
    let inventory = inventory("hosts.yml", CLUSTER);
    let error = |pattern: &str| inventory.select(pattern).expect_err(pattern).to_string();
    assert!(error("~w(").starts_with("Invalid host list pattern: ~w("));
    assert!(error("kube_node[9]").contains("No hosts matched the subscripted pattern"));
}

#[test]
fn a_limit_keeps_the_order_of_the_play_and_reads_files() {
    let files = Files::new(&[("hosts.yml", CLUSTER), ("up.retry", "w3\n\ncp1\n")]);
    let inventory = files.load("hosts.yml");
    let limited = |limit: &str| {
        inventory.limit(inventory.group_hosts("all"), limit).map(|hosts| hosts.join(" "))
    };
    assert_eq!(limited("w3:cp1"), Ok("cp1 w3".to_owned()));
    assert_eq!(limited(&format!("@{}", files.source("up.retry"))), Ok("cp1 w3".to_owned()));
    assert_eq!(limited("!kube_node"), Ok("cp1 cp2".to_owned()));
    assert!(
        limited("@/no/such").is_err_and(|e| e.to_string().contains("Unable to find limit file"))
    );
    assert!(
        inventory.check_limit("nosuch").is_err_and(|error| {
            error.to_string().contains("leaves us with no hosts to target")
        })
    );
}

#[test]
fn localhost_is_there_without_being_named_but_not_in_all() {
    let inventory = inventory("hosts.yml", CLUSTER);
    assert!(inventory.contains_host("localhost"));
    assert!(!inventory.group_hosts("all").contains(&"localhost".to_owned()));
    assert_eq!(variable(&inventory, "localhost", "ansible_connection"), "local");
    assert_eq!(variable(&inventory, "localhost", "cluster"), "\"lab\"");
}

#[test]
fn tasks_add_hosts_and_groups() {
    let files = Files::new(&[("hosts.yml", CLUSTER), ("group_vars/late.yml", "late: 1\n")]);
    let mut inventory = files.load("hosts.yml");
    inventory
        .add_host("new:2222", &["kube_node".to_owned(), "late".to_owned()], [])
        .expect("added");
    assert_eq!(inventory.group_hosts("kube_node"), ["w1", "w2", "w3", "new"]);
    assert_eq!(variable(&inventory, "new", "ansible_port"), "2222");
    assert_eq!(variable(&inventory, "new", "late"), "1");
    inventory.add_to_group("w1", "os_debian", &["os".to_owned()]).expect("added");
    assert_eq!(inventory.group_names("w1"), ["k8s", "kube_node", "os", "os_debian"]);
}

#[test]
fn a_missing_source_is_a_warning() {
    let (inventory, warnings) = load(&["/no/such/hosts".to_owned()], None).expect("an inventory");
    assert_eq!(
        warnings,
        [
            "Unable to parse /no/such/hosts as an inventory source",
            "No inventory was parsed, only implicit localhost is available",
        ]
    );
    assert!(inventory.host_names().is_empty());
}

#[test]
fn a_file_without_an_extension_is_yaml_if_it_holds_groups_and_ini_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hosts");
    for text in
        ["all:\n  hosts:\n    cp1:\n", "{\"all\": {\"hosts\": {\"cp1\": null}}}", "[all]\ncp1\n"]
    {
        std::fs::write(&path, text).expect("a file");
        let (inventory, _) = load(&[path.display().to_string()], None).expect("an inventory");
        assert_eq!(inventory.host_names(), ["cp1"], "{text}");
    }
}

#[test]
fn wrong_yaml_inventories_point_at_the_place() {
    assert_eq!(
        error("hosts.yml", "all:\n  host:\n    cp1:\n"),
        "unexpected key (host) in group (all), only \"vars\", \"children\" and \"hosts\" are valid
  --> hosts.yml:2:3
   |
 2 |   host:
   |   ^
  = help: did you mean 'hosts'?"
    );
    let list = error("hosts.yml", "all:\n  hosts:\n    - cp1\n");
    assert!(list.contains("hosts.yml:3:5") && list.contains("requires a dictionary"), "{list}");
    assert!(error("hosts.yml", "- cp1\n").contains("it should be a dictionary, got: a list"));
    assert!(error("hosts.yml", "all: {hosts: {'w[3:1]': }}").contains("begin <= end"));
    let circle = "a: {children: {b: {children: {a: }}}}";
    assert!(error("hosts.yml", circle).contains("recursive dependency loop"));
}

#[test]
fn wrong_ini_inventories_point_at_the_place() {
    assert_eq!(
        error("hosts", "[kube_node]\nw1 ansible_host 10.0.0.1\n"),
        "Expected key=value host variable assignment, got: ansible_host
  --> hosts:2:4
   |
 2 | w1 ansible_host 10.0.0.1
   |    ^
  = help: a value that holds spaces needs quotes around it"
    );
    for (text, place, message) in [
        ("[a b]\n", "hosts:1:1", "Invalid section entry"),
        ("[a:childs]\n", "hosts:1:1", "has unknown type: childs"),
        ("[a:vars]\nx\n[a]\n", "hosts:2:1", "Expected key=value, got: x"),
        ("[a:children]\nb\n", "hosts:2:1", "Section [a:children] includes undefined group: b"),
        ("[a:vars]\nx=1\n", "hosts:1:1", "Section [a:vars] not valid for undefined group: a"),
        ("w1 x='a\n", "hosts:1:6", "No closing quotation"),
        ("  w[1]\n", "hosts:1:3", "begin:end"),
        ("[a]\nh\n[b]\n[a:children]\nb\n[b:children]\na\n", "hosts:7:1", "recursive"),
    ] {
        let error = error("hosts", text);
        assert!(error.contains(place) && error.contains(message), "{error}");
    }
}

#[test]
fn wrong_files_of_variables_point_at_the_place() {
    let files = Files::new(&[("hosts.yml", CLUSTER), ("group_vars/k8s.yml", "- a\n")]);
    let error = files.error("hosts.yml");
    assert!(
        error.contains("group_vars/k8s.yml:1:1") && error.contains("must be a mapping"),
        "{error}"
    );
}

proptest::proptest! {
    /// Any text is an inventory or an error, any pattern selects hosts or is an error.
    #[test]
    fn any_text_can_be_an_inventory(text in "[-a-c0-2:={}\\[\\],'\"#;!~*?& \n\\\\]{0,60}", pattern in "[-a-c0-2:{}()\\[\\],!~*?&^$.]{0,12}") {
        let files = Files::new(&[("hosts", &text)]);
        if let Ok((inventory, _)) = load(&[files.source("hosts")], None) {
            for host in inventory.host_names() {
                proptest::prop_assert!(inventory.contains_host(&host));
                inventory.layers(&host);
            }
            let _ = inventory.select(&pattern);
        }
    }
}
