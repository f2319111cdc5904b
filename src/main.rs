use std::path::Path;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "agent") {
        let base = arguments.next();
        let code = kup_play::agent::serve_stdio(base.as_deref().map(Path::new));
        std::process::exit(code);
    }
}
