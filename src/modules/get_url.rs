//! `get_url`: a file from a server to the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use md5::Md5;
use rustix::fs::{Access, access};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::args::{Flag, HostPath, Number, Text, TextList};
use super::files::{self, Attributes};
use super::http::{self, Answer, Request, url};
use super::mode::Mode;
use super::uri::{agent, headers, seconds};
use super::{Context, Failure, Module, Outcome};

/// Fetches a file, unless the host has it already.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetUrl {
    url: Text,
    dest: HostPath,
    /// `sha256:` and the digest, or the address of a file that has it.
    #[serde(default)]
    checksum: Text,
    /// Fetch it even if it is there.
    #[serde(default)]
    force: Flag,
    #[serde(default)]
    backup: Flag,
    #[serde(default)]
    headers: Option<Map<String, Json>>,
    /// Seconds.
    #[serde(default = "ten")]
    timeout: Number,
    /// A folder for the file until it is complete.
    tmp_dest: Option<HostPath>,
    #[serde(default = "Flag::yes")]
    validate_certs: Flag,
    client_cert: Option<HostPath>,
    client_key: Option<HostPath>,
    #[serde(alias = "username")]
    url_username: Option<Text>,
    #[serde(alias = "password")]
    url_password: Option<Text>,
    #[serde(default)]
    force_basic_auth: Flag,
    #[serde(default = "Flag::yes")]
    use_netrc: Flag,
    /// Kerberos is not spoken here.
    #[serde(default)]
    use_gssapi: Flag,
    #[serde(default = "Flag::yes")]
    use_proxy: Flag,
    #[serde(default = "agent")]
    http_agent: Text,
    #[serde(default)]
    unredirected_headers: TextList,
    #[serde(default = "Flag::yes")]
    decompress: Flag,
    /// Taken for compatibility: the client has none but safe ones.
    #[serde(default, rename = "ciphers")]
    _ciphers: TextList,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<Mode>,
}

fn ten() -> Number {
    Number(10)
}

/// An algorithm and the digest that the file must have.
struct Checksum {
    algorithm: String,
    digest: String,
}

impl Module for GetUrl {
    const NAME: &'static str = "get_url";
    const WRITES_FILES: bool = true;
    const SECRETS: &'static [&'static str] = &["url_password", "password"];

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if self.use_gssapi.0 {
            return Err(Failure::new("use_gssapi: kup-play does not speak Kerberos"));
        }
        let checksum = self.checksum(context)?;
        let mut request = self.request(&self.url.0);
        request.force = self.force.0;
        if !self.dest.is_dir() && self.dest.exists() {
            if let Some(checksum) = checksum.as_ref().filter(|_| !self.force.0) {
                if digest(&checksum.algorithm, &self.dest)? == checksum.digest {
                    return self.already_there(context);
                }
                // What is there is another file, however new it is.
                request.force = true;
            }
            request.newer_than = fs::metadata(&self.dest).and_then(|m| m.modified()).ok();
        }
        if context.check {
            request.method = "HEAD".to_owned();
        }
        let start = Instant::now();
        let (temporary, answer) = match self.fetch(&request, context)? {
            Fetched::File(path, answer) => (path, answer),
            Fetched::NotNewer(outcome) => return Ok(outcome),
        };
        let mut result = self.blank().with("elapsed", start.elapsed().as_secs());
        result = result.with("src", temporary.display().to_string());
        let placed = self.place(&temporary, &answer, checksum.as_ref(), result, context);
        let _ = fs::remove_file(&temporary);
        placed
    }
}

enum Fetched {
    File(PathBuf, Answer),
    NotNewer(Outcome),
}

impl GetUrl {
    /// What all results hold.
    fn blank(&self) -> Outcome {
        Outcome::default()
            .with("checksum_dest", Json::Null)
            .with("checksum_src", Json::Null)
            .with("dest", self.dest.display().to_string())
            .with("elapsed", 0)
            .with("url", self.url.0.clone())
    }

    fn refuse(&self, msg: impl Into<String>) -> Failure {
        Failure { result: self.blank().result, ..Failure::new(msg) }
    }

