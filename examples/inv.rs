use kup_play::inventory::Inventory;
use kup_play::template::*;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (inv, w) = match Inventory::load(&args[1..], Some(std::path::Path::new(&args[0]))) {
        Ok(x) => x,
        Err(e) => {
            println!("{e}");
            return;
        }
    };
    for w in w {
        eprintln!("W {w}");
    }
    if args[0].starts_with("?") {
        for p in args[0][1..].split("|") {
            match inv.select(p) {
                Ok((h, w)) => println!("{p} => {} {:?}", h.join(" "), w),
                Err(e) => println!("{p} => ERR {}", e.message),
            }
        }
        return;
    }
    let mut hv = serde_json::Map::new();
    for h in inv.host_names() {
        let mut m = Layer::new();
        for (_, l) in inv.layers(&h) {
            m.extend(l.iter().map(|(a, b)| (a.clone(), b.clone())));
        }
        let o: serde_json::Map<_, _> = m
            .iter()
            .map(|(k, v)| {
                (
                    k.clone(),
                    match v {
                        Variable::Source(n) => n.to_json(),
                        Variable::Data(v) => to_json(v).unwrap(),
                    },
                )
            })
            .collect();
        hv.insert(h, o.into());
    }
    let g: serde_json::Map<_, _> = inv.groups().into_iter().map(|(k, v)| (k, v.into())).collect();
    println!("{}", serde_json::json!({"hostvars": hv, "groups": g}));
}
