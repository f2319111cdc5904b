//! What the host says about its own components: the state of the world, not of a journal.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Version;
use crate::modules::process::Process;
use crate::modules::{Context, Failure, static_pods};

const MANIFESTS: &str = "/etc/kubernetes/manifests";
const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

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
            let tag = image(&text, component).and_then(tag_of).ok_or_else(|| {
                Failure::new(format!("{} names no image of {component}", path.display()))
            })?;
            tags.insert(component.to_owned(), tag.to_owned());
        }
        Ok(Self { tags })
    }

    #[cfg(test)]
    pub fn of<const N: usize>(tags: [(&str, &str); N]) -> Self {
        let owned = tags.map(|(name, tag)| (name.to_owned(), tag.to_owned()));
        Self { tags: BTreeMap::from(owned) }
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

/// The component's image in its manifest.
fn image<'a>(manifest: &'a str, component: &str) -> Option<&'a str> {
    manifest
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("image:"))
        .map(|image| image.trim().trim_matches(['"', '\'']))
        .find(|image| {
            let name = image.split('@').next().unwrap_or_default();
            let name = name.rsplit('/').next().unwrap_or_default();
            name.split(':').next() == Some(component)
        })
}

/// The images of all static pods of the control plane that this host has, stopped or not.
pub fn component_images() -> BTreeMap<String, String> {
    let of = |name: &str| {
        let manifest = fs::read_to_string(static_pods::manifest(name)?).ok()?;
        Some((name.to_owned(), image(&manifest, name)?.to_owned()))
    };
    COMPONENTS.iter().chain(&["etcd"]).filter_map(|name| of(name)).collect()
}

/// Their tags.
pub fn component_tags() -> BTreeMap<String, String> {
    let tag = |(name, image): (String, String)| Some((name, tag_of(&image)?.to_owned()));
    component_images().into_iter().filter_map(tag).collect()
}

/// None where there is no kubeadm, or it does not say.
pub fn program_version(context: &Context) -> Option<Version> {
    let asked = Process::new("kubeadm").in_context(context).args(["version", "-o", "short"]).run();
    Version::parse(asked.ok()?.stdout.trim())
}

pub fn kubelet_version(context: &Context) -> Result<Option<Version>, Failure> {
    let output = Process::new("kubelet").in_context(context).arg("--version").run()?;
    Ok(output.stdout.split_whitespace().last().and_then(Version::parse))
}

/// The version that the cluster as a whole has: that of its configuration, when
/// kube-proxy, the last thing that `apply` changes, has it too. None when it is torn
/// between two, or cannot be asked.
pub fn cluster_version(context: &Context, kubeconfig: &str) -> Option<Version> {
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
    let configuration =
        get(&["configmap", "kubeadm-config", "-o", "jsonpath={.data.ClusterConfiguration}"])?;
    let version = configured_version(&configuration)?;
    let images = "jsonpath={.spec.template.spec.containers[?(@.name==\"kube-proxy\")].image}";
    let proxy = get(&["daemonset", "kube-proxy", "--ignore-not-found", "-o", images])?;
    // A cluster may have no kube-proxy at all.
    let proxy = proxy.trim();
    (proxy.is_empty() || tag_of(proxy).and_then(Version::parse) == Some(version)).then_some(version)
}

fn configured_version(configuration: &str) -> Option<Version> {
    let mut lines = configuration.lines();
    lines.find_map(|line| Version::parse(line.trim().strip_prefix("kubernetesVersion:")?))
}

/// `registry:5000/kube-proxy:v1.21.2@sha256:…`
fn tag_of(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or(image);
    let (name, tag) = image.rsplit_once(':')?;
    (!tag.contains('/') && !name.is_empty()).then_some(tag)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_that_of_the_components_own_image() {
        let manifest = "spec:\n  containers:\n  - image: registry:5000/x/kube-apiserver:v1.21.2\n    name: kube-apiserver\n";
        assert_eq!(image(manifest, "kube-apiserver").and_then(tag_of), Some("v1.21.2"));
        assert_eq!(image(manifest, "etcd"), None);
    }

    #[test]
    fn tags_are_told_from_ports_and_digests() {
        let manifest = "    image: \"r:5000/kube-scheduler:v1.30.2@sha256:00\"\n";
        assert_eq!(image(manifest, "kube-scheduler").and_then(tag_of), Some("v1.30.2"));
        assert_eq!(tag_of("r:5000/kube-proxy"), None);
    }

    #[test]
    fn the_configurations_version_is_found() {
        let text = "apiServer: {}\nkind: ClusterConfiguration\nkubernetesVersion: v1.21.2\n";
        assert_eq!(configured_version(text), Version::parse("1.21.2"));
    }
}
