//! Ansible's vault: texts that are encrypted with a password, and who knows the passwords.

mod envelope;
mod passwords;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::secret::Secret;

pub use envelope::{Envelope, is_vault};
pub use passwords::{Asked, Sources};

/// The id of passwords that were given without one.
pub const DEFAULT_ID: &str = "default";

/// The passwords of a run, in the order in which they are tried.
#[derive(Default)]
pub struct Vault {
    passwords: Vec<(String, Secret)>,
    /// The id of texts whose header has none, where only passwords of a text's own id are
    /// tried (DEFAULT_VAULT_ID_MATCH).
    matched_default: Option<String>,
    /// Nothing is run: files of variables that cannot be opened are passed over.
    only_looks: bool,
    /// What was decrypted already: deriving a key is slow on purpose, and inline
    /// values are looked at often.
    known: Mutex<HashMap<String, Secret>>,
}

/// Why a vault text stays closed; in Ansible's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Attempting to decrypt but no vault secrets found")]
    NoSecrets,
    #[error("Decryption failed (no vault secrets were found that could decrypt)")]
    NoneFits,
    #[error("input is not vault encrypted data")]
    NotVault,
    #[error("{0}")]
    Format(String),
}

impl Error {
    /// The error of a file: what depends on the file says which one.
    pub fn of_file(&self, path: &std::path::Path) -> String {
        match self {
            Self::NoneFits | Self::Format(_) => format!("{self} on {}", path.display()),
            _ => self.to_string(),
        }
    }
}

impl Vault {
    pub fn new(passwords: Vec<(String, Secret)>) -> Self {
        Self { passwords, ..Self::default() }
    }

    /// Of the passwords only those of a text's id are to be tried; texts without one are of
    /// this id.
    pub fn matching(self, default_id: &str) -> Self {
        Self { matched_default: Some(default_id.to_owned()), ..self }
    }

    /// Nothing is run with it: playbooks are only looked at.
    pub fn only_looking(self) -> Self {
        Self { only_looks: true, ..self }
    }

    /// Whether a file of variables is passed over: it is encrypted, there is no password,
    /// and nothing is run that could need it.
    pub fn passes_over(&self, path: &std::path::Path) -> bool {
        self.only_looks
            && self.passwords.is_empty()
            && is_encrypted_file(path).is_ok_and(|encrypted| encrypted)
    }

    /// The ids there are passwords for, in their order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.passwords.iter().map(|(id, _)| id.as_str())
    }

    /// The first password of this id, or the first of all.
    pub fn password(&self, id: Option<&str>) -> Option<(&str, &Secret)> {
        let mut passwords = self.passwords.iter();
        let found = passwords.find(|(known, _)| id.is_none_or(|id| id == known))?;
        Some((&found.0, &found.1))
    }

    /// The bytes of a vault text.
    pub fn decrypt(&self, text: &str) -> Result<Vec<u8>, Error> {
        self.decrypt_with(text).map(|(bytes, _, _)| bytes)
    }

    /// As [`decrypt`](Self::decrypt), with the id and the password that fitted. Those whose
    /// id is the text's are tried first, then all others unless ids have to match.
    pub fn decrypt_with(&self, text: &str) -> Result<(Vec<u8>, &str, &Secret), Error> {
        let envelope = Envelope::parse(text)?;
        if self.passwords.is_empty() {
            return Err(Error::NoSecrets);
        }
        let wanted = envelope.id.as_ref().or(self.matched_default.as_ref());
        let named = |(id, _): &&(String, Secret)| wanted == Some(id);
        let first = self.passwords.iter().filter(named);
        let is_other =
            |password: &&(String, Secret)| self.matched_default.is_none() && !named(password);
        let others = self.passwords.iter().filter(is_other);
        for (id, password) in first.chain(others) {
            if let Some(bytes) = envelope.open(password)? {
                return Ok((bytes, id, password));
            }
        }
        Err(Error::NoneFits)
    }

    /// An inline value's text.
    pub fn reveal(&self, text: &str) -> Result<Secret, Error> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = known().get(text) {
            return Ok(secret.clone());
        }
        let bytes = self.decrypt(text)?;
        let secret = String::from_utf8(bytes)
            .map(Secret::new)
            .map_err(|_| Error::Format("the decrypted value is not UTF-8 text".to_owned()))?;
        known().insert(text.to_owned(), secret.clone());
        Ok(secret)
    }
}

static OF_THIS_RUN: OnceLock<Vault> = OnceLock::new();

