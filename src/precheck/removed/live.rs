//! Objects whose owners write them in a version that goes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::table::Removal;
use crate::precheck::finding::{Finding, Id, few};
use crate::precheck::world::{list, name, text};

/// An object, and the removed version that it was written in.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub removal: &'static Removal,
    /// `namespace/name`, or the name alone.
    pub object: String,
    /// Who wrote it: field managers.
    pub by: BTreeSet<String>,
}

/// What the cluster itself writes moves on with the cluster.
const OWN: [&str; 4] = ["kube-", "kubelet", "kubeadm", "api-priority-and-fairness"];

/// Of the removals of an object's kind those whose version the object was written in. For
/// a kind that goes for good that is each of its objects.
pub fn used_versions(object: &Json, removals: &[&'static Removal]) -> Vec<Written> {
    let applied =
        text(object, "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
    let applied: Json = serde_json::from_str(applied).unwrap_or(Json::Null);
    removals
        .iter()
        .filter_map(|removal| {
            let mut by: BTreeSet<String> = list(object, "/metadata/managedFields")
                .filter(|entry| text(entry, "/apiVersion") == removal.api_version)
                .map(|entry| text(entry, "/manager"))
                .filter(|manager| !OWN.iter().any(|own| manager.starts_with(own)))
                .map(str::to_owned)
                .collect();
            if text(&applied, "/apiVersion") == removal.api_version {
                by.insert("kubectl apply".to_owned());
            }
            let counts = !by.is_empty() || removal.instead.is_none();
            counts.then(|| Written { removal, object: full_name(object), by })
        })
        .collect()
}

fn full_name(object: &Json) -> String {
    match text(object, "/metadata/namespace") {
        "" => name(object).to_owned(),
        namespace => format!("{namespace}/{}", name(object)),
    }
}

pub fn check(minor: u32, written: &[Written]) -> Vec<Finding> {
    let mut by_removal: BTreeMap<(&str, &str), Vec<&Written>> = BTreeMap::new();
    for one in written.iter().filter(|one| one.removal.minor <= minor) {
        by_removal.entry((one.removal.api_version, one.removal.kind)).or_default().push(one);
    }
    let findings = by_removal.into_iter().filter_map(|((api_version, kind), all)| {
        let removal = all.first()?.removal;
        let names = few(all.iter().map(|one| &one.object));
        let by: BTreeSet<_> = all.iter().flat_map(|one| &one.by).collect();
        let object = format!("{kind} in {api_version}");
        Some(match removal.instead {
            Some(instead) => {
                let evidence = format!(
                    "gone from 1.{}; {names} are written in it by {}",
                    removal.minor,
                    few(by)
                );
                Finding::warning(Id::RemovedApiObject, object, evidence).fix(format!(
                    "the objects stay, but who writes them so fails after the upgrade: change the \
                     manifests to {instead}"
                ))
            }
            None => {
                let evidence =
                    format!("the kind is gone from 1.{}; there are {names}", removal.minor);
                Finding::error(Id::RemovedApiObject, object, evidence)
                    .fix("what they do ends with the upgrade: replace them and delete them first")
            }
        })
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::removed::table;
    use serde_json::json;

    fn ingress(metadata: Json) -> Vec<Written> {
        let removals: Vec<_> = table::until(32).filter(|r| r.plural == "ingresses").collect();
        used_versions(&json!({ "metadata": metadata }), &removals)
    }

    #[test]
    fn managers_and_the_last_applied_text_tell_the_version() {
        let managed = json!({"name": "web", "namespace": "shop", "managedFields": [
            {"manager": "helm", "apiVersion": "networking.k8s.io/v1beta1"},
            {"manager": "kube-controller-manager", "apiVersion": "extensions/v1beta1"},
        ]});
        let written = ingress(managed);
        assert_eq!(written.len(), 1, "the cluster's own managers do not count");
        assert_eq!(written[0].object, "shop/web");
        let applied = json!({"name": "web", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration":
                "{\"apiVersion\":\"extensions/v1beta1\",\"kind\":\"Ingress\"}"}});
        assert!(ingress(applied)[0].by.contains("kubectl apply"));
        assert_eq!(ingress(json!({"name": "new"})), []);
    }

    #[test]
    fn it_matters_when_the_target_has_it_no_more() {
        let written = ingress(json!({"name": "web", "managedFields": [
            {"manager": "helm", "apiVersion": "networking.k8s.io/v1beta1"}]}));
        assert_eq!(check(21, &written), []);
        let found = check(22, &written);
        assert!(!found[0].stops() && found[0].fix.contains("networking.k8s.io/v1"));
    }

    #[test]
    fn a_kind_that_ends_stops_the_upgrade() {
        let removals: Vec<_> =
            table::until(25).filter(|r| r.kind == "PodSecurityPolicy" && r.minor == 25).collect();
        let written = used_versions(&json!({"metadata": {"name": "restricted"}}), &removals);
        assert!(check(25, &written)[0].stops());
    }
}
