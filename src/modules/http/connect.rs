//! Connections: names resolved by the host, its certificates, proxies of the task's
//! environment, and sockets that are files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::config::AutoHeaderValue;
use ureq::http::{self, Uri};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, LazyBuffers, NextTimeout,
    RustlsConnector, Transport,
};
use ureq::{Agent, Error, Proxy, SendBody, Timeout};

use super::super::wait_for::addresses;
use super::{Context, Payload, Request, python_error, url};

/// A client for one request: nothing is kept open.
pub fn agent(request: &Request, to: &str, context: &Context) -> Result<Agent, String> {
    let secure = to.starts_with("https:");
    if !secure && !to.starts_with("http:") {
        let scheme = to.split(':').next().unwrap_or_default();
        return Err(format!("Request failed: <urlopen error unknown url type: {scheme}>"));
    }
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .allow_non_standard_methods(true)
        .user_agent(AutoHeaderValue::None)
        .accept(AutoHeaderValue::None)
        .accept_encoding("identity")
        .timeout_connect(Some(request.timeout))
        .timeout_per_read(Some(request.timeout))
        .timeout_per_write(Some(request.timeout))
        .max_idle_connections(0)
        .proxy(proxy(request, to, context));
    if secure {
        config = config.tls_config(tls(request, context)?);
    }
    let resolver = HostResolver { context: context.clone(), unix: request.unix_socket.is_some() };
    Ok(match &request.unix_socket {
        Some(path) => {
            let connector = UnixConnector(path.clone()).chain(RustlsConnector::default());
            Agent::with_parts(config.build(), connector, resolver)
        }
        None => Agent::with_parts(config.build(), DefaultConnector::default(), resolver),
    })
}

/// Sends one request; the error is what Ansible says of it.
pub fn send(
    agent: &Agent,
    method: &str,
    to: &str,
    headers: Vec<(String, String)>,
    body: Option<&Payload>,
) -> Result<http::Response<ureq::Body>, String> {
    let uri = to.split('#').next().unwrap_or(to);
    let uri: Uri = uri.parse().map_err(|error| format!("An unknown error occurred: {error}"))?;
    let sent = match body {
        None => agent.run(request(method, uri, headers, ())?),
        Some(Payload::Bytes(bytes)) => with_body(
            agent,
            method,
            uri,
            headers,
            || Ok(SendBody::from_owned_reader(io::Cursor::new(bytes.clone()))),
            bytes.len() as u64,
        ),
        Some(Payload::File(path)) => {
            let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
            let open = || File::open(path).map(SendBody::from_owned_reader);
            with_body(agent, method, uri, headers, open, length)
        }
    };
    sent.map_err(|error| explain(&error))
}

fn with_body(
    agent: &Agent,
    method: &str,
    uri: Uri,
    mut headers: Vec<(String, String)>,
    body: impl Fn() -> io::Result<SendBody<'static>>,
    length: u64,
) -> Result<http::Response<ureq::Body>, Error> {
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        headers.push(("Content-Length".to_owned(), length.to_string()));
    }
    // These have no body as a rule; whoever gives one means it.
    let unusual = match method {
        "GET" => Some(agent.get(uri.clone())),
        "DELETE" => Some(agent.delete(uri.clone())),
        "HEAD" => Some(agent.head(uri.clone())),
        "OPTIONS" => Some(agent.options(uri.clone())),
        "TRACE" => Some(agent.trace(uri.clone())),
        _ => None,
    };
    match unusual {
        Some(mut builder) => {
            for (name, value) in headers {
                builder = builder.header(name, value);
            }
            builder.force_send_body().send(body()?)
        }
        None => {
            let request = request(method, uri, headers, body()?);
            agent.run(request.map_err(|text| Error::Other(text.into()))?)
        }
    }
}

fn request<B>(
    method: &str,
    uri: Uri,
    headers: Vec<(String, String)>,
    body: B,
) -> Result<http::Request<B>, String> {
    let mut builder = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(body).map_err(|error| format!("An unknown error occurred: {error}"))
}

/// The words behind the status; the client keeps only the number, and the usual ones
/// are those of the standard.
pub fn reason(response: &http::Response<ureq::Body>) -> String {
    response.status().canonical_reason().unwrap_or_default().to_owned()
}

fn explain(error: &Error) -> String {
    let failed = |why: String| format!("Request failed: <urlopen error {why}>");
    match error {
        Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(tls) => failed(explain_tls(tls)),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                "Connection failure: Remote end closed connection without response".to_owned()
            }
            None if error.kind() == io::ErrorKind::ConnectionReset => {
                format!("Connection failure: {}", python_error(error))
            }
            None => failed(python_error(error)),
        },
        Error::Rustls(error) => failed(explain_tls(error)),
        Error::HostNotFound => failed("[Errno -2] Name or service not known".to_owned()),
        Error::Timeout(Timeout::Connect | Timeout::Resolve) => failed("timed out".to_owned()),
        Error::Timeout(_) => "Connection failure: The read operation timed out".to_owned(),
        Error::ConnectProxyFailed(why) => failed(format!("Tunnel connection failed: {why}")),
        Error::Protocol(error) => format!(
            "Connection failure: connection was closed before a valid response was received: {error}"
        ),
        other => format!("An unknown error occurred: {other}"),
    }
}

