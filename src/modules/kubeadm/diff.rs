//! `kubeadm upgrade diff`: how the manifests of the static pods would change.

use super::Kubeadm;
use crate::modules::{Context, Failure, Outcome};

impl Kubeadm {
    pub(super) fn diff(&self, context: &Context) -> Result<Outcome, Failure> {
        let mut words = ["upgrade", "diff"].map(str::to_owned).to_vec();
        words.push(format!("v{}", self.target()?));
        words.push(format!("--kubeconfig={}", self.kubeconfig));
        let output = self.must(self.process(context, &words), "upgrade diff")?;
        let (text, files) = parse(&output.stdout);
        Ok(Outcome::default()
            .with("diff_text", text)
            .with("files", files)
            .with("stdout", output.stdout))
    }
}

/// The unified diff without kubeadm's own lines, and the files that it changes.
fn parse(stdout: &str) -> (String, Vec<String>) {
    let lines: Vec<_> = stdout.lines().filter(|line| !line.starts_with("[upgrade/")).collect();
    let files = lines
        .iter()
        .filter_map(|line| line.strip_prefix("--- "))
        .map(|path| path.split('\t').next().unwrap_or(path).to_owned())
        .collect();
    (lines.join("\n"), files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changed_manifests_are_named() {
        let (text, files) = parse(include_str!("../../../tests/data/kubeadm/1.21.2-diff.txt"));
        assert!(text.starts_with("--- /etc/kubernetes/manifests/kube-apiserver.yaml\n+++ "));
        assert_eq!(files.len(), 3);
        assert_eq!(files[2], "/etc/kubernetes/manifests/kube-scheduler.yaml");
    }
}
