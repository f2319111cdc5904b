//! `stat`: what a path is.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::Access;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::args::{Flag, HostPath};
use super::files;
use super::process::{Output, Process};
use super::tools;
use super::users::{Database, name_of};
use super::{Context, Failure, Module, Outcome};
use crate::real_path::real_path;

/// Reads the facts of a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stat {
    #[serde(alias = "dest", alias = "name")]
    path: HostPath,
    /// Look at what a link points to.
    #[serde(default)]
    follow: Flag,
    /// Compute the checksum of a file.
    #[serde(default = "Flag::yes")]
    get_checksum: Flag,
    #[serde(default, alias = "checksum", alias = "checksum_algo")]
    checksum_algorithm: Algorithm,
    /// Ask the host's `file` for the type and the encoding of what is in it.
    #[serde(default = "Flag::yes", alias = "mime", alias = "mime_type", alias = "mime-type")]
    get_mime: Flag,
    /// Read the attributes that ext filesystems and their like have.
    #[serde(default = "Flag::yes", alias = "attr", alias = "attributes")]
    get_attributes: Flag,
}

/// How a checksum is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Algorithm {
    Md5,
    #[default]
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    pub(super) fn of(self, path: &Path) -> io::Result<String> {
        match self {
            Self::Md5 => files::digest_of::<md5::Md5>(path),
            Self::Sha1 => files::checksum(path),
            Self::Sha224 => files::digest_of::<sha2::Sha224>(path),
            Self::Sha256 => files::digest_of::<sha2::Sha256>(path),
            Self::Sha384 => files::digest_of::<sha2::Sha384>(path),
            Self::Sha512 => files::digest_of::<sha2::Sha512>(path),
        }
    }
}

impl Module for Stat {
    const NAME: &'static str = "stat";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let path = &*self.path;
        let metadata = if self.follow.0 { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let metadata = match metadata {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Outcome::default().with("stat", json!({"exists": false})));
            }
            Err(error) => return Err(files::failed("cannot be read", path, &error)),
        };
        let mut stat = fields(&metadata);
        stat.insert("path".to_owned(), json!(path.display().to_string()));
        // Of what a link leads to, as the system has it.
        let may = |access| json!(rustix::fs::access(path, access).is_ok());
        stat.insert("readable".to_owned(), may(Access::READ_OK));
        stat.insert("writeable".to_owned(), may(Access::WRITE_OK));
        stat.insert("executable".to_owned(), may(Access::EXEC_OK));
        if metadata.is_symlink() {
            if let Ok(target) = fs::read_link(path) {
                stat.insert("lnk_target".to_owned(), json!(target.display().to_string()));
            }
            let source = real_path(path).display().to_string();
            stat.insert("lnk_source".to_owned(), json!(source));
        }
        if metadata.is_file()
            && self.get_checksum.0
            && let Ok(checksum) = self.checksum_algorithm.of(path)
        {
            stat.insert("checksum".to_owned(), json!(checksum));
        }
        if self.get_mime.0 {
            let (kind, charset) = mime(path, context);
            stat.insert("mimetype".to_owned(), json!(kind));
            stat.insert("charset".to_owned(), json!(charset));
        }
        if self.get_attributes.0
            && let Some((version, flags, names)) = attributes(path, context)
        {
            stat.insert("version".to_owned(), json!(version));
            stat.insert("attr_flags".to_owned(), json!(flags));
            stat.insert("attributes".to_owned(), json!(names));
        }
        Ok(Outcome::default().with("stat", stat))
    }
}

/// What `file` says of the contents; a host without it does not know.
fn mime(path: &Path, context: &Context) -> (String, String) {
    let unknown = || ("unknown".to_owned(), "unknown".to_owned());
    let Some(program) = tools::find(context, "file") else { return unknown() };
    let output = Process::new(program).args(["-b", "-i"]).arg(path).in_context(context).run();
    let Some(output) = output.ok().filter(Output::success) else { return unknown() };
    match output.stdout.trim().split_once(';') {
        Some((kind, rest)) => {
            (kind.to_owned(), rest.trim().trim_start_matches("charset=").to_owned())
        }
        None => unknown(),
    }
}

