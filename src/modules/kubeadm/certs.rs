//! `kubeadm certs check-expiration`: a table up to 1.29, then JSON.

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::Kubeadm;
use crate::modules::{Context, Failure, Outcome};

impl Kubeadm {
    pub(super) fn certs(&self, context: &Context) -> Result<Outcome, Failure> {
        let program = self.program_version(context)?;
        let mut words = ["certs", "check-expiration"].map(str::to_owned).to_vec();
        words.push(format!("--kubeconfig={}", self.kubeconfig));
        if program.minor >= 30 {
            words.push("-o=json".to_owned());
        }
        let output = self.must(self.process(context, &words), "certs check-expiration")?;
        let certs = parse(&output.stdout).map_err(Failure::new)?;
        Ok(Outcome::default()
            .with("certificates", json!(certs.certificates))
            .with("authorities", json!(certs.authorities))
            .with("stdout", output.stdout))
    }
}

#[derive(Debug, Default, PartialEq)]
pub struct Certificates {
    pub certificates: Vec<Certificate>,
    pub authorities: Vec<Certificate>,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Certificate {
    pub name: String,
    /// When it expires, as kubeadm writes it (a table: `Nov 23, 2027 17:50 UTC`).
    pub expires: Option<String>,
    /// Days left; none when the certificate is missing.
    pub days: Option<i64>,
    pub authority: Option<String>,
    pub externally_managed: bool,
}

pub fn parse(stdout: &str) -> Result<Certificates, String> {
    if let Some(at) = stdout.find('{') {
        let text = stdout.get(at..).unwrap_or_default();
        let value: Json = serde_json::from_str(text)
            .map_err(|error| format!("kubeadm certs printed JSON that cannot be read: {error}"))?;
        return Ok(Certificates {
            certificates: of_json(&value, "certificates"),
            authorities: of_json(&value, "certificateAuthorities"),
        });
    }
    let found = of_table(stdout);
    if found.certificates.is_empty() {
        return Err("kubeadm certs printed no table of certificates".to_owned());
    }
    Ok(found)
}

fn of_json(value: &Json, key: &str) -> Vec<Certificate> {
    let list = value.get(key).and_then(Json::as_array).into_iter().flatten();
    list.filter_map(|certificate| {
        let text = |key: &str| certificate.get(key).and_then(Json::as_str).map(str::to_owned);
        let missing = certificate.get("missing").and_then(Json::as_bool).unwrap_or(false);
        let seconds = certificate.get("residualTime").and_then(Json::as_i64);
        Some(Certificate {
            name: text("name")?,
            expires: text("expirationDate").filter(|_| !missing),
            days: seconds.filter(|_| !missing).map(|seconds| seconds / 86_400),
            authority: text("caName").filter(|name| !name.is_empty()),
            externally_managed: certificate
                .get("externallyManaged")
                .and_then(Json::as_bool)
                .unwrap_or(false),
        })
    })
    .collect()
}

fn of_table(stdout: &str) -> Certificates {
    let mut found = Certificates::default();
    let mut head: Option<(bool, &str)> = None;
    for line in stdout.lines() {
        if line.starts_with("CERTIFICATE AUTHORITY") {
            head = Some((true, line));
        } else if line.starts_with("CERTIFICATE") {
            head = Some((false, line));
        } else if line.trim().is_empty() {
            head = None;
        } else if let Some((authorities, head)) = head
            && let Some(certificate) = row(line, head)
        {
            let list = if authorities { &mut found.authorities } else { &mut found.certificates };
            list.push(certificate);
        }
    }
    found
}

fn row(line: &str, head: &str) -> Option<Certificate> {
    let column = |from: &str, to: &str| -> Option<String> {
        let start = head.find(from)?;
        let end = head.find(to).unwrap_or(line.len()).min(line.len());
        let text = line.get(start.min(end)..end)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let expires = column("EXPIRES", "RESIDUAL TIME").filter(|text| !text.starts_with("!MISSING!"));
    let residual = if head.starts_with("CERTIFICATE AUTHORITY") {
        column("RESIDUAL TIME", "EXTERNALLY MANAGED")
    } else {
        column("RESIDUAL TIME", "CERTIFICATE AUTHORITY")
    };
    let external = head.find("EXTERNALLY MANAGED").and_then(|at| line.get(at..));
    Some(Certificate {
        name: line.get(..head.find("EXPIRES")?)?.trim().to_owned(),
        days: residual.as_deref().filter(|_| expires.is_some()).and_then(days),
        expires,
        authority: (!head.starts_with("CERTIFICATE AUTHORITY"))
            .then(|| column("CERTIFICATE AUTHORITY", "EXTERNALLY MANAGED"))
            .flatten(),
        externally_managed: external.is_some_and(|text| text.trim() == "yes"),
    })
}

/// kubeadm rounds to its largest unit: `364d`, `9y`, `23h`, `<invalid>` when it is over.
fn days(text: &str) -> Option<i64> {
    if text == "<invalid>" {
        return Some(0);
    }
    let number: i64 = text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()?;
    match text.chars().last()? {
        'y' => Some(number * 365),
        'd' => Some(number),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_1_20_and_1_21_are_read() {
        for text in [
            include_str!("../../../tests/data/kubeadm/1.20.2-certs.txt"),
            include_str!("../../../tests/data/kubeadm/1.21.2-certs.txt"),
        ] {
            let found = parse(text).expect("certificates");
            assert_eq!((found.certificates.len(), found.authorities.len()), (10, 3));
            let etcd = &found.certificates[7];
            assert_eq!(
                (etcd.name.as_str(), etcd.days, etcd.authority.as_deref()),
                ("etcd-server", Some(364), Some("etcd-ca"))
            );
            assert_eq!(found.authorities[0].days, Some(9 * 365));
        }
    }

    #[test]
    fn json_of_1_30_is_read() {
        let text = include_str!("../../../tests/data/kubeadm/1.30-certs-json.txt");
        let found = parse(text).expect("certificates");
        assert_eq!(found.certificates[0].days, Some(10));
        assert_eq!(found.authorities[0].expires, None);
    }
}
