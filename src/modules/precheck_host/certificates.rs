//! Where certificates are on a host: files of PKI, and those inside kubeconfigs.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::facts::Certificate;

const FOLDERS: [&str; 3] =
    ["/etc/kubernetes/pki", "/etc/kubernetes/pki/etcd", "/var/lib/kubelet/pki"];
const KUBECONFIGS: [&str; 5] =
    ["admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf"];
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// All certificates below `root`.
pub fn all(root: &Path) -> Vec<Certificate> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let mut found = Vec::new();
    for folder in FOLDERS {
        let mut files: Vec<_> = fs::read_dir(below(folder))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_certificate(path))
            .collect();
        files.sort();
        found.extend(files.into_iter().map(|path| read(&path, &|text| Ok(blocks(&text)))));
    }
    for name in KUBECONFIGS {
        let path = below("/etc/kubernetes").join(name);
        if path.exists() {
            let certificate = read(&path, &|text| of_kubeconfig(&text));
            // It names a file that is among those above.
            if !certificate.pem.is_empty() || certificate.error.is_some() {
                found.push(certificate);
            }
        }
    }
    found
}

/// `*.crt`, and what the kubelet rotates; old ones that its link does not name are left out.
fn is_certificate(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".crt") || (name.starts_with("kubelet-") && name.ends_with("-current.pem"))
}

fn read(path: &PathBuf, take: &dyn Fn(String) -> Result<Vec<String>, String>) -> Certificate {
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    let (pem, error) = match text.and_then(take) {
        Ok(pem) => (pem, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    Certificate { path: path.display().to_string(), pem, error }
}

/// The certificates of a PEM text, without keys that stand beside them.
fn blocks(text: &str) -> Vec<String> {
    let parts = text.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END));
    parts.map(|(body, _)| format!("{BEGIN}{body}{END}\n")).collect()
}

/// The client certificates inside a kubeconfig.
fn of_kubeconfig(text: &str) -> Result<Vec<String>, String> {
    // The error's text might show a part of the file, which holds keys.
    let config: Json = serde_yaml::from_str(text)
        .map_err(|_| "it is no kubeconfig that can be read".to_owned())?;
    let users = config.get("users").and_then(Json::as_array).into_iter().flatten();
    let data = users.filter_map(|user| user.pointer("/user/client-certificate-data")?.as_str());
    let mut found = Vec::new();
    for text in data {
        let pem = STANDARD.decode(text.trim()).ok().and_then(|pem| String::from_utf8(pem).ok());
        let pem = pem.ok_or_else(|| "client-certificate-data is no base64".to_owned())?;
        found.extend(blocks(&pem));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_taken_and_keys_are_left() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |path: &str| root.path().join(path);
        for folder in ["etc/kubernetes/pki", "var/lib/kubelet/pki"] {
            fs::create_dir_all(at(folder)).expect("made");
        }
        let pem = format!("{BEGIN}\nAAAA\n{END}\n");
        let key = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n";
        fs::write(at("etc/kubernetes/pki/ca.crt"), &pem).expect("written");
        fs::write(at("etc/kubernetes/pki/ca.key"), key).expect("written");
        let rotated = at("var/lib/kubelet/pki/kubelet-client-current.pem");
        fs::write(rotated, format!("{pem}{key}")).expect("written");
        let config = format!(
            "users:\n- name: a\n  user:\n    client-certificate-data: {}\n    client-key-data: eA==\n",
            STANDARD.encode(&pem)
        );
        fs::write(at("etc/kubernetes/admin.conf"), config).expect("written");
        fs::write(at("etc/kubernetes/scheduler.conf"), "{ broken").expect("written");
        let found = all(root.path());
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found.iter().take(3).all(|certificate| certificate.pem == [pem.clone()]));
        assert!(found[3].error.is_some());
        assert!(!format!("{found:?}").contains("BBBB"));
    }
}
