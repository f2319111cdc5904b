//! Names and passwords: given, part of the address, or from `~/.netrc`; sent as Basic or
//! Digest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use rand::RngCore;
use sha2::Sha256;

use super::super::words::expand_user;
use super::{Context, Request, url};
use crate::modules::files::hex;

/// Who asks.
pub struct Login {
    user: String,
    password: String,
    /// Sent before it is asked for: what the netrc says, as Ansible does.
    eager: bool,
}

impl Login {
    pub fn of(request: &Request, own: Option<(String, String)>, context: &Context) -> Option<Self> {
        let given = request.username.clone().filter(|user| !user.is_empty());
        let given = given.map(|user| (user, request.password.clone().unwrap_or_default()));
        if let Some((user, password)) = given.or(own) {
            return Some(Self { user, password, eager: false });
        }
        let named = request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("authorization"));
        if !request.use_netrc || named {
            return None;
        }
        let file =
            context.environment.get("NETRC").cloned().unwrap_or_else(|| "~/.netrc".to_owned());
        let text = std::fs::read_to_string(expand_user(&file, &context.environment)).ok()?;
        let (user, password) = of_netrc(&text, url::host_of(&request.url))?;
        Some(Self { user, password, eager: true })
    }

    pub fn at_once(&self, request: &Request) -> Option<String> {
        (self.eager || request.force_basic_auth).then(|| self.basic())
    }

    fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }

    /// The header that answers what the server asks for.
    pub fn answer(&self, challenges: &[&str], method: &str, path: &str) -> Option<String> {
        let of = |scheme: &str| {
            challenges.iter().find_map(|text| {
                let (name, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
                name.eq_ignore_ascii_case(scheme).then(|| rest.to_owned())
            })
        };
        if let Some(challenge) = of("digest") {
            let nonce = hex(&rand::rng().next_u64().to_be_bytes());
            return self.digest(&challenge, method, path, &nonce);
        }
        of("basic").map(|_| self.basic())
    }

    fn digest(&self, challenge: &str, method: &str, path: &str, cnonce: &str) -> Option<String> {
        let fields = fields_of(challenge);
        let field = |name: &str| {
            fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        let (realm, nonce) = (field("realm")?, field("nonce")?);
        let algorithm = field("algorithm").unwrap_or("MD5");
        let hash = |text: String| match algorithm.to_ascii_uppercase().as_str() {
            "MD5" => Some(hex(&Md5::digest(text.as_bytes()))),
            "SHA-256" => Some(hex(&Sha256::digest(text.as_bytes()))),
            _ => None,
        };
        let who = hash(format!("{}:{realm}:{}", self.user, self.password))?;
        let what = hash(format!("{method}:{path}"))?;
        let auth = field("qop").is_some_and(|qop| qop.split(',').any(|q| q.trim() == "auth"));
        let response = match auth {
            true => hash(format!("{who}:{nonce}:00000001:{cnonce}:auth:{what}"))?,
            false => hash(format!("{who}:{nonce}:{what}"))?,
        };
        let mut header = format!(
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{path}\", \
             response=\"{response}\", algorithm=\"{algorithm}\"",
            self.user
        );
        if let Some(opaque) = field("opaque") {
            header += &format!(", opaque=\"{opaque}\"");
        }
        if auth {
            header += &format!(", qop=auth, nc=00000001, cnonce=\"{cnonce}\"");
        }
        Some(header)
    }
}

/// `a="b", c=d`
fn fields_of(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        let key = key.trim_matches([',', ' ', '\t']).to_ascii_lowercase();
        fields.push((key, value.trim().to_owned()));
        rest = next;
    }
    fields
}

/// Name and password that a netrc has for a host.
fn of_netrc(text: &str, host: &str) -> Option<(String, String)> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    let (mut here, mut found) = (false, (None, None));
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" => {
                if here {
                    break;
                }
                here = word == "default" || words.next() == Some(host);
            }
            "login" if here => found.0 = words.next(),
            "password" if here => found.1 = words.next(),
            _ => {}
        }
    }
    match found {
        (Some(user), password) => Some((user.to_owned(), password.unwrap_or_default().to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        let user = "Mufasa".to_owned();
        let login = Login { user, password: "Circle Of Life".to_owned(), eager: false };
        let challenge = "realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc\"";
        let header = login.digest(challenge, "GET", "/dir/index.html", "0a4f113b");
        let header = header.expect("an answer");
        assert!(header.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{header}");
        assert!(header.contains("opaque=\"5ccc\""), "{header}");
    }

    #[test]
    fn a_netrc_has_passwords_for_hosts() {
        let text = "machine a login x password y\n# no\nmachine b\n  login u\n  password p\n";
        assert_eq!(of_netrc(text, "b"), Some(("u".to_owned(), "p".to_owned())));
        assert_eq!(of_netrc(text, "c"), None);
    }
}
