//! Inventories, their ranges, and the patterns that select hosts.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use kup_play::inventory::{Inventory, Reading};
use kup_play::settings::Config;
use kup_play::source::Error;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::assert_right_place;
use super::mutation::{corpus, mutated};
use super::watch::{cases, watched};

const INI: &str = "\
lonely ansible_port=2222
[cp]
cp[1:3] ansible_host=10.0.0.1 labels=\"{'a': [1, 2]}\" # first
[workers]
w-[a:c].example.com:2222 x='a b' y=1_000 z=True
\"quoted name\" k=\"\\\"v\\\"\"
[2001:db8::1]:22
[all:vars]
version = 1.21.2
list=[1, 'two', {'three': 3.0}]
[cluster:children]
cp
workers
";

const YAML: &str = "\
all:
  vars: {version: 1.21.2}
  hosts: {lonely: {ansible_port: 2222}}
  children:
    cp: {hosts: {'cp[1:3]': null, '7': {x: !unsafe '{{ y }}'}}}
    workers:
      hosts:
        w-[a:c].example.com:2222:
          labels: {a: [1, 2]}
      children: {far: }
";

const TOML: &str = "\
[all.vars]
version = \"1.21.2\"
[cp]
children = [\"far\"]
vars = { list = [1, \"two\", {three = 3.0}], day = 2024-01-02 }
[cp.hosts]
\"cp[1:3]\" = { ansible_port = 0x16 }
[far.hosts.f1]
x = '{{ y }}'
";

const CONSTRUCTED: &str = "\
plugin: constructed
strict: true
use_vars_plugins: true
leading_separator: no
compose:
  label: inventory_hostname ~ '-' ~ x | default(version)
groups:
  cps: \"'cp' in group_names\"
  labelled: label is defined
keyed_groups:
  - {key: label, prefix: l, parent_group: \"{{ label }}\"}
  - {key: labels, separator: '', default_value: none}
  - {key: list, prefix: 5, trailing_separator: false}
";

const GENERATOR: &str = "\
plugin: generator
layers: {app: [web, db], stage: [prod, test]}
hosts:
  name: '{{ app }}-{{ stage }}'
  parents:
    - name: '{{ app }}'
      vars: {app: '{{ app }}'}
      parents: [{name: apps}]
";

static LOADED: LazyLock<Inventory> =
    LazyLock::new(|| loaded(INI, "hosts").expect("the test's own inventory"));

fn read(sources: &[String]) -> Result<(Inventory, Vec<String>), Error> {
    Inventory::load(sources, &Reading::of(&Config::default())?)
}

fn loaded(text: &str, name: &str) -> Result<Inventory, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    read(&[path.display().to_string()]).map(|(inventory, _)| inventory)
}

fn check(text: &str, name: &str) {
    watched(text, || match loaded(text, name) {
        Ok(inventory) => {
            let _ = inventory.select("all");
            let hosts = inventory.select("all").map(|(hosts, _)| hosts).unwrap_or_default();
            // A name that is no pattern of itself is looked for among all: many are too much work.
            for host in hosts.into_iter().take(20) {
                let _ = inventory.select(&host);
            }
        }
        Err(error) => assert_right_place(&error),
    });
}

fn real(text: &str, endings: &[&str]) -> Vec<String> {
    let mut texts = vec![text.to_owned(); 4];
    texts.extend(corpus("tests/conformance", endings));
    texts
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_text_is_an_ini_inventory_or_an_error_at_its_place(text in mutated(real(INI, &[".ini"]))) {
        check(&text, "hosts.ini");
        check(&text, "hosts");
    }

    #[test]
    fn any_text_is_a_yaml_inventory_or_an_error_at_its_place(text in mutated(vec![YAML.to_owned()])) {
        check(&text, "hosts.yml");
    }

    #[test]
    fn any_text_is_a_toml_inventory_or_an_error_at_its_place(text in mutated(vec![TOML.to_owned()])) {
        check(&text, "hosts.toml");
    }

    #[test]
    fn any_configuration_of_a_plugin_is_applied_or_an_error_at_its_place(text in mutated(vec![CONSTRUCTED.to_owned(), GENERATOR.to_owned()])) {
        // Lookups of conditions may act on this machine.
        prop_assume!(!text.contains("pipe") && !text.contains("password"));
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("1.yml"), YAML).expect("a file");
        std::fs::write(path("2.yml"), &text).expect("a file");
        watched(&text, || {
            if let Err(error) = read(&[path("1.yml"), path("2.yml")]) {
                assert_right_place(&error);
            }
        });
    }

    #[test]
    fn any_list_of_hosts_is_taken_or_refused(text in mutated(vec!["a,b[1:3],c:22,[::1]:22,d-[01:10:2]-[a:c]".to_owned()])) {
        let list = format!("{text},");
        // A text that is a path would be read.
        prop_assume!(!list.contains('\0') && !Path::new(&list).exists());
        watched(&list, || {
            if let Err(error) = read(std::slice::from_ref(&list)) {
                assert_right_place(&error);
            }
        });
    }

    #[test]
    fn any_pattern_selects_hosts_or_is_refused(pattern in mutated(patterns())) {
        // A name of a file with patterns.
        prop_assume!(!pattern.contains('@'));
        watched(&pattern, || {
            let all: BTreeSet<String> = selected(&LOADED, "all").expect("all hosts");
            if let Some(hosts) = selected(&LOADED, &pattern) {
                let local = |host: &String| ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
                assert!(hosts.iter().all(|host| all.contains(host) || local(host)), "{hosts:?}");
            }
            let _ = LOADED.check_limit(&pattern);
            let _ = LOADED.limit(all.into_iter().collect(), &pattern);
        });
    }

    #[test]
    fn patterns_keep_the_laws_of_sets(parts in vec(select(patterns()), 3)) {
        let [a, b, c] = parts.as_slice() else { unreachable!("three parts") };
        let of = |pattern: String| selected(&LOADED, &pattern).expect("a right pattern");
        let (in_a, in_b) = (of(a.clone()), of(b.clone()));
        prop_assert_eq!(of(format!("{a}:{b}")), &in_a | &in_b);
        prop_assert_eq!(of(format!("{a},{b}")), of(format!("{b},{a}")));
        prop_assert_eq!(of(format!("{a}:&{b}")), &in_a & &in_b);
        prop_assert_eq!(of(format!("{a}:!{b}")), &in_a - &in_b);
        prop_assert_eq!(of(format!("{a}:!{a}")), BTreeSet::new());
        prop_assert_eq!(of(format!("all:&{a}")), in_a.clone());
        prop_assert_eq!(of(format!("{a}:&{b}:!{c}")), of(format!("{a}:!{c}:&{b}")));
    }

    #[test]
    fn a_range_has_as_many_hosts_as_it_says(from in 0u64..5000, count in 1u64..2000, step in 1u64..50) {
        let list = format!("h[{from}:{}:{step}],", from + count - 1);
        let (inventory, _) = read(std::slice::from_ref(&list)).expect("a range");
        let (hosts, _) = inventory.select("all").expect("all hosts");
        prop_assert_eq!(hosts.len() as u64, count.div_ceil(step));
        prop_assert_eq!(hosts.first(), Some(&format!("h{from}")));
    }
}

/// Patterns without operators.
fn patterns() -> Vec<String> {
    ["all", "*", "cp", "workers", "cluster", "ungrouped", "lonely", "cp1", "cp*", "w-?.*"]
        .into_iter()
        .chain(["cp[0]", "cp[-1]", "cluster[1:2]", "workers[0:]", "~cp[12]", "~.*example", "*.com"])
        .map(str::to_owned)
        .collect()
}

fn selected(inventory: &Inventory, pattern: &str) -> Option<BTreeSet<String>> {
    inventory.select(pattern).ok().map(|(hosts, _)| hosts.into_iter().collect())
}
