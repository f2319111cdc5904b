//! Reading an inventory: 5,000 hosts in 50 groups.

use std::fmt::Write;
use std::fs;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use kup_play::inventory::{Inventory, Reading};
use kup_play::settings::Config;

const HOSTS: usize = 5000;
const GROUPS: usize = 50;

/// As INI, with two variables for each host.
fn ini() -> String {
    let mut text = String::new();
    for group in 0..GROUPS {
        let _ = writeln!(text, "[group{group}]");
        for host in (group..HOSTS).step_by(GROUPS) {
            let _ = writeln!(text, "host{host:04} ansible_host=10.0.0.{} rack={group}", host % 250);
        }
    }
    text
}

/// The same as YAML.
fn yaml() -> String {
    let mut text = String::from("all:\n  children:\n");
    for group in 0..GROUPS {
        let _ = writeln!(text, "    group{group}:\n      hosts:");
        for host in (group..HOSTS).step_by(GROUPS) {
            let address = format!("10.0.0.{}", host % 250);
            let _ =
                writeln!(text, "        host{host:04}: {{ansible_host: {address}, rack: {group}}}");
        }
    }
    text
}

fn inventory(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let reading = Reading::of(&Config::default()).expect("settings");
    for (name, text) in [("hosts.ini", ini()), ("hosts.yml", yaml())] {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        let sources = [path.display().to_string()];
        criterion.bench_function(&format!("inventory/{HOSTS} hosts in {name}"), |bencher| {
            bencher.iter(|| Inventory::load(black_box(&sources), &reading).expect("an inventory"));
        });
    }
}

criterion_group!(benches, inventory);
criterion_main!(benches);