/// Makes these the passwords of the run. Files are read in many places, and none of them
/// chooses passwords: there is one set per run, found before the first file is read.
pub fn install(vault: Vault) {
    // A second set of one process would be a fault of the caller's; the first one stays.
    let _ = OF_THIS_RUN.set(vault);
}

/// The passwords of the run; none before [`install`].
pub fn of_this_run() -> &'static Vault {
    static NONE: OnceLock<Vault> = OnceLock::new();
    OF_THIS_RUN.get().unwrap_or_else(|| NONE.get_or_init(Vault::default))
}

/// The bytes of a file's content, decrypted if they are a vault's.
pub fn opened(content: Vec<u8>) -> Result<Vec<u8>, Error> {
    if !is_vault(&content) {
        return Ok(content);
    }
    let text = String::from_utf8(content).map_err(|_| Error::NotVault)?;
    let bytes = of_this_run().decrypt(&text)?;
    if let Ok(text) = std::str::from_utf8(&bytes) {
        crate::secret::remember_values(text);
    }
    Ok(bytes)
}

/// The bytes of a file, decrypted if they are a vault's; an error says what is wrong.
pub fn read(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    opened(std::fs::read(path)?).map_err(|error| std::io::Error::other(error.of_file(path)))
}

/// Whether a file is encrypted. Only its start is looked at: it may be of any size.
pub fn is_encrypted_file(path: &std::path::Path) -> std::io::Result<bool> {
    use std::io::Read;
    let mut start = Vec::new();
    std::fs::File::open(path)?.take(64).read_to_end(&mut start)?;
    Ok(is_vault(&start))
}

/// As [`read`], of text.
pub fn read_text(path: &std::path::Path) -> std::io::Result<String> {
    text_of(std::fs::read(path)?, path)
}

/// The text that a file's content is, decrypted if it is a vault's; `path` is what an
/// error calls it.
pub fn text_of(content: Vec<u8>, path: &std::path::Path) -> std::io::Result<String> {
    let wrong = |_| std::io::Error::new(std::io::ErrorKind::InvalidData, "not UTF-8 text");
    let content = opened(content).map_err(|error| std::io::Error::other(error.of_file(path)))?;
    String::from_utf8(content).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(passwords: &[(&str, &str)]) -> Vault {
        let owned = |(id, text): &(&str, &str)| ((*id).to_owned(), Secret::new(*text));
        Vault::new(passwords.iter().map(owned).collect())
    }

    fn sealed(password: &str, id: Option<&str>) -> String {
        Envelope::seal("fish\n".as_bytes(), &Secret::new(password), id, None).to_string()
    }

    #[test]
    fn what_is_encrypted_comes_back() {
        let text = sealed("one", None);
        assert!(text.starts_with("$ANSIBLE_VAULT;1.1;AES256\n"));
        assert_eq!(vault(&[("default", "one")]).decrypt(&text), Ok(b"fish\n".to_vec()));
    }

    #[test]
    fn any_password_that_fits_is_taken_whatever_its_id() {
        let text = sealed("two", Some("prod"));
        assert!(text.starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
        let both = vault(&[("dev", "one"), ("other", "two")]);
        let (bytes, id, _) = both.decrypt_with(&text).unwrap();
        assert_eq!((bytes.as_slice(), id), (b"fish\n".as_slice(), "other"));
    }

    #[test]
    fn where_ids_have_to_match_others_are_not_tried() {
        let text = sealed("two", Some("prod"));
        let matching = |id| vault(&[(id, "two")]).matching(DEFAULT_ID);
        assert_eq!(matching("other").decrypt(&text), Err(Error::NoneFits));
        assert!(matching("prod").decrypt(&text).is_ok());
        assert!(matching("default").decrypt(&sealed("two", None)).is_ok());
    }

    #[test]
    fn without_a_password_or_with_a_wrong_one_it_stays_closed() {
        let text = sealed("one", None);
        assert_eq!(vault(&[]).decrypt(&text), Err(Error::NoSecrets));
        assert_eq!(vault(&[("default", "two")]).decrypt(&text), Err(Error::NoneFits));
    }

    #[test]
    fn texts_of_ansible_vault_are_read() {
        // Written by ansible-vault of core 2.18 with the password 'fish'.
        let old = include_str!("../../tests/data/vault/plain.vault");
        let labelled = include_str!("../../tests/data/vault/labelled.vault");
        let vault = vault(&[("default", "fish")]);
        assert_eq!(vault.decrypt(old), Ok(b"key: value\n".to_vec()));
        assert_eq!(vault.decrypt(labelled), Ok(b"key: value\n".to_vec()));
    }
}
