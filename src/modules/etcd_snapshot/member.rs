//! The etcd member of this host, as its static pod says.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::modules::Failure;
use crate::modules::static_pods;

/// Where etcd is and who may ask it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Member {
    /// Empty if no manifest says it.
    pub name: String,
    pub endpoint: String,
    /// Where the other members reach it.
    pub peer_url: String,
    /// The folder of its certificates.
    pub pki: PathBuf,
    pub data_dir: PathBuf,
    /// Where its log is, if not in `data_dir`.
    pub wal_dir: Option<PathBuf>,
    /// The image of its container.
    pub image: String,
}

impl Member {
    /// What the task gives wins over what the manifest says; what neither says is
    /// where kubeadm puts it.
    pub fn find(endpoint: Option<String>, pki: Option<PathBuf>) -> Self {
        let found = Self::of_manifest().unwrap_or_else(|| Self::of(""));
        Self {
            endpoint: endpoint.unwrap_or(found.endpoint),
            pki: pki.unwrap_or(found.pki),
            ..found
        }
    }

    /// None on a host without a manifest of etcd, stopped or not.
    pub fn of_manifest() -> Option<Self> {
        let path = static_pods::manifest("etcd")?;
        fs::read_to_string(path).ok().map(|manifest| Self::of(&manifest))
    }

    fn of(manifest: &str) -> Self {
        let flag = |name: &str| {
            let mut lines = manifest.lines();
            lines.find_map(|line| {
                let flag = line.trim().strip_prefix("- --")?;
                Some(flag.strip_prefix(name)?.strip_prefix('=')?.trim_matches('"').to_owned())
            })
        };
        let urls = flag("listen-client-urls").unwrap_or_default();
        let local = urls.split(',').find(|url| url.contains("127.0.0.1") || url.contains("[::1]"));
        let endpoint = local.or(urls.split(',').next()).filter(|url| !url.is_empty());
        let pki =
            flag("trusted-ca-file").and_then(|path| Path::new(&path).parent().map(PathBuf::from));
        let peers = flag("initial-advertise-peer-urls").unwrap_or_default();
        let image = manifest
            .lines()
            .find_map(|line| line.trim().trim_start_matches("- ").strip_prefix("image:"));
        Self {
            name: flag("name").unwrap_or_default(),
            endpoint: endpoint.unwrap_or("https://127.0.0.1:2379").to_owned(),
            peer_url: peers.split(',').next().unwrap_or_default().to_owned(),
            pki: pki.unwrap_or_else(|| PathBuf::from("/etc/kubernetes/pki/etcd")),
            data_dir: flag("data-dir")
                .map_or_else(|| PathBuf::from("/var/lib/etcd"), PathBuf::from),
            wal_dir: flag("wal-dir").map(PathBuf::from),
            image: image.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned(),
        }
    }

    /// The files of a client: the authority, its certificate and its key.
    pub fn credentials(&self) -> Result<(PathBuf, PathBuf, PathBuf), Failure> {
        let file = |name: String| self.pki.join(name);
        let pair = ["healthcheck-client", "server"]
            .into_iter()
            .find(|name| file(format!("{name}.crt")).exists())
            .ok_or_else(|| {
                Failure::new(format!(
                    "{} has no client certificate of etcd: is this a control plane with its own \
                     etcd member?",
                    self.pki.display()
                ))
            })?;
        Ok((file("ca.crt".to_owned()), file(format!("{pair}.crt")), file(format!("{pair}.key"))))
    }

    /// etcdctl's flags for this member.
    pub fn flags(&self) -> Result<Vec<String>, Failure> {
        let (ca, certificate, key) = self.credentials()?;
        Ok(vec![
            format!("--endpoints={}", self.endpoint),
            format!("--cacert={}", ca.display()),
            format!("--cert={}", certificate.display()),
            format!("--key={}", key.display()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_says_where_etcd_is() {
        let manifest = "    - etcd\n    - --data-dir=/data/etcd\n    - --initial-advertise-peer-urls=https://10.0.0.1:2380\n    - --listen-client-urls=https://10.0.0.1:2379,https://127.0.0.1:2379\n    - --name=cp1\n    - --trusted-ca-file=/pki/etcd/ca.crt\n    image: k8s.gcr.io/etcd:3.4.13-0\n";
        let member = Member::of(manifest);
        assert_eq!(
            (member.name.as_str(), member.peer_url.as_str()),
            ("cp1", "https://10.0.0.1:2380")
        );
        assert_eq!(member.image, "k8s.gcr.io/etcd:3.4.13-0");
        assert_eq!(member.endpoint, "https://127.0.0.1:2379");
        assert_eq!((member.pki, member.data_dir), ("/pki/etcd".into(), "/data/etcd".into()));
    }

    #[test]
    fn without_a_manifest_it_is_where_kubeadm_puts_it() {
        let member = Member::of("");
        assert_eq!(member.endpoint, "https://127.0.0.1:2379");
        assert_eq!(member.data_dir, Path::new("/var/lib/etcd"));
    }
}
