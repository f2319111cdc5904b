//! The etcd member of this host, as its static pod says.

use std::fs;
use std::path::{Path, PathBuf};

use crate::modules::Failure;

const MANIFEST: &str = "/etc/kubernetes/manifests/etcd.yaml";

/// Where etcd is and who may ask it.
#[derive(Debug, PartialEq)]
pub struct Member {
    pub endpoint: String,
    /// The folder of its certificates.
    pub pki: PathBuf,
    pub data_dir: PathBuf,
}

impl Member {
    /// What the task gives wins over what the manifest says; what neither says is
    /// where kubeadm puts it.
    pub fn find(endpoint: Option<String>, pki: Option<PathBuf>) -> Self {
        let manifest = fs::read_to_string(MANIFEST).unwrap_or_default();
        let found = Self::of(&manifest);
        Self {
            endpoint: endpoint.unwrap_or(found.endpoint),
            pki: pki.unwrap_or(found.pki),
            data_dir: found.data_dir,
        }
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
        Self {
            endpoint: endpoint.unwrap_or("https://127.0.0.1:2379").to_owned(),
            pki: pki.unwrap_or_else(|| PathBuf::from("/etc/kubernetes/pki/etcd")),
            data_dir: flag("data-dir")
                .map_or_else(|| PathBuf::from("/var/lib/etcd"), PathBuf::from),
        }
    }

    /// etcdctl's flags for this member.
    pub fn flags(&self) -> Result<Vec<String>, Failure> {
        let path = |name: &str| self.pki.join(name).display().to_string();
        let pair = ["healthcheck-client", "server"]
            .into_iter()
            .find(|name| self.pki.join(format!("{name}.crt")).exists())
            .ok_or_else(|| {
                Failure::new(format!(
                    "{} has no client certificate of etcd: is this a control plane with its own \
                     etcd member?",
                    self.pki.display()
                ))
            })?;
        Ok(vec![
            format!("--endpoints={}", self.endpoint),
            format!("--cacert={}", path("ca.crt")),
            format!("--cert={}", path(&format!("{pair}.crt"))),
            format!("--key={}", path(&format!("{pair}.key"))),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_says_where_etcd_is() {
        let manifest = "    - etcd\n    - --data-dir=/data/etcd\n    - --listen-client-urls=https://10.0.0.1:2379,https://127.0.0.1:2379\n    - --trusted-ca-file=/pki/etcd/ca.crt\n";
        let member = Member::of(manifest);
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
