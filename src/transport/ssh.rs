//! The ssh master of a host: one authenticated connection that carries every channel.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openssh::{ForwardType, Session, Socket};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::askpass::{Askpass, Heard};
use super::{ConnectionError, Endpoint};

/// What stands before ssh's own words, as in Ansible.
const PREFIX: &str = "Failed to connect to the host via ssh: ";
/// Over and above the endpoint's timeout, which bounds reaching it, for authentication.
const AUTHENTICATION: Duration = Duration::from_secs(60);
/// How often a connection that sshd turned away for being one of too many is tried again.
const TURNED_AWAY: u32 = 3;
/// Seconds between two attempts of the operator's own `ansible_ssh_retries`.
const LONGEST_PAUSE: u64 = 30;
/// How much of ssh's own words is repeated.
const WORDS: usize = 4096;

/// A master that is connected and authenticated.
#[derive(Debug)]
pub struct Master {
    session: Arc<Session>,
    log: PathBuf,
    folder: PathBuf,
    /// Local ports, by where they lead.
    forwarded: Mutex<HashMap<(String, u16), u16>>,
    /// Something was forwarded: its users hold no part of the master.
    tunnels: AtomicBool,
    /// The folder that `folder` is in.
    _runtime: Arc<TempDir>,
}

impl Master {
    /// Connects. Control socket and log live in a folder of their own in `runtime`;
    /// `executable` is this program, which gives ssh a password.
    pub async fn open(
        endpoint: &Endpoint,
        executable: &Path,
        runtime: Arc<TempDir>,
    ) -> Result<Self, ConnectionError> {
        if endpoint.address.is_empty() || endpoint.address.starts_with('-') {
            return Err(unreachable(&format!("'{}' is no host name", endpoint.address), ""));
        }
        let mut attempt = 0;
        loop {
            let failed = match connect(endpoint, executable, &runtime).await? {
                Ok(master) => return Ok(master),
                Err(failed) => failed,
            };
            let pause = match failed.is_turned_away() {
                true if attempt < TURNED_AWAY => {
                    u64::from(attempt + 1) * 300 + rand::random_range(0..400)
                }
                // A wrong password is not tried again: that could lock the account.
                _ if attempt < endpoint.retries && !failed.heard.given => {
                    1000 * (2_u64.saturating_pow(attempt) - 1).min(LONGEST_PAUSE)
                }
                _ => return Err(failed.error(endpoint)),
            };
            tokio::time::sleep(Duration::from_millis(pause)).await;
            attempt += 1;
        }
    }

    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Whether it carries more than the commands that are started on it.
    pub fn carries_tunnels(&self) -> bool {
        self.tunnels.load(Ordering::Relaxed)
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

    /// Forwards a free loopback port to an address as the host sees it; the same one for as
    /// long as the connection lives.
    pub async fn forward_port(&self, host: &str, port: u16) -> Result<u16, ConnectionError> {
        let mut forwarded = self.forwarded.lock().await;
        let to = (host.to_owned(), port);
        if let Some(local) = forwarded.get(&to) {
            return Ok(*local);
        }
        // Somebody may take the port between our look and ssh's bind: look again then.
        let mut last = String::new();
        for _ in 0..5 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr());
            let local = free.map_err(|e| unreachable(&format!("no free local port: {e}"), ""))?;
            match self.forward(local.into(), host, port).await {
                Ok(()) => {
                    forwarded.insert(to, local.port());
                    return Ok(local.port());
                }
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
        self.tunnels.store(true, Ordering::Relaxed);
        self.session.request_port_forward(ForwardType::Local, from, Socket::new(host, port)).await
    }
}

/// An attempt in vain: what ssh said, and what it asked.
struct Failed {
    words: String,
    heard: Heard,
}

impl Failed {
    /// sshd drops connections at random while many are being made (MaxStartups).
    fn is_turned_away(&self) -> bool {
        let says = |part: &str| self.words.contains(part);
        // A jump host that asked for a password will ask again.
        let dropped = says("kex_exchange_identification") || says("Connection reset by peer");
        dropped && self.heard.refused.is_none()
    }

