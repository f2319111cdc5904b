//! Certificates: none is over, or will be soon.

use super::finding::{Finding, Id};
use super::world::World;
use crate::kubernetes::certificate::{Validity, minute};
use crate::modules::precheck_host::Certificate;

/// What `kubeadm upgrade` renews, below /etc/kubernetes.
const RENEWED: [&str; 11] = [
    "admin.conf",
    "super-admin.conf",
    "controller-manager.conf",
    "scheduler.conf",
    "pki/apiserver.crt",
    "pki/apiserver-kubelet-client.crt",
    "pki/apiserver-etcd-client.crt",
    "pki/front-proxy-client.crt",
    "pki/etcd/server.crt",
    "pki/etcd/peer.crt",
    "pki/etcd/healthcheck-client.crt",
];

pub fn check(world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    for (host, facts) in world.facts() {
        for file in &facts.certificates {
            match validities(file) {
                Ok(all) => {
                    found.extend(all.iter().filter_map(|one| look(one, world, host, file)));
                    found.extend(all.iter().filter_map(|one| renewable(one, host, file)));
                }
                Err(why) => found.push(
                    Finding::warning(Id::CertificateUnreadable, object(host, file), why)
                        .fix("look at the file: what needs it will not start either"),
                ),
            }
        }
    }
    found
}

fn object(host: &str, file: &Certificate) -> String {
    format!("{host}:{}", file.path)
}

fn validities(file: &Certificate) -> Result<Vec<Validity>, String> {
    if let Some(error) = &file.error {
        return Err(error.clone());
    }
    file.pem.iter().map(|pem| Validity::of(pem)).collect()
}

fn look(one: &Validity, world: &World, host: &str, file: &Certificate) -> Option<Finding> {
    let now = world.now;
    let object = object(host, file);
    if one.from > now {
        let evidence = format!("{} is valid from {} on", one.subject, minute(one.from));
        return Some(
            Finding::error(Id::CertificateNotYetValid, object, evidence)
                .fix("look at the clocks of this host and of the one that signed it"),
        );
    }
    let days = (one.to.as_second() - now.as_second()).div_euclid(86_400);
    if one.to <= now {
        // The kubelet's own serving certificate is checked by nobody.
        let matters = !file.path.ends_with("/kubelet.crt");
        let evidence = format!("{} expired on {}", one.subject, minute(one.to));
        return Some(
            Finding::error(Id::CertificateExpired, object, evidence)
                .error_if(matters)
                .fix(remedy(one, file)),
        );
    }
    (days < world.plan.certificate_days).then(|| {
        let evidence = format!("{} expires on {}, in {days} days", one.subject, minute(one.to));
        Finding::warning(Id::CertificateExpiresSoon, object, evidence).fix(remedy(one, file))
    })
}

/// `kubeadm upgrade` renews its certificates after it has begun with a component, takes their
/// usages from those that are there, and gives up where one has none.
fn renewable(one: &Validity, host: &str, file: &Certificate) -> Option<Finding> {
    let name = file.path.strip_prefix("/etc/kubernetes/")?;
    if one.has_usages || one.authority || !RENEWED.contains(&name) {
        return None;
    }
    let evidence = format!("{} has no extended key usage: kubeadm cannot renew it", one.subject);
    Some(Finding::error(Id::CertificateNotRenewable, object(host, file), evidence).fix(
        "sign it anew with extendedKeyUsage clientAuth (serverAuth for apiserver.crt, both for \
         etcd's server.crt and peer.crt), or move it and its key away and let kubeadm init phase \
         certs make it (init phase kubeconfig for a .conf)",
    ))
}

fn remedy(one: &Validity, file: &Certificate) -> &'static str {
    let path = file.path.as_str();
    if one.authority {
        "the authority has to be replaced by hand: all that it signed with it"
    } else if path.contains("kubelet-client") || path.ends_with("kubelet.conf") {
        "the kubelet renews it by itself: see why it does not (rotateCertificates, kubectl get \
         csr), or join the node again"
    } else if path.contains("/kubelet/") {
        "remove it and its key and restart the kubelet: it makes a new one"
    } else {
        "kubeadm certs renew all (alpha certs before 1.20), then restart the static pods; \
         kubeadm upgrade renews it too, if it gets that far"
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::modules::precheck_host::Facts;
    use crate::precheck::testing::{asked, ids};

    /// kubeadm's own, of a cluster that was made on 2026-11-23.
    const APISERVER: &str = include_str!("../../tests/data/kubeadm/apiserver.crt");

    fn found(now: &str, days: i64, file: Certificate) -> Vec<Finding> {
        let facts = Facts { certificates: vec![file], ..Facts::default() };
        let mut world = asked("1.21.2", vec![("cp1", facts)]);
        world.now = now.parse().expect("a time");
        world.plan.certificate_days = days;
        check(&world)
    }

    fn apiserver() -> Certificate {
        let path = "/etc/kubernetes/pki/apiserver.crt".to_owned();
        Certificate { path, pem: vec![APISERVER.to_owned()], error: None }
    }

    #[test]
    fn a_certificate_is_told_before_it_is_over_and_after() {
        let to = Validity::of(APISERVER).expect("a certificate").to;
        let at = |days: i64| {
            let second = to.as_second() + days * 86_400;
            let now = Timestamp::from_second(second).expect("a time").to_string();
            ids(&found(&now, 30, apiserver()))
        };
        assert_eq!(at(-100), []);
        assert_eq!(at(-10), [Id::CertificateExpiresSoon]);
        assert_eq!(at(1), [Id::CertificateExpired]);
        assert_eq!(at(-800), [Id::CertificateNotYetValid]);
    }

    #[test]
    fn a_certificate_without_usages_is_told_for_kubeadm_cannot_renew_it() {
        let without = include_str!("../../tests/data/certificates/renewed.crt");
        let at = |path: &str| {
            let path = format!("/etc/kubernetes/{path}");
            let file = Certificate { path, pem: vec![without.to_owned()], error: None };
            ids(&found("2024-07-01T00:00:00Z", 30, file))
        };
        assert_eq!(at("pki/apiserver.crt"), [Id::CertificateNotRenewable]);
        assert_eq!(at("admin.conf"), [Id::CertificateNotRenewable]);
        assert_eq!(at("pki/of-our-own.crt"), []);
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        let broken = Certificate {
            pem: vec!["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()],
            ..apiserver()
        };
        assert_eq!(ids(&found("2027-01-01T00:00:00Z", 30, broken)), [Id::CertificateUnreadable]);
        let unread = Certificate { error: Some("denied".to_owned()), pem: vec![], ..apiserver() };
        let found = found("2027-01-01T00:00:00Z", 30, unread);
        assert_eq!(
            (ids(&found), found[0].evidence.as_str()),
            (vec![Id::CertificateUnreadable], "denied")
        );
    }
}
