//! The repositories' lists: how old they are, and new ones.

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::modules::process::stop_requested;
use crate::modules::{Context, Failure, dpkg};

/// What apt touches when it has read the lists.
const STAMPS: [&str; 2] = ["/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/lists"];

/// When the lists were read last, in seconds since 1970.
pub fn time() -> Option<u64> {
    let modified =
        STAMPS.iter().find_map(|path| fs::metadata(path).and_then(|m| m.modified()).ok());
    modified?.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Whether the lists are no older than so many seconds; never for 0.
pub fn is_fresh(seconds: i64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let age = now.saturating_sub(time().unwrap_or(0));
    u64::try_from(seconds).is_ok_and(|seconds| seconds > 0 && age <= seconds)
}

/// Reads the lists; repositories that do not answer are tried again.
pub fn update(context: &Context, lock_timeout: u64, retries: i64) -> Result<(), Failure> {
    let mut pause = Duration::from_secs(1);
    for tried in 0.. {
        let update = || dpkg::apt_get(context).arg("update");
        let output = dpkg::unlocked(lock_timeout, update)?;
        // An index that could not be read is only a warning of apt's.
        let missing = output.stderr.contains("Some index files failed to download");
        if output.success() && !missing {
            return Ok(());
        }
        if tried >= retries || stop_requested() {
            return Err(dpkg::explained("Failed to update apt cache", &output));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(12));
    }
    Ok(())
}
