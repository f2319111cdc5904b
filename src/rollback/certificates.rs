//! Certificates that a way back leaves as they are.
//!
//! `kubeadm upgrade` renews a control plane's certificates. Weeks later the saved ones may be
//! over, and a control plane that got them back would not be believed by anyone.

use jiff::{SignedDuration, Timestamp};

use super::world::Host;
use crate::kubernetes::certificate::{Validity, minute};
use crate::modules::host_state::Record;
use crate::modules::precheck_host::Certificate;

/// What a saved certificate has to be valid for still.
const AT_LEAST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The files that stay, with the keys that belong to them; or what is in the way.
pub fn kept(host: &Host, saved: &Record, now: Timestamp) -> Result<Vec<String>, Vec<String>> {
    let mut keep = Vec::new();
    let mut problems = Vec::new();
    for (file, to) in saved.certificates.iter().filter_map(|file| Some((file, end(file)?))) {
        if to > now + AT_LEAST {
            continue;
        }
        let path = &file.path;
        let renewed = host
            .certificates
            .iter()
            .find(|one| one.path == *path)
            .and_then(end)
            .filter(|end| *end > to && *end > now);
        match renewed {
            Some(_) if !same_authorities(host, saved) => problems.push(format!(
                "the saved {path} is valid until {} only, and the renewed one is of another \
                 authority than the saved one: put certificates back by hand, or restore a newer \
                 state",
                minute(to)
            )),
            Some(_) => {
                keep.push(path.clone());
                keep.extend(path.strip_suffix(".crt").map(|stem| format!("{stem}.key")));
            }
            None if to <= now => problems.push(format!(
                "the saved {path} expired on {}, and the one that is there is no better: renew it \
                 first (kubeadm certs renew all, alpha certs before 1.20)",
                minute(to)
            )),
            // Soon, but there is nothing better.
            None => {}
        }
    }
    if problems.is_empty() { Ok(keep) } else { Err(problems) }
}

/// When a file's first certificate ends that is no authority.
fn end(file: &Certificate) -> Option<Timestamp> {
    let all = file.pem.iter().filter_map(|pem| Validity::of(pem).ok());
    all.filter(|one| !one.authority).map(|one| one.to).min()
}

/// Whether the host has the authorities that it had when it was saved.
fn same_authorities(host: &Host, saved: &Record) -> bool {
    let authorities = saved.certificates.iter().filter(|file| file.path.ends_with("ca.crt"));
    authorities.into_iter().all(|file| host.certificates.contains(file))
}

#[cfg(test)]
mod tests {
    use super::super::testing::host;
    use super::*;

    /// Signed one after the other by the same authority; valid until 2024-06-01 and 2025-06-01.
    const SAVED: &str = include_str!("../../tests/data/certificates/saved.crt");
    const RENEWED: &str = include_str!("../../tests/data/certificates/renewed.crt");
    const AUTHORITY: &str = include_str!("../../tests/data/certificates/ca.crt");

    fn certificate(name: &str, pem: &str) -> Certificate {
        let path = format!("/etc/kubernetes/{name}");
        Certificate { path, pem: vec![pem.to_owned()], error: None }
    }

    fn at(time: &str, saved: &[Certificate], now: &[Certificate]) -> Result<Vec<String>, String> {
        let host = Host { certificates: now.to_vec(), ..host() };
        let record = Record { certificates: saved.to_vec(), ..Record::default() };
        let time = time.parse().expect("a time");
        kept(&host, &record, time).map_err(|problems| problems.join("\n"))
    }

    #[test]
    fn renewed_certificates_stay_with_their_keys_once_the_saved_ones_are_over_or_soon_are() {
        let all = |leaf: &str| {
            [
                certificate("pki/ca.crt", AUTHORITY),
                certificate("pki/apiserver.crt", leaf),
                certificate("admin.conf", leaf),
            ]
        };
        let paths = ["pki/apiserver.crt", "pki/apiserver.key", "admin.conf"];
        let paths = paths.map(|path| format!("/etc/kubernetes/{path}")).to_vec();
        let (saved, renewed) = (all(SAVED), all(RENEWED));
        assert_eq!(at("2024-05-20T00:00:00Z", &saved, &renewed), Ok(vec![]));
        assert_eq!(at("2024-05-28T00:00:00Z", &saved, &renewed), Ok(paths.clone()));
        assert_eq!(at("2024-07-01T00:00:00Z", &saved, &renewed), Ok(paths));
        assert_eq!(at("2024-05-28T00:00:00Z", &saved, &saved), Ok(vec![]));
        let problem = at("2024-07-01T00:00:00Z", &saved, &saved).expect_err("nothing is valid");
        assert!(problem.contains("admin.conf expired on 2024-06-01"), "{problem}");
    }

    #[test]
    fn a_renewed_certificate_of_another_authority_does_not_go_with_the_saved_one() {
        let saved = [certificate("pki/ca.crt", AUTHORITY), certificate("pki/apiserver.crt", SAVED)];
        let now = [certificate("pki/ca.crt", RENEWED), certificate("pki/apiserver.crt", RENEWED)];
        let problem = at("2024-07-01T00:00:00Z", &saved, &now).expect_err("refused");
        assert!(problem.contains("another authority"), "{problem}");
    }
}
