//! An sshd of the test's own, with its own keys, its own home folder for the user
//! and its own mounts, so that a test may spoil the host without touching the machine.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kup_play::agent::protocol::Request;
use kup_play::transport::{Become, ConnectionKind, Endpoint, Pool, Settings};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

pub struct Sshd {
    pub folder: TempDir,
    pub port: u16,
    child: Child,
}

impl Sshd {
    pub fn start() -> Self {
        Self::with("", "")
    }

    /// `mounts` is a script that runs first in a mount namespace of sshd's own, with `$F`
    /// as the folder of the test; `config` is added to sshd's.
    pub fn with(mounts: &str, config: &str) -> Self {
        // Where every user may go, and no test mounts over it.
        let folder = tempfile::Builder::new().prefix("kup-play-sshd.").tempdir_in("/var/cache");
        let folder = folder.unwrap();
        let path = folder.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        for key in ["host", "user", "stranger"] {
            let file = path.join(key);
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(file)
                .status()
                .unwrap();
            assert!(made.success());
        }
        fs::create_dir(path.join("home")).unwrap();
        fs::copy(path.join("user.pub"), path.join("authorized_keys")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let key = fs::read_to_string(path.join("host.pub")).unwrap();
        fs::write(path.join("known_hosts"), format!("[127.0.0.*]:{port} {key}")).unwrap();
        let shown = path.display();
        // sshd takes the first value that it sees.
        let defaults = [
            ("SetEnv", format!("HOME={shown}/home")),
            ("PasswordAuthentication", "no".to_owned()),
            ("UsePAM", "no".to_owned()),
        ];
        let defaults = defaults.iter().filter(|(name, _)| !config.contains(name));
        let defaults: String = defaults.map(|(name, value)| format!("{name} {value}\n")).collect();
        fs::write(
            path.join("sshd_config"),
            format!(
                "Port {port}\nListenAddress 0.0.0.0\nHostKey {shown}/host\nAuthorizedKeysFile \
                 {shown}/authorized_keys\nStrictModes no\nPidFile none\nMaxStartups 500\n\
                 MaxSessions 100\n{defaults}{}\n",
                config.replace("$F", &shown.to_string())
            ),
        )
        .unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        // What other hosts of the same machine keep there for the same user is not seen.
        let alone = "mount -t tmpfs none /var/tmp; chmod 1777 /var/tmp";
        let script = format!(
            "set -e; F={shown}; {alone}\n{mounts}\nexec /usr/sbin/sshd -D -f $F/sshd_config -E $F/log"
        );
        let child = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut sshd = Self { folder, port, child };
        sshd.await_answer();
        sshd
    }

    fn await_answer(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "sshd ended: {}", self.log());
            assert!(Instant::now() < deadline, "sshd does not listen: {}", self.log());
            sleep(Duration::from_millis(10));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the agent is put when nothing speaks against it.
    pub fn agents(&self) -> PathBuf {
        self.path("home/.cache/kup-play")
    }

    pub fn endpoint(&self) -> Endpoint {
        let known = self.path("known_hosts");
        let option = |text: String| ["-o".to_owned(), text];
        let mut ssh_args = vec!["-F".to_owned(), "none".to_owned()];
        ssh_args.extend(option(format!("UserKnownHostsFile={}", known.display())));
        ssh_args.extend(option("GlobalKnownHostsFile=/dev/null".to_owned()));
        ssh_args.extend(option("IdentitiesOnly=yes".to_owned()));
        ssh_args.extend(option("IdentityAgent=none".to_owned()));
        Endpoint {
            connection: ConnectionKind::Ssh,
            address: "127.0.0.1".to_owned(),
            port: Some(self.port),
            user: None,
            private_key: Some(self.path("user")),
            password: None,
            ssh: "ssh".into(),
            ssh_args,
            timeout: Duration::from_secs(10),
            retries: 0,
            host_key_checking: true,
        }
    }

    pub fn pool(&self) -> Pool {
        Pool::new(Settings { cache: Some(self.path("controller")), ..settings() })
    }

    /// The processes of sshd's connections, one group per connection.
    pub fn connections(&self) -> Vec<u32> {
        children(self.child.id())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        for connection in self.connections() {
            signal("-KILL", connection);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn children(of: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

pub fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill").args([name, &pid.to_string()]).stderr(Stdio::null()).status();
}

pub fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z"))
}

pub fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(20));
    }
}

pub fn settings() -> Settings {
    Settings { executable: Some(env!("CARGO_BIN_EXE_kup-play").into()), ..Settings::default() }
}

pub fn local() -> Endpoint {
    Endpoint {
        connection: ConnectionKind::Local,
        address: "localhost".to_owned(),
        port: None,
        user: None,
        private_key: None,
        password: None,
        ssh: "ssh".into(),
        ssh_args: Vec::new(),
        timeout: Duration::from_secs(10),
        retries: 0,
        host_key_checking: true,
    }
}

pub fn sudo(user: &str, password: Option<&str>) -> Become {
    Become {
        method: "sudo".to_owned(),
        user: user.to_owned(),
        password: password.map(kup_play::secret::Secret::new),
        flags: None,
        exe: None,
    }
}

pub fn shell(line: &str) -> Request {
    request("shell", json!({"_raw_params": line}))
}

pub fn request(module: &str, arguments: Value) -> Request {
    let arguments: Map<String, Value> = serde_json::from_value(arguments).unwrap();
    Request { module: module.to_owned(), arguments, ..Request::default() }
}

pub fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}
