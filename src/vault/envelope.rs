//! The format of vault texts: a header line, then hex digits of salt, HMAC and ciphertext.

use std::fmt;

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{DEFAULT_ID, Error};
use crate::secret::Secret;

const MARK: &str = "$ANSIBLE_VAULT";
const ROUNDS: u32 = 10_000;
const KEY: usize = 32;
const BLOCK: usize = 16;
/// Hex digits on a line.
const WIDTH: usize = 80;

/// Whether bytes begin as vault texts do.
pub fn is_vault(content: &[u8]) -> bool {
    content.starts_with(MARK.as_bytes())
}

/// An encrypted text, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The vault id in the header of format 1.2.
    pub id: Option<String>,
    salt: Vec<u8>,
    mac: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Envelope {
    /// Takes a text apart; blanks around lines mean nothing.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut lines = text.trim().lines().map(str::trim);
        let mut header = lines.next().unwrap_or_default().split(';').map(str::trim);
        if header.next() != Some(MARK) {
            return Err(Error::NotVault);
        }
        let version = header.next().unwrap_or_default();
        let cipher = header.next().unwrap_or_default();
        if cipher != "AES256" || !matches!(version, "1.0" | "1.1" | "1.2") {
            return Err(Error::Format(format!(
                "{version};{cipher} is not a supported vault format, only AES256 of 1.1 and 1.2 is"
            )));
        }
        let id = header.next().filter(|id| version == "1.2" && !id.is_empty()).map(str::to_owned);
        let body = unhex(lines.collect::<String>().as_bytes())?;
        let mut parts = body.split(|byte| *byte == b'\n').map(unhex);
        let missing = || Error::Format("Vault format error: a part is missing".to_owned());
        let mut part = || parts.next().unwrap_or_else(|| Err(missing()));
        Ok(Self { id, salt: part()?, mac: part()?, ciphertext: part()? })
    }

    /// The text inside; none when the password is another one.
    pub fn open(&self, password: &Secret) -> Result<Option<Vec<u8>>, Error> {
        let keys = Keys::derive(password, &self.salt);
        if keys.mac(&self.ciphertext).verify_slice(&self.mac).is_err() {
            return Ok(None);
        }
        let mut text = self.ciphertext.clone();
        keys.apply(&mut text);
        let padding = text.last().copied().map(usize::from).unwrap_or_default();
        if !(1..=BLOCK).contains(&padding) || padding > text.len() {
            return Err(Error::Format("Vault format padding error".to_owned()));
        }
        text.truncate(text.len() - padding);
        Ok(Some(text))
    }

    /// Encrypts; `salt` is random unless one is given.
    pub fn seal(text: &[u8], password: &Secret, id: Option<&str>, salt: Option<&[u8]>) -> Self {
        let salt = salt.map_or_else(|| rand::random::<[u8; KEY]>().to_vec(), <[u8]>::to_vec);
        let keys = Keys::derive(password, &salt);
        let padding = BLOCK - text.len() % BLOCK;
        let mut ciphertext = text.to_vec();
        // At most 16: it fits into a byte.
        ciphertext.extend(std::iter::repeat_n(padding as u8, padding));
        keys.apply(&mut ciphertext);
        let mac = keys.mac(&ciphertext).finalize().into_bytes().to_vec();
        let id = id.filter(|id| *id != DEFAULT_ID).map(str::to_owned);
        Self { id, salt, mac, ciphertext }
    }
}

/// As in a file, with a line end after each line.
impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => writeln!(f, "{MARK};1.2;AES256;{id}")?,
            None => writeln!(f, "{MARK};1.1;AES256")?,
        }
        let parts = [hex(&self.salt), hex(&self.mac), hex(&self.ciphertext)].join("\n");
        for line in hex(parts.as_bytes()).as_bytes().chunks(WIDTH) {
            writeln!(f, "{}", String::from_utf8_lossy(line))?;
        }
        Ok(())
    }
}

struct Keys {
    cipher: [u8; KEY],
    mac: [u8; KEY],
    iv: [u8; BLOCK],
}

impl Keys {
    fn derive(password: &Secret, salt: &[u8]) -> Self {
        let mut keys = Self { cipher: [0; KEY], mac: [0; KEY], iv: [0; BLOCK] };
        let mut bytes = [0; KEY + KEY + BLOCK];
        pbkdf2::pbkdf2_hmac::<Sha256>(password.expose().as_bytes(), salt, ROUNDS, &mut bytes);
        let (cipher, rest) = bytes.split_at(KEY);
        let (mac, iv) = rest.split_at(KEY);
        keys.cipher.copy_from_slice(cipher);
        keys.mac.copy_from_slice(mac);
        keys.iv.copy_from_slice(iv);
        keys
    }

    fn mac(&self, ciphertext: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.mac_block());
        mac.update(ciphertext);
        mac
    }

    /// The key as a whole block of the hash, as HMAC fills up shorter ones.
    fn mac_block(&self) -> hmac::digest::Key<Hmac<Sha256>> {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        for (place, byte) in block.iter_mut().zip(self.mac) {
            *place = byte;
        }
        block
    }

    /// Encrypts and decrypts: in this mode they are the same.
    fn apply(&self, text: &mut [u8]) {
        Ctr128BE::<Aes256>::new(&self.cipher.into(), &self.iv.into()).apply_keystream(text);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that hex digits stand for; the errors are in Python's words.
fn unhex(digits: &[u8]) -> Result<Vec<u8>, Error> {
    let broken = |why: &str| Error::Format(format!("Vault format unhexlify error: {why}"));
    let value = |digit: u8| char::from(digit).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(value(*high)? * 16 + value(*low)?).ok();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(broken("Odd-length string"));
    }
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes.ok_or_else(|| broken("Non-hexadecimal digit found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_vault_text_is_refused() {
        for text in ["", "key: value", "$ANSIBLE_VAULT;1.1;AES256\nxy\n", "$ANSIBLE_VAULT"] {
            assert!(Envelope::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_digits_is_said() {
        let why = |digits: &str| {
            let text = format!("$ANSIBLE_VAULT;1.1;AES256\n{digits}\n");
            Envelope::parse(&text).unwrap_err().to_string()
        };
        assert_eq!(why("303"), "Vault format unhexlify error: Odd-length string");
        assert_eq!(why("30xy"), "Vault format unhexlify error: Non-hexadecimal digit found");
    }

    #[test]
    fn the_same_salt_gives_the_same_text() {
        let seal = |salt: Option<&[u8]>| {
            Envelope::seal(b"fish", &Secret::new("x"), None, salt).to_string()
        };
        assert_eq!(seal(Some(b"salty")), seal(Some(b"salty")));
        assert_ne!(seal(Some(b"salty")), seal(None));
    }

    #[test]
    fn a_text_is_the_same_after_reading_and_writing() {
        let envelope = Envelope::seal(b"0123456789abcdef", &Secret::new("x"), Some("a"), None);
        assert_eq!(Envelope::parse(&envelope.to_string()), Ok(envelope));
    }
}
