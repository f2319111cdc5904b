//! The filters `vault` and `unvault`.

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};
use crate::secret::Secret;
use crate::vault::{Envelope, Vault, is_vault};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("vault", &["data", "secret", "salt", "vault_id", "wrap_object", "vaultid"], vault),
    Plugin::new("unvault", &["vault", "secret", "vault_id", "vaultid"], unvault),
];

/// `filter_default` is what the filters call an id that was not given.
fn id_of(call: &Call) -> String {
    let id = call.text_or("vault_id", "filter_default");
    call.text_or("vaultid", &id)
}

fn vault(call: &mut Call) -> Result<Value, TemplateError> {
    let secret = Secret::new(call.text("secret")?);
    let text = python::text(call.value()?);
    let salt = call.some("salt").map(python::text);
    let salt = salt.as_ref().map(String::as_bytes);
    let envelope = Envelope::seal(text.as_bytes(), &secret, Some(&id_of(call)), salt);
    Ok(Value::from(envelope.to_string()))
}

fn unvault(call: &mut Call) -> Result<Value, TemplateError> {
    let secret = Secret::new(call.text("secret")?);
    let text = python::text(call.value()?);
    if !is_vault(text.as_bytes()) {
        return Ok(Value::from(text));
    }
    let vault = Vault::new(vec![(id_of(call), secret)]);
    let revealed =
        vault.reveal(&text).map_err(|error| call.error(format!("Unable to decrypt: {error}")))?;
    Ok(Value::from(revealed.expose()))
}
