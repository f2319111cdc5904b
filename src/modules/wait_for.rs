//! `wait_for`: until a port, a file or a text is there, or is gone.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use fancy_regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::args::{HostPath, Number, Text, TextList};
use super::pattern;
use super::process::{Process, stop_requested};
use super::{Context, Failure, Module, Outcome};
use crate::deadline;

/// The most of a port's or file's text that is searched.
const MAX_TEXT: usize = 16 * 1024 * 1024;

/// Waits for a condition, or for some seconds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitFor {
    /// The host whose port is tried, from the managed host.
    #[serde(default = "local")]
    host: Text,
    port: Option<Number>,
    /// A file to wait for.
    path: Option<HostPath>,
    #[serde(default)]
    state: State,
    /// A pattern to be found in the file, or in what the port says.
    search_regex: Option<Text>,
    /// Seconds to wait at most.
    #[serde(default = "five_minutes")]
    timeout: Number,
    /// Seconds before the first try.
    #[serde(default)]
    delay: Number,
    /// Seconds between tries.
    #[serde(default = "one")]
    sleep: Number,
    /// Seconds for one connection.
    #[serde(default = "five")]
    connect_timeout: Number,
    /// What to say when it takes too long.
    msg: Option<Text>,
    /// Peers whose connections do not count when a port is drained.
    #[serde(default)]
    exclude_hosts: TextList,
    #[serde(default = "active")]
    active_connection_states: TextList,
}

fn local() -> Text {
    Text("127.0.0.1".to_owned())
}

fn five_minutes() -> Number {
    Number(300)
}

fn one() -> Number {
    Number(1)
}

fn five() -> Number {
    Number(5)
}

fn active() -> TextList {
    TextList(
        ["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "SYN_RECV", "SYN_SENT", "TIME_WAIT"]
            .map(str::to_owned)
            .to_vec(),
    )
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Started,
    Present,
    Stopped,
    Absent,
    Drained,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Present => "present",
            Self::Stopped => "stopped",
            Self::Absent => "absent",
            Self::Drained => "drained",
        }
    }
}

/// What a pattern matched.
#[derive(Default)]
struct Found {
    groups: Vec<Json>,
    named: Map<String, Json>,
}

impl Module for WaitFor {
    const NAME: &'static str = "wait_for";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        self.validate()?;
        if context.check {
            let msg = "remote module (wait_for) does not support check mode";
            return Ok(Outcome::default().with("skipped", true).with("msg", msg));
        }
        let start = Instant::now();
        let regex =
            self.search_regex.as_ref().map(|text| pattern::compile(&text.0, true)).transpose()?;
        let found = self.wait(start, regex.as_ref(), context)?;
        let mut outcome = Outcome::default()
            .with("state", self.state.word())
            .with("elapsed", start.elapsed().as_secs())
            .with("match_groups", found.groups)
            .with("match_groupdict", found.named)
            .with("port", json!(self.port.map(|port| port.0)))
            .with("path", json!(self.path.as_ref().map(|path| path.display().to_string())))
            .with("search_regex", json!(self.search_regex.as_ref().map(|text| &text.0)));
        if self.path.as_ref().is_some_and(|path| path.exists())
            && let Some(path) = &self.path
        {
            // As Ansible: what the path is takes the place of what was waited for.
            outcome = super::files::describe(outcome, path);
        }
        Ok(outcome)
    }
}

impl WaitFor {
    fn validate(&self) -> Result<(), Failure> {
        if self.port.is_some() && self.path.is_some() {
            return Err(Failure::new("port and path parameter can not both be passed to wait_for"));
        }
        if self.path.is_some() && matches!(self.state, State::Stopped | State::Drained) {
            return Err(Failure::new(format!(
                "state={} should only be used for checking a port in the wait_for module",
                self.state.word()
            )));
        }
        if self.state == State::Drained && self.port.is_none() {
            return Err(Failure::new("port is required with state=drained"));
        }
        Ok(())
    }

    fn wait(
        &self,
        start: Instant,
        regex: Option<&Regex>,
        context: &Context,
    ) -> Result<Found, Failure> {
        pause(seconds(self.delay))?;
        if self.port.is_none() && self.path.is_none() {
            pause(seconds(self.timeout))?;
            return Ok(Found::default());
        }
        let limit = seconds(self.timeout);
        loop {
            if let Some(found) = self.holds(regex, context)? {
                return Ok(found);
            }
            if start.elapsed() >= limit {
                return Err(
                    Failure::new(self.too_long()).with("elapsed", start.elapsed().as_secs())
                );
            }
            pause(seconds(self.sleep).min(limit.saturating_sub(start.elapsed())))?;
        }
    }

