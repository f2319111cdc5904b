//! Files of the host: written whole or not at all, with owner, group and mode.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use sha1::{Digest, Sha1};

use super::args::Text;
use super::changes::Changes;
use super::mode::Mode;
use super::users::{Database, id_of, name_of};
use super::{Failure, Outcome};

/// Owner, group and mode, as all file modules take them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Attributes {
    /// Name or number of the owner.
    pub owner: Option<Text>,
    /// Name or number of the group.
    pub group: Option<Text>,
    /// Octal text or symbolic.
    pub mode: Option<Mode>,
}

impl Attributes {
    /// Sets what differs; true if something did (or would, in check mode).
    pub fn apply(&self, path: &Path, follow: bool, check: bool) -> Result<bool, Failure> {
        self.apply_noting(path, follow, check, &mut Changes::default())
    }

    /// As `apply`; what differs is noted.
    pub fn apply_noting(
        &self,
        path: &Path,
        follow: bool,
        check: bool,
        changes: &mut Changes,
    ) -> Result<bool, Failure> {
        let metadata = match if follow { fs::metadata(path) } else { fs::symlink_metadata(path) } {
            Ok(metadata) => metadata,
            // What check mode did not make has nothing to compare.
            Err(_) if check => return Ok(false),
            Err(error) => return Err(failed("cannot be read", path, &error)),
        };
        let mut changed = false;
        let uid = self.owner.as_ref().map(|name| id_of(Database::Users, &name.0)).transpose()?;
        let gid = self.group.as_ref().map(|name| id_of(Database::Groups, &name.0)).transpose()?;
        let uid = uid.filter(|uid| *uid != metadata.uid());
        let gid = gid.filter(|gid| *gid != metadata.gid());
        if uid.is_some() || gid.is_some() {
            changed = true;
            if let Some(uid) = uid {
                changes.note("owner", metadata.uid(), uid);
            }
            if let Some(gid) = gid {
                changes.note("group", metadata.gid(), gid);
            }
            if !check {
                let set = if follow { std::os::unix::fs::chown } else { std::os::unix::fs::lchown };
                set(path, uid, gid).map_err(|error| failed("chown failed", path, &error))?;
            }
        }
        // A link has no mode of its own.
        if let Some(mode) = self.mode.as_ref().filter(|_| !metadata.is_symlink()) {
            let old = metadata.mode() & 0o7777;
            let new = mode.apply(old, metadata.is_dir()).unwrap_or(old);
            if new != old {
                changed = true;
                changes.note("mode", format!("0{old:03o}"), format!("0{new:03o}"));
                if !check {
                    fs::set_permissions(path, fs::Permissions::from_mode(new))
                        .map_err(|error| failed("chmod failed", path, &error))?;
                }
            }
        }
        Ok(changed)
    }
}

/// Says whether a new file may take the place of the old one.
pub type Validate<'a> = dyn Fn(&Path) -> Result<(), Failure> + 'a;

/// Puts `contents` at `path`: written beside it, synced, then renamed over it, so that
/// a full disk or a lost connection leaves the old file. Owner and mode of the old
/// file are kept, its extended attributes too; `validate` is a command that must accept
/// the new one (`%s`). A file that cannot be replaced (it is a mount, or its folder is
/// not to be changed) is overwritten when `in_place` allows it.
pub fn write(
    path: &Path,
    contents: &mut dyn Read,
    validate: Option<&Validate<'_>>,
    in_place: bool,
) -> Result<(), Failure> {
    write_with(path, contents, &Writing { validate, in_place, ..Writing::default() })
}

/// As [`write`], but one that was not there is for its owner alone.
pub fn write_private(path: &Path, contents: &mut dyn Read) -> Result<(), Failure> {
    let is_new = fs::symlink_metadata(path).is_err();
    let private = is_new.then(|| Mode::of(0o600));
    write_with(path, contents, &Writing { mode: private.as_ref(), ..Writing::default() })
}

