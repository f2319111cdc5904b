//! `uri`: a request to a web service.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::RngCore;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use sha1::Sha1;

use super::args::{Flag, HostPath, Number, Text, TextList};
use super::files::{self, Attributes};
use super::http::{self, Answer, Follow, Payload, Request, body, url};
use super::mode::Mode;
use super::words::plain;
use super::{Context, Failure, Module, Outcome};

/// Asks a web service, and looks at the status of its answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uri {
    url: Text,
    #[serde(default = "get")]
    method: Text,
    /// What is sent; `body_format` says how it is written.
    #[serde(default)]
    body: Json,
    #[serde(default)]
    body_format: BodyFormat,
    /// A file that is sent in place of `body`.
    src: Option<HostPath>,
    /// `src` is a path on the host.
    #[serde(default, rename = "remote_src")]
    _remote_src: Flag,
    /// A file or folder for the answer.
    dest: Option<HostPath>,
    #[serde(default)]
    return_content: Flag,
    #[serde(default)]
    headers: Option<Map<String, Json>>,
    /// Statuses that are no failure.
    #[serde(default = "ok")]
    status_code: TextList,
    #[serde(default)]
    follow_redirects: Redirects,
    /// Seconds.
    #[serde(default = "half_a_minute")]
    timeout: Number,
    /// A file on the host: if it exists, nothing is asked.
    creates: Option<HostPath>,
    /// A file on the host: if it does not exist, nothing is asked.
    removes: Option<HostPath>,
    #[serde(default = "Flag::yes")]
    validate_certs: Flag,
    ca_path: Option<HostPath>,
    client_cert: Option<HostPath>,
    client_key: Option<HostPath>,
    #[serde(alias = "user")]
    url_username: Option<Text>,
    #[serde(alias = "password")]
    url_password: Option<Text>,
    /// Send the password before it is asked for.
    #[serde(default)]
    force_basic_auth: Flag,
    #[serde(default = "Flag::yes")]
    use_netrc: Flag,
    /// Kerberos is not spoken here.
    #[serde(default)]
    use_gssapi: Flag,
    #[serde(default = "Flag::yes")]
    use_proxy: Flag,
    unix_socket: Option<HostPath>,
    #[serde(default = "agent")]
    http_agent: Text,
    /// Headers that are not sent to where a redirect leads.
    #[serde(default)]
    unredirected_headers: TextList,
    #[serde(default = "Flag::yes")]
    decompress: Flag,
    /// Taken for compatibility: the client has none but safe ones.
    #[serde(default, rename = "ciphers")]
    _ciphers: TextList,
    /// Ask caches for what is new.
    #[serde(default)]
    force: Flag,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<Mode>,
}

fn get() -> Text {
    Text("GET".to_owned())
}

fn ok() -> TextList {
    TextList(vec!["200".to_owned()])
}

fn half_a_minute() -> Number {
    Number(30)
}

pub(super) fn agent() -> Text {
    Text("ansible-httpget".to_owned())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BodyFormat {
    FormMultipart,
    FormUrlencoded,
    Json,
    #[default]
    Raw,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Redirects {
    All,
    No,
    None,
    #[default]
    Safe,
    Urllib2,
    Yes,
}

impl Module for Uri {
    const NAME: &'static str = "uri";
    const WRITES_FILES: bool = true;
    const SECRETS: &'static [&'static str] = &["url_password", "password"];

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if self.src.is_some() && !self.body.is_null() {
            return Err(Failure::new("parameters are mutually exclusive: body|src"));
        }
        let wanted = self.statuses()?;
        let method = self.method.0.to_uppercase();
        if method.is_empty() || !method.chars().all(|c| c.is_ascii_uppercase()) {
            return Err(Failure::new(
                "Parameter 'method' needs to be a single word in uppercase, like GET or POST.",
            ));
        }
        if context.check {
            let msg = "remote module (ansible.legacy.uri) does not support check mode";
            return Ok(Outcome::default().with("skipped", true).with("msg", msg));
        }
        let skipped = |why: String| Ok(Outcome::default().with("stdout", why));
        if let Some(path) = self.creates.as_ref().filter(|path| path.exists()) {
            return skipped(format!("skipped, since '{}' exists", path.display()));
        }
        if let Some(path) = self.removes.as_ref().filter(|path| !path.exists()) {
            return skipped(format!("skipped, since '{}' does not exist", path.display()));
        }
        let request = self.request(method)?;
        let start = Instant::now();
        let answer = http::fetch(&request, context);
        self.judge(answer, &wanted, start.elapsed(), context)
    }
}

impl Uri {
    fn statuses(&self) -> Result<Vec<i64>, Failure> {
        let numbers = self.status_code.0.iter().map(|text| text.trim().parse());
        numbers.collect::<Result<_, _>>().map_err(|_| {
            Failure::new(format!(
                "Elements value for option 'status_code' is of type <class 'str'> and we were \
                 unable to convert to int: {}",
                self.status_code.0.join(", ")
            ))
        })
    }

