//! A limit on time and memory around each case.

use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use proptest::test_runner::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Longer than this is a hang.
const TIME: Duration = Duration::from_secs(20);
/// The memory of the whole test process.
const MEMORY: u64 = 3 << 30;

/// What is under way: since when, and on which input.
static UNDER_WAY: Mutex<Vec<(Instant, String)>> = Mutex::new(Vec::new());
static STARTED: Once = Once::new();

/// Runs a case. One that hangs, and one that takes too much memory, end the test process.
pub fn watched<T>(input: &str, case: impl FnOnce() -> T) -> T {
    STARTED.call_once(start);
    let started = Instant::now();
    under_way(|cases| cases.push((started, input.to_owned())));
    let result = case();
    under_way(|cases| cases.retain(|(time, text)| *time != started || text != input));
    result
}

/// So many cases, or as many as the environment asks for.
pub fn cases(number: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    // What fails becomes a test with a name.
    Config {
        cases: asked.unwrap_or(number),
        failure_persistence: None,
        max_global_rejects: u32::MAX,
        ..Config::default()
    }
}

fn under_way<T>(act: impl FnOnce(&mut Vec<(Instant, String)>) -> T) -> T {
    act(&mut UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner))
}

fn start() {
    let maximum = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current: Some(MEMORY), maximum }).expect("a limit");
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            under_way(|cases| {
                if let Some((_, input)) = cases.iter().find(|(start, _)| start.elapsed() > TIME) {
                    eprintln!("no end after {TIME:?}:\n{input}");
                    std::process::abort();
                }
            });
        }
    });
}
