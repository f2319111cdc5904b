//! A saved state put back, file by file: each whole or not at all, and only what differs.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::record::Record;
use super::{Part, archive, files, read_record};
use crate::modules::args::HostPath;
use crate::modules::files::{failed, write_private};
use crate::modules::static_pods::STOPPED;
use crate::modules::{Context, Diff, Failure, Outcome, dpkg, kubeadm, tools};

const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// The order: what a pod needs is there before the pod is.
const ORDER: [Part; 5] = [Part::Sources, Part::Pki, Part::Config, Part::Kubelet, Part::Manifests];

pub fn restore(
    state: &Path,
    parts: &[Part],
    keep: &[HostPath],
    context: &Context,
) -> Result<Outcome, Failure> {
    let record = read_record(state)?;
    let packed = archive(state);
    if !packed.exists() {
        return Err(Failure::new(format!("{} is not there", packed.display())));
    }
    let from = context.scratch.join("state");
    let _ = fs::remove_dir_all(&from);
    files::unpack(context, &packed, &from)?;
    let restored = Restore { from: &from, to: Path::new("/"), keep, context }.run(&record, parts);
    // Private keys are in it.
    let _ = fs::remove_dir_all(&from);
    restored
}

struct Restore<'a> {
    from: &'a Path,
    to: &'a Path,
    keep: &'a [HostPath],
    context: &'a Context,
}