/// What the letters of lsattr mean.
const FLAGS: [(char, &str); 21] = [
    ('A', "noatime"),
    ('a', "append"),
    ('c', "compressed"),
    ('C', "nocow"),
    ('d', "nodump"),
    ('D', "dirsync"),
    ('e', "extents"),
    ('E', "encrypted"),
    ('h', "blocksize"),
    ('i', "immutable"),
    ('I', "indexed"),
    ('j', "journalled"),
    ('N', "inline"),
    ('s', "zero"),
    ('S', "synchronous"),
    ('t', "notail"),
    ('T', "blockroot"),
    ('u', "undelete"),
    ('X', "compressedraw"),
    ('Z', "compresseddirty"),
    ('P', "projid"),
];

/// Version, flags and their names, as ext filesystems and their like have them; a file that has
/// none has no version. Without lsattr nothing is known.
fn attributes(path: &Path, context: &Context) -> Option<(Json, String, Vec<&'static str>)> {
    let program = tools::find(context, "lsattr")?;
    let output = Process::new(program).arg("-vd").arg(path).in_context(context).run().ok()?;
    let mut words = output.stdout.split_whitespace().filter(|_| output.success());
    let version = words.next().map_or(Json::Null, Json::from);
    let flags = words.next().unwrap_or_default().replace('-', "");
    let name = |flag: char| FLAGS.iter().find(|(letter, _)| *letter == flag).map(|(_, name)| *name);
    let names = flags.chars().filter_map(name).collect();
    Some((version, flags, names))
}

/// The facts that the system has of a file.
pub(super) fn fields(metadata: &fs::Metadata) -> Map<String, Json> {
    let mode = metadata.mode();
    let kind = metadata.file_type();
    let bit = |bits: u32| mode & bits != 0;
    let time = |seconds: i64, nanoseconds: i64| seconds as f64 + nanoseconds as f64 / 1e9;
    let value = json!({
        "exists": true,
        "isdir": kind.is_dir(), "isreg": kind.is_file(), "islnk": kind.is_symlink(),
        "isfifo": kind.is_fifo(), "issock": kind.is_socket(),
        "ischr": kind.is_char_device(), "isblk": kind.is_block_device(),
        "mode": format!("{:04o}", mode & 0o7777),
        "uid": metadata.uid(), "gid": metadata.gid(),
        "pw_name": name_of(Database::Users, metadata.uid()).unwrap_or_default(),
        "gr_name": name_of(Database::Groups, metadata.gid()).unwrap_or_default(),
        "size": metadata.len(), "inode": metadata.ino(), "dev": metadata.dev(),
        "nlink": metadata.nlink(), "blocks": metadata.blocks(), "block_size": metadata.blksize(),
        "device_type": metadata.rdev(),
        "atime": time(metadata.atime(), metadata.atime_nsec()),
        "mtime": time(metadata.mtime(), metadata.mtime_nsec()),
        "ctime": time(metadata.ctime(), metadata.ctime_nsec()),
        "rusr": bit(0o400), "wusr": bit(0o200), "xusr": bit(0o100),
        "rgrp": bit(0o040), "wgrp": bit(0o020), "xgrp": bit(0o010),
        "roth": bit(0o004), "woth": bit(0o002), "xoth": bit(0o001),
        "isuid": bit(0o4000), "isgid": bit(0o2000),
    });
    match value {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_no_failure() {
        let stat: Stat =
            serde_json::from_value(json!({"path": "/nonexistent"})).expect("arguments");
        let outcome = stat.run(&Context::default()).expect("an answer");
        assert_eq!(outcome.result["stat"], json!({"exists": false}));
    }

    #[test]
    fn a_file_has_its_checksum() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let stat: Stat = serde_json::from_value(json!({"path": file.path()})).expect("arguments");
        let outcome = stat.run(&Context::default()).expect("an answer");
        assert_eq!(outcome.result["stat"]["checksum"], "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    }
}