/// How a file is written.
pub struct Writing<'a> {
    pub validate: Option<&'a Validate<'a>>,
    pub in_place: bool,
    /// The mode that it is to have from the first moment on.
    pub mode: Option<&'a Mode>,
    /// In the place of a link: whether the owner and mode of what that leads to are kept.
    pub follow: bool,
}

impl Default for Writing<'_> {
    fn default() -> Self {
        Self { validate: None, in_place: false, mode: None, follow: true }
    }
}

/// As [`write`].
pub fn write_with(
    path: &Path,
    contents: &mut dyn Read,
    writing: &Writing<'_>,
) -> Result<(), Failure> {
    let in_place = writing.in_place;
    let error = |error: io::Error| failed("cannot be written", path, &error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = match new_file(folder.unwrap_or(Path::new("."))) {
        Err(refused) if in_place && is_refusal(&refused) => new_file(&std::env::temp_dir()),
        made => made,
    }
    .map_err(error)?;
    io::copy(contents, file.as_file_mut()).map_err(error)?;
    file.flush().map_err(error)?;
    let old = if writing.follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    let mode = match old {
        Ok(old) if !old.is_symlink() => {
            // By its handle: who owns the folder may put something else under its name.
            let given = fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
            copy_xattrs(path, file.as_file());
            match given {
                Ok(()) => old.mode() & 0o7777,
                // Who may not give files away keeps this one, and none of root's powers in it.
                Err(refused) if refused.kind() == io::ErrorKind::PermissionDenied => {
                    old.mode() & 0o777
                }
                Err(other) => return Err(error(other)),
            }
        }
        _ => 0o666 & !umask(),
    };
    // What a change of the owner takes away is set after that.
    let mode = match writing.mode.and_then(|wanted| wanted.apply(mode, false)) {
        Some(wanted) => wanted & 0o777,
        None => mode,
    };
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(error)?;
    if let Some(validate) = writing.validate {
        validate(file.path())?;
    }
    file.as_file().sync_all().map_err(error)?;
    match file.persist(path) {
        Ok(_) => Ok(()),
        Err(refused) if in_place && is_refusal(&refused.error) => {
            fs::copy(refused.file.path(), path).map(drop).map_err(error)
        }
        Err(refused) => Err(error(refused.error)),
    }
}

/// The text of a file, empty if there is none. What is no text is an error: it would be lost when
/// the file is written anew.
pub fn text_or_nothing(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| failed("cannot be read", path, &error)),
    }
}

/// Gives a file or folder its owner and mode. A link is left as it is, and so is what it leads
/// to: whose it is made it.
pub fn give(path: &Path, owner: Option<(u32, u32)>, mode: u32) -> io::Result<()> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Ok(()),
        opened => opened?,
    };
    if let Some((uid, gid)) = owner {
        fchown(&file, Some(uid), Some(gid))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))
}

fn new_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".kup-play.")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
}

/// What renaming fails with where a file can be written all the same.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{
        CrossesDevices, ExecutableFileBusy, PermissionDenied, ReadOnlyFilesystem, ResourceBusy,
    };
    matches!(
        error.kind(),
        PermissionDenied | CrossesDevices | ResourceBusy | ExecutableFileBusy | ReadOnlyFilesystem
    )
}

/// The process's file mode creation mask. Read from /proc: the system call can only
/// set it, for all threads.
pub fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

/// Gives a new file the extended attributes of the old one (SELinux label, ACL). Where
/// the file system has none there is nothing to keep.
fn copy_xattrs(old: &Path, new: &fs::File) {
    let mut names = vec![0; 64 * 1024];
    let mut value = vec![0; 64 * 1024];
    let Ok(length) = rustix::fs::listxattr(old, &mut names) else { return };
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0) {
        if name.is_empty() {
            continue;
        }
        let Ok(length) = rustix::fs::getxattr(old, name, &mut value) else { continue };
        let value = value.get(..length).unwrap_or_default();
        // An unprivileged user may not set all that it may read.
        let _ = rustix::fs::fsetxattr(new, name, value, rustix::fs::XattrFlags::empty());
    }
}

