//! The ssh master of a host: one authenticated connection that carries every channel.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use openssh::{ForwardType, Session, Socket};
use tempfile::TempDir;
use tokio::process::Command;

use super::{ConnectionError, Endpoint};

/// What stands before ssh's own words, as in Ansible.
const PREFIX: &str = "Failed to connect to the host via ssh: ";
/// Over and above the endpoint's timeout, which bounds reaching it, for authentication.
const AUTHENTICATION: Duration = Duration::from_secs(60);
/// How often a connection that sshd turned away for being one of too many is tried.
const ATTEMPTS: u32 = 4;
/// How much of ssh's own words is repeated.
const WORDS: usize = 4096;

/// A master that is connected and authenticated.
#[derive(Debug)]
pub struct Master {
    session: Arc<Session>,
    log: PathBuf,
    folder: PathBuf,
    /// The folder that `folder` is in.
    _runtime: Arc<TempDir>,
}

impl Master {
    /// Connects. Control socket and log live in a folder of their own in `runtime`.
    pub async fn open(
        endpoint: &Endpoint,
        program: &Path,
        runtime: Arc<TempDir>,
    ) -> Result<Self, ConnectionError> {
        if endpoint.address.is_empty() || endpoint.address.starts_with('-') {
            return Err(unreachable(&format!("'{}' is no host name", endpoint.address), ""));
        }
        let mut attempt = 1;
        loop {
            let words = match connect(endpoint, program, &runtime).await? {
                Ok(master) => return Ok(master),
                Err(words) => words,
            };
            // sshd drops connections at random while many are being made (MaxStartups).
            let turned_away = words.contains("kex_exchange_identification")
                || words.contains("Connection reset by peer");
            if attempt == ATTEMPTS || !turned_away {
                return Err(unreachable(&words, advice(&words, endpoint)));
            }
            let jitter = rand::random_range(0..400);
            tokio::time::sleep(Duration::from_millis(u64::from(attempt) * 300 + jitter)).await;
            attempt += 1;
        }
    }

    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub async fn is_alive(&self) -> bool {
        self.session.check().await.is_ok()
    }

