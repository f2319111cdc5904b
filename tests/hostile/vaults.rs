//! Vault texts.

use kup_play::secret::Secret;
use kup_play::vault::{Envelope, Vault};
use proptest::collection::vec;
use proptest::prelude::*;

use super::mutation::{corpus, mutated};
use super::watch::{cases, watched};

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn what_is_encrypted_is_decrypted(
        content in vec(any::<u8>(), 0..200),
        password in "\\PC{1,20}",
        id in proptest::option::of("[a-z]{1,8}"),
    ) {
        let password = Secret::new(&*password);
        let text = Envelope::seal(&content, &password, id.as_deref(), None).to_string();
        let vault = Vault::new(vec![("any".to_owned(), password)]);
        prop_assert_eq!(vault.decrypt(&text), Ok(content));
    }

    #[test]
    fn any_text_is_opened_or_refused(text in mutated(corpus("tests/data/vault", &[".vault"]))) {
        let real = corpus("tests/data/vault", &[".vault"]);
        let vault = Vault::new(vec![("default".to_owned(), Secret::new("fish"))]);
        watched(&text, || match vault.decrypt(&text) {
            // What the seal covers cannot have been changed.
            Ok(content) => assert_eq!(content, b"key: value\n", "{text}"),
            Err(error) => assert!(!error.to_string().contains("fish")),
        });
        prop_assert!(real.iter().all(|text| vault.decrypt(text).is_ok()));
    }

    #[test]
    fn any_header_and_digits_are_refused(header in "[$A-Z_;.0-9a-z]{0,30}", digits in "[0-9a-f\n]{0,200}") {
        let vault = Vault::new(vec![("default".to_owned(), Secret::new("fish"))]);
        for header in ["$ANSIBLE_VAULT;1.1;AES256", &header] {
            let text = format!("{header}\n{digits}");
            prop_assert!(vault.decrypt(&text).is_err(), "{}", text);
        }
    }
}
