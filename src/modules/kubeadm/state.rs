//! What the host says about its own components: the state of the world, not of a journal.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Version;
use crate::modules::process::Process;
use crate::modules::{Context, Failure};

const MANIFESTS: &str = "/etc/kubernetes/manifests";
const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const LOG_LINES: usize = 10;

/// The static pods of a control plane, by the tags of their images.
#[derive(Debug, PartialEq)]
pub struct ControlPlane {
    tags: BTreeMap<String, String>,
}

pub fn is_control_plane() -> bool {
    Path::new(MANIFESTS).join("kube-apiserver.yaml").exists()
}

impl ControlPlane {
    pub fn read() -> Result<Self, Failure> {
        let mut tags = BTreeMap::new();
        for component in COMPONENTS {
            let path = Path::new(MANIFESTS).join(format!("{component}.yaml"));
            let text = fs::read_to_string(&path).map_err(|error| {
                Failure::new(format!(
                    "{} cannot be read ({error}): is this a control plane of kubeadm?",
                    path.display()
                ))
            })?;
            let tag = image_tag(&text, component).ok_or_else(|| {
                Failure::new(format!("{} names no image of {component}", path.display()))
            })?;
            tags.insert(component.to_owned(), tag);
        }
        Ok(Self { tags })
    }

    pub fn versions(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    pub fn parsed(&self) -> impl Iterator<Item = (&str, Version)> {
        self.tags.iter().filter_map(|(name, tag)| Some((name.as_str(), Version::parse(tag)?)))
    }

    pub fn all_run(&self, target: Version) -> bool {
        self.tags.values().all(|tag| Version::parse(tag) == Some(target))
    }
}

/// The tag of the component's image in its manifest.
fn image_tag(manifest: &str, component: &str) -> Option<String> {
    manifest
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("image:"))
        .map(|image| image.trim().trim_matches('"'))
        .filter_map(|image| image.rsplit_once(':'))
        .find(|(name, _)| name.ends_with(component))
        .map(|(_, tag)| tag.split('@').next().unwrap_or(tag).to_owned())
}

pub fn kubelet_version(context: &Context) -> Result<Option<Version>, Failure> {
    let output = Process::new("kubelet").in_context(context).arg("--version").run()?;
    Ok(output.stdout.split_whitespace().last().and_then(Version::parse))
}

/// Whether `apply` got to its end: the configuration in the cluster and kube-proxy, the
/// last thing it changes, are of the version. Without kubectl the answer is no.
pub fn cluster_is_at(context: &Context, kubeconfig: &str, target: Version) -> bool {
    let get = |words: &[&str]| {
        Process::new("kubectl")
            .in_context(context)
            .args(["--kubeconfig", kubeconfig, "-n", "kube-system", "--request-timeout=10s", "get"])
            .args(words)
            .run()
            .ok()
            .filter(|output| output.success())
            .map(|output| output.stdout)
    };
    let wanted = format!("v{target}");
    let configuration =
        get(&["configmap", "kubeadm-config", "-o", "jsonpath={.data.ClusterConfiguration}"]);
    let configured = configuration.is_some_and(|text| {
        text.lines().any(|line| line.trim() == format!("kubernetesVersion: {wanted}"))
    });
    let images = "jsonpath={.spec.template.spec.containers[*].image}";
    let proxy = get(&["daemonset", "kube-proxy", "--ignore-not-found", "-o", images]);
    configured
        && proxy
            .is_some_and(|image| image.is_empty() || image.trim().ends_with(&format!(":{wanted}")))
}

/// The files that an upgrade writes, with their contents.
pub fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut paths = vec![Path::new("/var/lib/kubelet/config.yaml").to_owned()];
    if let Ok(entries) = fs::read_dir(MANIFESTS) {
        paths.extend(entries.flatten().map(|entry| entry.path()));
    }
    for path in paths {
        if let Ok(text) = fs::read_to_string(&path) {
            files.insert(path.display().to_string(), text);
        }
    }
    files
}

/// The static pod that kubeadm waited for in vain, as its messages name it.
pub fn pod_waited_for(stdout: &str, stderr: &str) -> Option<String> {
    let timed_out = ["timed out waiting", "did not change after", "couldn't upgrade control plane"];
    if !timed_out.iter().any(|text| stderr.contains(text)) {
        return None;
    }
    let component = |line: &str| {
        let rest = line.split_once("Preparing for \"")?.1;
        rest.split_once('"').map(|(name, _)| name.to_owned())
    };
    stdout.lines().rev().find_map(component)
}

/// The end of a static pod's newest log.
pub fn last_log_lines(component: &str) -> Vec<String> {
    let newest = |folder: &Path, matches: &dyn Fn(&str) -> bool| {
        let entries = fs::read_dir(folder).ok()?.flatten();
        entries
            .filter(|entry| matches(&entry.file_name().to_string_lossy()))
            .max_by_key(|entry| entry.metadata().and_then(|metadata| metadata.modified()).ok())
            .map(|entry| entry.path())
    };
    let prefix = format!("kube-system_{component}-");
    let log = newest(Path::new("/var/log/pods"), &|name| name.starts_with(&prefix))
        .and_then(|pod| newest(&pod, &|name| name == component))
        .and_then(|container| newest(&container, &|name| name.ends_with(".log")))
        .and_then(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    let lines: Vec<_> = log.lines().rev().take(LOG_LINES).map(str::to_owned).collect();
    lines.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_that_of_the_components_own_image() {
        let manifest = "spec:\n  containers:\n  - image: registry:5000/x/kube-apiserver:v1.21.2\n    name: kube-apiserver\n";
        assert_eq!(image_tag(manifest, "kube-apiserver").as_deref(), Some("v1.21.2"));
        assert_eq!(image_tag(manifest, "etcd"), None);
    }

    #[test]
    fn a_time_out_names_the_last_pod_that_was_prepared() {
        let stdout = "[upgrade/staticpods] Preparing for \"etcd\" upgrade\n[upgrade/staticpods] Preparing for \"kube-apiserver\" upgrade\n";
        let stderr = "[upgrade/apply] FATAL: couldn't upgrade control plane. kubeadm has tried to recover everything into the earlier state. Errors faced: [timed out waiting for the condition]";
        assert_eq!(pod_waited_for(stdout, stderr).as_deref(), Some("kube-apiserver"));
        assert_eq!(pod_waited_for(stdout, "[preflight] Some fatal errors occurred"), None);
    }
}
