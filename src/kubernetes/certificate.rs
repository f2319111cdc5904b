//! What an X.509 certificate says of itself.

use jiff::Timestamp;
use x509_parser::pem::parse_x509_pem;

/// From when to when a certificate is valid.
#[derive(Debug)]
pub struct Validity {
    pub from: Timestamp,
    pub to: Timestamp,
    pub subject: String,
    /// Whether it signs others.
    pub authority: bool,
    /// Whether it says what it is for: for servers, for clients.
    pub has_usages: bool,
}

impl Validity {
    /// Of a PEM text; or why there is none in it.
    pub fn of(pem: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("there is no certificate that can be read in it: {what}");
        let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|error| wrong(&error.to_string()))?;
        let certificate = pem.parse_x509().map_err(|error| wrong(&error.to_string()))?;
        let time =
            |seconds: i64| Timestamp::from_second(seconds).map_err(|e| wrong(&e.to_string()));
        let validity = certificate.validity();
        Ok(Self {
            from: time(validity.not_before.timestamp())?,
            to: time(validity.not_after.timestamp())?,
            subject: certificate.subject().to_string(),
            authority: certificate.is_ca(),
            has_usages: certificate.extended_key_usage().is_ok_and(|usages| usages.is_some()),
        })
    }
}

/// `2026-11-28 05:33 UTC`
pub fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_whose_it_is_and_from_when_to_when_it_is_valid() {
        let pem = include_str!("../../tests/data/kubeadm/apiserver.crt");
        let validity = Validity::of(pem).expect("a certificate");
        assert!(
            validity.subject.contains("kube-apiserver")
                && !validity.authority
                && validity.has_usages
        );
        assert!(validity.from < validity.to);
        assert!(
            Validity::of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err()
        );
    }
}
