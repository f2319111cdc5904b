//! HTTP from a host: requests as `uri`, `get_url` and the modules of package keys make
//! them, with Ansible's rules for redirects, passwords and messages.

mod auth;
pub mod body;
mod connect;
mod cookies;
pub mod url;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use flate2::read::MultiGzDecoder;
use ureq::http;

use super::Context;
use crate::agent::protocol::MAX_FRAME;
use cookies::Cookies;

/// Which redirects are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Follow {
    All,
    None,
    /// Those of GET and HEAD.
    Safe,
    /// Those of GET and HEAD, and of POST where the method becomes GET.
    #[default]
    Urllib2,
}

/// What is asked of a server, and how.
#[derive(Clone, Debug)]
pub struct Request {
    pub url: String,
    pub method: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Payload>,
    pub timeout: Duration,
    pub follow: Follow,
    pub validate_certs: bool,
    pub use_proxy: bool,
    pub username: Option<String>,
    pub password: Option<String>,
    /// Send the password before it is asked for.
    pub force_basic_auth: bool,
    pub use_netrc: bool,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub ca_path: Option<PathBuf>,
    pub unix_socket: Option<PathBuf>,
    /// What the program calls itself.
    pub agent: String,
    /// Ask caches for what is new.
    pub force: bool,
    pub decompress: bool,
    /// Headers that are for the first server alone.
    pub unredirected: Vec<String>,
    /// Only what is newer is wanted.
    pub newer_than: Option<SystemTime>,
}

impl Request {
    /// A GET with Ansible's defaults.
    pub fn get(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: None,
            timeout: Duration::from_secs(10),
            follow: Follow::default(),
            validate_certs: true,
            use_proxy: true,
            username: None,
            password: None,
            force_basic_auth: false,
            use_netrc: true,
            client_cert: None,
            client_key: None,
            ca_path: None,
            unix_socket: None,
            agent: "ansible-httpget".to_owned(),
            force: false,
            decompress: true,
            unredirected: Vec::new(),
            newer_than: None,
        }
    }
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// What came back. A status of -1 means that there was no answer, none that there is
/// no such thing (a file).
pub struct Answer {
    pub status: Option<i64>,
    /// Where it came from in the end.
    pub url: String,
    pub msg: String,
    /// Names in small letters; values of the same name are joined.
    pub headers: Vec<(String, String)>,
    /// None for what the server refused.
    pub cookies: Option<Vec<(String, String)>>,
    pub body: Option<Box<dyn Read>>,
}

impl Answer {
    fn none(request: &Request, msg: String) -> Self {
        Self {
            status: Some(-1),
            url: request.url.clone(),
            msg,
            headers: Vec::new(),
            cookies: None,
            body: None,
        }
    }

    /// The answer is what was asked for.
    pub fn is_good(&self) -> bool {
        self.cookies.is_some()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The whole body, as far as a result can hold it; nothing where there is none.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(body) = self.body.take() {
            body.take(MAX_FRAME as u64 + 1).read_to_end(&mut bytes)?;
        }
        if bytes.len() > MAX_FRAME {
            return Err(io::Error::other(format!("it has more than {} MiB", MAX_FRAME >> 20)));
        }
        Ok(bytes)
    }
}

const MAX_REDIRECTS: usize = 10;

/// Asks, follows redirects, and gives passwords where they are asked for.
pub fn fetch(request: &Request, context: &Context) -> Answer {
    let (url, own) = url::without_login(&request.url);
    if let Some(path) = url.strip_prefix("file:") {
        return local_file(request, path);
    }
    let mut call = Call {
        request,
        context,
        first: url.clone(),
        url,
        method: request.method.clone(),
        body: request.body.clone(),
        cookies: Cookies::default(),
        login: auth::Login::of(request, own, context),
        authorization: None,
        redirected: false,
    };
    call.authorization = call.login.as_ref().and_then(|login| login.at_once(request));
    match call.run() {
        Ok(answer) => answer,
        Err(msg) => Answer::none(request, msg),
    }
}