    fn error(&self, endpoint: &Endpoint) -> ConnectionError {
        if self.heard.given && self.words.contains(DENIED) {
            return ConnectionError::Unreachable(format!(
                "Invalid/incorrect password: {}\nCheck ansible_user and ansible_password, or what \
                 was typed for -k. It was given once only, for the account not to be locked.",
                self.words
            ));
        }
        unreachable(&self.words, &advice(&self.words, endpoint, &self.heard))
    }
}

/// One attempt; the inner error is what ssh said.
async fn connect(
    endpoint: &Endpoint,
    executable: &Path,
    runtime: &Arc<TempDir>,
) -> Result<Result<Master, Failed>, ConnectionError> {
    let prepared = || {
        let folder = tempfile::Builder::new()
            .prefix("s")
            .rand_bytes(6)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(runtime.path())?;
        let stderr = File::create(folder.path().join("stderr"))?;
        let asked = endpoint.password.as_ref();
        let askpass = asked.map(|_| Askpass::new(folder.path(), executable)).transpose()?;
        Ok::<_, std::io::Error>((folder, stderr, askpass))
    };
    let (folder, stderr, askpass) = prepared()
        .map_err(|e| unreachable(&format!("no folder for the control socket: {e}"), ""))?;
    let log = folder.path().join("log");
    let mut ssh = command(endpoint, &folder, &log);
    if let Some(askpass) = &askpass {
        ssh.env("SSH_ASKPASS", askpass.program()).env("SSH_ASKPASS_REQUIRE", "force");
    }
    ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    // Not in the terminal's foreground group: Ctrl-C must leave the connection to us, who may
    // still have to put a node back. Once connected, ssh is a daemon of its own anyway.
    ssh.process_group(0).kill_on_drop(true);
    let limit = endpoint.timeout.saturating_add(AUTHENTICATION);
    let not_started = |error| {
        let what = format!("{}: {error}", endpoint.ssh.display());
        unreachable(&what, "Install the OpenSSH client on this machine.")
    };
    let mut ssh = ssh.spawn().map_err(not_started)?;
    let pid = ssh.id();
    let answer = async {
        if let (Some(askpass), Some(password)) = (&askpass, &endpoint.password) {
            askpass.answer(pid, password).await;
        }
        std::future::pending().await
    };
    let ended = tokio::time::timeout(limit, async {
        tokio::select! {
            status = ssh.wait() => status,
            never = answer => never,
        }
    });
    let ended = ended.await;
    let failed = |words: String| {
        let heard = askpass.as_ref().map(Askpass::heard).unwrap_or_default();
        Ok(Err(Failed { words, heard }))
    };
    let status = match ended {
        Err(_) => return failed(format!("no connection after {} seconds", limit.as_secs())),
        Ok(status) => status.map_err(not_started)?,
    };
    if status.success() {
        let path = folder.path().to_owned();
        let session = Arc::new(Session::new_native_mux(folder));
        let _runtime = Arc::clone(runtime);
        let forwarded = Mutex::default();
        let tunnels = AtomicBool::new(false);
        return Ok(Ok(Master { session, log, folder: path, forwarded, tunnels, _runtime }));
    }
    let words = [spoken(&log), spoken(&folder.path().join("stderr"))];
    let words = words.into_iter().find(|text| !text.is_empty());
    failed(words.unwrap_or_else(|| format!("ssh ended with {status}")))
}

/// The first value that ssh sees for an option is the one it takes: ours that the
/// multiplexing needs, then the inventory's as Ansible orders them, then the
/// operator's arguments, then what we would like if nobody said otherwise.
fn command(endpoint: &Endpoint, folder: &TempDir, log: &Path) -> Command {
    let mut ssh = Command::new(&endpoint.ssh);
    ssh.arg("-E").arg(log).arg("-S").arg(folder.path().join("master"));
    ssh.args(["-M", "-f", "-N", "-T"]);
    // A master whose controller was killed goes a minute after the last channel.
    ssh.args(["-o", "ControlPersist=60s"]);
    match endpoint.password {
        None => ssh.args(["-o", "BatchMode=yes"]),
        Some(_) => ssh.args(["-o", "BatchMode=no", "-o", "NumberOfPasswordPrompts=1"]),
    };
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

/// What ssh says when nothing that it has is accepted.
const DENIED: &str = "Permission denied";

fn advice(words: &str, endpoint: &Endpoint, heard: &Heard) -> String {
    let says = |part: &str| words.contains(part);
    if let (Some(question), false) = (&heard.refused, says("Host key verification failed")) {
        return format!(
            "The password was not given, for this host did not ask for it in this way: {question}"
        );
    }
    let advice = if says("IDENTIFICATION HAS CHANGED") {
        "The host shows another key than known_hosts has: if it was set up anew, remove the old key \
         with ssh-keygen -R; if not, somebody may be listening in between."
    } else if says("Host key verification failed") || says("host key is known") {
        "The host's key is not in known_hosts: compare and accept it once with ssh, or add it with \
         ssh-keyscan."
    } else if says("Connection refused") {
        "Nothing listens at that address and port: check ansible_host, ansible_port and sshd."
    } else if says(DENIED) || says("Too many authentication failures") {
        if endpoint.password.is_some() {
            "The password was not asked for: sshd there, or ssh's configuration here, allows none \
             (PasswordAuthentication)."
        } else if endpoint.private_key.as_ref().is_some_and(|key| !key.exists()) {
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
    };
    advice.to_owned()
}
