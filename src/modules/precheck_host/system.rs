//! Swap, disks and the folder of manifests.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value as Json;

use super::facts::{Disk, Manifest};

const MANIFESTS: &str = "/etc/kubernetes/manifests";
const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";

/// The first column of /proc/swaps.
pub fn swap() -> Vec<String> {
    swaps(&fs::read_to_string("/proc/swaps").unwrap_or_default())
}

fn swaps(text: &str) -> Vec<String> {
    text.lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// Where packages and kubeadm put the kubelet's flags.
const KUBELET_FLAGS: [&str; 3] =
    ["/etc/default/kubelet", "/etc/sysconfig/kubelet", "/var/lib/kubelet/kubeadm-flags.env"];

/// The kubelet's own setting: it refuses swap unless it is told not to, by its configuration or
/// by a flag.
pub fn fail_swap_on() -> bool {
    let lets_it =
        |line: &str| !line.trim_start().starts_with('#') && line.contains("--fail-swap-on=false");
    let of_file = |path: &&str| fs::read_to_string(path).is_ok_and(|t| t.lines().any(lets_it));
    if KUBELET_FLAGS.iter().any(of_file) {
        return false;
    }
    kubelet_config().get("failSwapOn").and_then(Json::as_bool).unwrap_or(true)
}

fn kubelet_config() -> Json {
    let text = fs::read_to_string(KUBELET_CONFIG).unwrap_or_default();
    serde_yaml::from_str(&text).unwrap_or(Json::Null)
}

/// The server of the kubelet's kubeconfig.
pub fn kubelet_server() -> Option<String> {
    let text = fs::read_to_string(KUBELET_CONF).ok()?;
    let config: Json = serde_yaml::from_str(&text).ok()?;
    config.pointer("/clusters/0/cluster/server")?.as_str().map(str::to_owned)
}

/// The file system that holds the path, or would if it were made.
pub fn disk(path: &Path) -> Option<Disk> {
    let existing = path.ancestors().find(|path| path.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    Some(Disk {
        path: path.display().to_string(),
        device: fs::metadata(existing).ok()?.dev(),
        free: stat.f_bavail * stat.f_frsize,
        used: 0,
    })
}

/// Bytes of all files below a folder; what vanishes meanwhile does not count.
pub fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// What the kubelet takes for static pods: every file whose name has no dot in front.
pub fn manifests() -> Vec<Manifest> {
    let named = kubelet_config();
    let folder = named.get("staticPodPath").and_then(Json::as_str).unwrap_or(MANIFESTS);
    in_folder(Path::new(folder))
}

fn in_folder(folder: &Path) -> Vec<Manifest> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            (!file.starts_with('.')).then(|| Manifest { pod: pod_name(&text), file })
        })
        .collect();
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}

fn pod_name(text: &str) -> Option<String> {
    let object: Json = serde_yaml::from_str(text).ok()?;
    let kind = object.get("kind").and_then(Json::as_str);
    let name = object.pointer("/metadata/name").and_then(Json::as_str)?;
    (kind == Some("Pod")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_in_use_is_named() {
        let text = "Filename Type Size Used Priority\n/dev/sda2 partition 1048572 0 -2\n";
        assert_eq!(swaps(text), ["/dev/sda2"]);
        assert!(swaps("Filename Type Size Used Priority\n").is_empty());
    }

    #[test]
    fn hidden_files_are_no_manifests() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("written");
        };
        write("etcd.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd}\n");
        write(".etcd.yaml.swp", "x");
        write("notes.txt", "not a pod");
        let found = in_folder(folder.path());
        let names: Vec<_> = found.iter().map(|m| (m.file.as_str(), m.pod.as_deref())).collect();
        assert_eq!(names, [("etcd.yaml", Some("etcd")), ("notes.txt", None)]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_on_the_disk_that_it_would_be_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = disk(folder.path()).expect("a disk");
        let there = disk(&folder.path().join("a/b")).expect("a disk");
        assert_eq!(here.device, there.device);
        fs::write(folder.path().join("file"), vec![1; 5000]).expect("written");
        assert!(size_of(folder.path()) >= 5000);
    }
}