/// A request on its way through redirects.
struct Call<'a> {
    request: &'a Request,
    context: &'a Context,
    first: String,
    url: String,
    method: String,
    body: Option<Payload>,
    cookies: Cookies,
    login: Option<auth::Login>,
    authorization: Option<String>,
    redirected: bool,
}

impl Call<'_> {
    fn run(&mut self) -> Result<Answer, String> {
        let mut asked = false;
        for turn in 0.. {
            let response = self.send()?;
            let status = response.status().as_u16();
            self.cookies.take(&self.url, response.headers());
            if status == 401
                && !asked
                && let Some(header) = self.authorize(&response)
            {
                asked = true;
                self.authorization = Some(header);
                continue;
            }
            if matches!(status, 301 | 302 | 303 | 307 | 308)
                && self.may_follow(status)
                && let Some(location) = text_of(response.headers(), "location")
            {
                if turn >= MAX_REDIRECTS {
                    let reason = response.status().canonical_reason().unwrap_or_default();
                    return Ok(self.refused(
                        response,
                        Some(format!(
                            "HTTP Error {status}: The HTTP server returned a redirect error that \
                             would lead to an infinite loop.\nThe last 30x error message was:\n\
                             {reason}"
                        )),
                    ));
                }
                self.redirect(status, &location);
                continue;
            }
            return Ok(match response.status().is_success() {
                true => self.accepted(response),
                false => self.refused(response, None),
            });
        }
        Err("An unknown error occurred: too many redirects".to_owned())
    }

    fn authorize(&self, response: &http::Response<ureq::Body>) -> Option<String> {
        let challenges = response.headers().get_all("www-authenticate");
        let challenges: Vec<_> =
            challenges.iter().filter_map(|value| value.to_str().ok()).collect();
        let path = url::path_of(&self.url);
        self.login.as_ref()?.answer(&challenges, &self.method, &path)
    }

    fn may_follow(&self, status: u16) -> bool {
        let reads = matches!(self.method.as_str(), "GET" | "HEAD");
        match self.request.follow {
            Follow::All => true,
            Follow::None => false,
            Follow::Safe => reads,
            Follow::Urllib2 => reads || self.method == "POST" && matches!(status, 301..=303),
        }
    }

    fn redirect(&mut self, status: u16, location: &str) {
        let next = url::join(&self.url, location);
        if url::authority_of(&next) != url::authority_of(&self.url) {
            // A password is for the server that it was given for.
            self.authorization = None;
            self.login = None;
        }
        let becomes_get = match status {
            302 | 303 => self.method != "HEAD",
            301 => self.method == "POST",
            _ => false,
        };
        if becomes_get {
            self.method = "GET".to_owned();
        }
        if !matches!(status, 307 | 308) {
            self.body = None;
        }
        self.url = next;
        self.redirected = true;
    }

    /// The headers in the order in which Ansible adds them.
    fn headers(&self) -> Vec<(String, String)> {
        let request = self.request;
        let mut headers = Vec::new();
        headers.push(("User-agent".to_owned(), request.agent.clone()));
        if let Some(value) = &self.authorization {
            headers.push(("Authorization".to_owned(), value.clone()));
        }
        if let Some(time) = request.newer_than.filter(|_| !request.force) {
            headers.push(("If-Modified-Since".to_owned(), http_date(time)));
        }
        if request.force {
            headers.push(("cache-control".to_owned(), "no-cache".to_owned()));
        }
        if let Some(value) = self.cookies.header(&self.url) {
            headers.push(("Cookie".to_owned(), value));
        }
        let of_body = ["content-length", "content-type", "transfer-encoding"];
        for (name, value) in &request.headers {
            let small = name.to_ascii_lowercase();
            let held_back = self.redirected
                && (request.unredirected.iter().any(|other| other.eq_ignore_ascii_case(name))
                    || self.body.is_none() && of_body.contains(&small.as_str()));
            if !held_back {
                headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
                headers.push((name.clone(), value.clone()));
            }
        }
        let has = |wanted: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(wanted));
        if self.body.is_some() && !has("content-type") {
            let form = "application/x-www-form-urlencoded".to_owned();
            headers.push(("Content-type".to_owned(), form));
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            headers.push(("Connection".to_owned(), "close".to_owned()));
        }
        headers
    }

    fn send(&self) -> Result<http::Response<ureq::Body>, String> {
        let agent = connect::agent(self.request, &self.url, self.context)?;
        connect::send(&agent, &self.method, &self.url, self.headers(), self.body.as_ref())
    }

    fn accepted(&self, response: http::Response<ureq::Body>) -> Answer {
        let status = response.status().as_u16();
        let headers = joined(response.headers());
        let length = text_of(response.headers(), "content-length");
        let zipped = text_of(response.headers(), "content-encoding")
            .is_some_and(|encoding| encoding.eq_ignore_ascii_case("gzip"));
        let mut answer = Answer {
            status: Some(i64::from(status)),
            url: if self.redirected { self.url.clone() } else { self.first.clone() },
            msg: format!("OK ({} bytes)", length.as_deref().unwrap_or("unknown")),
            headers,
            cookies: Some(self.cookies.all()),
            body: None,
        };
        let body = response.into_body().into_reader();
        answer.body = Some(match zipped && self.request.decompress {
            // Its length is no longer what the header said.
            true => {
                answer.msg = "OK (unknown bytes)".to_owned();
                answer.headers.retain(|(name, _)| name != "content-length");
                Box::new(MultiGzDecoder::new(body))
            }
            false => Box::new(body),
        });
        answer
    }

    fn refused(&self, response: http::Response<ureq::Body>, msg: Option<String>) -> Answer {
        let status = response.status();
        let reason = connect::reason(&response);
        Answer {
            status: Some(i64::from(status.as_u16())),
            url: self.request.url.clone(),
            msg: msg.unwrap_or_else(|| format!("HTTP Error {}: {reason}", status.as_u16())),
            headers: last(response.headers()),
            cookies: None,
            body: Some(Box::new(response.into_body().into_reader())),
        }
    }
}

