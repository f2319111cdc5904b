//! `password_hash`: passwords as `/etc/shadow` and its like keep them.

use base64::Engine;
use md5::Md5;
use rand::Rng;
use sha_crypt::{Params, sha256_crypt, sha512_crypt};
use sha2::digest::Digest;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};

pub const FILTERS: &[Plugin] = &[Plugin::new(
    "password_hash",
    &["password", "hashtype", "salt", "salt_size", "rounds", "ident"],
    password_hash,
)];

/// The digits of crypt's own base 64, which are also what salts are made of.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A way to hash, under its names in Ansible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scheme {
    Md5,
    Bcrypt,
    Sha256,
    Sha512,
}

/// What else than the password goes into a hash.
#[derive(Clone, Debug, Default)]
pub struct Seasoning {
    /// None: one is made up.
    pub salt: Option<String>,
    pub salt_size: Option<usize>,
    pub rounds: Option<u32>,
    /// Which version of bcrypt's format.
    pub ident: Option<String>,
}

impl Scheme {
    pub fn named(name: &str) -> Result<Self, TemplateError> {
        Ok(match name {
            "md5" | "md5_crypt" => Self::Md5,
            "bcrypt" | "blowfish" => Self::Bcrypt,
            "sha256" | "sha256_crypt" => Self::Sha256,
            "sha512" | "sha512_crypt" => Self::Sha512,
            other => {
                return Err(TemplateError::new(format!(
                    "{other} is not in the list of supported algorithms: md5, blowfish, sha256, sha512"
                )));
            }
        })
    }

    /// The longest salt, which is also that of the salts made here.
    pub fn salt_size(self) -> usize {
        match self {
            Self::Md5 => 8,
            Self::Bcrypt => 22,
            Self::Sha256 | Self::Sha512 => 16,
        }
    }

    /// The hash in the form of crypt(3).
    pub fn hash(self, password: &str, seasoning: &Seasoning) -> Result<String, TemplateError> {
        let salt = match &seasoning.salt {
            Some(salt) if !salt.is_empty() => self.checked_salt(salt)?,
            _ => random_salt(seasoning.salt_size.unwrap_or(self.salt_size()).min(self.salt_size())),
        };
        match self {
            Self::Md5 => Ok(md5_crypt(password.as_bytes(), &salt)),
            Self::Bcrypt => bcrypted(password, &salt, seasoning),
            Self::Sha256 => sha(password, &salt, "5", seasoning.rounds.unwrap_or(535_000)),
            Self::Sha512 => sha(password, &salt, "6", seasoning.rounds.unwrap_or(656_000)),
        }
    }

    fn checked_salt(self, salt: &str) -> Result<String, TemplateError> {
        if salt.bytes().any(|byte| !DIGITS.contains(&byte)) {
            return Err(failed("invalid characters in salt"));
        }
        if self == Self::Bcrypt && salt.len() < self.salt_size() {
            return Err(failed("salt too small (bcrypt requires exactly 22 chars)"));
        }
        if salt.len() > self.salt_size() {
            return Err(failed(format!("salt too large (at most {} chars)", self.salt_size())));
        }
        Ok(salt.to_owned())
    }
}

fn failed(reason: impl std::fmt::Display) -> TemplateError {
    TemplateError::new(format!("Could not hash the secret. {reason}"))
}

fn password_hash(call: &mut Call) -> Result<Value, TemplateError> {
    let scheme = Scheme::named(&call.text_or("hashtype", "sha512"))?;
    let positive = |name: &str| -> Result<Option<u32>, TemplateError> {
        let number = call.some(name).map(|value| call.as_integer(name, value)).transpose()?;
        let number = number.filter(|number| *number != 0).map(u32::try_from).transpose();
        number.map_err(|_| call.error(format!("'{name}' has to be a positive integer")))
    };
    let seasoning = Seasoning {
        salt: call.some("salt").map(python::text),
        salt_size: positive("salt_size")?.and_then(|size| usize::try_from(size).ok()),
        rounds: positive("rounds")?,
        ident: call.some("ident").map(python::text),
    };
    let password = call.value()?;
    let password = password.as_str().ok_or_else(|| {
        TemplateError::new(format!(
            "secret must be unicode or bytes, not {}",
            python::type_name(password)
        ))
    })?;
    scheme.hash(password, &seasoning).map(Value::from)
}

/// A salt of this length.
pub fn random_salt(length: usize) -> String {
    let mut chance = rand::rng();
    let digit = |_| DIGITS.get(chance.random_range(0..DIGITS.len())).copied().map(char::from);
    (0..length).filter_map(digit).collect()
}

fn sha(password: &str, salt: &str, id: &str, rounds: u32) -> Result<String, TemplateError> {
    let parameters = Params::new(rounds)
        .map_err(|_| failed(format!("rounds={rounds} is not from 1000 to 999999999")))?;
    let digits = match id {
        "5" => sha256_digits(&sha256_crypt(password.as_bytes(), salt.as_bytes(), parameters)),
        _ => sha512_digits(&sha512_crypt(password.as_bytes(), salt.as_bytes(), parameters)),
    };
    // The format says nothing about the number of rounds that it was made with first.
    let rounds = if rounds == 5000 { String::new() } else { format!("rounds={rounds}$") };
    Ok(format!("${id}${rounds}{salt}${digits}"))
}