    fn request(&self, url: &str) -> Request {
        let own = |path: &Option<HostPath>| path.as_ref().map(|path| path.0.clone());
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.0.clone());
        Request {
            timeout: seconds(self.timeout),
            headers: headers(self.headers.as_ref()),
            validate_certs: self.validate_certs.0,
            use_proxy: self.use_proxy.0,
            username: text(&self.url_username),
            password: text(&self.url_password),
            force_basic_auth: self.force_basic_auth.0,
            use_netrc: self.use_netrc.0,
            client_cert: own(&self.client_cert),
            client_key: own(&self.client_key),
            agent: self.http_agent.0.clone(),
            decompress: self.decompress.0,
            unredirected: self.unredirected_headers.0.clone(),
            ..Request::get(url)
        }
    }

    fn attributes(&self) -> Attributes {
        Attributes { owner: self.owner.clone(), group: self.group.clone(), mode: self.mode.clone() }
    }

    /// The digest that the file must have, fetched where the task gives an address.
    fn checksum(&self, context: &Context) -> Result<Option<Checksum>, Failure> {
        if self.checksum.0.is_empty() {
            return Ok(None);
        }
        let Some((algorithm, value)) = self.checksum.0.split_once(':') else {
            return Err(
                self.refuse("The checksum parameter has to be in format <algorithm>:<checksum>")
            );
        };
        let address = ["http:", "https:", "ftp:", "file:"].iter().any(|s| value.starts_with(s));
        let value = match address {
            true => self.listed_checksum(value, context)?,
            false => value.to_owned(),
        };
        let kept = value.chars().filter(|c| c.is_alphanumeric() || *c == '_');
        let digest = kept.collect::<String>().to_lowercase();
        if digest.is_empty() || !digest.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(self.refuse("The checksum format is invalid"));
        }
        Ok(Some(Checksum { algorithm: algorithm.to_owned(), digest }))
    }

    /// The digest that a list of digests has for the file.
    fn listed_checksum(&self, from: &str, context: &Context) -> Result<String, Failure> {
        let request = Request { force: self.force.0, ..self.request(from) };
        let path = match self.fetch(&request, context)? {
            Fetched::File(path, _) => path,
            Fetched::NotNewer(_) => return Err(self.refuse("the checksum is not there")),
        };
        let text = fs::read_to_string(&path);
        let _ = fs::remove_file(&path);
        let text = text.map_err(|error| files::failed("cannot be read", &path, &error))?;
        let name = url::file_name(&self.url.0);
        find_checksum(&text, &name).ok_or_else(|| {
            Failure::new(format!("Unable to find a checksum for file '{name}' in '{from}'"))
        })
    }

    fn already_there(&self, context: &Context) -> Result<Outcome, Failure> {
        let changed = self.attributes().apply(&self.dest, false, context.check)?;
        let msg = match changed {
            true => "file already exists but file attributes changed",
            false => "file already exists",
        };
        let outcome = Outcome { changed, ..self.blank() }.with("msg", msg);
        Ok(files::describe_existing(outcome, &self.dest))
    }

    /// The answer in a temporary file.
    fn fetch(&self, request: &Request, context: &Context) -> Result<Fetched, Failure> {
        let start = Instant::now();
        let mut answer = http::fetch(request, context);
        let elapsed = start.elapsed().as_secs();
        let told = |failure: Failure| {
            failure
                .with("url", request.url.clone())
                .with("dest", self.dest.display().to_string())
                .with("elapsed", elapsed)
        };
        match answer.status {
            Some(304) => {
                let outcome = Outcome::default()
                    .with("url", self.url.0.clone())
                    .with("dest", self.dest.display().to_string())
                    .with("msg", answer.msg)
                    .with("status_code", 304)
                    .with("elapsed", elapsed);
                return Ok(Fetched::NotNewer(files::describe_existing(outcome, &self.dest)));
            }
            Some(-1) => return Err(told(Failure::new(answer.msg))),
            Some(200) | None => {}
            Some(status) => {
                let failure = Failure::new("Request failed")
                    .with("status_code", status)
                    .with("response", answer.msg);
                return Err(told(failure));
            }
        }
        let folder = match &self.tmp_dest {
            Some(folder) if folder.is_dir() => folder.0.clone(),
            Some(folder) => {
                let what = match folder.exists() {
                    true => "is a file but should be a directory.",
                    false => "directory does not exist.",
                };
                let msg = format!("{} {what}", folder.display());
                return Err(Failure::new(msg).with("elapsed", elapsed));
            }
            None => context.scratch.clone(),
        };
        let stored = store(&mut answer, &folder).map_err(|error| {
            let why = http::python_error(&error);
            Failure::new(format!("failed to create temporary content file: {why}"))
                .with("elapsed", elapsed)
        })?;
        Ok(Fetched::File(stored, answer))
    }

    /// In a folder the file has the name that the server gives it, or the address.
    fn destination(&self, answer: &Answer) -> PathBuf {
        if !self.dest.is_dir() {
            return self.dest.0.clone();
        }
        let named = answer.header("content-disposition").and_then(|value| {
            let rest = value.strip_prefix("attachment;")?.trim_start().strip_prefix("filename=")?;
            let name = rest.trim_start_matches('"').split('"').next()?;
            Path::new(name).file_name()?.to_str().map(str::to_owned)
        });
        self.dest.join(named.unwrap_or_else(|| url::file_name(&answer.url)))
    }

    fn place(
        &self,
        temporary: &Path,
        answer: &Answer,
        checksum: Option<&Checksum>,
        result: Outcome,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let dest = self.destination(answer);
        let new = files::digest_of::<Sha1>(temporary).ok();
        let mut result =
            result.with("dest", dest.display().to_string()).with("checksum_src", new.clone());
        let refuse = |result: &Outcome, what: String| {
            Err(Failure { result: result.result.clone(), ..Failure::new(what) })
        };
        let mut old = None;
        if dest.exists() {
            for (right, word) in [(Access::WRITE_OK, "writable"), (Access::READ_OK, "readable")] {
                if access(&dest, right).is_err() {
                    return refuse(
                        &result,
                        format!("Destination {} is not {word}", dest.display()),
                    );
                }
            }
            old = files::digest_of::<Sha1>(&dest).ok();
            result = result.with("checksum_dest", old.clone());
        } else {
            let folder = dest.parent().unwrap_or(Path::new("."));
            if !folder.exists() {
                let folder = folder.display();
                return refuse(&result, format!("Destination {folder} does not exist"));
            }
            if access(folder, Access::WRITE_OK).is_err() {
                return refuse(
                    &result,
                    format!("Destination {} is not writable", folder.display()),
                );
            }
        }
        if context.check {
            result.changed = new != old;
            return Ok(files::describe_existing(result.with("msg", answer.msg.clone()), &dest));
        }
        if let Some(checksum) = checksum {
            let found = digest(&checksum.algorithm, temporary)?;
            if found != checksum.digest {
                let what = format!(
                    "The checksum for {} did not match {}; it was {found}.",
                    temporary.display(),
                    checksum.digest
                );
                return refuse(&result, what);
            }
        }
        if new != old {
            if self.backup.0 && dest.exists() {
                let backup = files::back_up(&dest)?.display().to_string();
                result = result.with("backup_file", backup);
            }
            let mut file = fs::File::open(temporary)
                .map_err(|error| files::failed("cannot be read", temporary, &error))?;
            files::write(&dest, &mut file, None, context.unsafe_writes)?;
            result.changed = true;
        }
        result.changed |= self.attributes().apply(&dest, false, false)?;
        let md5 = files::digest_of::<Md5>(&dest).ok();
        let result = result
            .with("md5sum", md5)
            .with("msg", answer.msg.clone())
            .with("status_code", json!(answer.status));
        Ok(files::describe_existing(result, &dest))
    }
}

