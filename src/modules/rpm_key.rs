//! `rpm_key`: keys that rpm trusts.

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, Text, TextList};
use super::http::{self, Request};
use super::process::Process;
use super::{Context, Failure, Module, Outcome, tools};

/// Adds or removes a key of rpm's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RpmKey {
    /// A file on the host, an address, or the key's number.
    key: Text,
    #[serde(default)]
    state: State,
    /// What the key's fingerprint must be.
    fingerprint: Option<TextList>,
    #[serde(default = "Flag::yes")]
    validate_certs: Flag,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for RpmKey {
    const NAME: &'static str = "rpm_key";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        tools::program(context, "rpm")?;
        tools::program(context, "gpg")?;
        let given = self.key.0.as_str();
        let (file, id) = if given.contains("://") {
            let file = self.fetched(context)?;
            let id = key_id(&file, context)?;
            (Some(file), id)
        } else if is_id(given) {
            (None, given.to_owned())
        } else if Path::new(given).is_file() {
            let file = PathBuf::from(given);
            let id = key_id(&file, context)?;
            (Some(file), id)
        } else {
            return Err(Failure::new(format!("Not a valid key {given}")));
        };
        let id = normalised(&id);
        let there = is_imported(&id, context)?;
        if there == (self.state == State::Present) {
            return Ok(Outcome::default());
        }
        match (self.state, file) {
            (State::Present, None) => {
                let msg = "When importing a key, a valid file must be given";
                return Err(Failure::new(msg));
            }
            (State::Present, Some(file)) => {
                self.judge(&file, context)?;
                if !context.check {
                    must(&tools::command(context, "rpm")?.arg("--import").arg(file))?;
                }
            }
            (State::Absent, _) if !context.check => drop_key(&id, context)?,
            (State::Absent, _) => {}
        }
        Ok(Outcome::changed(true))
    }
}

impl RpmKey {
    fn fetched(&self, context: &Context) -> Result<PathBuf, Failure> {
        let url = &self.key.0;
        let request = Request { validate_certs: self.validate_certs.0, ..Request::get(url) };
        let mut answer = http::fetch(&request, context);
        if answer.status != Some(200) {
            let msg = format!("failed to fetch key at {url} , error was: {}", answer.msg);
            return Err(Failure::new(msg));
        }
        let key = answer.read().map_err(|error| Failure::new(error.to_string()))?;
        let text = String::from_utf8_lossy(&key);
        let (begin, end) =
            ("-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----");
        if !text.contains(begin) || !text.contains(end) {
            return Err(Failure::new(format!("Not a public key: {url}")));
        }
        let path = context.scratch.join("key");
        fs::write(&path, key)
            .map_err(|error| super::files::failed("cannot be written", &path, &error))?;
        Ok(path)
    }

    /// Whether the file has the key that is meant.
    fn judge(&self, file: &Path, context: &Context) -> Result<(), Failure> {
        let Some(wanted) = &self.fingerprint else { return Ok(()) };
        let wanted: Vec<_> =
            wanted.0.iter().map(|text| text.replace(' ', "").to_uppercase()).collect();
        let found = fields(file, "fpr:", 9, context)?;
        if found.is_empty() {
            return Err(Failure::new("Failed to get fingerprint"));
        }
        if wanted.iter().all(|print| found.contains(print)) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "The specified fingerprint, '{}', does not match any key fingerprints in '{}'",
            wanted.join(", "),
            found.join(", ")
        )))
    }
}

fn is_id(text: &str) -> bool {
    let text = text.replace(' ', "");
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(&text);
    text.len() >= 8 && text.chars().take(8).all(|c| c.is_ascii_hexdigit())
}

fn normalised(id: &str) -> String {
    let id = id.trim().to_uppercase();
    id.strip_prefix("0X").unwrap_or(&id).to_owned()
}

/// What gpg says of the keys in a file: a field of the lines that begin so.
fn fields(file: &Path, start: &str, at: usize, context: &Context) -> Result<Vec<String>, Failure> {
    let output = tools::command(context, "gpg")?
        .args(["--no-tty", "--batch", "--with-colons", "--fixed-list-mode", "--show-keys"])
        .arg(file)
        .run()?;
    if !output.success() {
        return Err(Failure::new(output.stderr));
    }
    Ok(columns(&output.stdout, start, at))
}

fn columns(text: &str, start: &str, at: usize) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with(start));
    lines.filter_map(|line| line.split(':').nth(at)).map(str::to_owned).collect()
}

fn key_id(file: &Path, context: &Context) -> Result<String, Failure> {
    let found = fields(file, "pub:", 4, context)?.into_iter().next();
    found.ok_or_else(|| Failure::new("Failed to get keyid"))
}

/// Keys are installed as packages, with the key as their description.
fn is_imported(id: &str, context: &Context) -> Result<bool, Failure> {
    if !tools::command(context, "rpm")?.args(["-q", "gpg-pubkey"]).run()?.success() {
        return Ok(false);
    }
    let query = ["-q", "gpg-pubkey", "--qf", "%{description}"];
    let keys = must(&tools::command(context, "rpm")?.args(query))?;
    let output = tools::command(context, "gpg")?
        .args(["--no-tty", "--batch", "--with-colons", "--fixed-list-mode", "--show-keys", "-"])
        .stdin(keys.into_bytes())
        .run()?;
    let ids = columns(&output.stdout, "pub:", 4).into_iter();
    let mut ids = ids.chain(columns(&output.stdout, "sub:", 4));
    let prints = columns(&output.stdout, "fpr:", 9);
    Ok(ids.any(|own| own.ends_with(id)) || prints.iter().any(|print| print == id))
}

fn drop_key(id: &str, context: &Context) -> Result<(), Failure> {
    let short = id.get(id.len().saturating_sub(8)..).unwrap_or(id).to_lowercase();
    let package = format!("gpg-pubkey-{short}");
    let command = tools::command(context, "rpm")?;
    must(&command.args(["--erase", "--allmatches", &package])).map(drop)
}

fn must(command: &Process) -> Result<String, Failure> {
    let output = command.run()?;
    if output.success() { Ok(output.stdout) } else { Err(Failure::new(output.stderr)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_keys() {
        assert!(is_id("0xDEADB33F") && is_id("DEAD B33F 0000 0001") && !is_id("/etc/key"));
        assert_eq!(normalised(" 0xdeadb33f "), "DEADB33F");
        let text = "pub:-:4096:1:D8576A8BA88D21E9:1::\nfpr:::::::::36A1:\n";
        assert_eq!(columns(text, "pub:", 4), ["D8576A8BA88D21E9"]);
        assert_eq!(columns(text, "fpr:", 9), ["36A1"]);
    }
}