    /// Whether what is waited for is so; with what the pattern matched.
    fn holds(&self, regex: Option<&Regex>, context: &Context) -> Result<Option<Found>, Failure> {
        let wanted = matches!(self.state, State::Started | State::Present);
        if let Some(path) = &self.path {
            return match (regex, wanted) {
                (None, true) => Ok(path.exists().then(Found::default)),
                (None, false) => Ok((!path.exists()).then(Found::default)),
                (Some(regex), true) => match fs::read(path) {
                    Ok(bytes) => found(regex, &bytes),
                    Err(_) => Ok(None),
                },
                (Some(regex), false) => match fs::read(path) {
                    Ok(bytes) => Ok(found(regex, &bytes)?.is_none().then(Found::default)),
                    Err(_) => Ok(Some(Found::default())),
                },
            };
        }
        if self.state == State::Drained {
            let count = self.connections(context)?;
            return Ok((count == 0).then(Found::default));
        }
        match (self.connect(context)?, wanted) {
            (Some(stream), true) => match regex {
                Some(regex) => self.heard(stream, regex),
                None => Ok(Some(Found::default())),
            },
            (None, true) | (Some(_), false) => Ok(None),
            (None, false) => Ok(Some(Found::default())),
        }
    }

    fn port(&self) -> Result<u16, Failure> {
        let port = self.port.map_or(0, |port| port.0);
        u16::try_from(port).map_err(|_| Failure::new(format!("{port} is no port")))
    }

    fn connect(&self, context: &Context) -> Result<Option<TcpStream>, Failure> {
        let port = self.port()?;
        let limit = seconds(self.connect_timeout).max(Duration::from_millis(1));
        Ok(addresses(&self.host.0, context)
            .into_iter()
            .find_map(|ip| TcpStream::connect_timeout(&SocketAddr::new(ip, port), limit).ok()))
    }

    /// What the port says, until the pattern matches or it says no more.
    fn heard(&self, mut stream: TcpStream, regex: &Regex) -> Result<Option<Found>, Failure> {
        let deadline = deadline::after(seconds(self.connect_timeout));
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while text.len() < MAX_TEXT && !stop_requested() {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() || stream.set_read_timeout(Some(rest)).is_err() {
                break;
            }
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => text.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            }
            if let Some(found) = found(regex, &text)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// How many connections the port has, but for those of the excluded hosts.
    fn connections(&self, context: &Context) -> Result<usize, Failure> {
        let port = self.port()?;
        let here = addresses(&self.host.0, context);
        let any = here.iter().any(IpAddr::is_unspecified);
        let excluded: Vec<IpAddr> =
            self.exclude_hosts.0.iter().flat_map(|host| addresses(host, context)).collect();
        let counts = |connection: &Connection| {
            connection.local.port() == port
                && (any || here.contains(&connection.local.ip()))
                && !excluded.contains(&connection.peer.ip())
                && self.active_connection_states.0.iter().any(|state| state == connection.state)
        };
        Ok(["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok())
            .flat_map(|table| table.lines().filter_map(Connection::parse).collect::<Vec<_>>())
            .filter(counts)
            .count())
    }

    fn too_long(&self) -> String {
        if let Some(msg) = &self.msg {
            return msg.0.clone();
        }
        let what = match (&self.path, self.port) {
            (Some(path), _) => path.display().to_string(),
            (None, port) => format!("{}:{}", self.host.0, port.map_or(0, |port| port.0)),
        };
        match (self.state, &self.search_regex, &self.path) {
            (State::Drained, ..) => format!("Timeout when waiting for {what} to drain"),
            (State::Stopped, _, None) | (State::Absent, None, None) => {
                format!("Timeout when waiting for {what} to stop.")
            }
            (State::Absent, None, Some(_)) => {
                format!("Timeout when waiting for {what} to be absent.")
            }
            (_, Some(regex), _) => {
                format!("Timeout when waiting for search string {} in {what}", regex.0)
            }
            (_, None, Some(_)) => format!("Timeout when waiting for file {what}"),
            (_, None, None) => format!("Timeout when waiting for {what}"),
        }
    }
}

fn seconds(number: Number) -> Duration {
    Duration::from_secs(u64::try_from(number.0).unwrap_or(0))
}

/// Sleeps in pieces, so that a stopped task ends.
fn pause(duration: Duration) -> Result<(), Failure> {
    let deadline = deadline::after(duration);
    loop {
        if stop_requested() {
            return Err(Failure::new("the task was stopped"));
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(());
        }
        thread::sleep(rest.min(Duration::from_millis(200)));
    }
}

fn found(regex: &Regex, bytes: &[u8]) -> Result<Option<Found>, Failure> {
    let text = String::from_utf8_lossy(bytes);
    let Some(captures) = pattern::search(regex, &text)? else {
        return Ok(None);
    };
    let value = |group: Option<fancy_regex::Match>| json!(group.map(|group| group.as_str()));
    let groups = (1..captures.len()).map(|at| value(captures.get(at))).collect();
    let named = regex
        .capture_names()
        .flatten()
        .map(|name| (name.to_owned(), value(captures.name(name))))
        .collect();
    Ok(Some(Found { groups, named }))
}

/// Addresses of a host. Asked of `getent`: a static program has no resolver of the host's.
pub(super) fn addresses(host: &str, context: &Context) -> Vec<IpAddr> {
    if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
        return vec![ip];
    }
    let Ok(output) = Process::new("getent").args(["ahosts", host]).in_context(context).run() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for ip in output.stdout.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok())
    {
        if !found.contains(&ip) {
            found.push(ip);
        }
    }
    found
}

