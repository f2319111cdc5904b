//! Helm's releases: the manifests that the next `helm upgrade` compares with.

use std::collections::BTreeSet;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::Value as Json;

use super::table::{self, Removal};
use crate::precheck::finding::{Finding, Id, few};
use crate::precheck::world::text;

/// The Secrets of releases that are installed now.
pub const SELECTOR: &str = "owner=helm,status=deployed";
/// No release is larger than this, unpacked.
const LIMIT: u64 = 64 * 1024 * 1024;

/// A release and the removed kinds in its manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// `namespace/name`.
    pub name: String,
    pub used: Vec<&'static Removal>,
}

/// Reads a release from the Secret that Helm keeps it in; the error says why it cannot be
/// read, without what is in it.
pub fn release(secret: &Json) -> Result<Release, String> {
    let name = format!(
        "{}/{}",
        text(secret, "/metadata/namespace"),
        text(secret, "/metadata/labels/name")
    );
    let wrong = |what: &str| format!("Helm release {name}: {what}");
    // The API's base64 around Helm's own, around gzip, around JSON.
    let outer = STANDARD.decode(text(secret, "/data/release")).map_err(|_| wrong("no base64"))?;
    let packed = STANDARD.decode(outer.trim_ascii()).map_err(|_| wrong("no base64 inside"))?;
    let mut unpacked = Vec::new();
    match packed.starts_with(&[0x1f, 0x8b]) {
        true => {
            let mut decoder = GzDecoder::new(packed.as_slice()).take(LIMIT);
            decoder.read_to_end(&mut unpacked).map_err(|_| wrong("no gzip"))?;
        }
        // Releases of the first Helm 3 are not packed.
        false => unpacked = packed,
    }
    let release: Json = serde_json::from_slice(&unpacked).map_err(|_| wrong("no JSON"))?;
    let used = removed_in(text(&release, "/manifest"));
    Ok(Release { name, used })
}

/// The removed kinds in a manifest of many documents. Only the two top-level keys are
/// looked for, so that one odd document does not hide the others.
fn removed_in(manifest: &str) -> Vec<&'static Removal> {
    let mut found: Vec<&'static Removal> = Vec::new();
    let mut document = (None, None);
    let mut end = |document: &mut (Option<&str>, Option<&str>)| {
        if let (Some(api_version), Some(kind)) = std::mem::take(document)
            && let Some(removal) = table::find(api_version, kind)
            && !found.contains(&removal)
        {
            found.push(removal);
        }
    };
    for line in manifest.lines() {
        if line.starts_with("---") {
            end(&mut document);
        } else if let Some(value) = line.strip_prefix("apiVersion:") {
            document.0 = Some(plain(value));
        } else if let Some(value) = line.strip_prefix("kind:") {
            document.1 = Some(plain(value));
        }
    }
    end(&mut document);
    found
}

/// A scalar without quotes and comment.
fn plain(value: &str) -> &str {
    let value = value.split(" #").next().unwrap_or_default();
    value.trim().trim_matches(['"', '\''])
}

/// What the target takes away is an error; what was gone before this upgrade is as broken without
/// it.
pub fn check(now: u32, minor: u32, releases: &[Release]) -> Vec<Finding> {
    let findings = releases.iter().filter_map(|release| {
        let gone = || release.used.iter().filter(|removal| removal.minor <= minor);
        let is_new = gone().any(|removal| removal.minor > now);
        let gone: BTreeSet<_> =
            gone().map(|removal| format!("{} in {}", removal.kind, removal.api_version)).collect();
        if gone.is_empty() {
            return None;
        }
        let evidence =
            format!("the release's manifest has {}, which the target has no more", few(gone));
        let finding = match is_new {
            true => Finding::error(Id::RemovedApiHelm, &release.name, evidence),
            false => Finding::warning(Id::RemovedApiHelm, &release.name, evidence),
        };
        Some(finding.fix(
            "every helm upgrade and uninstall of it would fail afterwards: upgrade it to a chart \
             without them now, or run helm mapkubeapis",
        ))
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::precheck::Severity;
    use crate::precheck::testing::ids;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    const MANIFEST: &str = "---\n# Source: shop/templates/ingress.yaml\napiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata:\n  name: web\n---\napiVersion: \"policy/v1beta1\"\nkind: PodDisruptionBudget # old\n---\napiVersion: apps/v1\nkind: Deployment\n";

    /// As Helm keeps it.
    fn secret(manifest: &str) -> Json {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let release = json!({"name": "shop", "manifest": manifest}).to_string();
        encoder.write_all(release.as_bytes()).expect("packed");
        let inner = STANDARD.encode(encoder.finish().expect("packed"));
        json!({
            "metadata": {"namespace": "shop", "labels": {"name": "shop", "owner": "helm"}},
            "type": "helm.sh/release.v1",
            "data": {"release": STANDARD.encode(inner)},
        })
    }

    #[test]
    fn removed_kinds_are_found_in_a_release() {
        let release = release(&secret(MANIFEST)).expect("a release");
        assert_eq!(release.used.len(), 2);
        let releases = [release];
        assert_eq!(check(20, 21, &releases), []);
        let found = check(21, 22, &releases);
        assert_eq!((ids(&found), found[0].severity), (vec![Id::RemovedApiHelm], Severity::Error));
        assert_eq!(check(22, 23, &releases)[0].severity, Severity::Warning, "it is broken already");
        assert!(
            check(24, 25, &releases)[0].evidence.contains("PodDisruptionBudget in policy/v1beta1")
        );
    }

    #[test]
    fn a_release_that_cannot_be_read_is_an_error_without_its_contents() {
        let mut broken = secret(MANIFEST);
        broken["data"]["release"] = json!(STANDARD.encode("c2VjcmV0"));
        assert_eq!(release(&broken), Err("Helm release shop/shop: no JSON".to_owned()));
    }
}
