//! A host's state saved.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::record::{Now, Record};
use super::{RECORD, archive, files, read_record, saved, sources};
use crate::modules::files::failed;
use crate::modules::{Context, Failure, Outcome};

/// Saves the host unless it is in the middle of an upgrade: what was saved before that
/// began stays then.
pub fn save(folder: &Path, context: &Context) -> Result<Outcome, Failure> {
    let now = Now::of(context)?;
    let Some(version) = now.whole() else {
        return kept(folder, &now);
    };
    let root = Path::new("/");
    let paths = files::all(root, &sources::of_kubernetes(context));
    let record = Record {
        at: jiff::Timestamp::now().to_string(),
        version: version.to_string(),
        digest: files::digest(root, &paths)?,
        host: now,
        certificates: files::certificates(root),
        path: folder.join(version.to_string()).display().to_string(),
    };
    let state = Path::new(&record.path);
    if let Ok(before) = read_record(state)
        && (&before.digest, &before.host, &before.certificates)
            == (&record.digest, &record.host, &record.certificates)
        && archive(state).exists()
    {
        return Ok(told(false, &before));
    }
    if context.check {
        return Ok(told(true, &record));
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(state);
    made.map_err(|error| failed("cannot be made", state, &error))?;
    // The record is there when its archive is, and both of one state.
    let (whole, partial) = (archive(state), archive(state).with_extension("part"));
    files::pack(context, root, &paths, &partial)
        .inspect_err(|_| drop(fs::remove_file(&partial)))?;
    let _ = fs::remove_file(state.join(RECORD));
    fs::rename(&partial, &whole).map_err(|error| failed("cannot be named", &whole, &error))?;
    write(&state.join(RECORD), &record)?;
    Ok(told(true, &record))
}

fn kept(folder: &Path, now: &Now) -> Result<Outcome, Failure> {
    let of_kubelet = |record: &Record| now.kubelet.as_deref() == Some(record.version.as_str());
    match saved(folder).iter().rev().find(|record| of_kubelet(record)) {
        Some(record) => Ok(told(false, record).with(
            "msg",
            format!("in the middle of an upgrade: the state saved at {} stays", record.at),
        )),
        None => Err(Failure::new(format!(
            "this host is in the middle of an upgrade (kubeadm {}, kubelet {}) and has no saved \
             state in {}: there is nothing whole to save",
            now.kubeadm.as_deref().unwrap_or("unknown"),
            now.kubelet.as_deref().unwrap_or("unknown"),
            folder.display()
        ))),
    }
}

fn write(path: &Path, record: &Record) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(record).map_err(|e| Failure::new(e.to_string()))?;
    let partial = path.with_extension("part");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| failed("cannot be written", path, &error))
}

fn told(changed: bool, record: &Record) -> Outcome {
    let state = Path::new(&record.path);
    Outcome::changed(changed)
        .with("path", record.path.clone())
        .with("archive", archive(state).display().to_string())
        .with("version", record.version.clone())
        .with("packages", serde_json::json!(record.host.packages))
        .with("saved_at", record.at.clone())
}
