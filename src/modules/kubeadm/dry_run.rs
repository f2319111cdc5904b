//! What `--dry-run` would write.

use std::collections::BTreeMap;

/// The files of a dry run with their contents.
pub fn files(stdout: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut current: Option<(String, String)> = None;
    for line in stdout.lines() {
        if let Some(path) = path_of(line) {
            files.extend(current.replace((path.to_owned(), String::new())));
        } else if let Some((_, contents)) = &mut current {
            match line.strip_prefix('\t') {
                Some(line) => {
                    contents.push_str(line);
                    contents.push('\n');
                }
                None => files.extend(current.take()),
            }
        }
    }
    files.extend(current);
    files
}

fn path_of(line: &str) -> Option<&str> {
    line.strip_prefix("[dryrun] Would write file \"")?.strip_suffix("\" with content:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_of_a_dry_run_are_read() {
        let files = files(include_str!("../../../tests/data/kubeadm/1.21.2-apply-dry-run.txt"));
        let manifest = &files["/etc/kubernetes/manifests/kube-scheduler.yaml"];
        assert!(manifest.starts_with("apiVersion: v1\n"));
        assert!(manifest.contains("image: k8s.gcr.io/kube-scheduler:v1.21.2\n"));
        assert_eq!(files.len(), 4);
    }
}
