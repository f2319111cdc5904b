//! Filling in templates: what a task's arguments and conditions are made of.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use kup_play::source::{self, Node};
use kup_play::template::{Layer, Scope, Settings, Templar, Variable, layer_of};

const VARIABLES: &str = "\
cluster: prod
version: v1.30.4
image: \"registry.example/{{ cluster }}/kube-proxy:{{ version }}\"
nodes: [{name: a, ready: true}, {name: b, ready: false}, {name: c, ready: true}]
";

const TEMPLATES: &[(&str, &str)] = &[
    ("plain text", "a text without a template in it"),
    ("a variable", "{{ cluster }}"),
    ("variables in variables", "{{ image }}"),
    ("filters", "{{ nodes | selectattr('ready') | map(attribute='name') | join(',') }}"),
    ("a loop", "{% for node in nodes %}{{ loop.index }} {{ node.name }}\n{% endfor %}"),
];

#[derive(Debug)]
struct Variables(Layer);

impl Scope for Variables {
    fn lookup(&self, name: &str) -> Option<Variable> {
        self.0.get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

fn node(yaml: &str) -> Node {
    source::load_str(yaml, Path::new("site.yml")).expect("good YAML")
}

fn text(text: &str) -> Node {
    node(&format!("{text:?}"))
}

fn template(criterion: &mut Criterion) {
    let templar = Templar::new(Settings::default());
    let scope: Arc<dyn Scope> = Arc::new(Variables(layer_of(&node(VARIABLES))));
    let mut group = criterion.benchmark_group("template");
    for (name, template) in TEMPLATES {
        let template = text(template);
        group.bench_function(*name, |bencher| {
            bencher.iter(|| templar.render(black_box(&template), &scope).expect("a value"));
        });
    }
    let condition = text("version is version('v1.29.0', '>') and nodes | length == 3");
    group.bench_function("a condition", |bencher| {
        bencher.iter(|| templar.condition(black_box(&condition), &scope).expect("a truth"));
    });
    group.finish();
}

criterion_group!(benches, template);
criterion_main!(benches);
