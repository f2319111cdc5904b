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

/// The inventory of several sources, with these settings in an ansible.cfg.
fn several(
    files: &Files,
    sources: &[&str],
    settings: &str,
) -> Result<(Inventory, Vec<String>), Error> {
    std::fs::write(files.path("ansible.cfg"), settings).expect("written");
    let reading = Reading::of(&Config::of_file(&files.path("ansible.cfg"))?)?;
    let sources: Vec<String> = sources.iter().map(|name| files.source(name)).collect();
    Inventory::load(&sources, &reading)
}

#[test]
fn constructed_groups_and_variables_are_made_of_what_is_known_so_far() {
    let files = Files::new(&[
        ("1.yml", CLUSTER),
        (
            "2.yml",
            "plugin: constructed\ncompose: {label: \"inventory_hostname ~ '/' ~ zone\"}\ngroups: {labelled: label is defined}\nkeyed_groups: [{key: zone, prefix: zone, parent_group: zones}]\n",
        ),
        ("group_vars/zone_a.yml", "of_zone: 1\n"),
    ]);
    let (inventory, warnings) = several(&files, &["1.yml", "2.yml"], "").expect("an inventory");
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(inventory.group_hosts("zones"), ["w1", "w2", "w3"]);
    assert_eq!(inventory.group_hosts("labelled"), ["w1", "w2", "w3"]);
    assert_eq!(variable(&inventory, "w2", "label"), "w2/a");
    assert_eq!(variable(&inventory, "w2", "of_zone"), "1");
    assert_eq!(variable(&inventory, "cp1", "label"), "undefined");
}

#[test]
fn wrong_constructed_groups_point_at_the_place() {
    for (text, place, message) in [
        (
            "strict: true\ncompose: {a: zoen}\n",
            "2.yml:3:14",
            "Could not set a for host cp1: 'zoen' is undefined",
        ),
        ("strict: true\ngroups: {g: \"1 +\"}\n", "2.yml:3:", "Could not add host cp1 to group g"),
        (
            "strict: true\nkeyed_groups: [{key: \"''\"}]\n",
            "2.yml:3:22",
            "No key or key resulted empty",
        ),
        (
            "keyed_groups: [{key: true}]\n",
            "2.yml:2:22",
            "Invalid group name format, expected a string or a list of them or dictionary, got: bool",
        ),
        ("keyed_groups: [{prefix: a}]\n", "2.yml:2:16", "a keyed group needs 'key'"),
        (
            "keyed_groups: [{key: a, default_value: b, trailing_separator: false}]\n",
            "2.yml:2:63",
            "mutually exclusive",
        ),
        ("keyed_groups: {key: a}\n", "2.yml:2:15", "'keyed_groups' must be a list, not a mapping"),
        ("compose: [a]\n", "2.yml:2:10", "'compose' must be a mapping, not a list"),
        ("strict: perhaps\n", "2.yml:2:9", "'strict' must be a boolean, not a string"),
    ] {
        let text = format!("plugin: constructed\n{text}");
        let files = Files::new(&[("1.yml", CLUSTER), ("2.yml", &text)]);
        let error = several(&files, &["1.yml", "2.yml"], "").expect_err(&text).to_string();
        assert!(error.contains(place) && error.contains(message), "{error}");
    }
}

#[test]
fn a_misspelt_option_of_a_plugin_is_a_warning() {
    let files =
        Files::new(&[("1.yml", CLUSTER), ("2.yml", "plugin: constructed\nkeyed_group: []\n")]);
    let (_, warnings) = several(&files, &["1.yml", "2.yml"], "").expect("an inventory");
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(
        warning
            .ends_with("2.yml:2:1: 'keyed_group' is no option here, did you mean 'keyed_groups'?"),
        "{warning}"
    );
}

#[test]
fn a_plugin_that_is_not_here_is_an_error_at_its_name() {
    let error = error("cloud.yml", "plugin: amazon.aws.aws_ec2\nregions: [eu-west-1]\n");
    assert!(error.starts_with("inventory config"), "{error}");
    assert!(error.contains("specifies unknown plugin 'amazon.aws.aws_ec2'"), "{error}");
    assert!(error.contains("cloud.yml:1:9") && error.contains("--list"), "{error}");
}

#[test]
fn a_generator_makes_a_host_of_every_combination() {
    let inventory = inventory(
        "gen.yml",
        "plugin: generator\n\
         layers: {app: [web, db], stage: [prod, test]}\n\
         hosts:\n  name: \"{{ app }}-{{ stage }}\"\n  parents:\n    - name: \"{{ app }}\"\n      parents: [{name: apps, vars: {kind: \"{{ app }}\"}}]\n",
    );
    assert_eq!(inventory.host_names(), ["web-prod", "web-test", "db-prod", "db-test"]);
    assert_eq!(inventory.group_hosts("apps"), inventory.host_names());
    assert_eq!(inventory.group_hosts("db"), ["db-prod", "db-test"]);
    let layer = (0..40).map(|at| format!("l{at}: [a, b]")).collect::<Vec<_>>().join(", ");
    let endless = format!("plugin: generator\nhosts: {{name: x}}\nlayers: {{{layer}}}\n");
    assert!(error("gen.yml", &endless).contains("more than 500000 hosts"));
}

