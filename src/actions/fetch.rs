//! `fetch`: a file of the host's to the controller.

use std::fs;
use std::path::{Component, Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use tokio::io::AsyncWriteExt;

use super::{Action, Context, Error, Failure, Outcome, files};
use crate::modules::args::Flag;
use crate::modules::files::{checksum, digest_of};
use crate::transport::DownloadError;

/// Copies a file from the host.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// The file on the host.
    src: String,
    /// Folder on the controller (`dest/host/path`), or the file itself with `flat`.
    dest: String,
    /// Take `dest` as the file's own path.
    #[serde(default)]
    flat: Flag,
    /// Fail when there is no such file.
    #[serde(default = "yes")]
    fail_on_missing: Flag,
    /// Compare the checksums after the copy.
    #[serde(default = "yes")]
    validate_checksum: Flag,
}

fn yes() -> Flag {
    Flag(true)
}

impl Action for Fetch {
    const NAME: &'static str = "fetch";

    async fn run(mut self, context: &Context) -> Result<Outcome, Error> {
        if context.check {
            let msg = "check mode not (yet) supported for this module";
            return Ok(Outcome::default().with("skipped", true).with("msg", msg));
        }
        let (src, remote_checksum) = match self.remote_file(context).await? {
            Remote::File { path, checksum } => (path, checksum),
            Remote::Missing => return self.missing(),
            Remote::Unfit(why) => return self.unfit(why),
        };
        self.src = src;
        let dest = self.destination(context)?;
        let fetched = |changed: bool, checksum: String| {
            let outcome = Outcome::changed(changed).with("dest", dest.display().to_string());
            let outcome = outcome.with("checksum", checksum);
            match digest_of::<md5::Md5>(&dest) {
                Ok(digest) => outcome.with("md5sum", digest),
                Err(_) => outcome,
            }
        };
        if checksum(&dest).is_ok_and(|local| local == remote_checksum) {
            return Ok(fetched(false, remote_checksum).with("file", self.src));
        }
        let download = replace(context, Path::new(&self.src), &dest);
        let got = context.in_time("fetch", download).await??;
        if self.validate_checksum.0 && got != remote_checksum {
            return Err(Failure::new("checksum mismatch")
                .with("file", self.src)
                .with("remote_checksum", remote_checksum)
                .with("checksum", got)
                .into());
        }
        Ok(fetched(true, got)
            .with("remote_checksum", remote_checksum)
            .with("remote_md5sum", Json::Null))
    }
}

/// What is on the host.
enum Remote {
    /// Its path as the host has it (`~` is that of whom the task becomes) and its checksum.
    File {
        path: String,
        checksum: String,
    },
    Missing,
    /// Why what is there cannot be fetched.
    Unfit(&'static str),
}

impl Fetch {
    fn destination(&self, context: &Context) -> Result<PathBuf, Error> {
        let mut dest = files::expand_home(&self.dest);
        if dest.is_relative()
            && let Some(base) = context.search.last()
        {
            dest = base.join(dest);
        }
        if !self.flat.0 {
            Ok(dest.join(&context.host).join(below(&self.src)))
        } else if self.dest.ends_with('/') {
            Ok(dest.join(Path::new(&self.src).file_name().unwrap_or_default()))
        } else if dest.is_dir() {
            Err(Error::failed(
                "dest is an existing directory, use a trailing slash if you want to fetch src \
                 into that directory",
            ))
        } else {
            Ok(dest)
        }
    }

    async fn remote_file(&self, context: &Context) -> Result<Remote, Error> {
        let arguments = [("path".to_owned(), json!(self.src)), ("follow".to_owned(), json!(true))];
        let arguments = Map::from_iter(arguments);
        let outcome = context.module("stat", arguments, Vec::new()).await?;
        let stat = outcome.result.get("stat");
        let field = |name: &str| stat.and_then(|stat| stat.get(name));
        if field("exists").and_then(Json::as_bool) != Some(true) {
            return Ok(Remote::Missing);
        }
        let path = field("path").and_then(Json::as_str).unwrap_or(&self.src).to_owned();
        Ok(match field("checksum").and_then(Json::as_str) {
            Some(checksum) => Remote::File { path, checksum: checksum.to_owned() },
            None if field("isdir").and_then(Json::as_bool) == Some(true) => {
                Remote::Unfit("remote file is a directory, fetch cannot work on directories")
            }
            None => Remote::Unfit("remote file cannot be read (permissions?)"),
        })
    }

    fn missing(self) -> Result<Outcome, Error> {
        let msg = "the remote file does not exist, not transferring, ignored";
        if self.fail_on_missing.0 {
            return Err(Failure::new(msg).into());
        }
        Ok(Outcome::default().with("file", self.src).with("msg", msg))
    }

    fn unfit(self, why: &str) -> Result<Outcome, Error> {
        if self.fail_on_missing.0 {
            return Err(Error::failed(why));
        }
        Ok(Outcome::default().with("msg", format!("{why}, not transferring, ignored")))
    }
}

/// A path below a folder, wherever it leads: the host has the last word on what it is called.
fn below(path: &str) -> PathBuf {
    let mut kept = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => kept.push(name),
            Component::ParentDir => drop(kept.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    kept
}

/// Brings a file of the host's to `dest`, in the place of what a link leads to, with the mode
/// that it has. A new one is the operator's alone: the keys of a host's state are fetched so.
async fn replace(context: &Context, src: &Path, dest: &Path) -> Result<String, Error> {
    let dest = fs::canonicalize(dest).unwrap_or_else(|_| dest.to_owned());
    let old = fs::metadata(&dest);
    let checksum = download(context, src, &dest).await?;
    if let Ok(old) = old {
        fs::set_permissions(&dest, old.permissions()).map_err(|error| unwritable(&dest, &error))?;
    }
    Ok(checksum)
}

/// Brings a file of the host's to `dest`, whole or not at all, readable by the
/// operator alone; returns its SHA-1.
pub async fn download(context: &Context, src: &Path, dest: &Path) -> Result<String, Error> {
    let failed = |error: std::io::Error| unwritable(dest, &error);
    let folder = dest.parent().filter(|path| !path.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    // A temporary file is made with mode 0600, and what is brought may be secret.
    let file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let remote = &context.remote;
    let agent = remote.pool.agent(&remote.endpoint, remote.become_.as_ref()).await?;
    let mut writer = tokio::fs::File::from_std(file.as_file().try_clone().map_err(failed)?);
    let answer = agent.download(src, &mut writer).await.map_err(|error| match error {
        DownloadError::Connection(error) => error.into(),
        DownloadError::Controller(error) => failed(error),
    })?;
    if let Some(msg) = answer.result.get("msg").and_then(Json::as_str) {
        return Err(Error::failed(format!("{}: {msg}", src.display())));
    }
    writer.flush().await.map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let checksum = checksum(file.path()).map_err(failed)?;
    file.persist(dest).map_err(|error| failed(error.error))?;
    Ok(checksum)
}

fn unwritable(dest: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("{} cannot be written on the controller: {error}", dest.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_calls_its_file_does_not_lead_out_of_the_folder() {
        assert_eq!(below("/etc/hosts"), Path::new("etc/hosts"));
        assert_eq!(below("/../../home/op/.bashrc"), Path::new("home/op/.bashrc"));
        assert_eq!(below("a/./b/../c"), Path::new("a/c"));
    }
}
