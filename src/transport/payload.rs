//! The agent's file as it is sent: the one that an executable (our own, or the one built for
//! another machine) carries at its end, or the executable itself if it carries none.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// The end of an executable that carries its agent, gzipped, right before this line:
/// `KUP-PLAY-AGENT SHA256 SIZE PACKED`, the sizes with twelve digits. Written by
/// `src/transport/attach-agent.sh`.
const MARK: &str = "KUP-PLAY-AGENT ";
const LINE: usize = 15 + 64 + 1 + 12 + 1 + 12 + 1;

/// An executable with what has to be known before it is sent.
#[derive(Clone, Debug)]
pub struct Payload {
    pub path: PathBuf,
    /// As `uname -m` says it.
    pub arch: String,
    /// sha256 in hexadecimal digits.
    pub hash: String,
    pub size: u64,
    /// Where its compressed form is in the file, if the file carries it.
    carried: Option<Carried>,
    /// The folder for its compressed form otherwise.
    cache: Option<PathBuf>,
    /// Its compressed form, while it is being sent to any host.
    shared: Arc<Mutex<Weak<Vec<u8>>>>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Carried {
    from: u64,
    length: u64,
}

impl Payload {
    /// Reads and hashes the file. Blocks. Its compressed form goes to `cache`, or the
    /// user's cache folder.
    pub fn load(path: &Path, arch: &str, cache: Option<PathBuf>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (hash, size, carried) = match carried(&mut file)? {
            Some((hash, size, carried)) => (hash, size, Some(carried)),
            None => {
                file.seek(SeekFrom::Start(0))?;
                let (hash, size) = digest(&mut file)?;
                (hash, size, None)
            }
        };
        let cache = cache.or_else(cache_folder);
        let (path, arch, shared) = (path.to_owned(), arch.to_owned(), Arc::default());
        Ok(Self { path, arch, hash, size, carried, cache, shared })
    }

    /// The agent as it will be on the host. Blocks.
    pub fn plain(&self) -> io::Result<Arc<Vec<u8>>> {
        if self.carried.is_none() {
            return fs::read(&self.path).map(Arc::new);
        }
        let mut plain = Vec::new();
        GzDecoder::new(self.packed()?.as_slice()).read_to_end(&mut plain)?;
        Ok(Arc::new(plain))
    }

    /// The agent, compressed; in memory once, to however many hosts it is sent at a time. Blocks.
    pub fn packed(&self) -> io::Result<Arc<Vec<u8>>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packed) = shared.upgrade() {
            return Ok(packed);
        }
        let packed = Arc::new(self.pack()?);
        *shared = Arc::downgrade(&packed);
        Ok(packed)
    }

    /// Compresses the agent, unless that was done before. Kept for later runs.
    fn pack(&self) -> io::Result<Vec<u8>> {
        if let Some(Carried { from, length }) = self.carried {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(from))?;
            let mut packed = Vec::new();
            file.take(length).read_to_end(&mut packed)?;
            return Ok(packed);
        }
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

/// Hash, size and place of the agent that a file carries.
fn carried(file: &mut File) -> io::Result<Option<(String, u64, Carried)>> {
    let Some(end) = file.metadata()?.len().checked_sub(LINE as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(end))?;
    let mut line = [0; LINE];
    file.read_exact(&mut line)?;
    let words = std::str::from_utf8(&line).ok().and_then(|line| line.strip_prefix(MARK));
    let Some(words) = words.map(|words| words.split_ascii_whitespace().collect::<Vec<_>>()) else {
        return Ok(None);
    };
    let [hash, size, length] = words.as_slice() else { return Ok(None) };
    let (Ok(size), Ok(length)) = (size.parse(), length.parse::<u64>()) else { return Ok(None) };
    let Some(from) = end.checked_sub(length) else { return Ok(None) };
    Ok(Some(((*hash).to_owned(), size, Carried { from, length })))
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
    use std::process::Command;

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
        assert!(Arc::ptr_eq(&packed, &payload.clone().packed().unwrap()));
        assert_eq!(digest(&mut GzDecoder::new(packed.as_slice())).unwrap().0, known);
    }

    #[test]
    fn an_executable_that_carries_its_agent_sends_that() {
        let folder = tempfile::tempdir().unwrap();
        let (program, agent) = (folder.path().join("program"), folder.path().join("agent"));
        fs::write(&program, b"the program").unwrap();
        fs::write(&agent, b"abc").unwrap();
        let attached =
            Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/transport/attach-agent.sh"))
                .args([&agent, &program])
                .status()
                .unwrap();
        assert!(attached.success());
        let payload = Payload::load(&program, "x86_64", None).unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((payload.hash.as_str(), payload.size), (known, 3));
        assert_eq!(*payload.plain().unwrap(), b"abc");
        assert!(fs::read(&program).unwrap().starts_with(b"the program"));
    }
}