/// How many backups of one file a second may see.
const BACKUPS: u32 = 1000;

/// Copies a file to a name with the time; returns the name.
pub fn back_up(path: &Path) -> Result<PathBuf, Failure> {
    let stamp = jiff::ZonedDateTime::now().strftime("%Y-%m-%d@%H:%M:%S").to_string();
    let name = |number| PathBuf::from(format!("{}.{number}.{stamp}~", path.display()));
    // One process serves many tasks, and some of them do so within a second.
    let own = std::process::id();
    let copy = (own..own.saturating_add(BACKUPS)).map(name).find(|copy| !copy.exists());
    let copy = copy.unwrap_or_else(|| name(own));
    // Nothing that somebody has put there before is written to.
    let copied = fs::File::open(path).and_then(|mut from| {
        let old = from.metadata()?;
        let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy)?;
        io::copy(&mut from, &mut to)?;
        // The copy is the operator's own; keeping its owner is a courtesy.
        let _ = fchown(&to, Some(old.uid()), Some(old.gid()));
        to.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))
    });
    copied.map_err(|error| failed("cannot be backed up", path, &error))?;
    Ok(copy)
}

/// SHA-1 of a file as hexadecimal text: what Ansible calls its checksum.
pub fn checksum(path: &Path) -> io::Result<String> {
    digest_of::<Sha1>(path)
}

/// A digest of a file, read piece by piece, as hexadecimal text.
pub fn digest_of<D: Digest>(path: &Path) -> io::Result<String> {
    // A pipe would be waited for.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut file = fs::File::open(path)?;
    let mut digest = D::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(buffer.get(..read).unwrap_or_default());
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What file modules say of a path in their results.
pub fn describe(outcome: Outcome, path: &Path) -> Outcome {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return outcome.with("state", "absent");
    };
    let state = if metadata.is_symlink() {
        "link"
    } else if metadata.is_dir() {
        "directory"
    } else if metadata.nlink() > 1 {
        "hard"
    } else {
        "file"
    };
    let (uid, gid) = (metadata.uid(), metadata.gid());
    let mut fields = Map::from_iter([
        ("state".to_owned(), json!(state)),
        ("mode".to_owned(), json!(format!("0{:03o}", metadata.mode() & 0o7777))),
        ("uid".to_owned(), json!(uid)),
        ("gid".to_owned(), json!(gid)),
        ("size".to_owned(), json!(metadata.len())),
    ]);
    fields.insert("owner".to_owned(), owner(name_of(Database::Users, uid), uid));
    fields.insert("group".to_owned(), owner(name_of(Database::Groups, gid), gid));
    let mut outcome = outcome;
    outcome.result.extend(fields);
    outcome
}

/// The same where there is something; modules say nothing of a path that is not there.
pub fn describe_existing(outcome: Outcome, path: &Path) -> Outcome {
    if path.exists() { describe(outcome, path) } else { outcome }
}

fn owner(name: Option<String>, id: u32) -> Json {
    json!(name.unwrap_or_else(|| id.to_string()))
}

pub fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {what}: {error}", path.display()))
        .with("path", path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_file_leaves_the_old_one_and_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        fs::write(&path, "old").expect("written");
        let refuse = |_: &Path| Err(Failure::new("no"));
        assert!(write(&path, &mut "new".as_bytes(), Some(&refuse), false).is_err());
        assert_eq!(fs::read_to_string(&path).expect("read"), "old");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_written_file_keeps_the_mode_of_the_old_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mode");
        write(&path, &mut "new".as_bytes(), None, false).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o640);
    }
}
