//! The files that say where Kubernetes' packages come from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::record::PACKAGES;
use crate::modules::{Context, tools};

/// Their paths without a leading slash; with the keys that they name.
pub fn of_kubernetes(context: &Context) -> Vec<PathBuf> {
    let root = Path::new("/");
    if tools::find(context, "apt-cache").is_some() {
        return of_apt(root, &addresses(context));
    }
    of_yum(root)
}

/// Where apt has the packages from.
fn addresses(context: &Context) -> BTreeSet<String> {
    let asked = tools::command(context, "apt-cache")
        .and_then(|apt_cache| apt_cache.arg("policy").args(PACKAGES).run());
    let text = asked.map(|output| output.stdout).unwrap_or_default();
    in_policy(&text)
}

/// `        500 https://pkgs.k8s.io/core:/stable:/v1.30/deb  Packages`
fn in_policy(text: &str) -> BTreeSet<String> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next()?.parse::<i32>().ok()?;
        words.next().filter(|word| word.contains(":/")).map(|word| word.trim_end_matches('/'))
    });
    addresses.map(str::to_owned).collect()
}

fn of_apt(root: &Path, addresses: &BTreeSet<String>) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    let mut files = vec![PathBuf::from("etc/apt/sources.list")];
    files.extend(in_folder(root, "etc/apt/sources.list.d", &["list", "sources"]));
    for file in files {
        let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
        if addresses.iter().any(|address| text.contains(address.as_str())) {
            found.extend(keys(&text));
            found.insert(file);
        }
    }
    for file in in_folder(root, "etc/apt/preferences.d", &["", "pref"]) {
        let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
        if PACKAGES.iter().any(|name| text.contains(name)) {
            found.insert(file);
        }
    }
    found.into_iter().filter(|path| root.join(path).is_file()).collect()
}

/// Keys below /etc/apt that a source is signed by.
fn keys(text: &str) -> Vec<PathBuf> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '=' | '[' | ']' | ','));
    let words = words.filter_map(|word| word.strip_prefix('/'));
    words.filter(|word| word.starts_with("etc/apt/")).map(PathBuf::from).collect()
}

fn of_yum(root: &Path) -> Vec<PathBuf> {
    let folders = [("etc/yum.repos.d", ["repo"]), ("etc/zypp/repos.d", ["repo"])];
    let files = folders.iter().flat_map(|(folder, ends)| in_folder(root, folder, ends));
    files
        .filter(|file| {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            text.contains("kubernetes") || text.contains("k8s")
        })
        .collect()
}

fn in_folder(root: &Path, folder: &str, ends: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let mut files: Vec<_> =
        entries.map(|entry| Path::new(folder).join(entry.file_name())).collect();
    files.retain(|path| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        ends.contains(&end)
    });
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "kubeadm:\n  Installed: 1.30.2-1.1\n  Version table:\n *** 1.30.2-1.1 500\n        500 https://pkgs.k8s.io/core:/stable:/v1.30/deb  Packages\n        100 /var/lib/dpkg/status\n";

    #[test]
    fn the_file_that_offers_the_packages_is_found_with_its_key() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("etc/apt/sources.list", "deb http://deb.example.org/debian bookworm main\n");
        write(
            "etc/apt/sources.list.d/kubernetes.list",
            "deb [signed-by=/etc/apt/keyrings/kubernetes.gpg] https://pkgs.k8s.io/core:/stable:/v1.30/deb/ /\n",
        );
        write("etc/apt/keyrings/kubernetes.gpg", "a key");
        let addresses = in_policy(POLICY);
        assert_eq!(addresses.len(), 1);
        let found = of_apt(root.path(), &addresses);
        let expected =
            ["etc/apt/keyrings/kubernetes.gpg", "etc/apt/sources.list.d/kubernetes.list"];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn a_repository_of_yum_is_known_by_what_it_says() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("etc/yum.repos.d");
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("base.repo"), "[base]\n").expect("written");
        fs::write(folder.join("k.repo"), "[kubernetes]\n").expect("written");
        assert_eq!(of_yum(root.path()), [PathBuf::from("etc/yum.repos.d/k.repo")]);
    }
}
