fn main() {
    let list = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    for f in list.lines() {
        match kup_play::source::load_all(std::path::Path::new(f)) {
            Ok(d) => println!(
                "{}",
                serde_json::json!([f, d.iter().map(|n| n.to_json()).collect::<Vec<_>>()])
            ),
            Err(e) => println!("{}", serde_json::json!([f, "ERR", e.to_string()])),
        }
    }
}