/// `file:///path`, which Ansible reads like an address.
fn local_file(request: &Request, rest: &str) -> Answer {
    let path = rest.strip_prefix("//localhost").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
    let path = url::decoded(path);
    let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
    match opened {
        Ok((metadata, file)) => {
            let length = metadata.len().to_string();
            Answer {
                status: None,
                url: request.url.clone(),
                msg: format!("OK ({length} bytes)"),
                headers: vec![
                    ("content-length".to_owned(), length),
                    ("content-type".to_owned(), "text/plain".to_owned()),
                ],
                cookies: Some(Vec::new()),
                body: Some(Box::new(file)),
            }
        }
        Err(error) => {
            let why = format!("{}: '{path}'", python_error(&error));
            Answer::none(request, format!("Request failed: <urlopen error {why}>"))
        }
    }
}

/// `[Errno 2] No such file or directory`
pub fn python_error(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => {
            let text = error.to_string();
            let text = text.trim_end_matches(&format!(" (os error {number})")).to_owned();
            format!("[Errno {number}] {text}")
        }
        None => error.to_string(),
    }
}

fn text_of(headers: &http::HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn joined(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let values = |name: &http::HeaderName| -> Vec<String> {
        let all = headers.get_all(name).iter();
        all.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    };
    headers.keys().map(|name| (name.as_str().to_owned(), values(name).join(", "))).collect()
}

/// Of headers of one name the last; what Ansible keeps of a refusal.
fn last(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let value = |name: &http::HeaderName| {
        let last = headers.get_all(name).iter().next_back();
        last.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let named = |name: &http::HeaderName| Some((name.as_str().to_owned(), value(name)?));
    headers.keys().filter_map(named).collect()
}

fn http_date(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests;
