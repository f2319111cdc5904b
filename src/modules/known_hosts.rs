//! `known_hosts`: keys of ssh servers.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rand::RngCore;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha1::Sha1;

use super::args::{Flag, HostPath, Text};
use super::{Context, Diff, Failure, Module, Outcome, files, tools};

/// Keeps a server's key in a file of known hosts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownHosts {
    #[serde(alias = "host")]
    name: Text,
    /// A line as the file has it: host, type and key.
    key: Option<Text>,
    #[serde(default = "path")]
    path: HostPath,
    #[serde(default)]
    hash_host: Flag,
    #[serde(default)]
    state: State,
}

fn path() -> HostPath {
    serde_json::from_value(json!("~/.ssh/known_hosts")).unwrap_or_default()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

/// What the file has of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Found {
    found: bool,
    /// The key is another one, or of a type that is not there.
    replace: bool,
    /// The line of the key of this type.
    line: Option<usize>,
}

impl Module for KnownHosts {
    const NAME: &'static str = "known_hosts";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let outcome = self.enforce(context)?;
        Ok(files::describe_existing(outcome, &self.path))
    }
}

impl KnownHosts {
    fn enforce(&self, context: &Context) -> Result<Outcome, Failure> {
        let host = self.name.0.to_lowercase();
        let present = self.state == State::Present;
        tools::program(context, "ssh-keygen")?;
        let given = self.key.as_ref().map(|key| key.0.as_str()).filter(|key| !key.is_empty());
        if given.is_none() && present {
            return Err(Failure::new("No key specified when adding a host"));
        }
        let key = match (given, self.hash_host.0) {
            (Some(key), true) => Some(hashed(&host, key)?),
            (key, _) => key.map(str::to_owned),
        };
        let key = key.map(|key| if key.ends_with('\n') { key } else { key + "\n" });
        if let Some(key) = &key {
            self.judge(&host, key, context)?;
        }
        let found = self.find(&host, key.as_deref(), context)?;
        let before = match fs::read_to_string(&self.path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                let msg = format!("Failed to read {}: {error}", self.path.display());
                return Err(Failure::new(msg));
            }
        };
        let mut outcome = self.told();
        outcome = outcome.with_diff(self.diff(before.as_deref(), found, key.as_deref()));
        if !present && found.line.is_none() && key.is_some() {
            return Ok(outcome);
        }
        outcome.changed = found.replace || present != found.found;
        if context.check || !outcome.changed {
            return Ok(outcome);
        }
        if found.found && key.is_none() && !present {
            let command = tools::command(context, "ssh-keygen")?;
            let output = command.arg("-R").arg(&host).arg("-f").arg(&*self.path).run()?;
            if !output.success() {
                return Err(Failure::new(output.stderr).with("rc", output.rc));
            }
            return Ok(outcome);
        }
        let mut lines: Vec<&str> =
            before.as_deref().unwrap_or_default().split_inclusive('\n').collect();
        if let Some(line) = found.line.filter(|line| (1..=lines.len()).contains(line)) {
            lines.remove(line - 1);
        }
        if present {
            lines.extend(key.as_deref());
        }
        self.write(&lines.concat())?;
        Ok(outcome)
    }
    /// Ansible gives back what it was given.
    fn told(&self) -> Outcome {
        Outcome::default()
            .with("name", self.name.0.clone())
            .with("key", self.key.as_ref().map_or(Json::Null, |key| json!(key.0)))
            .with("path", self.path.display().to_string())
            .with("hash_host", self.hash_host.0)
    }

    /// Whether ssh-keygen finds the host in the line that is given.
    fn judge(&self, host: &str, key: &str, context: &Context) -> Result<(), Failure> {
        let mut names = host.split(',');
        if names.next().is_some_and(|name| !name.trim().is_empty()) && names.next().is_some() {
            return Err(Failure::new(
                "Comma separated list of names is not supported. Please pass a single name to \
                 lookup in the known_hosts file.",
            ));
        }
        let path = context.scratch.join("key");
        fs::write(&path, key).map_err(|error| files::failed("cannot be written", &path, &error))?;
        let command = tools::command(context, "ssh-keygen")?;
        let output = command.arg("-F").arg(host).arg("-f").arg(&path).run()?;
        if output.stdout.is_empty() {
            let msg = "Host parameter does not match hashed host field in supplied key";
            return Err(Failure::new(msg));
        }
        Ok(())
    }

    fn find(&self, host: &str, key: Option<&str>, context: &Context) -> Result<Found, Failure> {
        if !self.path.exists() {
            return Ok(Found::default());
        }
        let command = tools::command(context, "ssh-keygen")?;
        let output = command.arg("-F").arg(host).arg("-f").arg(&*self.path).run()?;
        if output.stdout.is_empty() && output.stderr.is_empty() && matches!(output.rc, 0 | 1) {
            return Ok(Found::default());
        }
        if output.rc != 0 {
            return Err(Failure::new(format!(
                "ssh-keygen failed (rc={}, stdout='{}',stderr='{}')",
                output.rc, output.stdout, output.stderr
            )));
        }
        let Some(key) = key else { return Ok(Found { found: true, ..Found::default() }) };
        Ok(search(&output.stdout, key).unwrap_or(Found { found: true, replace: true, line: None }))
    }

    fn diff(&self, before: Option<&str>, found: Found, key: Option<&str>) -> Diff {
        let path = self.path.display().to_string();
        let present = self.state == State::Present;
        let text = before.unwrap_or_default();
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        if (found.replace || !present)
            && let Some(line) = found.line.filter(|line| (1..=lines.len()).contains(line))
        {
            lines.remove(line - 1);
        }
        if present && (found.replace || found.line.is_none()) {
            lines.extend(key);
        }
        Diff {
            before_header: before.map_or_else(|| "/dev/null".to_owned(), |_| path.clone()),
            after_header: path,
            before: text.to_owned().into(),
            after: lines.concat().into(),
            ..Diff::default()
        }
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        if !folder.exists() {
            return Err(Failure::new(format!(
                "Failed to write to file {}: [Errno 2] No such file or directory",
                self.path.display()
            )));
        }
        files::write(&self.path, &mut text.as_bytes(), None, false)
    }
}

