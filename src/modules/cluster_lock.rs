//! `cluster_lock`: the file that says who changes the cluster, for when its API cannot. It
//! is on the first control plane, and all times in it are that host's.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::files::failed;
use super::{Context, Failure, Module, Outcome};

/// A holder that has not been heard of for so many seconds is taken for dead.
pub const DURATION: u64 = 30;

/// Takes the lock, says that its holder lives, or gives it up.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterLock {
    state: State,
    /// Who asks.
    identity: String,
    /// The holder from whom it may be taken.
    from: Option<String>,
    #[serde(default = "path")]
    path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Taken,
    /// Not taken when somebody else has it.
    Renewed,
    Released,
}

fn path() -> PathBuf {
    PathBuf::from("/var/lib/kup-play/cluster-lock.json")
}

/// What is in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lock {
    holder: String,
    /// RFC 3339.
    since: String,
    /// The last sign of life, in seconds since 1970.
    heartbeat: u64,
}

impl Module for ClusterLock {
    const NAME: &'static str = "cluster_lock";

    fn run(self, _: &Context) -> Result<Outcome, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        self.at(now)
    }
}

impl ClusterLock {
    fn at(&self, now: u64) -> Result<Outcome, Failure> {
        let _one_at_a_time = self.alone()?;
        let lock = read(&self.path);
        let is_mine = lock.as_ref().is_some_and(|lock| lock.holder == self.identity);
        match self.state {
            State::Taken => self.take(lock, now),
            State::Renewed => {
                if let Some(lock) = lock.filter(|_| is_mine) {
                    write(&self.path, &Lock { heartbeat: now, ..lock })?;
                }
                Ok(Outcome::default().with("held", is_mine))
            }
            State::Released => {
                if is_mine {
                    let removed = fs::remove_file(&self.path);
                    removed.map_err(|error| failed("cannot be removed", &self.path, &error))?;
                }
                Ok(Outcome::changed(is_mine).with("held", false))
            }
        }
    }

    fn take(&self, lock: Option<Lock>, now: u64) -> Result<Outcome, Failure> {
        let other = lock.as_ref().filter(|lock| lock.holder != self.identity);
        if let Some(other) = other.filter(|other| self.from.as_ref() != Some(&other.holder)) {
            let alive = now.saturating_sub(other.heartbeat) < DURATION;
            return Ok(Outcome::default().with("held", false).with(
                "holder",
                json!({"identity": other.holder, "since": other.since, "alive": alive}),
            ));
        }
        let since = lock.filter(|lock| lock.holder == self.identity).map(|lock| lock.since);
        let lock = Lock {
            holder: self.identity.clone(),
            since: since.unwrap_or_else(|| jiff::Timestamp::now().to_string()),
            heartbeat: now,
        };
        write(&self.path, &lock)?;
        Ok(Outcome::changed(true).with("held", true))
    }

    /// The kernel lets one process at a time between reading and writing.
    fn alone(&self) -> Result<fs::File, Failure> {
        let guard = self.path.with_extension("guard");
        let folder = guard.parent().unwrap_or(Path::new("/"));
        let file = fs::create_dir_all(folder).and_then(|()| {
            fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&guard)
        });
        let file = file.map_err(|error| failed("cannot be written", &guard, &error))?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .map_err(|error| failed("cannot be locked", &guard, &error.into()))?;
        Ok(file)
    }
}

/// What cannot be read was written by nobody whom it could protect.
fn read(path: &Path) -> Option<Lock> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write(path: &Path, lock: &Lock) -> Result<(), Failure> {
    let partial = path.with_extension("part");
    let text = serde_json::to_vec(lock).map_err(|error| Failure::new(error.to_string()))?;
    let written = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| failed("cannot be written", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn ask(&self, state: State, identity: &str, from: Option<&str>, now: u64) -> Outcome {
            let path = self.0.path().join("lock.json");
            let (identity, from) = (identity.to_owned(), from.map(str::to_owned));
            ClusterLock { state, identity, from, path }.at(now).expect("an answer")
        }
    }

    #[test]
    fn the_second_is_told_of_the_first_and_whether_it_lives() {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        assert_eq!(folder.ask(State::Taken, "a", None, 100).result["held"], true);
        let told = folder.ask(State::Taken, "b", None, 100 + DURATION - 1);
        assert_eq!(
            (&told.result["held"], &told.result["holder"]["alive"]),
            (&json!(false), &json!(true))
        );
        folder.ask(State::Renewed, "a", None, 200);
        assert_eq!(folder.ask(State::Taken, "b", None, 201).result["holder"]["alive"], true);
        assert_eq!(
            folder.ask(State::Taken, "b", None, 200 + DURATION).result["holder"]["alive"],
            false
        );
    }

    #[test]
    fn it_is_taken_only_from_the_one_who_was_meant() {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        folder.ask(State::Taken, "a", None, 100);
        assert_eq!(folder.ask(State::Taken, "b", Some("c"), 200).result["held"], false);
        assert_eq!(folder.ask(State::Taken, "b", Some("a"), 200).result["held"], true);
        // Who has lost it neither renews nor releases it.
        assert_eq!(folder.ask(State::Renewed, "a", None, 201).result["held"], false);
        assert!(!folder.ask(State::Released, "a", None, 201).changed);
        assert!(folder.ask(State::Released, "b", None, 201).changed);
        assert_eq!(folder.ask(State::Taken, "a", None, 202).result["held"], true);
    }
}