impl Restore<'_> {
    fn run(&self, record: &Record, parts: &[Part]) -> Result<Outcome, Failure> {
        let paths = files::unpacked(self.from);
        if files::digest(self.from, &paths)? != record.digest {
            return Err(Failure::new(format!(
                "{} is not what was saved: the sum over its files is another one",
                archive(Path::new(&record.path)).display()
            )));
        }
        let mut outcome = Outcome::default();
        let mut changed = Vec::new();
        for part in ORDER.iter().filter(|part| parts.contains(part)) {
            if *part == Part::Sources && self.offered(record) {
                continue;
            }
            let of_part = paths.iter().filter(|path| files::part_of(path) == Some(*part));
            for path in of_part.filter(|path| !self.kept(path)) {
                if let Some(diff) = self.put(path, *part)? {
                    changed.push(format!("/{}", path.display()));
                    outcome = if self.context.diff { outcome.with_diff(diff) } else { outcome };
                }
            }
        }
        outcome.changed = !changed.is_empty();
        Ok(outcome
            .with("files", changed)
            .with("images", json!(kubeadm::component_images()))
            .with("version", record.version.clone())
            .with("path", record.path.clone()))
    }

    fn kept(&self, path: &Path) -> bool {
        self.keep.iter().any(|kept| kept.strip_prefix("/").is_ok_and(|kept| kept == path))
    }

    /// Whether the saved versions can be installed from what the host has now.
    fn offered(&self, record: &Record) -> bool {
        if tools::find(self.context, "apt-cache").is_none() {
            return false;
        }
        record.host.packages.iter().all(|(name, version)| {
            dpkg::available(self.context, name).is_ok_and(|offered| offered.contains(version))
        })
    }

    /// Puts one file back; none if it is as it was.
    fn put(&self, path: &Path, part: Part) -> Result<Option<Diff>, Failure> {
        let (saved, place) = (self.from.join(path), self.place(path, part));
        let unreadable = |error| failed("cannot be read", &saved, &error);
        let wanted = fs::read(&saved).map_err(unreadable)?;
        let metadata = fs::metadata(&saved).map_err(unreadable)?;
        let now = fs::read(&place).ok();
        let same = now.as_ref() == Some(&wanted)
            && fs::metadata(&place).is_ok_and(|now| {
                (now.mode(), now.uid(), now.gid())
                    == (metadata.mode(), metadata.uid(), metadata.gid())
            });
        if same {
            return Ok(None);
        }
        if !self.context.check {
            let folder = place.parent().unwrap_or(self.to);
            fs::create_dir_all(folder).map_err(|e| failed("cannot be made", folder, &e))?;
            write_private(&place, &mut wanted.as_slice())?;
            let owned =
                std::os::unix::fs::chown(&place, Some(metadata.uid()), Some(metadata.gid()))
                    .and_then(|()| {
                        let mode = fs::Permissions::from_mode(metadata.mode() & 0o7777);
                        fs::set_permissions(&place, mode)
                    });
            owned.map_err(|error| failed("cannot be given its mode", &place, &error))?;
        }
        Ok(Some(self.diff(path, part, now.as_deref().unwrap_or_default(), &wanted)))
    }

    /// A manifest goes to where the others of its pod are: stopped pods stay stopped.
    fn place(&self, path: &Path, part: Part) -> PathBuf {
        let place = self.to.join(path);
        let Some(name) = path.file_name().filter(|_| part == Part::Manifests) else {
            return place;
        };
        let below = |folder: &str| self.to.join(folder.trim_start_matches('/')).join(name);
        let (running, stopped) = (below(MANIFESTS), below(STOPPED));
        if stopped.exists() && !running.exists() { stopped } else { place }
    }

    /// What is shown of a change: keys are never shown.
    fn diff(&self, path: &Path, part: Part, before: &[u8], after: &[u8]) -> Diff {
        let shown = format!("/{}", path.display());
        let text = |bytes: &[u8]| match part {
            Part::Manifests | Part::Kubelet | Part::Sources => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            Part::Pki | Part::Config if bytes.is_empty() => String::new(),
            Part::Pki | Part::Config => "(not shown)\n".to_owned(),
        };
        Diff {
            before_header: shown.clone(),
            after_header: shown,
            before: text(before).into(),
            after: text(after).into(),
            ..Diff::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Host {
        from: tempfile::TempDir,
        to: tempfile::TempDir,
        context: Context,
    }

    impl Host {
        fn new() -> Self {
            let folder = || tempfile::tempdir().expect("a folder");
            Self { from: folder(), to: folder(), context: Context::default() }
        }

        fn write(&self, root: &Path, path: &str, text: &str) {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.to.path().join(path)).expect("read")
        }

        fn restore(&self, parts: &[Part]) -> Result<Vec<String>, Failure> {
            let (from, to) = (self.from.path(), self.to.path());
            let digest = files::digest(from, &files::unpacked(from))?;
            let record = Record { digest, ..Record::default() };
            let keep = [HostPath("/etc/kubernetes/pki/kept.crt".into())];
            let restore = Restore { from, to, keep: &keep, context: &self.context };
            let outcome = restore.run(&record, parts)?;
            let files = outcome.result.get("files").cloned().unwrap_or_default();
            Ok(serde_json::from_value(files).expect("files"))
        }
    }

    #[test]
    fn only_what_differs_is_put_back() {
        let host = Host::new();
        let (from, to) = (host.from.path(), host.to.path());
        for (path, saved, now) in [
            ("etc/kubernetes/admin.conf", "old", "new"),
            ("etc/kubernetes/pki/ca.crt", "same", "same"),
            ("etc/kubernetes/pki/kept.crt", "over", "renewed"),
            ("etc/kubernetes/manifests/etcd.yaml", "old", "new"),
        ] {
            host.write(from, path, saved);
            host.write(to, path, now);
        }
        let files = host.restore(&[Part::Config, Part::Pki]).expect("restored");
        assert_eq!(files, ["/etc/kubernetes/admin.conf"]);
        assert_eq!(host.read("etc/kubernetes/admin.conf"), "old");
        assert_eq!(host.read("etc/kubernetes/manifests/etcd.yaml"), "new");
        assert_eq!(host.read("etc/kubernetes/pki/kept.crt"), "renewed");
        assert!(host.restore(&[Part::Config]).expect("restored").is_empty());
    }

    #[test]
    fn the_manifest_of_a_stopped_pod_stays_where_it_is() {
        let host = Host::new();
        host.write(host.from.path(), "etc/kubernetes/manifests/etcd.yaml", "old");
        host.write(host.to.path(), "etc/kubernetes/manifests.stopped/etcd.yaml", "new");
        assert_eq!(host.restore(&[Part::Manifests]).expect("restored").len(), 1);
        assert_eq!(host.read("etc/kubernetes/manifests.stopped/etcd.yaml"), "old");
        assert!(!host.to.path().join("etc/kubernetes/manifests/etcd.yaml").exists());
    }

    #[test]
    fn an_archive_that_was_changed_is_refused_whole() {
        let host = Host::new();
        host.write(host.from.path(), "etc/kubernetes/admin.conf", "old");
        let record = Record { digest: "another".to_owned(), ..Record::default() };
        let (from, to) = (host.from.path(), host.to.path());
        let restore = Restore { from, to, keep: &[], context: &host.context };
        assert!(restore.run(&record, &[Part::Config]).is_err());
        assert!(!to.join("etc").exists());
    }
}