fn store(answer: &mut Answer, folder: &Path) -> std::io::Result<PathBuf> {
    let mut file = tempfile::Builder::new().prefix("tmp").tempfile_in(folder)?;
    if let Some(body) = &mut answer.body {
        std::io::copy(body, file.as_file_mut())?;
    }
    let (_, path) = file.keep().map_err(|failure| failure.error)?;
    Ok(path)
}

/// The digest of a file in a list: `digest  name` on each line, or a digest alone.
fn find_checksum(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines();
    if let (Some(only), None) = (lines.next(), lines.next())
        && only.split_whitespace().count() == 1
    {
        return Some(only.to_owned());
    }
    text.lines().find_map(|line| {
        let (digest, file) = line.split_once(' ')?;
        let file = file.strip_prefix([' ', '*']).unwrap_or(file);
        (file.trim_start_matches(['.', '/']) == name).then(|| digest.to_owned())
    })
}

fn digest(algorithm: &str, path: &Path) -> Result<String, Failure> {
    let found = match algorithm {
        "md5" => files::digest_of::<Md5>(path),
        "sha1" => files::digest_of::<Sha1>(path),
        "sha224" => files::digest_of::<Sha224>(path),
        "sha256" => files::digest_of::<Sha256>(path),
        "sha384" => files::digest_of::<Sha384>(path),
        "sha512" => files::digest_of::<Sha512>(path),
        other => {
            let known = "['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512']";
            return Err(Failure::new(format!(
                "Could not hash file '{}' with algorithm '{other}'. Available algorithms: {known}",
                path.display()
            )));
        }
    };
    found.map_err(|error| files::failed("cannot be read", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_digests_has_names_with_marks() {
        let list = "aa  ./f.tgz\nbb *g.tgz\ncc h.tgz\n";
        for (name, digest) in [("f.tgz", "aa"), ("g.tgz", "bb"), ("h.tgz", "cc")] {
            assert_eq!(find_checksum(list, name).as_deref(), Some(digest));
        }
        assert_eq!(find_checksum(list, "other"), None);
        assert_eq!(find_checksum("dd\n", "any").as_deref(), Some("dd"));
    }
}
