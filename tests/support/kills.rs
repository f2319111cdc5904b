//! Runs that are killed at random moments and resumed until they are complete.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::runs::{Run, Runs, records};

/// What is killed, and what was.
pub struct Killer {
    pub runs: Runs,
    random: StdRng,
    /// Kills by the play in which they came.
    pub kills: BTreeMap<String, usize>,
}

impl Killer {
    /// The same seed has the same moments; KUP_CHAOS_SEED gives it.
    pub fn new() -> Self {
        let seed = match std::env::var("KUP_CHAOS_SEED") {
            Ok(seed) => seed.parse().expect("KUP_CHAOS_SEED is a number"),
            Err(_) => rand::random::<u32>().into(),
        };
        println!("KUP_CHAOS_SEED={seed} has the same moments again");
        let random = StdRng::seed_from_u64(seed);
        Self { runs: Runs::new(), random, kills: BTreeMap::new() }
    }

    pub fn count(&self) -> usize {
        self.kills.values().sum()
    }

    /// Runs kup-play, kills it up to `kills` times at random moments of `duration`, and resumes
    /// it at once each time. It has to end well; how long it all took.
    pub fn run(&mut self, arguments: &[&str], kills: usize, duration: Duration) -> Duration {
        let began = Instant::now();
        let known = self.runs.journals().len();
        let mut moments: Vec<_> =
            (0..kills).map(|_| duration.mul_f64(self.random.random())).collect();
        moments.sort_unstable();
        for killed in 0.. {
            let journal = self.runs.journals().into_iter().nth(known);
            // Killed before it had a journal, it had done nothing.
            let arguments = if journal.is_some() { &["resume"] } else { arguments };
            let mut run = self.runs.start(arguments);
            let moment = moments.get(killed).map(|moment| began + *moment);
            if let Some(status) = wait_or_kill(&mut run, moment) {
                let journal = journal.map(|path| tail(&path, 40)).unwrap_or_default();
                let said = run.said();
                assert!(status.success(), "after {killed} kills ({status}):\n{said}\n{journal}");
                break;
            }
            let journal = self.runs.journals().into_iter().nth(known);
            let at = journal.map_or("before the journal".to_owned(), |path| last_play(&path));
            println!("{:4} s: killed in: {at}", began.elapsed().as_secs());
            *self.kills.entry(at).or_default() += 1;
        }
        began.elapsed()
    }
}

/// How the run ended; none if it was killed.
fn wait_or_kill(run: &mut Run, until: Option<Instant>) -> Option<ExitStatus> {
    while until.is_none_or(|until| Instant::now() < until) {
        if let Some(status) = run.ended() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill()
}

/// The play that a journal was in when it ended.
fn last_play(journal: &Path) -> String {
    let mut plays = records(journal).into_iter().filter(|record| record["record"] == "play");
    let name = plays.next_back().and_then(|play| Some(play["name"].as_str()?.to_owned()));
    name.unwrap_or("before the first play".to_owned())
}

/// The last records, each as far as it fits a line.
fn tail(journal: &Path, count: usize) -> String {
    let records = records(journal);
    let short = |record: &serde_json::Value| record.to_string().chars().take(300).collect();
    let last = &records[records.len().saturating_sub(count)..];
    last.iter().map(short).collect::<Vec<String>>().join("\n")
}
