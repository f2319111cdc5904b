//! A snapshot put in the place of a member's data, which is kept.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::member::Member;
use super::tool::{Tool, Wanted};
use super::{require_space, verify};
use crate::modules::files::failed;
use crate::modules::mount::mounted::Mounts;
use crate::modules::static_pods::STOPPED;
use crate::modules::{Context, Failure, Outcome};

/// Says in the member's own folder what it was restored from. It comes there before the
/// folder takes its place, so where it is the restore is whole.
const MARKER: &str = "kup-play-restored.json";
const MANIFEST: &str = "/etc/kubernetes/manifests/etcd.yaml";

/// A restore of one member.
#[derive(Debug)]
pub struct Restore<'a> {
    pub snapshot: &'a Path,
    /// What the whole file has to be.
    pub sha256: Option<&'a str>,
    pub member: &'a Member,
    /// `name=url` of all members, with commas.
    pub cluster: &'a str,
    pub token: &'a str,
}

/// What was restored.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Restored {
    token: String,
    sha256: String,
    /// The snapshot's.
    revision: i64,
    /// Of the data before, if it could be read.
    revision_before: Option<i64>,
    /// Revisions were put up.
    bumped: bool,
    tool: String,
    /// Where the data before are.
    kept: Option<PathBuf>,
}

/// The folders of a restore, all on one file system.
#[derive(Debug, PartialEq)]
struct Places {
    /// Where it is prepared. What is here is never more than a part of a restore.
    staging: PathBuf,
    /// What of it takes the place of `target`.
    restored: PathBuf,
    target: PathBuf,
    kept: PathBuf,
    /// etcd's own folder below `target`.
    member: PathBuf,
}

impl Places {
    fn of(data_dir: &Path, stamp: &str) -> Self {
        // Without a slash at its end.
        let data_dir: PathBuf = data_dir.components().collect();
        let data_dir = data_dir.as_path();
        let beside = |what: &str| PathBuf::from(format!("{}.{what}", data_dir.display()));
        if is_mount(data_dir) {
            // A mount cannot be moved: what is in it is.
            let member = data_dir.join("member");
            let staging = data_dir.join("restoring.tmp");
            return Self {
                restored: staging.join("member"),
                staging,
                target: member.clone(),
                kept: data_dir.join(format!("member.failed-{stamp}")),
                member,
            };
        }
        Self {
            staging: beside("restoring"),
            restored: beside("restoring"),
            target: data_dir.to_owned(),
            kept: beside(&format!("failed-{stamp}")),
            member: data_dir.join("member"),
        }
    }
}

/// Also one of a folder of the same file system.
fn is_mount(folder: &Path) -> bool {
    Mounts::read().has(folder)
}

