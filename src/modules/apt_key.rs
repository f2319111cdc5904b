//! `apt_key`: keys that apt trusts, by the program of that name.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, HostPath, Text};
use super::http::{self, Request};
use super::process::{Output, Process};
use super::{Context, Failure, Module, Outcome, tools};

/// Adds or removes a key of apt's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AptKey {
    /// 8, 16 or more hexadecimal digits.
    id: Option<Text>,
    /// The key itself.
    data: Option<Text>,
    /// A file on the host.
    file: Option<HostPath>,
    /// An address.
    url: Option<Text>,
    /// A server of keys; `id` says which.
    keyserver: Option<Text>,
    /// Another file than apt's own.
    keyring: Option<HostPath>,
    #[serde(default = "Flag::yes")]
    validate_certs: Flag,
    #[serde(default)]
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

/// A key's number as the programs want it.
struct Id {
    /// The last eight digits.
    short: String,
    /// The last sixteen.
    fingerprint: String,
    /// All that is known.
    whole: String,
}

impl Id {
    fn read(text: &str) -> Option<Self> {
        let whole = text.to_uppercase();
        let whole = whole.strip_prefix("0X").unwrap_or(&whole).to_owned();
        let wellformed = whole.chars().all(|c| c.is_ascii_hexdigit())
            && (matches!(whole.len(), 8 | 16) || whole.len() > 16);
        let last = |length: usize| whole.get(whole.len().saturating_sub(length)..);
        let (short, fingerprint) = (last(8)?.to_owned(), last(16)?.to_owned());
        wellformed.then_some(Self { short, fingerprint, whole })
    }

    fn is_among(&self, keys: &[String]) -> bool {
        let own = if self.whole.len() == 8 { &self.short } else { &self.fingerprint };
        keys.contains(own)
    }
}

impl Module for AptKey {
    const NAME: &'static str = "apt_key";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let sources = [
            self.data.is_some(),
            self.file.is_some(),
            self.keyserver.is_some(),
            self.url.is_some(),
        ];
        if sources.iter().filter(|given| **given).count() > 1 {
            let msg = "parameters are mutually exclusive: data|file|keyserver|url";
            return Err(Failure::new(msg));
        }
        tools::program(context, "apt-key")?;
        tools::program(context, "gpg")?;
        let mut data = self.data.as_ref().map(|data| data.0.clone().into_bytes());
        let mut given = self.id.as_ref().map(|id| id.0.clone()).filter(|id| !id.is_empty());
        if given.is_none() {
            if self.keyserver.is_some() {
                return Err(Failure::new("Missing key_id, required with keyserver."));
            }
            if let Some(url) = &self.url {
                data = Some(self.fetched(&url.0, context)?);
            }
            given = self.first_id(data.as_deref(), context)?;
        }
        let mut outcome = Outcome::default().with("id", given.clone());
        let fail = |outcome: &Outcome, msg: &str| Failure {
            result: outcome.result.clone(),
            ..Failure::new(msg)
        };
        let id =
            given.as_deref().and_then(Id::read).ok_or_else(|| fail(&outcome, "Invalid key_id"))?;
        outcome = outcome
            .with("short_id", id.short.clone())
            .with("fp", id.fingerprint.clone())
            .with("key_id", id.whole.clone());
        let short = id.whole.len() == 8;
        let before = self.keys(short, context)?;
        outcome = outcome.with("before", json!(before));
        let there = id.is_among(&before);
        if there == (self.state == State::Present) {
            return Ok(outcome);
        }
        outcome.changed = true;
        if context.check {
            return Ok(outcome);
        }
        match self.state {
            State::Present => self.add(&id, data, context)?,
            State::Absent => self.remove(&id.short, context)?,
        }
        let after = self.keys(short, context)?;
        outcome = outcome.with("after", json!(after));
        if id.is_among(&after) != (self.state == State::Present) {
            let what = match self.state {
                State::Present => "failed to add the key",
                State::Absent => "the key was not removed",
            };
            let msg = format!(
                "apt-key did not return an error, but {what} (check that the id is correct and \
                 *not* a subkey)"
            );
            return Err(fail(&outcome, &msg));
        }
        Ok(outcome)
    }
}

impl AptKey {
    fn apt_key(&self, context: &Context) -> Result<Process, Failure> {
        let command = tools::command(context, "apt-key")?;
        Ok(match &self.keyring {
            Some(path) => command.arg("--keyring").arg(&**path),
            None => command,
        })
    }

    fn fetched(&self, url: &str, context: &Context) -> Result<Vec<u8>, Failure> {
        let request = Request { validate_certs: self.validate_certs.0, ..Request::get(url) };
        let mut answer = http::fetch(&request, context);
        if answer.status != Some(200) {
            return Err(Failure::new(format!("Failed to download key at {url}: {}", answer.msg)));
        }
        answer.read().map_err(|_| Failure::new(format!("error getting key id from url: {url}")))
    }

