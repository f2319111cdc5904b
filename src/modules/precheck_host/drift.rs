//! What was edited by hand in the manifests of kubeadm, which an upgrade writes anew.

use std::path::Path;
use std::time::Duration;

use super::super::Context;
use super::super::process::Process;
use super::MANIFESTS;

/// How long kubeadm may take; it asks the API for its configuration.
const PATIENCE: Duration = Duration::from_secs(30);
const ADMIN: &str = "/etc/kubernetes/admin.conf";
/// Lines of one host that are told.
const LINES: usize = 20;

/// The lines by which the manifests differ from what kubeadm would write for the version that
/// runs: `-` is in the file, `+` would be. None where that cannot be told: no control plane,
/// or a kubeadm of another version than the apiserver.
pub fn look(context: &Context) -> Vec<String> {
    if !Path::new(ADMIN).exists() {
        return Vec::new();
    }
    let manifest = Path::new(MANIFESTS).join("kube-apiserver.yaml");
    let text = std::fs::read_to_string(manifest).unwrap_or_default();
    let running = image_version(&text);
    let own = output(Process::new("kubeadm").args(["version", "-o", "short"]), context);
    let (Some(running), Some(own)) = (running, own) else {
        return Vec::new();
    };
    if own.trim() != running {
        return Vec::new();
    }
    let diff = ["upgrade", "diff", running, "--kubeconfig", ADMIN];
    output(Process::new("kubeadm").args(diff), context).map_or_else(Vec::new, |diff| changed(&diff))
}

fn output(process: Process, context: &Context) -> Option<String> {
    let output = process.in_context(context).timeout(PATIENCE).run().ok()?;
    output.success().then_some(output.stdout)
}

/// The tag of the image in a component's manifest.
fn image_version(manifest: &str) -> Option<&str> {
    let image = manifest
        .lines()
        .find_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("image:"))?;
    image.rsplit_once(':').map(|(_, tag)| tag.trim())
}

/// The changed lines of a unified diff, under the names of their files.
fn changed(diff: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut file = "";
    for line in diff.lines() {
        if let Some(path) = line.strip_prefix("--- ") {
            file = path.rsplit('/').next().unwrap_or(path);
        } else if !line.starts_with("+++") && line.starts_with(['+', '-']) {
            let (sign, text) = line.split_at(1);
            lines.push(format!("{file}: {sign} {}", text.trim()));
        }
    }
    lines.truncate(LINES);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kubeadm v1.21.2 printed it.
    const DIFF: &str = "\
[upgrade/diff] Reading configuration from the cluster...
[upgrade/diff] FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'
--- /etc/kubernetes/manifests/kube-apiserver.yaml
+++ new manifest
@@ -15,7 +15,6 @@
     - kube-apiserver
     - --advertise-address=10.77.1.11
     - --allow-privileged=true
-    - --v=2
     - --authorization-mode=Node,RBAC
     - --client-ca-file=/etc/kubernetes/pki/ca.crt
     - --enable-admission-plugins=NodeRestriction
";

    #[test]
    fn lines_that_were_edited_are_told_with_their_file() {
        assert_eq!(changed(DIFF), ["kube-apiserver.yaml: - - --v=2"]);
        assert!(changed("[upgrade/diff] Reading configuration from the cluster...\n").is_empty());
    }

    #[test]
    fn the_version_that_runs_is_the_images() {
        for key in ["    image", "  - image"] {
            let manifest = format!("spec:\n{key}: registry:5000/kube-apiserver:v1.21.2\n");
            assert_eq!(image_version(&manifest), Some("v1.21.2"));
        }
        assert_eq!(image_version("spec: {}\n"), None);
    }
}