#[test]
fn toml_inventories_are_read_and_their_mistakes_have_a_place() {
    let inventory = inventory(
        "hosts.toml",
        "[web]\nchildren = ['front']\nvars = { n = 0x1F, f = 1_0.5, on = true, t = '{{ n }}' }\n\
         [web.hosts]\n'w[1:2]' = { list = [1, {a = 'b'}] }\n[front.hosts.f1]\n",
    );
    assert_eq!(inventory.group_hosts("web"), ["w1", "w2", "f1"]);
    for (name, value) in [
        ("n", "31"),
        ("f", "10.5"),
        ("on", "true"),
        ("t", "\"{{ n }}\""),
        ("list", "[1,{\"a\":\"b\"}]"),
    ] {
        assert_eq!(variable(&inventory, "w2", name), value, "{name}");
    }
    for (text, place, message) in [
        ("[web\n", "hosts.toml:1:5", "is invalid"),
        ("[web]\nhosts = 'é'\nhost = 1\n", "hosts.toml:3:1", "unexpected key (host)"),
        ("[web]\nchildren = 'front'\n", "hosts.toml:2:12", "requires a list, found a string"),
        ("web = 5\n", "hosts.toml:1:7", "must be a dictionary"),
        ("", "hosts.toml:1:1", "Parsed empty TOML file"),
    ] {
        let error = error("hosts.toml", text);
        assert!(error.contains(place) && error.contains(message), "{error}");
    }
}

#[test]
fn what_cannot_be_read_in_a_folder_is_a_warning_and_named_itself_an_error() {
    let files = Files::new(&[("inv/hosts", "a\n"), ("inv/notes.yml", "- no\n- hosts\n")]);
    let (inventory, warnings) = several(&files, &["inv"], "").expect("an inventory");
    assert_eq!(inventory.host_names(), ["a"]);
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("Failed to parse") && text.contains("notes.yml:1:1")),
        "{warnings:?}"
    );
    let strict = several(&files, &["inv/notes.yml"], "").expect_err("an error");
    assert!(strict.to_string().contains("notes.yml:1:1"), "{strict}");
    let lenient = several(&files, &["inv/notes.yml"], "[inventory]\nany_unparsed_is_failed = no\n");
    assert_eq!(lenient.expect("an inventory").0.host_names(), Vec::<String>::new());
    let settings = "[inventory]\nany_unparsed_is_failed = yes\n";
    let folder = several(&files, &["inv"], settings).expect_err("an error").to_string();
    assert!(folder.starts_with("Completely failed to parse inventory source"), "{folder}");
    let settings = "[inventory]\nunparsed_is_failed = yes\n";
    let nothing = several(&files, &["nowhere"], settings).expect_err("an error").to_string();
    assert!(nothing.starts_with("No inventory was parsed"), "{nothing}");
}

#[test]
fn a_setting_that_is_no_choice_names_the_nearest() {
    let files = Files::new(&[("hosts", "a\n")]);
    let settings = "[defaults]\nforce_valid_group_names = allways\n";
    let error = several(&files, &["hosts"], settings).expect_err("an error").to_string();
    assert_eq!(
        error,
        "Invalid value 'allways' for TRANSFORM_INVALID_GROUP_CHARS\n  = help: did you mean 'always'?"
    );
}

#[test]
fn names_of_groups_that_tasks_make_are_replaced_too() {
    let files = Files::new(&[("hosts", "[a-b]\nh\n[a-b:vars]\nx=1\n")]);
    let settings = "[defaults]\nforce_valid_group_names = silently\n";
    let (mut inventory, _) = several(&files, &["hosts"], settings).expect("an inventory");
    assert_eq!(inventory.group_names("h"), ["a_b"]);
    inventory.add_to_group("h", "os-1.2", &["top-level".to_owned()]).expect("added");
    assert_eq!(inventory.group_names("h"), ["a_b", "os_1_2", "top_level"]);
    inventory.add_host("new", &["a-b".to_owned()], []).expect("added");
    assert_eq!(variable(&inventory, "new", "x"), "1");
}

#[test]
fn a_cluster_that_cannot_be_asked_says_what_to_do() {
    let files = Files::new(&[(
        "kubeconfig",
        "apiVersion: v1\nkind: Config\ncontexts:\n- {name: a, context: {cluster: c, user: u}}\ntoken: [s3cret\n",
    )]);
    for (source, message) in [
        (
            "cluster:/no/such/file".to_owned(),
            "the kubeconfig /no/such/file cannot be read: No such file",
        ),
        (format!("cluster:{}", files.source("kubeconfig")), "is not a kubeconfig that can be read"),
        ("cluster:/x?ctx=a".to_owned(), "'?ctx=a' is no option of a cluster"),
    ] {
        let error = load(&[source], None).expect_err(message).to_string();
        assert!(error.contains(message) && error.contains("cluster:KUBECONFIG"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    std::fs::write(
        files.path("kubeconfig"),
        "apiVersion: v1\nkind: Config\ncontexts:\n- {name: a, context: {cluster: c, user: u}}\n",
    )
    .expect("written");
    let source = format!("cluster:{}?context=b", files.source("kubeconfig"));
    let error = load(&[source], None).expect_err("an error").to_string();
    assert!(error.contains("the kubeconfig has no context 'b': there are a"), "{error}");
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
