//! The folder of all runs' journals.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};

use super::record::{FileHash, Record, Start};
use super::writer::sync_folder;
use super::{History, Journal, Recording};

const FILE: &str = "journal.jsonl";

/// `~/.local/state/kup-play/runs`, or where KUP_PLAY_STATE_DIR or XDG_STATE_HOME say.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Finished,
    Failed,
    Interrupted,
    /// It was killed, or the machine went down.
    Dead,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Dead => "dead",
        }
    }
}

/// A run in the list of runs.
pub struct Summary {
    pub id: String,
    pub state: State,
    pub history: History,
}

impl Store {
    /// An error when there is no home to put it into.
    pub fn find() -> io::Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let state = variable("KUP_PLAY_STATE_DIR")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(variable("XDG_STATE_HOME")?).join("kup-play")))
            .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/state/kup-play")));
        let state = state.ok_or_else(|| {
            io::Error::other("set HOME or KUP_PLAY_STATE_DIR, the folder for journals of runs")
        })?;
        Ok(Self { folder: std::path::absolute(state.join("runs"))? })
    }

    pub fn path(&self, id: &str) -> PathBuf {
        self.folder.join(id).join(FILE)
    }

    /// Begins the journal of a new run.
    pub fn create(&self, mut start: Start) -> io::Result<Recording> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let id = new_id();
        let folder = self.folder.join(&id);
        DirBuilder::new().mode(0o700).create(&folder)?;
        // Under its name it has a beginning: a run that was killed before that is none.
        let new = folder.join(format!("{FILE}.new"));
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&new)?;
        hold(&file)?;
        start.id = id.clone();
        let mut line = serde_json::to_vec(&Record::Run(start))?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_all()?;
        fs::rename(&new, folder.join(FILE))?;
        sync_folder(&folder)?;
        sync_folder(&self.folder)?;
        Ok(Recording { journal: Journal::start(id, file), history: History::default() })
    }

    /// Opens the journal of a run that nobody runs, to go on with it.
    pub fn reopen(&self, id: &str) -> io::Result<Recording> {
        let mut file = OpenOptions::new().read(true).append(true).open(self.path(id))?;
        hold(&file)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        // Half a line would spoil the first one that is written now.
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let history = History::read(&text);
        Ok(Recording { journal: Journal::start(id.to_owned(), file), history })
    }

    /// All runs, the oldest first.
    pub fn runs(&self) -> io::Result<Vec<Summary>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let ids = names.filter(|id| self.path(id).is_file());
        let mut runs = ids.map(|id| self.run(id)).collect::<io::Result<Vec<_>>>()?;
        // Names tell only seconds.
        runs.sort_by_cached_key(|run| (run.history.begun_at(), run.id.clone()));
        Ok(runs)
    }

    fn run(&self, id: String) -> io::Result<Summary> {
        let mut file = File::open(self.path(&id))?;
        let running = lock(&file, FlockOperation::NonBlockingLockShared).is_err();
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let history = History::read(&text);
        let state = match (running, history.code) {
            (true, _) => State::Running,
            (false, None) => State::Dead,
            (false, Some(0)) => State::Finished,
            (false, Some(crate::cli::exit::INTERRUPTED)) => State::Interrupted,
            (false, Some(_)) => State::Failed,
        };
        Ok(Summary { id, state, history })
    }
}

/// Held by the kernel for as long as the process lives: a journal that can be locked has
/// nobody who runs it.
fn hold(file: &File) -> io::Result<()> {
    lock(file, FlockOperation::NonBlockingLockExclusive)
}

fn lock(file: &File, operation: FlockOperation) -> io::Result<()> {
    rustix::fs::flock(file, operation).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => io::Error::other("the run is still under way"),
        other => other.into(),
    })
}

fn new_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    format!("{now}-{:04x}", rand::random::<u16>())
}

/// A file's content as a hash; none if it cannot be read.
pub fn hash_of(path: &Path) -> Option<FileHash> {
    let digest = Sha256::digest(fs::read(path).ok()?);
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(FileHash { path: path.to_owned(), sha256 })
}

/// Who runs it, as `user@machine`.
pub fn operator() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    let user = user.unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string());
    let machine = rustix::system::uname();
    format!("{user}@{}", machine.nodename().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_the_same_second_are_in_the_order_in_which_they_began() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store { folder: folder.path().join("runs") };
        // Without the milliseconds when there are none.
        for at in ["2026-01-01T00:00:01Z", "2026-01-01T00:00:01.25Z", "2026-01-01T00:00:01.5Z"] {
            let start = serde_json::json!({"version": 1, "id": "", "at": at, "operator": "",
                "folder": "", "options": {}, "playbooks": [], "files": [], "extra_vars": [],
                "withheld": []});
            store.create(serde_json::from_value(start).expect("a start")).expect("a journal");
        }
        let runs = store.runs().expect("runs");
        let began: Vec<_> = runs.iter().map(|run| run.history.begun_at()).collect();
        assert!(began.is_sorted() && began.iter().all(Option::is_some), "{began:?}");
    }
}
