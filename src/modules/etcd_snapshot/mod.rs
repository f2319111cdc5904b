//! `etcd_snapshot`, the host's half: a snapshot of etcd taken and proved whole, or put in
//! the place of a member's data.

mod advance;
mod client;
mod member;
mod restore;
mod tool;
mod verify;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::args::Number;
use super::files::failed;
use super::{Context, Failure, Module, Outcome};
pub use client::Client;
use client::Status;
pub use member::Member as Place;
use member::Member;
use restore::{Restore, cluster_text};
use tool::Tool;

/// What the names of snapshots begin with; only these are ever removed.
const PREFIX: &str = "etcd-snapshot-";
/// Free space must be this many times the size of the database.
const HEADROOM: u64 = 2;

/// Takes a snapshot, checks one, or restores one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdSnapshot {
    state: State,
    /// The snapshot to check or to restore.
    path: Option<PathBuf>,
    /// The tag of the image that etcd will have when the snapshot is restored, for state
    /// checked; as its manifest says otherwise.
    image_tag: Option<String>,
    /// The SHA-256 that the whole file must have.
    sha256: Option<String>,
    /// The folder for snapshots on the host.
    #[serde(default = "backup_folder")]
    folder: PathBuf,
    /// The address to ask; as etcd's manifest says otherwise.
    endpoint: Option<String>,
    /// The folder of etcd's certificates; as etcd's manifest says otherwise.
    pki: Option<PathBuf>,
    /// How many snapshots of this module's to leave in the folder.
    keep: Option<Number>,
    /// The members of the cluster that is restored, `NAME=URL` each: all of them, with the
    /// addresses that they reach each other at.
    initial_cluster: Option<Json>,
    /// A name for that cluster which no other had: members of the cluster before do not
    /// mix with it. With the token that it has already a member is not restored again.
    initial_cluster_token: Option<String>,
    /// What the store had come to before it was restored, for state advanced.
    revision: Option<Number>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Saved,
    Checked,
    /// The member's data are those of the snapshot; what they were is kept beside them.
    Restored,
    /// The store is past `revision`, and all before that is compacted.
    Advanced,
}

fn backup_folder() -> PathBuf {
    PathBuf::from("/var/backups/kup-play")
}

impl Module for EtcdSnapshot {
    const NAME: &'static str = "etcd_snapshot";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        match self.state {
            State::Saved => self.save(context),
            State::Checked => self.check(context),
            State::Restored => self.restore(context),
            State::Advanced => {
                let revision = self.revision.ok_or_else(|| {
                    Failure::new("state advanced needs the revision from before the restore")
                })?;
                advance::advance(&self.member(), revision.0, context)
            }
        }
    }
}

impl EtcdSnapshot {
    fn member(&self) -> Member {
        Member::find(self.endpoint.clone(), self.pki.clone())
    }

    fn path(&self) -> Result<&Path, Failure> {
        self.path.as_deref().ok_or_else(|| Failure::new("this state needs the path of a snapshot"))
    }

    /// Also where etcd does not run.
    fn check(&self, context: &Context) -> Result<Outcome, Failure> {
        let (path, mut member) = (self.path()?, self.member());
        if let Some(tag) = self.image_tag.as_deref().filter(|tag| !tag.is_empty()) {
            let name = member.image.rsplit_once(':').map_or(&*member.image, |(name, _)| name);
            member.image = format!("{name}:{tag}");
        }
        let (status, bumps) = match Tool::find(context, &member.image) {
            Ok(tool) => (tool.status(context, path)?, tool.bumps),
            Err(none) => {
                let client = Client::find(context, &member).map_err(|_| none)?;
                (client.status(context, path)?, false)
            }
        };
        let outcome = described(Outcome::default(), path, &status)?.with("bumps", bumps);
        match (&self.sha256, outcome.result.get("sha256").and_then(Json::as_str)) {
            (Some(wanted), Some(is)) if !wanted.eq_ignore_ascii_case(is) => {
                let path = path.display();
                Err(Failure::new(format!("{path} has the SHA-256 {is}, not {wanted}")))
            }
            _ => Ok(outcome),
        }
    }

    fn restore(&self, context: &Context) -> Result<Outcome, Failure> {
        let (Some(cluster), Some(token)) = (&self.initial_cluster, &self.initial_cluster_token)
        else {
            return Err(Failure::new(
                "state restored needs initial_cluster and initial_cluster_token, the same ones \
                 on every member",
            ));
        };
        let restore = Restore {
            snapshot: self.path()?,
            sha256: self.sha256.as_deref(),
            member: &self.member(),
            cluster: &cluster_text(cluster)?,
            token,
        };
        restore.run(context)
    }

    fn save(&self, context: &Context) -> Result<Outcome, Failure> {
        let client = Client::find(context, &self.member())?;
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
            described(Outcome::changed(true), &partial, &client.status(context, &partial)?)
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

/// The snapshot's own check sum, and what etcd says of it.
fn described(outcome: Outcome, path: &Path, status: &Status) -> Result<Outcome, Failure> {
    let sha256 = verify::verify(path)?;
    let size = fs::metadata(path).map_err(|error| failed("cannot be read", path, &error))?.len();
    Ok(outcome
        .with("path", path.display().to_string())
        .with("sha256", sha256)
        .with("hash", status.hash)
        .with("revision", status.revision)
        .with("total_keys", status.total_key)
        .with("size", size))
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
        "{} has {} MB free; etcd's database of {} MB wants {HEADROOM} times its size: make room, \
             or name another folder",
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