/// The bytes at these places, as `count` digits, the lowest bits first.
fn put(out: &mut String, digest: &[u8], places: &[usize], count: usize) {
    let byte = |place: &usize| u32::from(digest.get(*place).copied().unwrap_or_default());
    let mut bits = places.iter().fold(0, |bits, place| bits << 8 | byte(place));
    for _ in 0..count {
        let digit = usize::try_from(bits & 0x3f).unwrap_or_default();
        out.extend(DIGITS.get(digit).copied().map(char::from));
        bits >>= 6;
    }
}

fn sha256_digits(digest: &[u8]) -> String {
    let mut out = String::new();
    let (mut a, mut b, mut c) = (0, 10, 20);
    for _ in 0..10 {
        put(&mut out, digest, &[a, b, c], 4);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    put(&mut out, digest, &[31, 30], 3);
    out
}

fn sha512_digits(digest: &[u8]) -> String {
    let mut out = String::new();
    let (mut a, mut b, mut c) = (0, 21, 42);
    for _ in 0..21 {
        put(&mut out, digest, &[a, b, c], 4);
        (a, b, c) = (b + 1, c + 1, a + 1);
    }
    put(&mut out, digest, &[63], 2);
    out
}

/// Hashing of 1995, still asked for by network devices: MD5 a thousand times.
fn md5_crypt(password: &[u8], salt: &str) -> String {
    let second = Md5::new().chain_update(password).chain_update(salt).chain_update(password);
    let second = second.finalize();
    let mut first =
        Md5::new().chain_update(password).chain_update(b"$1$").chain_update(salt.as_bytes());
    for (index, _) in password.iter().enumerate() {
        first.update(second.get(index % 16..=index % 16).unwrap_or_default());
    }
    let mut length = password.len();
    while length > 0 {
        match length & 1 {
            1 => first.update([0]),
            _ => first.update(password.get(..1).unwrap_or_default()),
        }
        length >>= 1;
    }
    let mut digest = first.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        let odd = round & 1 == 1;
        next.update(if odd { password } else { digest.as_slice() });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if odd { digest.as_slice() } else { password });
        digest = next.finalize();
    }
    let mut out = format!("$1${salt}$");
    for places in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        put(&mut out, &digest, &places, 4);
    }
    put(&mut out, &digest, &[11], 2);
    out
}

fn bcrypted(password: &str, salt: &str, seasoning: &Seasoning) -> Result<String, TemplateError> {
    let version = match seasoning.ident.as_deref().map(|ident| ident.trim_matches('$')) {
        None | Some("" | "2b") => bcrypt::Version::TwoB,
        Some("2a") => bcrypt::Version::TwoA,
        Some("2y") => bcrypt::Version::TwoY,
        Some(other) => return Err(failed(format!("'{other}' is no ident of bcrypt"))),
    };
    // The last digit stands for four bits only; what is beyond them is dropped.
    let engine = base64::engine::GeneralPurpose::new(
        &base64::alphabet::BCRYPT,
        base64::engine::general_purpose::NO_PAD.with_decode_allow_trailing_bits(true),
    );
    let bytes = engine.decode(salt).map_err(failed)?;
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| failed("invalid salt"))?;
    bcrypt::hash_with_salt(password, seasoning.rounds.unwrap_or(12), bytes)
        .map(|parts| parts.format_for_version(version))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(scheme: Scheme, password: &str, salt: &str, rounds: Option<u32>) -> String {
        let seasoning = Seasoning { salt: Some(salt.to_owned()), rounds, ..Seasoning::default() };
        scheme.hash(password, &seasoning).expect("a hash")
    }

    #[test]
    fn a_salt_of_a_wrong_form_is_refused() {
        for (scheme, salt) in
            [(Scheme::Sha512, "a$b"), (Scheme::Md5, "far too long"), (Scheme::Bcrypt, "short")]
        {
            let seasoning = Seasoning { salt: Some(salt.to_owned()), ..Seasoning::default() };
            assert!(scheme.hash("x", &seasoning).is_err(), "{salt}");
        }
    }

    #[test]
    fn without_a_salt_no_two_hashes_are_equal() {
        let seasoning = Seasoning { rounds: Some(1000), ..Seasoning::default() };
        let hash = || Scheme::Sha512.hash("x", &seasoning).expect("a hash");
        assert_ne!(hash(), hash());
    }

    #[test]
    fn hashes_are_those_of_passlib() {
        for (scheme, password, salt, rounds, expected) in [
            (Scheme::Md5, "secret", "abcdefgh", None, "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1"),
            (
                Scheme::Md5,
                "a much longer password than sixteen",
                "ab",
                None,
                "$1$ab$BXdgTeubcXY.G0KJweZuF/",
            ),
            (
                Scheme::Sha256,
                "secret",
                "abc",
                Some(5000),
                "$5$abc$qsg6EHbUzHQzF1POlD7zUwBINSELQxypPaeDcZe6vH0",
            ),
            (
                Scheme::Sha512,
                "secret",
                "mysalt",
                Some(1000),
                "$6$rounds=1000$mysalt$GWqo/Lq3SURYGcNVPiffI5Ic1x2WLu.e2sf9owxedsXuZK/w2K89mrRPOcDayUvRWxd/x1F1WhRLB4W89a23d.",
            ),
            (
                Scheme::Bcrypt,
                "secret",
                "abcdefghijklmnopqrstuu",
                Some(4),
                "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            ),
        ] {
            assert_eq!(hashed(scheme, password, salt, rounds), expected);
        }
    }
}
