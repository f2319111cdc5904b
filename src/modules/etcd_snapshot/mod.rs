//! `etcd_snapshot`, the host's half: a snapshot of etcd taken and proved whole.

mod client;
mod member;
mod verify;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::Number;
use super::files::failed;
use super::{Context, Failure, Module, Outcome};
pub use client::Client;
pub use member::Member as Place;
use member::Member;

/// What the names of snapshots begin with; only these are ever removed.
const PREFIX: &str = "etcd-snapshot-";
/// Free space must be this many times the size of the database.
const HEADROOM: u64 = 2;

/// Takes a snapshot, or checks one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdSnapshot {
    state: State,
    /// The snapshot to check.
    path: Option<PathBuf>,
    /// The folder for snapshots on the host.
    #[serde(default = "backup_folder")]
    folder: PathBuf,
    /// The address to ask; as etcd's manifest says otherwise.
    endpoint: Option<String>,
    /// The folder of etcd's certificates; as etcd's manifest says otherwise.
    pki: Option<PathBuf>,
    /// How many snapshots of this module's to leave in the folder.
    keep: Option<Number>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Saved,
    Checked,
}

fn backup_folder() -> PathBuf {
    PathBuf::from("/var/backups/kup-play")
}

impl Module for EtcdSnapshot {
    const NAME: &'static str = "etcd_snapshot";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        match self.state {
            State::Saved => self.save(context),
            State::Checked => {
                let path = self
                    .path
                    .as_deref()
                    .ok_or_else(|| Failure::new("state checked needs the path of a snapshot"))?;
                let client = self.client(context)?;
                self.described(Outcome::default(), path, &client, context)
            }
        }
    }
}

impl EtcdSnapshot {
    fn client(&self, context: &Context) -> Result<Client, Failure> {
        Client::find(context, &Member::find(self.endpoint.clone(), self.pki.clone()))
    }

    fn save(&self, context: &Context) -> Result<Outcome, Failure> {
        let client = self.client(context)?;
        let database = client.database_size(context)?;
        require_space(&self.folder, database)?;
        if let Some(shared) = client.shared_folder() {
            require_space(shared, database)?;
        }
        if context.check {
            return Ok(Outcome::changed(true).with("database_size", database));
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|error| failed("cannot be made", &self.folder, &error))?;
        let stamp = jiff::ZonedDateTime::now().strftime("%Y%m%dT%H%M%S%z").to_string();
        let path = self.folder.join(format!("{PREFIX}{stamp}.db"));
        let partial = path.with_extension("part");
        let saved = client.save(context, &partial).and_then(|()| {
            fs::set_permissions(&partial, fs::Permissions::from_mode(0o600))
                .map_err(|error| failed("cannot be made private", &partial, &error))?;
            self.described(Outcome::changed(true), &partial, &client, context)
        });
        let outcome = match saved {
            Ok(outcome) => outcome,
            Err(failure) => {
                // Half a snapshot is worse than none; what etcdctl itself left goes too.
                let _ = fs::remove_file(&partial);
                let _ = fs::remove_file(self.folder.join(format!("{}.part", partial.display())));
                return Err(failure);
            }
        };
        fs::rename(&partial, &path).map_err(|error| failed("cannot be named", &path, &error))?;
        let removed = self.remove_old()?;
        Ok(outcome.with("path", path.display().to_string()).with("removed", removed))
    }

    /// The snapshot's own check sum, and what etcd says of it.
    fn described(
        &self,
        outcome: Outcome,
        path: &Path,
        client: &Client,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let sha256 = verify::verify(path)?;
        let status = client.status(context, path)?;
        let size =
            fs::metadata(path).map_err(|error| failed("cannot be read", path, &error))?.len();
        Ok(outcome
            .with("path", path.display().to_string())
            .with("sha256", sha256)
            .with("hash", status.hash)
            .with("revision", status.revision)
            .with("total_keys", status.total_key)
            .with("size", size))
    }

    /// Removes the oldest snapshots beyond `keep`; their names sort by time.
    fn remove_old(&self) -> Result<Vec<String>, Failure> {
        let Some(keep) = self.keep.and_then(|keep| usize::try_from(keep.0).ok()).filter(|n| *n > 0)
        else {
            return Ok(Vec::new());
        };
        let entries = fs::read_dir(&self.folder)
            .map_err(|error| failed("cannot be read", &self.folder, &error))?;
        let mut ours: Vec<_> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                name.starts_with(PREFIX) && name.ends_with(".db")
            })
            .collect();
        ours.sort();
        let surplus = ours.len().saturating_sub(keep);
        let mut removed = Vec::new();
        for path in ours.into_iter().take(surplus) {
            fs::remove_file(&path).map_err(|error| failed("cannot be removed", &path, &error))?;
            removed.push(path.display().to_string());
        }
        Ok(removed)
    }
}

/// Asks the file system of the folder, or of the one that it will be made in.
fn require_space(folder: &Path, database: u64) -> Result<(), Failure> {
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(existing)
        .map_err(|error| Failure::new(format!("{}: {error}", existing.display())))?;
    let free = stat.f_bavail * stat.f_frsize;
    if free >= database * HEADROOM {
        return Ok(());
    }
    Err(Failure::new(format!(
            "{} has {} MB free; a snapshot of etcd's database of {} MB wants {HEADROOM} times its size: \
             make room, or name another folder",
            existing.display(),
            free >> 20,
            database >> 20
        ))
        .with("free", free)
        .with("database_size", database))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_its_own_oldest_snapshots_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["etcd-snapshot-1.db", "etcd-snapshot-2.db", "etcd-snapshot-3.db", "other.db"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let module: EtcdSnapshot =
            serde_json::from_value(json!({"state": "saved", "folder": folder.path(), "keep": 2}))
                .expect("arguments");
        assert_eq!(module.remove_old().expect("removed").len(), 1);
        assert!(!folder.path().join("etcd-snapshot-1.db").exists());
        assert!(folder.path().join("other.db").exists());
    }

    #[test]
    fn too_little_room_is_said_with_both_figures() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure = require_space(&folder.path().join("new"), u64::MAX / 4).expect_err("no room");
        assert!(failure.msg.contains("MB free") && failure.result.contains_key("database_size"));
    }
}
