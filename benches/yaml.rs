//! Reading YAML: a playbook of 2,000 tasks.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kup_play::source::load_str;

fn playbook(tasks: usize) -> String {
    let mut text = String::from("- hosts: all\n  gather_facts: false\n  tasks:\n");
    for n in 0..tasks {
        text += &format!(
            "    - name: copy {n}\n      copy:\n        content: \"setting {n} = on\\n\"\n        \
             dest: \"{{{{ dest }}}}/copy{n}.conf\"\n        mode: \"0644\"\n      when: n > {n}\n"
        );
    }
    text
}

fn yaml(criterion: &mut Criterion) {
    let text = playbook(2000);
    let mut group = criterion.benchmark_group("yaml");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("playbook of 2,000 tasks", |bencher| {
        bencher.iter(|| load_str(black_box(&text), Path::new("site.yml")).expect("good YAML"));
    });
    group.finish();
}

criterion_group!(benches, yaml);
criterion_main!(benches);
