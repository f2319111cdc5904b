//! The files of a state: which they are, and what an archive of them is made and read with.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Part;
use crate::modules::files::{digest_of, failed, hex};
use crate::modules::precheck_host::{Certificate, certificates};
use crate::modules::process::Process;
use crate::modules::static_pods::STOPPED;
use crate::modules::{Context, Failure};

const KUBERNETES: &str = "etc/kubernetes";
const MANIFESTS: &str = "etc/kubernetes/manifests";
/// What kubeadm itself keeps, and what is on its way somewhere.
const LEFT_OUT: [&str; 1] = ["etc/kubernetes/tmp"];
const KUBELET: [&str; 2] = ["var/lib/kubelet/config.yaml", "var/lib/kubelet/kubeadm-flags.env"];
const SOURCES: [&str; 3] = ["etc/apt", "etc/yum.repos.d", "etc/zypp"];

/// The part that a path without its leading slash belongs to.
pub fn part_of(path: &Path) -> Option<Part> {
    let below = |folder: &str| path.starts_with(folder);
    Some(match path {
        _ if below(MANIFESTS) => Part::Manifests,
        _ if below("etc/kubernetes/pki") => Part::Pki,
        _ if below(KUBERNETES) => Part::Config,
        _ if KUBELET.iter().any(|file| path == Path::new(file)) => Part::Kubelet,
        _ if SOURCES.iter().any(|folder| below(folder)) => Part::Sources,
        _ => return None,
    })
}

/// Everything that is saved, as paths below `root` without a leading slash, sorted.
pub fn all(root: &Path, sources: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(root, Path::new(KUBERNETES), &mut found);
    for path in KUBELET.map(PathBuf::from).iter().chain(sources) {
        // What a link leads to stays where it is.
        if fs::symlink_metadata(root.join(path)).is_ok_and(|metadata| metadata.is_file()) {
            found.push(path.clone());
        }
    }
    let stopped = Path::new(STOPPED).strip_prefix("/").unwrap_or(Path::new(STOPPED));
    found.retain(|path| {
        !path.starts_with(stopped) && LEFT_OUT.iter().all(|folder| !path.starts_with(folder))
    });
    found.sort();
    found.dedup();
    found
}

/// The certificates among what is saved.
pub fn certificates(root: &Path) -> Vec<Certificate> {
    let mut all = certificates::all(root);
    all.retain(|certificate| Path::new(&certificate.path).starts_with(root.join(KUBERNETES)));
    all
}

/// The files below a folder; links are left out.
fn walk(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let path = folder.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(root, &path, found),
            Ok(kind) if kind.is_file() => found.push(path),
            _ => {}
        }
    }
}

/// The regular files of an unpacked archive.
pub fn unpacked(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(root, Path::new(""), &mut found);
    found.sort();
    found
}

/// SHA-256 over names, modes, owners and contents.
pub fn digest(root: &Path, paths: &[PathBuf]) -> Result<String, Failure> {
    let mut whole = Sha256::new();
    for path in paths {
        let full = root.join(path);
        let unreadable = |error| failed("cannot be read", &full, &error);
        let metadata = fs::metadata(&full).map_err(unreadable)?;
        let sum = digest_of::<Sha256>(&full).map_err(unreadable)?;
        let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        whole.update(format!("{}\0{mode:o} {uid} {gid} {sum}\n", path.display()));
    }
    Ok(hex(&whole.finalize()))
}

/// Packs files of `root`; the archive is for root alone.
pub fn pack(
    context: &Context,
    root: &Path,
    paths: &[PathBuf],
    archive: &Path,
) -> Result<(), Failure> {
    let names: Vec<u8> = paths
        .iter()
        .flat_map(|path| [path.as_os_str().as_encoded_bytes(), b"\0"].concat())
        .collect();
    let made =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(archive);
    made.map_err(|error| failed("cannot be written", archive, &error))?;
    tar(context, archive, |tar| {
        tar.arg("-czf")
            .arg(archive)
            .arg("-C")
            .arg(root)
            .args(["--null", "--no-recursion", "--files-from=-"])
            .stdin(names)
    })?;
    let synced = fs::File::open(archive).and_then(|file| file.sync_all());
    synced.map_err(|error| failed("cannot be synced", archive, &error))
}

/// Unpacks an archive into a new folder of root's alone.
pub fn unpack(context: &Context, archive: &Path, into: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(into);
    made.map_err(|error| failed("cannot be made", into, &error))?;
    tar(context, archive, |tar| tar.arg("-xpzf").arg(archive).arg("-C").arg(into))
}

fn tar(
    context: &Context,
    archive: &Path,
    words: impl FnOnce(Process) -> Process,
) -> Result<(), Failure> {
    let output = words(Process::new("tar").in_context(context)).run()?;
    if output.success() {
        return Ok(());
    }
    Err(Failure::new(format!("tar of {}: {}", archive.display(), output.stderr.trim()))
        .with("rc", output.rc)
        .with("stderr", output.stderr.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_belongs_to_a_part() {
        let part = |path: &str| part_of(Path::new(path));
        assert_eq!(part("etc/kubernetes/manifests/etcd.yaml"), Some(Part::Manifests));
        assert_eq!(part("etc/kubernetes/pki/etcd/ca.key"), Some(Part::Pki));
        assert_eq!(part("etc/kubernetes/admin.conf"), Some(Part::Config));
        assert_eq!(part("var/lib/kubelet/config.yaml"), Some(Part::Kubelet));
        assert_eq!(part("etc/apt/sources.list.d/kubernetes.list"), Some(Part::Sources));
        assert_eq!(part("etc/passwd"), None);
    }

    #[test]
    fn kubeadms_own_backups_are_left_out_and_the_digest_tells_changes() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("etc/kubernetes/admin.conf", "a");
        write("etc/kubernetes/tmp/old/etcd.yaml", "b");
        write("etc/kubernetes/manifests.stopped/etcd.yaml", "c");
        write("etc/kubernetes/manifests/etcd.yaml", "d");
        let paths = all(root.path(), &[]);
        let expected = ["etc/kubernetes/admin.conf", "etc/kubernetes/manifests/etcd.yaml"];
        assert_eq!(paths, expected.map(PathBuf::from));
        let before = digest(root.path(), &paths).expect("a digest");
        assert_eq!(digest(root.path(), &paths).as_ref(), Ok(&before));
        write("etc/kubernetes/admin.conf", "e");
        assert_ne!(digest(root.path(), &paths), Ok(before));
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let (root, into) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        fs::create_dir_all(root.path().join("etc/kubernetes")).expect("made");
        fs::write(root.path().join("etc/kubernetes/a b.conf"), "text").expect("written");
        let context = Context::default();
        let paths = all(root.path(), &[]);
        let archive = into.path().join("state.tar.gz");
        pack(&context, root.path(), &paths, &archive).expect("packed");
        assert_eq!(fs::metadata(&archive).expect("there").mode() & 0o777, 0o600);
        let out = into.path().join("out");
        unpack(&context, &archive, &out).expect("unpacked");
        assert_eq!(unpacked(&out), paths);
    }
}