    fn request(&self, method: String) -> Result<Request, Failure> {
        if self.use_gssapi.0 {
            return Err(Failure::new("use_gssapi: kup-play does not speak Kerberos"));
        }
        let own = |path: &Option<HostPath>| path.as_ref().map(|path| path.0.clone());
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.0.clone());
        let mut request = Request {
            method,
            timeout: seconds(self.timeout),
            follow: match self.follow_redirects {
                Redirects::All | Redirects::Yes => Follow::All,
                Redirects::No | Redirects::None => Follow::None,
                Redirects::Safe => Follow::Safe,
                Redirects::Urllib2 => Follow::Urllib2,
            },
            headers: headers(self.headers.as_ref()),
            validate_certs: self.validate_certs.0,
            use_proxy: self.use_proxy.0,
            username: text(&self.url_username),
            password: text(&self.url_password),
            force_basic_auth: self.force_basic_auth.0,
            use_netrc: self.use_netrc.0,
            client_cert: own(&self.client_cert),
            client_key: own(&self.client_key),
            ca_path: own(&self.ca_path),
            unix_socket: own(&self.unix_socket),
            agent: self.http_agent.0.clone(),
            force: self.force.0,
            decompress: self.decompress.0,
            unredirected: self.unredirected_headers.0.clone(),
            ..Request::get(&self.url.0)
        };
        self.add_body(&mut request)?;
        let newest = self.dest.as_ref().filter(|dest| dest.is_file());
        request.newer_than = newest.and_then(|dest| fs::metadata(dest).ok()?.modified().ok());
        Ok(request)
    }

    fn add_body(&self, request: &mut Request) -> Result<(), Failure> {
        if let Some(src) = &self.src {
            if fs::File::open(src).is_err() {
                let msg = format!("Unable to open source file {}", src.display());
                return Err(Failure::new(msg).with("elapsed", 0));
            }
            request.body = Some(Payload::File(src.0.clone()));
        }
        let (kind, bytes) = match (self.body_format, &self.body) {
            (BodyFormat::Raw, Json::Null) => return Ok(()),
            (BodyFormat::Raw, Json::String(text)) => (None, text.clone().into_bytes()),
            // Ansible gives such a body to its client as Python shows it.
            (BodyFormat::Raw, value) => (None, body::json_text(value).into_bytes()),
            (BodyFormat::Json, Json::String(text)) => {
                (Some("application/json".to_owned()), text.clone().into_bytes())
            }
            (BodyFormat::Json, value) => {
                (Some("application/json".to_owned()), body::json_text(value).into_bytes())
            }
            (BodyFormat::FormUrlencoded, Json::Null) => {
                (Some("application/x-www-form-urlencoded".to_owned()), Vec::new())
            }
            (BodyFormat::FormUrlencoded, value) => {
                let form = body::form(value).map_err(|why| {
                    Failure::new(format!("failed to parse body as form_urlencoded: {why}"))
                        .with("elapsed", 0)
                })?;
                (Some("application/x-www-form-urlencoded".to_owned()), form.into_bytes())
            }
            (BodyFormat::FormMultipart, value) => {
                let (kind, bytes) = body::multipart(value, &boundary()).map_err(|why| {
                    Failure::new(format!("failed to parse body as form-multipart: {why}"))
                })?;
                request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
                (Some(kind), bytes)
            }
        };
        let named = request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-type"));
        if let Some(kind) = kind.filter(|_| !named) {
            request.headers.push(("Content-Type".to_owned(), kind));
        }
        if request.body.is_none() {
            request.body = Some(Payload::Bytes(bytes));
        }
        Ok(())
    }

    /// The result of an answer; a failure if its status is none of the wanted.
    fn judge(
        &self,
        mut answer: Answer,
        wanted: &[i64],
        elapsed: Duration,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let status = answer.status.unwrap_or(-1);
        let kind = answer.header("content-type").unwrap_or("text/plain").to_ascii_lowercase();
        let is_json = answer.status != Some(-1) && speaks_json(&kind);
        let expected = wanted.contains(&status);
        let mut outcome = Outcome::default();
        for (name, value) in &answer.headers {
            outcome.result.insert(name.replace('-', "_").to_lowercase(), json!(value));
        }
        if let Some(cookies) = &answer.cookies {
            let pairs: Vec<_> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            let map: Map<String, Json> =
                cookies.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            outcome = outcome.with("cookies", map).with("cookies_string", pairs.join("; "));
        }
        outcome = outcome
            .with("redirected", answer.url != self.url.0)
            .with("url", answer.url.clone())
            .with("status", status)
            .with("elapsed", elapsed.as_secs());
        if let Some(location) = outcome.result.get("location").and_then(Json::as_str) {
            let whole = url::join(&self.url.0, location);
            outcome = outcome.with("location", whole);
        }
        let good = answer.is_good();
        let content = match is_json || self.return_content.0 || !expected || !good {
            true => Some(answer.read().map_err(|error| {
                Failure::new(format!("the answer cannot be read: {}", http::python_error(&error)))
            })?),
            false => None,
        };
        let text = content.as_ref().map(|bytes| decoded(bytes, &kind));
        let asked = is_json || self.return_content.0 || !expected;
        if let Some(text) = text.as_ref().filter(|_| !asked && status != -1) {
            outcome = outcome.with("body", text.clone());
        }
        if let Some(dest) = self.destination(&answer).filter(|_| status != -1) {
            if expected && status != 304 {
                outcome.changed = true;
                match (&content, answer.body.take()) {
                    (Some(bytes), _) => self.keep(&dest, &mut Cursor::new(bytes), context)?,
                    (None, Some(mut reader)) => self.keep(&dest, &mut reader, context)?,
                    (None, None) => {}
                }
            }
            outcome = outcome.with("path", dest.display().to_string());
            outcome = files::describe_existing(outcome, &dest);
        }
        let parsed = text.as_ref().filter(|_| is_json).and_then(|t| serde_json::from_str(t).ok());
        if let Some(parsed) = parsed {
            outcome.result.insert("json".to_owned(), parsed);
        }
        if let Some(text) = text.filter(|_| self.return_content.0) {
            outcome = outcome.with("content", text);
        }
        if expected {
            return Ok(outcome.with("msg", answer.msg));
        }
        let wanted: Vec<_> = wanted.iter().map(i64::to_string).collect();
        let msg =
            format!("Status code was {status} and not [{}]: {}", wanted.join(", "), answer.msg);
        Err(Failure { msg, changed: false, result: outcome.result })
    }

    /// In a folder the file has the name that the answer gives it.
    fn destination(&self, answer: &Answer) -> Option<PathBuf> {
        let dest = self.dest.as_ref()?;
        if !dest.is_dir() {
            return Some(dest.0.clone());
        }
        let named = answer.header("content-disposition").and_then(file_name_of);
        let of_url = url::path_of(&answer.url);
        let of_url = of_url.split('?').next().unwrap_or_default().trim_end_matches('/');
        let of_url = of_url.rsplit('/').next().filter(|name| !name.is_empty()).map(url::decoded);
        let name = named.or(of_url).unwrap_or_else(|| "index.html".to_owned());
        Some(dest.join(Path::new(&name).file_name().unwrap_or("index.html".as_ref())))
    }

    fn keep(&self, dest: &Path, from: &mut dyn Read, context: &Context) -> Result<(), Failure> {
        let temporary = context.scratch.join("answer");
        let failed = |error: std::io::Error| {
            let why = http::python_error(&error);
            Failure::new(format!("Failed to create temporary content file: {why}"))
        };
        let mut file = fs::File::create(&temporary).map_err(failed)?;
        std::io::copy(from, &mut file).map_err(failed)?;
        let digest = |path: &Path| files::digest_of::<Sha1>(path).ok();
        if digest(&temporary) != digest(dest) {
            let mut file = fs::File::open(&temporary).map_err(failed)?;
            files::write(dest, &mut file, None, context.unsafe_writes)?;
        }
        let attributes = Attributes {
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode.clone(),
        };
        attributes.apply(dest, false, false).map(drop)
    }
}