impl Restore<'_> {
    pub fn run(&self, context: &Context) -> Result<Outcome, Failure> {
        let sha256 = self.proved()?;
        self.fits()?;
        let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let data_dir = self.member.data_dir.as_path();
        let places = Places::of(data_dir, &stamp);
        if let Some(done) = read_marker(&places.member)
            && (&done.token, &done.sha256) == (&self.token.to_owned(), &sha256)
        {
            return Ok(self.told(false, &done));
        }
        // A check finds etcd running, as nothing was stopped for it.
        if !context.check {
            refuse_running(&places.member, Path::new(MANIFEST))?;
        }
        let size = fs::metadata(self.snapshot)
            .map_err(|error| failed("cannot be read", self.snapshot, &error))?
            .len();
        require_space(&places.staging, size)?;
        let tool = Tool::find(context, &self.member.image)?;
        let mut done = Restored {
            token: self.token.to_owned(),
            sha256,
            revision: tool.status(context, self.snapshot)?.revision,
            revision_before: None,
            bumped: tool.bumps,
            tool: tool.name(),
            kept: places.target.exists().then(|| places.kept.clone()),
        };
        if context.check {
            return Ok(self.told(true, &done));
        }
        let database = places.member.join("snap/db");
        if database.exists() {
            // Data that are damaged do not say.
            done.revision_before = tool.status(context, &database).map(|s| s.revision).ok();
        }
        // A restore that was broken off behind this member: these data are the snapshot's own.
        let earlier = read_marker(&places.member).and_then(|marker| marker.revision_before);
        done.revision_before = done.revision_before.max(earlier);
        let prepared = self.prepare(context, &tool, &places, &done);
        let swapped = prepared.and_then(|()| swap(&places));
        if swapped.is_err() {
            let _ = fs::remove_dir_all(&places.staging);
        }
        swapped?;
        Ok(self.told(true, &done))
    }

    /// The snapshot is whole, and the one that was meant.
    fn proved(&self) -> Result<String, Failure> {
        let sha256 = verify::verify(self.snapshot)?;
        match self.sha256 {
            Some(wanted) if !wanted.eq_ignore_ascii_case(&sha256) => Err(Failure::new(format!(
                "{} is another snapshot than the one that is meant: its SHA-256 is {sha256}, not \
                 {wanted}",
                self.snapshot.display()
            ))),
            _ => Ok(sha256),
        }
    }

    /// What etcd would complain of when it starts is found before anything is changed.
    fn fits(&self) -> Result<(), Failure> {
        let Member { name, peer_url, wal_dir, .. } = self.member;
        if name.is_empty() || peer_url.is_empty() {
            return Err(Failure::new(
                "the member's name and peer_url are not known: no manifest of etcd says them \
                 here; is this a control plane with its own etcd member?",
            ));
        }
        if let Some(folder) = wal_dir {
            return Err(Failure::new(format!(
                "etcd keeps its log in {} (--wal-dir), apart from its data: such a member is not \
                 restored by this module",
                folder.display()
            )));
        }
        let own = format!("{name}={peer_url}");
        if self.cluster.split(',').any(|member| member == own) {
            return Ok(());
        }
        let cluster = self.cluster;
        Err(Failure::new(format!("initial_cluster does not have {own}: it is {cluster}")))
    }

    fn prepare(
        &self,
        context: &Context,
        tool: &Tool,
        places: &Places,
        done: &Restored,
    ) -> Result<(), Failure> {
        let staging = &places.staging;
        if staging.exists() {
            fs::remove_dir_all(staging).map_err(|e| failed("cannot be removed", staging, &e))?;
        }
        let wanted = Wanted {
            name: &self.member.name,
            peer_url: &self.member.peer_url,
            cluster: self.cluster,
            token: self.token,
            data_dir: staging,
        };
        tool.restore(context, self.snapshot, &wanted)?;
        let member = staging.join("member");
        if !member.join("snap/db").is_file() || !member.join("wal").is_dir() {
            return Err(Failure::new(format!(
                "{} has left no database and log in {}",
                tool.name(),
                staging.display()
            )));
        }
        let marker = member.join(MARKER);
        let text = serde_json::to_vec(done).map_err(|error| Failure::new(error.to_string()))?;
        fs::write(&marker, text).map_err(|error| failed("cannot be written", &marker, &error))?;
        let owner = fs::metadata(&places.target).ok().map(|old| (old.uid(), old.gid()));
        settle(staging, owner).map_err(|error| failed("cannot be settled", staging, &error))
    }

    fn told(&self, changed: bool, done: &Restored) -> Outcome {
        let lost = done.revision_before.map(|before| before.saturating_sub(done.revision));
        Outcome::changed(changed)
            .with("path", self.snapshot.display().to_string())
            .with("data_dir", self.member.data_dir.display().to_string())
            .with("member", self.member.name.clone())
            .with("sha256", done.sha256.clone())
            .with("revision", done.revision)
            .with("revision_before", done.revision_before)
            .with("lost_revisions", lost)
            .with("bumped", done.bumped)
            .with("tool", done.tool.clone())
            .with("kept", done.kept.as_ref().map(|path| path.display().to_string()))
    }
}

fn read_marker(member: &Path) -> Option<Restored> {
    serde_json::from_str(&fs::read_to_string(member.join(MARKER)).ok()?).ok()
}

/// etcd locks its database for as long as it runs, in a container too.
fn refuse_running(member: &Path, manifest: &Path) -> Result<(), Failure> {
    if manifest.exists() {
        return Err(Failure::new(format!(
            "{} is in its place, so the kubelet would start etcd in the middle of a restore: \
             'static_pods: {{names: [etcd], state: stopped}}' moves it to {STOPPED}",
            manifest.display()
        )));
    }
    let Ok(database) = fs::File::open(member.join("snap/db")) else {
        return Ok(());
    };
    match rustix::fs::flock(&database, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::new(format!(
            "etcd runs with the data in {}: it has to be stopped before they are replaced",
            member.display()
        ))),
        // File systems without such locks do not tell.
        _ => Ok(()),
    }
}