/// A line of /proc/net/tcp.
struct Connection {
    local: SocketAddr,
    peer: SocketAddr,
    state: &'static str,
}

impl Connection {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace().skip(1);
        let local = endpoint(fields.next()?)?;
        let peer = endpoint(fields.next()?)?;
        let state = match fields.next()? {
            "01" => "ESTABLISHED",
            "02" => "SYN_SENT",
            "03" => "SYN_RECV",
            "04" => "FIN_WAIT1",
            "05" => "FIN_WAIT2",
            "06" => "TIME_WAIT",
            _ => "",
        };
        Some(Self { local, peer, state })
    }
}

/// `0100007F:1F90`: each four bytes in the machine's own order.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for at in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => {
            let ip = std::net::Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
            ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    fn wait(arguments: Json) -> Result<Outcome, Failure> {
        serde_json::from_value::<WaitFor>(arguments).expect("arguments").run(&Context::default())
    }

    #[test]
    fn an_open_port_is_found_and_its_text_matched() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let speaker = thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().expect("a connection");
                let _ = stream.write_all(b"SSH-2.0-OpenSSH_9\r\n");
            }
        });
        wait(json!({"port": port, "timeout": 5})).expect("open");
        let text = json!({"port": port, "search_regex": r"SSH-(\S+)-(?P<name>\w+)", "timeout": 5});
        let outcome = wait(text).expect("matched");
        assert_eq!(outcome.result["match_groups"], json!(["2.0", "OpenSSH_9"]));
        assert_eq!(outcome.result["match_groupdict"], json!({"name": "OpenSSH_9"}));
        speaker.join().expect("spoken");
        assert!(wait(json!({"port": port, "state": "stopped", "timeout": 5})).is_ok());
    }

    #[test]
    fn a_closed_port_times_out_in_the_words_of_ansible() {
        let failure = wait(json!({"port": 9, "timeout": 0})).expect_err("closed");
        assert_eq!(failure.msg, "Timeout when waiting for 127.0.0.1:9");
        let failure = wait(json!({"port": "9", "timeout": "0", "msg": "no"})).expect_err("closed");
        assert_eq!(failure.msg, "no");
    }

    #[test]
    fn a_file_is_waited_for_with_its_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let absent = wait(json!({"path": path, "state": "absent"})).expect("absent");
        assert_eq!(absent.result["state"], "absent");
        fs::write(&path, "a\nready now\n").expect("written");
        wait(json!({"path": path, "search_regex": "^ready"})).expect("ready");
        let failure = wait(json!({"path": path, "search_regex": "never", "timeout": 0}));
        assert!(failure.expect_err("never").msg.contains("search string never in"));
    }

    #[test]
    fn the_kernels_table_of_connections_is_read() {
        let line = "   1: 0100007F:1F90 0200007F:C350 01 00000000:00000000 00:00000000";
        let connection = Connection::parse(line).expect("a connection");
        assert_eq!(connection.local.to_string(), "127.0.0.1:8080");
        assert_eq!(
            (connection.peer.to_string().as_str(), connection.state),
            ("127.0.0.2:50000", "ESTABLISHED")
        );
    }
}
