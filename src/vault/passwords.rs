//! Where passwords come from: files, programs, the terminal.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{DEFAULT_ID, Vault, is_vault};
use crate::secret::Secret;

/// What a prompt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To read what there is.
    Known,
    /// To encrypt with: asked for twice.
    New,
}

/// What the command line and the settings name, in their order.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `[LABEL@]SOURCE`; a source is a file, a program or `prompt`.
    pub ids: Vec<String>,
    pub files: Vec<PathBuf>,
    /// `--ask-vault-password`.
    pub ask: bool,
    /// The id of what is given without one (DEFAULT_VAULT_IDENTITY).
    pub default_id: Option<String>,
    /// Only passwords of a text's own id are tried (DEFAULT_VAULT_ID_MATCH).
    pub match_ids: bool,
}

impl Sources {
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.files.is_empty() && !self.ask
    }

    /// Reads them all. A source that fails is a warning while another one gives a password.
    pub fn load(
        &self,
        asked: Asked,
        ask: &dyn Fn(&str) -> Result<Secret, String>,
        warnings: &mut Vec<String>,
    ) -> Result<Vault, String> {
        let mut found: Vec<(String, Secret)> = Vec::new();
        let mut failed = None;
        for (id, source) in self.all() {
            let name = id.clone().unwrap_or_else(|| self.default_id().to_owned());
            if source == "prompt" || source == "prompt_ask_vault_pass" {
                let password = prompt(&name, source == "prompt", asked, ask)?;
                found.push((name, password));
                continue;
            }
            let path = expanded(&source);
            let password = is_executable(&path)
                .map_err(|reason| ("Error getting vault password file", reason))
                .and_then(|program| {
                    if program { from_program(&path, &name) } else { from_file(&path, &found) }
                        .map_err(|reason| ("Error in vault password file loading", reason))
                });
            match password {
                Ok(password) => found.push((name, password)),
                Err((what, reason)) => {
                    let id = id.as_deref().unwrap_or("None");
                    warnings.push(format!("{what} ({id}): {reason}"));
                    failed = Some(reason);
                }
            }
        }
        match failed {
            Some(reason) if found.is_empty() => Err(reason),
            _ if self.match_ids => Ok(Vault::new(found).matching(self.default_id())),
            _ => Ok(Vault::new(found)),
        }
    }

    fn default_id(&self) -> &str {
        self.default_id.as_deref().unwrap_or(DEFAULT_ID)
    }

    /// Every source with the id it was given.
    fn all(&self) -> Vec<(Option<String>, String)> {
        let split = |text: &String| match text.split_once('@') {
            Some((id, source)) => (Some(id.to_owned()), source.to_owned()),
            None => (None, text.clone()),
        };
        let file =
            |path: &PathBuf| (Some(self.default_id().to_owned()), path.display().to_string());
        let asked = self
            .ask
            .then(|| (Some(self.default_id().to_owned()), "prompt_ask_vault_pass".to_owned()));
        self.ids.iter().map(split).chain(self.files.iter().map(file)).chain(asked).collect()
    }
}

fn prompt(
    id: &str,
    with_id: bool,
    asked: Asked,
    ask: &dyn Fn(&str) -> Result<Secret, String>,
) -> Result<Secret, String> {
    let texts = match (asked, with_id) {
        (Asked::Known, true) => vec![format!("Vault password ({id}): ")],
        (Asked::Known, false) => vec!["Vault password: ".to_owned()],
        (Asked::New, true) => vec![
            format!("New vault password ({id}): "),
            format!("Confirm new vault password ({id}): "),
        ],
        (Asked::New, false) => {
            vec!["New Vault password: ".to_owned(), "Confirm New Vault password: ".to_owned()]
        }
    };
    let mut answers = texts.iter().map(|text| ask(text)).collect::<Result<Vec<_>, _>>()?;
    let first = answers.swap_remove(0);
    if answers.iter().any(|answer| *answer != first) {
        return Err("Passwords do not match".to_owned());
    }
    given(first.expose(), "Invalid vault password was provided".to_owned())
}