/// Gives all of a folder to its owner, and to the disk.
fn settle(path: &Path, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            settle(&entry?.path(), owner)?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    if metadata.is_dir() || metadata.is_file() {
        fs::File::open(path)?.sync_all()?;
    }
    Ok(())
}

/// Between the two steps there are no data in place: no etcd runs, and the next restore
/// begins anew.
fn swap(places: &Places) -> Result<(), Failure> {
    let Places { restored, target, kept, .. } = places;
    if target.exists() {
        fs::rename(target, kept).map_err(|error| failed("cannot be kept", target, &error))?;
    }
    if let Err(error) = fs::rename(restored, target) {
        // As it was.
        let _ = fs::rename(kept, target);
        return Err(failed("cannot be put in place", restored, &error));
    }
    if places.staging.exists() {
        let _ = fs::remove_dir_all(&places.staging);
    }
    let folder = target.parent().unwrap_or(Path::new("/"));
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed("cannot be synced", folder, &error))
}

/// What a list or a text of members comes to: `name=url` with commas.
pub fn cluster_text(members: &Json) -> Result<String, Failure> {
    let wrong = || Failure::new("initial_cluster is a list of NAME=URL, of all members");
    let text = match members {
        Json::String(text) => text.clone(),
        Json::Array(list) => {
            let members: Option<Vec<_>> = list.iter().map(Json::as_str).collect();
            members.ok_or_else(wrong)?.join(",")
        }
        _ => return Err(wrong()),
    };
    let is_member =
        |member: &str| member.split_once('=').is_some_and(|(_, url)| url.contains("://"));
    if text.split(',').all(is_member) { Ok(text) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(data_dir: &Path) -> Member {
        Member {
            name: "cp1".to_owned(),
            peer_url: "https://10.0.0.1:2380".to_owned(),
            data_dir: data_dir.to_owned(),
            ..Member::default()
        }
    }

    #[test]
    fn a_member_that_is_not_in_the_cluster_is_refused_before_anything_is_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let member = member(folder.path());
        let restore = |cluster| Restore {
            snapshot: Path::new("/nowhere"),
            sha256: None,
            member: &member,
            cluster,
            token: "t",
        };
        assert!(restore("cp1=https://10.0.0.1:2380,cp2=https://10.0.0.2:2380").fits().is_ok());
        assert!(restore("cp2=https://10.0.0.2:2380").fits().is_err());
        assert!(restore("cp1=https://10.0.0.9:2380").fits().is_err());
    }

    #[test]
    fn running_data_are_not_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        let (member, manifest) = (folder.path().join("member"), folder.path().join("etcd.yaml"));
        fs::create_dir_all(member.join("snap")).expect("made");
        fs::write(member.join("snap/db"), "data").expect("written");
        assert!(refuse_running(&member, &manifest).is_ok());
        let etcd = fs::File::open(member.join("snap/db")).expect("opened");
        rustix::fs::flock(&etcd, FlockOperation::LockExclusive).expect("locked");
        let failure = refuse_running(&member, &manifest).expect_err("it runs");
        assert!(failure.msg.contains("etcd runs with the data in"), "{}", failure.msg);
        drop(etcd);
        fs::write(&manifest, "a pod").expect("written");
        assert!(refuse_running(&member, &manifest).is_err());
    }

    #[test]
    fn the_old_data_are_kept_beside_the_new() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("etcd");
        let places = Places::of(&data, "1");
        fs::create_dir_all(data.join("member")).expect("made");
        fs::write(data.join("member/old"), "").expect("written");
        fs::create_dir_all(places.restored.join("member")).expect("made");
        fs::write(places.restored.join("member/new"), "").expect("written");
        settle(
            &places.staging,
            Some((rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())),
        )
        .expect("settled");
        swap(&places).expect("swapped");
        assert!(data.join("member/new").exists() && !places.staging.exists());
        assert!(folder.path().join("etcd.failed-1/member/old").exists());
        assert_eq!(fs::metadata(&data).expect("there").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn members_come_as_a_list_or_a_text() {
        let text = "a=https://1:2380,b=https://2:2380";
        assert_eq!(cluster_text(&json!(text)).as_deref(), Ok(text));
        assert_eq!(cluster_text(&json!(text.split(',').collect::<Vec<_>>())).as_deref(), Ok(text));
        assert!(cluster_text(&json!("")).is_err() && cluster_text(&json!(["a"])).is_err());
    }
}