fn explain_tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => {
            let why = format!("{why:?}");
            let why = match why.as_str() {
                "UnknownIssuer" => "unable to get local issuer certificate",
                "Expired" => "certificate has expired",
                other if other.starts_with("Expired") => "certificate has expired",
                other if other.starts_with("NotValidForName") => "Hostname mismatch",
                other => other,
            };
            format!("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {why}")
        }
        other => format!("[SSL] {other}"),
    }
}

/// The proxy that the environment names for an address.
fn proxy(request: &Request, to: &str, context: &Context) -> Option<Proxy> {
    if !request.use_proxy || request.unix_socket.is_some() {
        return None;
    }
    let variable = |name: &str| {
        let names = [name.to_owned(), name.to_uppercase()];
        names.iter().find_map(|name| {
            let own = context.environment.get(name).cloned();
            own.or_else(|| std::env::var(name).ok()).filter(|value| !value.is_empty())
        })
    };
    let host = url::host_of(to);
    let except = variable("no_proxy").unwrap_or_default();
    if except.split(',').any(|pattern| is_excepted(host, pattern.trim())) {
        return None;
    }
    let scheme = to.split(':').next().unwrap_or_default();
    Proxy::new(&variable(&format!("{scheme}_proxy"))?).ok()
}

/// `no_proxy`: a host, the end of its name, or `*`.
fn is_excepted(host: &str, pattern: &str) -> bool {
    let pattern = pattern.split(':').next().unwrap_or_default().trim_start_matches('.');
    pattern == "*"
        || !pattern.is_empty()
            && (host == pattern
                || host.strip_suffix(pattern).is_some_and(|front| front.ends_with('.')))
}

fn tls(request: &Request, context: &Context) -> Result<TlsConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    tls = match request.validate_certs {
        true => tls.root_certs(RootCerts::new_with_certs(&roots(request, context)?)),
        false => tls.disable_verification(true),
    };
    if let Some(path) = &request.client_cert {
        let key = request.client_key.as_ref().unwrap_or(path);
        let certificates = certificates(path)?;
        let pem = read(key)?;
        let key = PrivateKey::from_pem(&pem).map_err(|error| error.to_string())?;
        tls = tls.client_cert(Some(ClientCert::new_with_certs(&certificates, key)));
    }
    Ok(tls.build())
}

/// The certificates that servers are judged by: those that the task names, or the host's.
fn roots(request: &Request, context: &Context) -> Result<Vec<Certificate<'static>>, String> {
    if let Some(path) = &request.ca_path {
        return match path.is_dir() {
            true => Ok(files_in(path)
                .iter()
                .flat_map(|file| certificates(file).ok())
                .flatten()
                .collect()),
            false => certificates(path),
        };
    }
    let named = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"];
    if let Some(path) = named.iter().find_map(|name| context.environment.get(*name)) {
        return certificates(Path::new(path));
    }
    let found = rustls_native_certs::load_native_certs();
    Ok(found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = read(path)?;
    let items = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(items.collect())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| {
        format!("An unknown error occurred: {}: '{}'", python_error(&error), path.display())
    })
}

/// Names as the host resolves them.
#[derive(Debug)]
struct HostResolver {
    context: Context,
    /// There is nothing to resolve for a socket that is a file.
    unix: bool,
}

impl Resolver for HostResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let host = uri.host().unwrap_or_default();
        let mut found = self.empty();
        let hosts =
            if self.unix { vec![[127, 0, 0, 1].into()] } else { addresses(host, &self.context) };
        for address in hosts.into_iter().take(16) {
            found.push((address, port).into());
        }
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

/// Connects to a socket that is a file, whatever the address says.
#[derive(Debug)]
struct UnixConnector(PathBuf);

impl Connector for UnixConnector {
    type Out = UnixTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<UnixTransport>, Error> {
        let stream = UnixStream::connect(&self.0)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(UnixTransport { stream, buffers }))
    }
}

#[derive(Debug)]
struct UnixTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

/// How long a read or write may take; none: without end.
fn limit(timeout: &NextTimeout) -> Option<Duration> {
    timeout.not_zero().map(|limit| *limit)
}

impl Transport for UnixTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.set_write_timeout(limit(&timeout))?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).map_err(|error| in_time(error, &timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.set_read_timeout(limit(&timeout))?;
        let input = self.buffers.input_append_buf();
        let amount = self.stream.read(input).map_err(|error| in_time(error, &timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        false
    }
}

fn in_time(error: io::Error, timeout: &NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}
