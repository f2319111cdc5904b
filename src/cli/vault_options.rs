//! The options that say where vault passwords come from.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::passwords::ask;
use crate::engine::LoadError;
use crate::settings::Config;
use crate::vault::{self, Asked, Sources, Vault};

#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
pub struct VaultOptions {
    /// A vault password with its id: [LABEL@]FILE, [LABEL@]PROGRAM or [LABEL@]prompt; may be repeated
    #[arg(long, value_name = "ID")]
    pub vault_id: Vec<String>,

    /// Read a vault password from this file, or from this program; may be repeated
    #[arg(long, value_name = "FILE", visible_alias = "vault-pass-file")]
    pub vault_password_file: Vec<PathBuf>,

    /// Ask for the vault password
    #[arg(
        short = 'J',
        long,
        visible_alias = "ask-vault-pass",
        conflicts_with = "vault_password_file"
    )]
    pub ask_vault_password: bool,
}

impl VaultOptions {
    /// What is named here and in the settings, in Ansible's order.
    pub fn sources(&self, config: &Config) -> Sources {
        let mut ids = config.list("DEFAULT_VAULT_IDENTITY_LIST");
        ids.extend(self.vault_id.iter().cloned());
        let mut files = self.vault_password_file.clone();
        files.extend(config.path("DEFAULT_VAULT_PASSWORD_FILE"));
        Sources {
            ids,
            files,
            ask: self.ask_vault_password || config.flag("DEFAULT_ASK_VAULT_PASS"),
            default_id: config.text("DEFAULT_VAULT_IDENTITY"),
            match_ids: config.flag("DEFAULT_VAULT_ID_MATCH"),
        }
    }

    /// Reads the passwords and makes them those of the run, or of what `only_looks`.
    pub fn install(&self, config: &Config, only_looks: bool) -> Result<(), LoadError> {
        let vault = load(&self.sources(config), Asked::Known).map_err(LoadError::options)?;
        vault::install(if only_looks { vault.only_looking() } else { vault });
        Ok(())
    }
}

/// Reads the passwords; warnings go to stderr.
pub fn load(sources: &Sources, asked: Asked) -> Result<Vault, String> {
    let mut warnings = Vec::new();
    let ask = |prompt: &str| ask(prompt).map_err(|error| error.to_string());
    let vault = sources.load(asked, &ask, &mut warnings);
    for warning in warnings {
        eprintln!("[WARNING]: {warning}");
    }
    vault
}