    /// What ssh has said about the end of the connection, if it has ended.
    pub async fn why_lost(&self) -> Option<String> {
        // The master may need a moment to write and go after the channel has closed.
        for _ in 0..10 {
            if !self.is_alive().await {
                let words = spoken(&self.log);
                return Some(if words.is_empty() {
                    "the connection was closed".to_owned()
                } else {
                    words
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// The error for a channel that could not be opened or used.
    pub async fn lost(&self, otherwise: &str) -> ConnectionError {
        let words = self.why_lost().await;
        unreachable(words.as_deref().unwrap_or(otherwise), LOST)
    }

    /// Forwards a free loopback port to an address as the host sees it.
    pub async fn forward_port(&self, host: &str, port: u16) -> Result<u16, ConnectionError> {
        // Somebody may take the port between our look and ssh's bind: look again then.
        let mut last = String::new();
        for _ in 0..5 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr());
            let local = free.map_err(|e| unreachable(&format!("no free local port: {e}"), ""))?;
            match self.forward(local.into(), host, port).await {
                Ok(()) => return Ok(local.port()),
                Err(error) => last = error.to_string(),
            }
        }
        Err(self.lost(&format!("cannot forward a port to {host}:{port}: {last}")).await)
    }

    /// Forwards a socket in our private folder to an address as the host sees it.
    pub async fn forward_socket(&self, host: &str, port: u16) -> Result<PathBuf, ConnectionError> {
        let path = self.folder.join(format!("f{:08x}", rand::random::<u32>()));
        match self.forward(path.clone().into(), host, port).await {
            Ok(()) => Ok(path),
            Err(e) => Err(self.lost(&format!("cannot forward to {host}:{port}: {e}")).await),
        }
    }

    async fn forward(&self, from: Socket<'_>, host: &str, port: u16) -> Result<(), openssh::Error> {
        self.session.request_port_forward(ForwardType::Local, from, Socket::new(host, port)).await
    }
}

/// One attempt; the inner error is what ssh said.
async fn connect(
    endpoint: &Endpoint,
    program: &Path,
    runtime: &Arc<TempDir>,
) -> Result<Result<Master, String>, ConnectionError> {
    let prepared = || {
        let folder =
            tempfile::Builder::new().prefix("s").rand_bytes(6).tempdir_in(runtime.path())?;
        let stderr = File::create(folder.path().join("stderr"))?;
        Ok::<_, std::io::Error>((folder, stderr))
    };
    let (folder, stderr) = prepared()
        .map_err(|e| unreachable(&format!("no folder for the control socket: {e}"), ""))?;
    let log = folder.path().join("log");
    let mut ssh = command(endpoint, program, &folder, &log);
    ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    // Not in the terminal's foreground group: Ctrl-C must leave the connection to us, who may
    // still have to put a node back. Once connected, ssh is a daemon of its own anyway.
    ssh.process_group(0).kill_on_drop(true);
    let limit = endpoint.timeout + AUTHENTICATION;
    let status = match tokio::time::timeout(limit, ssh.status()).await {
        Err(_) => return Ok(Err(format!("no connection after {} seconds", limit.as_secs()))),
        Ok(Err(error)) => {
            let what = format!("{}: {error}", program.display());
            return Err(unreachable(&what, "Install the OpenSSH client on this machine."));
        }
        Ok(Ok(status)) => status,
    };
    if status.success() {
        let path = folder.path().to_owned();
        let session = Arc::new(Session::new_native_mux(folder));
        let _runtime = Arc::clone(runtime);
        return Ok(Ok(Master { session, log, folder: path, _runtime }));
    }
    let words = [spoken(&log), spoken(&folder.path().join("stderr"))];
    let words = words.into_iter().find(|text| !text.is_empty());
    Ok(Err(words.unwrap_or_else(|| format!("ssh ended with {status}"))))
}

/// The first value that ssh sees for an option is the one it takes: ours that the
/// multiplexing needs, then the inventory's as Ansible orders them, then the
/// operator's arguments, then what we would like if nobody said otherwise.
fn command(endpoint: &Endpoint, program: &Path, folder: &TempDir, log: &Path) -> Command {
    let mut ssh = Command::new(program);
    ssh.arg("-E").arg(log).arg("-S").arg(folder.path().join("master"));
    ssh.args(["-M", "-f", "-N", "-T"]);
    // A master whose controller was killed goes a minute after the last channel.
    ssh.args(["-o", "ControlPersist=60s", "-o", "BatchMode=yes"]);
    if !endpoint.host_key_checking {
        ssh.args(["-o", "StrictHostKeyChecking=no"]);
    }
    if let Some(port) = endpoint.port {
        ssh.arg("-p").arg(port.to_string());
    }
    if let Some(key) = &endpoint.private_key {
        ssh.arg("-i").arg(key);
    }
    if let Some(user) = &endpoint.user {
        ssh.arg("-l").arg(user);
    }
    let seconds = endpoint.timeout.as_secs().max(1);
    ssh.arg("-o").arg(format!("ConnectTimeout={seconds}"));
    ssh.args(&endpoint.ssh_args);
    // A host that vanished is noticed within half a minute.
    ssh.args(["-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"]);
    ssh.arg("--").arg(&endpoint.address);
    ssh
}

/// What ssh has written into a file, without its courtesies.
fn spoken(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    let lines = lines.filter(|line| !line.starts_with("Warning: Permanently added"));
    let words = lines.collect::<Vec<_>>().join("\n");
    words.trim().chars().take(WORDS).collect()
}

/// What to do when a connection breaks.
pub const LOST: &str = "The connection was lost: whether the task had its effect is not known.";

/// An error in Ansible's words, with ssh's own and a line on what to do.
pub fn unreachable(words: &str, advice: &str) -> ConnectionError {
    let newline = if advice.is_empty() { "" } else { "\n" };
    ConnectionError::Unreachable(format!("{PREFIX}{words}{newline}{advice}"))
}

fn advice(words: &str, endpoint: &Endpoint) -> &'static str {
    let says = |part: &str| words.contains(part);
    if says("IDENTIFICATION HAS CHANGED") {
        "The host shows another key than known_hosts has: if it was set up anew, remove the old key \
         with ssh-keygen -R; if not, somebody may be listening in between."
    } else if says("Host key verification failed") || says("host key is known") {
        "The host's key is not in known_hosts: compare and accept it once with ssh, or add it with \
         ssh-keyscan."
    } else if says("Connection refused") {
        "Nothing listens at that address and port: check ansible_host, ansible_port and sshd."
    } else if says("Permission denied") || says("Too many authentication failures") {
        if endpoint.private_key.as_ref().is_some_and(|key| !key.exists()) {
            "The file of ansible_ssh_private_key_file does not exist."
        } else {
            "No key was accepted: check ansible_user, ansible_ssh_private_key_file and the host's \
             authorized_keys."
        }
    } else if says("Could not resolve hostname") {
        "The name is not known here: check ansible_host, or Host in ~/.ssh/config."
    } else if says("timed out") || says("no connection after") {
        "The host did not answer in time: check that it is up and that no firewall is in between; \
         --timeout waits longer."
    } else if says("No route to host") || says("Network is unreachable") {
        "There is no way to that address: check ansible_host and the network."
    } else if says("Bad configuration option") || says("usage: ssh") || says("extra arguments") {
        "ssh does not understand its options: check ansible_ssh_common_args, \
         ansible_ssh_extra_args and ~/.ssh/config."
    } else {
        ""
    }
}
