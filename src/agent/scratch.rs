//! The folder for what the agent needs on disk while it runs.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

const PREFIX: &str = "scratch.";

/// A private folder (0700) that is removed with its contents when dropped.
pub struct Scratch(TempDir);

impl Scratch {
    /// In `base` if given, else in the user's cache folder or the system's temporary one.
    pub fn create(base: Option<&Path>) -> io::Result<Self> {
        let base = base.map_or_else(default_base, Path::to_owned);
        remove_abandoned(&base);
        let prefix = format!("{PREFIX}{}.", std::process::id());
        tempfile::Builder::new().prefix(&prefix).tempdir_in(base).map(Self)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A folder for one request.
    pub fn for_request(&self, id: u64) -> io::Result<PathBuf> {
        let folder = self.path().join(id.to_string());
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(folder)
    }
}

/// A new file for its owner alone.
pub fn private_file(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The cache folder keeps files away from a `/tmp` that is mounted noexec or small.
fn default_base() -> PathBuf {
    let own = rustix::process::geteuid().as_raw();
    let cache = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/kup-play"));
    if let Some(folder) = cache {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        let ours = fs::symlink_metadata(&folder)
            .is_ok_and(|m| m.is_dir() && m.uid() == own && m.mode() & 0o077 == 0);
        if made.is_ok() && ours {
            return folder;
        }
    }
    std::env::temp_dir()
}

/// Removes what killed agents left behind: folders named after a process that is gone.
fn remove_abandoned(base: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid =
            name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|n| n.split('.').next());
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        let ours = entry.metadata().is_ok_and(|m| m.is_dir() && m.uid() == own);
        if ours && !Path::new("/proc").join(pid.to_string()).exists() {
            // Another agent may be removing it as well.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
