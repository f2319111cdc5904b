//! The agent's file as it is sent: our own executable, or the one built for another machine.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// An executable with what has to be known before it is sent.
#[derive(Clone, Debug)]
pub struct Payload {
    pub path: PathBuf,
    /// As `uname -m` says it.
    pub arch: String,
    /// sha256 in hexadecimal digits.
    pub hash: String,
    pub size: u64,
    /// The folder for its compressed form.
    cache: Option<PathBuf>,
}

impl Payload {
    /// Reads and hashes the file. Blocks. Its compressed form goes to `cache`, or the
    /// user's cache folder.
    pub fn load(path: &Path, arch: &str, cache: Option<PathBuf>) -> io::Result<Self> {
        let (hash, size) = digest(&mut File::open(path)?)?;
        let cache = cache.or_else(cache_folder);
        Ok(Self { path: path.to_owned(), arch: arch.to_owned(), hash, size, cache })
    }

    /// The file, compressed. Kept for later runs. Blocks.
    pub fn packed(&self) -> io::Result<Vec<u8>> {
        let name = format!("agent-{}.gz", self.hash);
        let cache = self.cache.as_ref().map(|folder| folder.join(name));
        if let Some(cached) = cache.as_ref().and_then(|path| fs::read(path).ok())
            && digest(&mut GzDecoder::new(cached.as_slice()))
                .is_ok_and(|(hash, _)| hash == self.hash)
        {
            return Ok(cached);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        io::copy(&mut File::open(&self.path)?, &mut encoder)?;
        let packed = encoder.finish()?;
        if let Some(path) = cache {
            // Only a convenience: a full disk here is no reason to stop.
            let _ = keep(&path, &packed);
        }
        Ok(packed)
    }

    /// The line that the bootstrap script begins with.
    pub fn header(&self) -> String {
        format!("kup_hash={} kup_size={} kup_arch={}\n", self.hash, self.size, self.arch)
    }
}

fn digest(input: &mut impl Read) -> io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        let n = input.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
        size += n as u64;
    }
    let hash = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((hash, size))
}

/// Writes under a temporary name first, and removes the forms of earlier versions.
fn keep(path: &Path, packed: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("agent-") && name.ends_with(".gz") {
            let _ = fs::remove_file(entry.path());
        }
    }
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(packed)?;
    temporary.persist(path)?;
    Ok(())
}

fn cache_folder() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home)?;
    base.is_absolute().then(|| base.join("kup-play"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_unpacks_to_the_file_that_was_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        fs::write(&file, b"abc").unwrap();
        let payload = Payload::load(&file, "x86_64", Some(folder.path().to_owned())).unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((payload.hash.as_str(), payload.size), (known, 3));
        let packed = payload.packed().unwrap();
        assert_eq!(digest(&mut GzDecoder::new(packed.as_slice())).unwrap().0, known);
    }
}
