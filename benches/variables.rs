//! Which value of a variable wins: 5,000 hosts, each with levels of its groups.

use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use kup_play::engine::{Prepared, Settings};
use kup_play::template::{Layer, Scope, Templar};
use kup_play::vars::Manager;

const HOSTS: usize = 5000;

fn prepare(folder: &Path) -> Prepared {
    let mut hosts = String::new();
    for group in ["east", "west"] {
        let _ = writeln!(hosts, "[{group}]");
        for n in (0..HOSTS).filter(|n| (n % 2 == 0) == (group == "east")) {
            let _ = writeln!(hosts, "host{n:04} number={n}");
        }
    }
    fs::create_dir(folder.join("group_vars")).expect("a folder");
    for (file, text) in [
        ("hosts.ini", hosts.as_str()),
        ("group_vars/all.yml", "region: nowhere\nname: '{{ region }}-{{ number }}'\n"),
        ("group_vars/east.yml", "region: east\n"),
        ("group_vars/west.yml", "region: west\n"),
    ] {
        fs::write(folder.join(file), text).expect("a file");
    }
    let inventory = vec![folder.join("hosts.ini").display().to_string()];
    let settings = Settings { inventory, ..Settings::default() };
    Prepared::inventory(folder, settings, Layer::new()).expect("an inventory")
}

/// A variable of the inventory that has two others in it.
fn resolved(manager: &Arc<Manager>, templar: &Templar, host: &str) -> usize {
    let scope: Arc<dyn Scope> = Arc::new(manager.host_scope(host).expect("a host"));
    let value = templar.render_text("{{ name }}", None, &scope).expect("a value");
    value.as_str().map_or(0, str::len)
}

fn variables(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let manager = prepare(folder.path()).manager;
    let templar = manager.templar();
    let names = manager.inventory().host_names();
    criterion.bench_function("variables/one of one host", |bencher| {
        bencher.iter(|| resolved(&manager, templar, black_box("host0042")));
    });
    let mut group = criterion.benchmark_group("variables");
    group.sample_size(10);
    group.bench_function(format!("one of each of {HOSTS} hosts, from nothing"), |bencher| {
        // A change of the inventory has every host's levels made anew.
        bencher.iter(|| {
            manager.change_inventory(|_| ());
            names.iter().map(|host| resolved(&manager, templar, host)).sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, variables);
criterion_main!(benches);
