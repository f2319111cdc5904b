//! What a host is, and what it was when it was saved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::modules::kubeadm::{self, Version};
use crate::modules::precheck_host::Certificate;
use crate::modules::{Context, Failure, dpkg, static_pods, tools};

/// Kubernetes' packages.
pub const PACKAGES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

/// The versions that a host has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Now {
    /// Versions of the packages as their manager has them.
    pub packages: BTreeMap<String, String>,
    pub held: Vec<String>,
    /// `1.21.2`
    pub kubeadm: Option<String>,
    pub kubelet: Option<String>,
    /// Tags of the images in the manifests of static pods, stopped ones included.
    pub components: BTreeMap<String, String>,
    /// Those of them that `static_pods` has stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<String>,
}

/// A saved state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// When it was saved; RFC 3339.
    pub at: String,
    /// The version of the kubelet, and of all else on the host.
    pub version: String,
    /// SHA-256 over all files, their modes and owners.
    pub digest: String,
    #[serde(flatten)]
    pub host: Now,
    /// The certificates among the files; states that were saved by older programs have none.
    pub certificates: Vec<Certificate>,
    /// The folder that it is in.
    pub path: String,
}

impl Now {
    pub fn of(context: &Context) -> Result<Self, Failure> {
        let version = |version: Option<Version>| version.map(|version| version.to_string());
        let (packages, held) = packages(context)?;
        Ok(Self {
            packages,
            held,
            kubeadm: version(kubeadm::program_version(context)),
            kubelet: version(kubeadm::kubelet_version(context).ok().flatten()),
            components: kubeadm::component_tags(),
            stopped: static_pods::stopped(),
        })
    }

    /// The one version that the host has; none in the middle of an upgrade. etcd has
    /// versions of its own.
    pub fn whole(&self) -> Option<Version> {
        let kubelet = Version::parse(self.kubelet.as_deref()?)?;
        let same = |text: &str| Version::parse(text).is_none_or(|version| version == kubelet);
        let components = self.components.iter().filter(|(name, _)| name.as_str() != "etcd");
        let whole = self.kubeadm.as_deref().is_none_or(same)
            && components.into_iter().all(|(_, tag)| same(tag));
        (whole && self.stopped.is_empty()).then_some(kubelet)
    }
}

fn packages(context: &Context) -> Result<(BTreeMap<String, String>, Vec<String>), Failure> {
    let names: Vec<_> = PACKAGES.map(str::to_owned).to_vec();
    if tools::find(context, "dpkg-query").is_some() {
        return Ok((dpkg::installed(context, &names)?, dpkg::held(context, &names)?));
    }
    if tools::find(context, "rpm").is_none() {
        return Ok(Default::default());
    }
    let format = "%{NAME} %{VERSION}-%{RELEASE}\n";
    let asked =
        tools::command(context, "rpm")?.args(["-q", "--qf", format]).args(PACKAGES).run()?;
    // Of what is not installed it says so, in a line of more words.
    let lines = asked.stdout.lines().filter_map(|line| line.split_once(' '));
    let installed = lines
        .filter(|(name, version)| PACKAGES.contains(name) && !version.contains(' '))
        .map(|(name, version)| (name.to_owned(), version.to_owned()));
    Ok((installed.collect(), Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(kubeadm: &str, kubelet: &str, apiserver: &str) -> Now {
        Now {
            kubeadm: Some(kubeadm.to_owned()),
            kubelet: Some(kubelet.to_owned()),
            components: BTreeMap::from([
                ("kube-apiserver".to_owned(), apiserver.to_owned()),
                ("etcd".to_owned(), "3.4.13-0".to_owned()),
            ]),
            ..Now::default()
        }
    }

    #[test]
    fn a_host_is_whole_when_everything_has_one_version() {
        let whole = now("1.20.2", "1.20.2", "v1.20.2").whole();
        assert_eq!(whole.map(|version| version.to_string()).as_deref(), Some("1.20.2"));
        assert_eq!(now("1.21.2", "1.20.2", "v1.20.2").whole(), None);
        assert_eq!(now("1.21.2", "1.20.2", "v1.21.2").whole(), None);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            at: "2024-01-01T00:00:00Z".to_owned(),
            version: "1.20.2".to_owned(),
            host: now("1.20.2", "1.20.2", "v1.20.2"),
            ..Record::default()
        };
        let text = serde_json::to_string(&record).expect("written");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("read"), record);
    }
}