/// Looks for a key in what ssh-keygen lists of a host.
fn search(listing: &str, key: &str) -> Option<Found> {
    let mut new = Entry::of(key)?;
    let mut line = None;
    for text in listing.lines() {
        if text.starts_with('#') {
            line = text
                .rsplit_once("line ")
                .and_then(|(_, number)| number.split_whitespace().next()?.parse().ok());
            continue;
        }
        let Some(old) = Entry::of(text) else { continue };
        let exact = Some(Found { found: true, replace: false, line });
        if old.marker.is_some_and(|m| m.starts_with("@cert-authority") || m.starts_with("@revoke"))
        {
            if new == old {
                return exact;
            }
            continue;
        }
        // A name that is hashed already is not hashed anew.
        if new.host.starts_with("|1|") && old.host.starts_with("|1|") {
            new.host = old.host;
        }
        if new == old {
            return exact;
        }
        if new.kind == old.kind {
            return Some(Found { found: true, replace: true, line });
        }
    }
    None
}

/// A line of the file without its comment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry<'a> {
    marker: Option<&'a str>,
    host: &'a str,
    kind: &'a str,
    key: &'a str,
}

impl<'a> Entry<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace().peekable();
        let marker = words.next_if(|word| word.starts_with('@'));
        Some(Self { marker, host: words.next()?, kind: words.next()?, key: words.next()? })
    }
}

/// The line with the host's name hashed, so that the file does not tell it.
fn hashed(host: &str, key: &str) -> Result<String, Failure> {
    let mut salt = [0; 20];
    rand::rng().fill_bytes(&mut salt);
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt)
        .map_err(|error| Failure::new(format!("the host cannot be hashed: {error}")))?;
    mac.update(host.as_bytes());
    let name = mac.finalize().into_bytes();
    let mut words: Vec<String> = key.split_whitespace().map(str::to_owned).collect();
    let at = usize::from(words.first().is_some_and(|word| word.starts_with('@')));
    if let Some(word) = words.get_mut(at) {
        *word = format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(name));
    }
    Ok(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_another_or_new() {
        let listing =
            "# Host h found: line 2 \nh ssh-rsa AAA\n# Host h found: line 5\nh ssh-ed25519 BBB\n";
        let found = |key: &str| search(listing, key);
        let line = |replace, line| Some(Found { found: true, replace, line: Some(line) });
        assert_eq!(found("h ssh-rsa AAA me@x"), line(false, 2));
        assert_eq!(found("h ssh-ed25519 CCC"), line(true, 5));
        assert_eq!(found("h ecdsa-sha2-nistp256 DDD"), None);
    }

    #[test]
    fn a_key_is_added_once_hashed_or_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("known_hosts");
        let key = "h.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIzvk4dVdLPRfN0jXa9pbJZ0bDbm2mr7vH4IOCwM7aaQ";
        let run = |hash: bool, state: &str| {
            let arguments = json!({"name": "H.example", "key": key, "path": path, "hash_host": hash, "state": state});
            let context = Context { scratch: folder.path().to_owned(), ..Context::default() };
            serde_json::from_value::<KnownHosts>(arguments).expect("arguments").run(&context)
        };
        assert!(run(true, "present").expect("added").changed);
        assert!(!run(true, "present").expect("there").changed);
        assert!(fs::read_to_string(&path).expect("read").starts_with("|1|"));
        assert!(run(false, "absent").is_ok());
    }
}