pub(super) fn seconds(number: Number) -> Duration {
    Duration::from_secs(u64::try_from(number.0).unwrap_or(0).max(1))
}

/// Headers as texts; what is no text is shown as Python shows it.
pub(super) fn headers(headers: Option<&Map<String, Json>>) -> Vec<(String, String)> {
    headers.into_iter().flatten().map(|(name, value)| (name.clone(), plain(value))).collect()
}

pub fn boundary() -> String {
    format!("==============={:019}==", rand::rng().next_u64())
}

/// `application/json`, `text/javascript`, `application/vnd.x+json`
fn speaks_json(content_type: &str) -> bool {
    let kind = content_type.split([';', ',']).next().unwrap_or_default().trim();
    let own = kind.split_once('/').map_or("", |(_, own)| own);
    let own = own.split_once('+').map_or(own, |(_, suffix)| suffix);
    matches!(own, "json" | "javascript")
}

/// The text of an answer in the letters that it says it has.
fn decoded(bytes: &[u8], content_type: &str) -> String {
    let charset = content_type.split(';').find_map(|part| part.trim().strip_prefix("charset="));
    match charset.map(|charset| charset.trim_matches('"')) {
        Some("iso-8859-1" | "latin1" | "latin-1") => bytes.iter().map(|b| char::from(*b)).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The name in `attachment; filename="x"`.
fn file_name_of(disposition: &str) -> Option<String> {
    let value = disposition.split(';').find_map(|part| part.trim().strip_prefix("filename="))?;
    Some(value.trim().trim_matches('"').to_owned()).filter(|name| !name.is_empty())
}
