//! The folder for what the agent needs on disk while it runs.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
        let private = fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().prefix(&prefix).permissions(private).tempdir_in(base).map(Self)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Folders in the scratch folder, one for each request that needs one. It serves the next when
/// there is nothing but files in it, for making and removing one takes as long as many a module.
pub struct Folders {
    base: PathBuf,
    next: AtomicU64,
    spare: Mutex<Vec<PathBuf>>,
}

impl Folders {
    pub fn in_scratch(scratch: &Scratch) -> Self {
        let base = scratch.path().to_owned();
        Self { base, next: AtomicU64::default(), spare: Mutex::default() }
    }

    /// An empty folder.
    pub fn take(&self) -> io::Result<PathBuf> {
        let spare = self.spare().pop();
        if let Some(folder) = spare {
            return Ok(folder);
        }
        let folder = self.base.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(folder)
    }

    /// The request is done: what it left in its folder is removed.
    pub fn give_back(&self, folder: PathBuf) {
        let is_emptied = fs::read_dir(&folder).is_ok_and(|mut entries| {
            entries.all(|entry| entry.is_ok_and(|entry| fs::remove_file(entry.path()).is_ok()))
        });
        if is_emptied {
            self.spare().push(folder);
        } else {
            let _ = fs::remove_dir_all(folder);
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_serves_again_without_its_files_and_one_with_folders_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(Some(base.path())).unwrap();
        let folders = Folders::in_scratch(&scratch);
        let (first, second) = (folders.take().unwrap(), folders.take().unwrap());
        assert_ne!(first, second);
        fs::write(first.join("file"), "left").unwrap();
        fs::create_dir(second.join("folder")).unwrap();
        folders.give_back(first.clone());
        folders.give_back(second.clone());
        assert!(!first.join("file").exists() && !second.exists());
        assert_eq!(folders.take().unwrap(), first);
        assert_ne!(folders.take().unwrap(), first);
    }
}
