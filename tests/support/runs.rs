//! Runs of kup-play in the background, with journals of the test's own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The runs of one operator.
pub struct Runs {
    folder: tempfile::TempDir,
}

impl Runs {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    /// For playbooks, backups and the like.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a playbook; where it is.
    pub fn playbook(&self, text: &str) -> String {
        let path = self.folder().join("p.yml");
        fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    pub fn start(&self, arguments: &[&str]) -> Run {
        self.start_with(arguments, &[])
    }

    pub fn start_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        let log = self.folder().join(format!("log-{:08x}", rand::random::<u32>()));
        let output = File::create(&log).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
        command
            .args(arguments)
            .envs(environment.iter().copied())
            .env("KUP_PLAY_STATE_DIR", self.folder().join("state"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the log"))
            .stderr(output);
        Run { child: command.spawn().expect("kup-play"), log }
    }

    /// Runs to the end, which has to be a good one; what was said.
    pub fn must(&self, arguments: &[&str]) -> String {
        let (status, text) = self.start(arguments).end();
        assert!(status.success(), "{arguments:?} ended with {status}:\n{text}");
        text
    }

    /// The journals, the oldest first.
    pub fn journals(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder().join("state/runs")).into_iter().flatten();
        let paths = entries.map(|entry| entry.expect("an entry").path().join("journal.jsonl"));
        let mut paths: Vec<_> = paths.filter(|path| path.exists()).collect();
        // Names tell only seconds; nothing is added to a run's folder after its journal.
        paths.sort_by_key(|path| {
            let folder = path.parent().expect("a folder");
            folder.metadata().and_then(|it| it.modified()).expect("a time")
        });
        paths
    }

    /// How often a task has begun on a host or, as those that only look have no record of that,
    /// has ended there, in the newest journal.
    pub fn begun(&self, task: &str, host: &str) -> usize {
        let records = self.journals().last().map(|path| records(path)).unwrap_or_default();
        let is_it = |record: &&Value| {
            (record["record"] == "begun" || record["record"] == "ended")
                && record["name"] == task
                && record["host"] == host
        };
        records.iter().filter(is_it).count()
    }
}

/// The records of a journal.
pub fn records(journal: &Path) -> Vec<Value> {
    let text = fs::read_to_string(journal).expect("the journal");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// A run under way.
pub struct Run {
    child: Child,
    log: PathBuf,
}

impl Run {
    /// What it has said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).expect("the log")
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its state")
    }

    /// Waits until something is seen of it, for ten minutes at most.
    pub fn wait_until(&mut self, what: &str, seen: impl Fn() -> bool) {
        for _ in 0..3000 {
            if seen() {
                return;
            }
            let ended = self.ended();
            assert!(ended.is_none(), "it ended before {what}: {ended:?}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("it never came to this: {what}\n{}", self.said());
    }

    /// Waits for its end.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("an end");
        (status, self.said())
    }

    /// kill -9; how it ended, if it had ended by itself before that.
    pub fn kill(&mut self) -> Option<ExitStatus> {
        self.child.kill().expect("killed");
        Some(self.child.wait().expect("an end")).filter(|status| status.code().is_some())
    }

    pub fn signal(&self, name: &str) {
        super::run("kill", &[&format!("-{name}"), &self.child.id().to_string()]);
    }
}
