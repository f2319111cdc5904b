//! `fetch`: a file of the host's to the controller.

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
        let Some((src, remote_checksum)) = self.remote_file(context).await? else {
            return self.missing();
        };
        self.src = src;
        let dest = self.destination(context);
        let local = checksum(&dest).ok();
        let outcome = |changed: bool| {
            Outcome::changed(changed)
                .with("dest", dest.display().to_string())
                .with("checksum", remote_checksum.clone())
                .with("remote_checksum", remote_checksum.clone())
        };
        if local.as_deref() == Some(remote_checksum.as_str()) {
            return Ok(outcome(false).with("file", self.src.clone()));
        }
        if context.check {
            return Ok(outcome(true));
        }
        let download = download(context, Path::new(&self.src), &dest);
        let got = context.in_time("fetch", download).await??;
        if self.validate_checksum.0 && got != remote_checksum {
            return Err(Failure::new("checksum mismatch")
                .with("file", self.src)
                .with("remote_checksum", remote_checksum)
                .with("checksum", got)
                .into());
        }
        let mut fetched = outcome(true).with("remote_md5sum", Json::Null);
        if let Ok(digest) = digest_of::<md5::Md5>(&dest) {
            fetched = fetched.with("md5sum", digest);
        }
        Ok(fetched)
    }
}

impl Fetch {
    fn destination(&self, context: &Context) -> PathBuf {
        let mut dest = files::expand_home(&self.dest);
        if dest.is_relative()
            && let Some(base) = context.search.last()
        {
            dest = base.join(dest);
        }
        if !self.flat.0 {
            dest.join(&context.host).join(below(&self.src))
        } else if self.dest.ends_with('/') {
            dest.join(Path::new(&self.src).file_name().unwrap_or_default())
        } else {
            dest
        }
    }

    /// Its path as the host has it (`~` is that of whom the task becomes) and its checksum.
    async fn remote_file(&self, context: &Context) -> Result<Option<(String, String)>, Error> {
        let arguments = [("path".to_owned(), json!(self.src)), ("follow".to_owned(), json!(true))];
        let arguments = Map::from_iter(arguments);
        let outcome = context.module("stat", arguments, Vec::new()).await?;
        let stat = outcome.result.get("stat");
        let field = |name: &str| stat.and_then(|stat| stat.get(name));
        if field("exists").and_then(Json::as_bool) != Some(true) {
            return Ok(None);
        }
        let path = field("path").and_then(Json::as_str).unwrap_or(&self.src);
        match field("checksum").and_then(Json::as_str) {
            Some(checksum) => Ok(Some((path.to_owned(), checksum.to_owned()))),
            None if field("isdir").and_then(Json::as_bool) == Some(true) => {
                Err(Error::failed("remote file is a directory, fetch cannot work on directories"))
            }
            None => Err(Error::failed("remote file cannot be read (permissions?)")),
        }
    }

    fn missing(self) -> Result<Outcome, Error> {
        let msg = "the remote file does not exist, not transferring, ignored";
        if self.fail_on_missing.0 {
            return Err(Failure::new(msg).into());
        }
        Ok(Outcome::default().with("file", self.src).with("msg", msg))
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

/// Brings a file of the host's to `dest`, whole or not at all, readable by the
/// operator alone; returns its SHA-1.
pub async fn download(context: &Context, src: &Path, dest: &Path) -> Result<String, Error> {
    let failed = |error: std::io::Error| {
        Error::failed(format!("{} cannot be written on the controller: {error}", dest.display()))
    };
    let folder = dest.parent().filter(|path| !path.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // A temporary file is made with mode 0600, and what is fetched may be secret.
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