    /// The first key of the file, or of the text.
    fn first_id(&self, data: Option<&[u8]>, context: &Context) -> Result<Option<String>, Failure> {
        let gpg = tools::command(context, "gpg")?.arg("--with-colons");
        let (command, what) = match (&self.file, data) {
            (Some(path), _) => (gpg.arg(&**path), path.display().to_string()),
            (None, Some(data)) => (gpg.arg("-").stdin(data), "inline data".to_owned()),
            (None, None) => return Ok(None),
        };
        let output = command.run()?;
        if !output.success() {
            return Err(Failure::new(format!("Unable to extract key from '{what}'"))
                .with("stdout", output.stdout)
                .with("stderr", output.stderr));
        }
        Ok(ids(&output.stdout).into_iter().next())
    }

    fn keys(&self, short: bool, context: &Context) -> Result<Vec<String>, Failure> {
        let command = self.apt_key(context)?;
        let output = command.args(["adv", "--list-public-keys", "--keyid-format=long"]).run()?;
        must(&output, "Unable to list public keys".to_owned())?;
        let keys = ids(&output.stdout).into_iter();
        let last = |key: String| key.get(key.len().saturating_sub(8)..).unwrap_or(&key).to_owned();
        Ok(if short { keys.map(last).collect() } else { keys.collect() })
    }

    fn add(&self, id: &Id, data: Option<Vec<u8>>, context: &Context) -> Result<(), Failure> {
        if let Some(path) = &self.file {
            let output = self.apt_key(context)?.arg("add").arg(&**path).run()?;
            return must(&output, format!("Unable to add a key from file {}", path.display()));
        }
        if let Some(server) = &self.keyserver {
            return self.receive(&server.0, id, context);
        }
        let data = match (data, &self.url) {
            (Some(data), _) => data,
            (None, Some(url)) => self.fetched(&url.0, context)?,
            (None, None) => {
                return Err(Failure::new("No key to add ... how did i get here?!?!"));
            }
        };
        let output = self.apt_key(context)?.args(["add", "-"]).stdin(data).run()?;
        must(&output, "Unable to add a key from binary data".to_owned())
    }

    fn receive(&self, server: &str, id: &Id, context: &Context) -> Result<(), Failure> {
        let command = self.apt_key(context)?.args(["adv", "--no-tty", "--keyserver", server]);
        let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
        let proxy = names.iter().find_map(|name| {
            context.environment.get(*name).cloned().or_else(|| std::env::var(name).ok())
        });
        let command = match proxy {
            Some(proxy) => command.arg("--keyserver-options").arg(format!("http-proxy={proxy}")),
            None => command,
        };
        let command = command.args(["--recv", &id.whole]);
        let mut output = command.run()?;
        for _ in 1..5 {
            if output.success() {
                return Ok(());
            }
            output = command.run()?;
        }
        let key = &id.whole;
        must(
            &output,
            match output.rc == 2 && output.stdout.contains("not found on keyserver") {
                true => format!("Key {key} not found on keyserver {server}"),
                false => format!("Error fetching key {key} from keyserver: {server}"),
            },
        )
    }

    fn remove(&self, short: &str, context: &Context) -> Result<(), Failure> {
        let output = self.apt_key(context)?.args(["del", short]).run()?;
        must(&output, format!("Unable to remove a key with id {short}"))
    }
}

fn must(output: &Output, msg: String) -> Result<(), Failure> {
    if output.success() {
        return Ok(());
    }
    Err(Failure::new(msg)
        .with("rc", output.rc)
        .with("stdout", output.stdout.clone())
        .with("stderr", output.stderr.clone()))
}

/// The numbers of the keys that a listing shows: `pub   rsa4096/ABCD…`, or with colons.
fn ids(listing: &str) -> Vec<String> {
    let lines = listing.lines();
    let lines = lines.filter(|line| line.starts_with("pub") || line.starts_with("sub"));
    let lines = lines.filter(|line| !line.contains("expired"));
    lines
        .filter_map(|line| {
            let word = line.split_whitespace().nth(1).and_then(|word| word.split_once('/'));
            let id = word.map(|(_, id)| id).or_else(|| line.split(':').nth(4));
            id.map(str::to_owned)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_keys() {
        let id = Id::read("0x36a1d7869245c8950f966e92d8576a8ba88d21e9").expect("a number");
        assert_eq!((id.short.as_str(), id.fingerprint.as_str()), ("A88D21E9", "D8576A8BA88D21E9"));
        assert!(Id::read("123").is_none() && Id::read("xyz").is_none());
        let listing = "pub   rsa4096/D8576A8BA88D21E9 2014-01-01 [SC]\n\
                       pub:-:4096:1:0000000000000001:1:::-:\n\
                       sub   rsa2048/0000000000000002 2010-01-01 [expired: 2011-01-01]\n";
        assert_eq!(ids(listing), ["D8576A8BA88D21E9", "0000000000000001"]);
    }
}
