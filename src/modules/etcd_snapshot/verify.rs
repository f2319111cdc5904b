//! A snapshot carries the SHA-256 of its database in its last 32 bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::modules::Failure;
use crate::modules::files::{digest_of, failed, hex};

const SUM: u64 = 32;
/// The database is made of whole pages.
const PAGE: u64 = 512;

/// Proves the sum; returns the SHA-256 of the whole file.
pub fn verify(path: &Path) -> Result<String, Failure> {
    let error = |error| failed("cannot be read", path, &error);
    let mut file = File::open(path).map_err(error)?;
    let size = file.metadata().map_err(error)?.len();
    if size % PAGE != SUM {
        return Err(Failure::new(format!(
            "{} is no whole snapshot: its size is {size} bytes, not pages of {PAGE} and a sum of {SUM}",
            path.display()
        )));
    }
    let mut digest = Sha256::new();
    let mut database = (&mut file).take(size - SUM);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = database.read(&mut buffer).map_err(error)?;
        if read == 0 {
            break;
        }
        digest.update(buffer.get(..read).unwrap_or_default());
    }
    let mut sum = Vec::new();
    file.read_to_end(&mut sum).map_err(error)?;
    if hex(&digest.finalize()) != hex(&sum) {
        return Err(Failure::new(format!(
            "{} is damaged: its contents do not have the sum that it carries",
            path.display()
        )));
    }
    digest_of::<Sha256>(path).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(change: impl Fn(&mut Vec<u8>)) -> Result<String, Failure> {
        let mut bytes = vec![7u8; 1024];
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        change(&mut bytes);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        verify(file.path())
    }

    #[test]
    fn a_whole_snapshot_is_accepted() {
        assert_eq!(snapshot(|_| ()).expect("whole").len(), 64);
    }

    #[test]
    fn a_torn_or_changed_one_is_not() {
        assert!(snapshot(|bytes| bytes.truncate(900)).expect_err("torn").msg.contains("no whole"));
        assert!(snapshot(|bytes| bytes[3] = 8).expect_err("changed").msg.contains("damaged"));
    }
}