fn is_executable(path: &Path) -> Result<bool, String> {
    let shown = path.display();
    let Ok(metadata) = path.metadata() else {
        return Err(format!("The vault password file {shown} was not found"));
    };
    if metadata.is_dir() {
        return Err(format!("The vault password file provided '{shown}' can not be a directory"));
    }
    Ok(metadata.permissions().mode() & 0o111 != 0)
}

fn from_file(path: &Path, found: &[(String, Secret)]) -> Result<Secret, String> {
    let shown = path.display();
    let unreadable =
        |reason: String| format!("Could not read vault password file {shown}: {reason}");
    let mut bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    if is_vault(&bytes) {
        // A password file may itself be encrypted with a password that came before it.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let vault = Vault::new(found.to_vec());
        bytes = vault.decrypt(&text).map_err(|error| error.of_file(path))?;
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
    given(text.trim(), format!("Invalid vault password was provided from file ({shown})"))
}

/// A program prints the password; one whose name ends with `-client` is told the id.
fn from_program(path: &Path, id: &str) -> Result<Secret, String> {
    let shown = path.display();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let client = stem.ends_with("-client");
    let mut command = Command::new(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    if client {
        command.args(["--vault-id", id]);
    }
    // What it asks for it may ask on the terminal.
    let output =
        command.stderr(Stdio::piped()).stdin(Stdio::inherit()).output().map_err(|error| {
            format!(
                "Problem running vault password script {shown} ({error}). If this is not a script, \
             remove the executable bit from the file."
            )
        })?;
    let errors = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    match output.status.code() {
        Some(0) => {}
        Some(2) if client => {
            return Err(format!(
                "Vault password client script {shown} did not find a secret for vault-id={id}: {errors}"
            ));
        }
        code => {
            let kind = if client { "client script" } else { "script" };
            let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            return Err(format!(
                "Vault password {kind} {shown} returned non-zero ({code}): {errors}"
            ));
        }
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| format!("Vault password script {shown} printed what is not UTF-8"))?;
    let text = text.trim_matches(['\r', '\n']);
    given(text, format!("Invalid vault password was provided from script ({shown})"))
}

fn given(text: &str, otherwise: String) -> Result<Secret, String> {
    if text.is_empty() { Err(otherwise) } else { Ok(Secret::new(text)) }
}

fn expanded(path: &str) -> PathBuf {
    crate::actions::files::expand_home(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody(_: &str) -> Result<Secret, String> {
        Err("nobody answers".to_owned())
    }

    fn program(folder: &Path, name: &str, text: &str) -> String {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path.display().to_string()
    }

    #[test]
    fn clients_are_told_the_id_and_other_programs_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let client = program(folder.path(), "keys-client.sh", "#!/bin/sh\necho \"$2\"\n");
        let plain = program(folder.path(), "keys", "#!/bin/sh\necho \"none$#\"\n");
        let ids = vec![format!("prod@{client}"), format!("dev@{plain}")];
        let sources = Sources { ids, ..Sources::default() };
        let vault = sources.load(Asked::Known, &nobody, &mut Vec::new()).unwrap();
        let password = |id| vault.password(Some(id)).map(|(_, secret)| secret.expose());
        assert_eq!(password("prod"), Some("prod"));
        assert_eq!(password("dev"), Some("none0"));
    }

    #[test]
    fn a_missing_file_is_an_error_only_when_there_is_no_other_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "fish\n").unwrap();
        let missing = folder.path().join("missing");
        let mut warnings = Vec::new();
        let mut sources = Sources { files: vec![missing.clone(), file], ..Sources::default() };
        assert!(sources.load(Asked::Known, &nobody, &mut warnings).is_ok());
        assert_eq!(warnings.len(), 1);
        sources.files.truncate(1);
        let error = sources.load(Asked::Known, &nobody, &mut warnings).err();
        let expected = format!("The vault password file {} was not found", missing.display());
        assert_eq!(error, Some(expected));
    }
}
