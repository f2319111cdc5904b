//! Runs that are killed at random moments and resumed until they are complete.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

/// Runs, their journals, and what was done to them.
pub struct Killer {
    folder: tempfile::TempDir,
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
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, random: StdRng::seed_from_u64(seed), kills: BTreeMap::new() }
    }

    pub fn count(&self) -> usize {
        self.kills.values().sum()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs kup-play, kills it up to `kills` times in about `duration`, and resumes it each
    /// time. It has to end well; how long it all took.
    pub fn run(&mut self, arguments: &[&str], kills: usize, duration: Duration) -> Duration {
        let began = Instant::now();
        let (state, log) = (self.folder.path().join("state"), self.folder.path().join("log"));
        let known = journals(&state);
        let mut killed = 0;
        loop {
            let journal = journals(&state).into_iter().find(|path| !known.contains(path));
            let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
            match &journal {
                Some(_) => command.arg("resume"),
                // It was killed before it had a journal, so it had done nothing.
                None => command.args(arguments),
            };
            let output = File::create(&log).expect("a log");
            command
                .env("KUP_PLAY_STATE_DIR", &state)
                .stdin(Stdio::null())
                .stdout(output.try_clone().expect("the log"))
                .stderr(output);
            let mut run = command.spawn().expect("kup-play");
            let wait = (killed < kills).then(|| self.moment(duration / (kills as u32 + 1)));
            if let Some(status) = wait_or_kill(&mut run, wait) {
                let text = fs::read_to_string(&log).expect("the log");
                assert!(
                    status.success(),
                    "after {killed} kills ({status}):\n{text}\nthe journal ends with\n{}",
                    journal.map(|path| tail(&path, 40)).unwrap_or_default()
                );
                return began.elapsed();
            }
            killed += 1;
            let journal = journals(&state).into_iter().find(|path| !known.contains(path));
            let at = journal.map_or("before the journal".to_owned(), |path| last_play(&path));
            println!("{:4} s: killed in: {at}", began.elapsed().as_secs());
            *self.kills.entry(at).or_default() += 1;
        }
    }

    /// One in four comes while the run begins, or while what was done is gone through.
    fn moment(&mut self, mean: Duration) -> Duration {
        let most = match self.random.random_ratio(1, 4) {
            true => Duration::from_secs(2),
            false => mean * 2,
        };
        most.mul_f64(self.random.random())
    }
}

/// How the run ended; none if it was killed.
fn wait_or_kill(run: &mut Child, wait: Option<Duration>) -> Option<std::process::ExitStatus> {
    let Some(wait) = wait else {
        return Some(run.wait().expect("an end"));
    };
    let until = Instant::now() + wait;
    while Instant::now() < until {
        if let Some(status) = run.try_wait().expect("its state") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().expect("killed");
    // With a code it has ended by itself in the last moment.
    Some(run.wait().expect("an end")).filter(|status| status.code().is_some())
}

fn journals(state: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state.join("runs")).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path().join("journal.jsonl"));
    paths.filter(|path| path.exists()).collect()
}

/// The play that a journal was in when it ended, and the task.
fn last_play(journal: &Path) -> String {
    let text = fs::read_to_string(journal).expect("the journal");
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let plays = records.filter(|record| record["record"] == "play");
    let name = plays.last().and_then(|play| Some(play["name"].as_str()?.to_owned()));
    name.unwrap_or("before the first play".to_owned())
}

fn tail(journal: &Path, lines: usize) -> String {
    let text = fs::read_to_string(journal).expect("the journal");
    let all: Vec<&str> = text.lines().collect();
    let short = |line: &&str| line.chars().take(300).collect::<String>();
    all[all.len().saturating_sub(lines)..].iter().map(short).collect::<Vec<_>>().join("\n")
}
