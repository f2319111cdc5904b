//! All connections of a run.

use std::collections::HashMap;
use std::fs;
use std::hash::Hash;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::agent::Agent;
use super::bootstrap::{self, Started, cannot_read};
use super::channel::Link;
use super::payload::Payload;
use super::raw::{self, RawOutput};
use super::recent::Recent;
use super::ssh::{Master, unreachable};
use super::{Become, ConnectionError, ConnectionKind, Endpoint};

const RUNTIME_PREFIX: &str = "kup-play-";
/// A unix socket's path has 108 bytes; ssh adds some while it makes one.
const MAX_RUNTIME: usize = 50;

/// What all connections have in common.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The program that is the agent, for hosts of our own architecture; none: ourselves.
    /// Those for others stand beside it under the name `kup-play-ARCH` (as `uname -m` says it).
    pub executable: Option<PathBuf>,
    /// Where local connections work; none: where we were started. Ansible's is the playbook's folder.
    pub local_folder: Option<PathBuf>,
    /// Where the agent is kept compressed between runs; none: the user's cache folder.
    pub cache: Option<PathBuf>,
}

/// The connections of a run: opened when first asked for, shared, and kept until there are
/// too many ([`Pool::keep_at_most`]) or [`Pool::close`]. What was lost is reported to those who
/// were using it and opened anew when it is next asked for.
#[derive(Debug)]
pub struct Pool {
    settings: Settings,
    masters: Slots<Endpoint, Master>,
    agents: Slots<(Endpoint, Option<Become>), Agent>,
    payloads: Mutex<HashMap<String, Arc<OnceCell<Payload>>>>,
    /// For control sockets; each master keeps it as well, so that it outlives them.
    runtime: Mutex<Option<Arc<TempDir>>>,
    recent: Mutex<Recent>,
    /// Connections that are being closed.
    closing: Mutex<JoinSet<()>>,
}

impl Pool {
    /// Opens nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            masters: Slots::default(),
            agents: Slots::default(),
            payloads: Mutex::default(),
            runtime: Mutex::default(),
            recent: Mutex::default(),
            closing: Mutex::default(),
        }
    }

    /// From now on the connection that was unused for longest is closed for each new one
    /// over so many. One that is in use is not, nor one that carries a tunnel.
    pub fn keep_at_most(&self, connections: usize) {
        lock(&self.recent).limit(connections);
    }

    /// The agent on a host for a user. Whoever asks while it is being opened gets the same one,
    /// or the same error.
    pub async fn agent(
        &self,
        endpoint: &Endpoint,
        target: Option<&Become>,
    ) -> Result<Arc<Agent>, ConnectionError> {
        self.make_room(endpoint);
        let key = (endpoint.clone(), target.cloned());
        let is_dead = async |agent: &Agent| agent.is_dead();
        self.agents.get(&key, is_dead, || self.start_agent(endpoint, target)).await
    }

    /// Runs a command line in the user's shell, without the agent.
    pub async fn raw(
        &self,
        endpoint: &Endpoint,
        target: Option<&Become>,
        command: &str,
        stdin: &[u8],
    ) -> Result<RawOutput, ConnectionError> {
        self.make_room(endpoint);
        raw::run(&self.link(endpoint).await?, target, command, stdin).await
    }

    /// A local `host:port` that leads to an address as the host sees it, until the pool is closed.
    pub async fn forward(
        &self,
        endpoint: &Endpoint,
        host: &str,
        port: u16,
    ) -> Result<(String, u16), ConnectionError> {
        match self.link(endpoint).await? {
            Link::Local(_) => Ok((host.to_owned(), port)),
            Link::Ssh(master) => {
                Ok(("127.0.0.1".to_owned(), master.forward_port(host, port).await?))
            }
        }
    }

    /// Like [`Pool::forward`], but a socket in a folder that no other user can enter.
    /// Only over ssh.
    pub async fn forward_socket(
        &self,
        endpoint: &Endpoint,
        host: &str,
        port: u16,
    ) -> Result<PathBuf, ConnectionError> {
        match self.link(endpoint).await? {
            Link::Local(_) => Err(ConnectionError::Agent(
                "a local connection has no tunnel: use the address itself".to_owned(),
            )),
            Link::Ssh(master) => master.forward_socket(host, port).await,
        }
    }

    /// Closes what is open to a host, so that it is opened anew (`meta: reset_connection`, a reboot).
    pub async fn reset(&self, endpoint: &Endpoint) {
        let agents = self.agents.take(|(of, _)| of == endpoint).await;
        futures::future::join_all(agents.iter().map(|agent| agent.close())).await;
        drop(agents);
        self.masters.take(|of| of == endpoint).await;
        lock(&self.recent).forget(endpoint);
    }

    /// Ends what was started on a host as a user that tasks became.
    pub async fn leave(&self, endpoint: &Endpoint, user: &str) {
        let is_theirs =
            |target: &Option<Become>| target.as_ref().is_some_and(|target| target.user == user);
        let agents = self.agents.take(|(of, target)| of == endpoint && is_theirs(target)).await;
        futures::future::join_all(agents.iter().map(|agent| agent.close())).await;
    }

    /// Ends all agents and connections. What is asked for later is opened anew.
    pub async fn close(&self) {
        let agents = self.agents.take(|_| true).await;
        futures::future::join_all(agents.iter().map(|agent| agent.close())).await;
        drop(agents);
        // A master ends when the last who uses it drops it.
        self.masters.take(|_| true).await;
        let closing = std::mem::take(&mut *lock(&self.closing));
        closing.join_all().await;
        lock(&self.recent).clear();
        lock(&self.runtime).take();
    }

    /// Notes the use of a connection; when there are too many, closes in the background what
    /// nobody uses.
    fn make_room(&self, endpoint: &Endpoint) {
        let (candidates, surplus) = lock(&self.recent).note(endpoint);
        for old in candidates.iter().filter(|old| self.close_idle(old)).take(surplus) {
            lock(&self.recent).forget(old);
        }
    }

    /// Whether nobody uses a connection; then it is closed in the background.
    fn close_idle(&self, endpoint: &Endpoint) -> bool {
        let is_free = |master: &Arc<Master>| !master.carries_tunnels();
        let is_idle = |agent: &Arc<Agent>| Arc::strong_count(agent) == 1 && agent.is_idle();
        if !self.masters.are_all(|of| of == endpoint, is_free) {
            return false;
        }
        let Some(agents) = self.agents.take_if(|(of, _)| of == endpoint, is_idle) else {
            return false;
        };
        // Whoever got hold of it meanwhile keeps it until done.
        let masters = self.masters.take_if(|of| of == endpoint, is_free).unwrap_or_default();
        let mut closing = lock(&self.closing);
        while closing.try_join_next().is_some() {}
        closing.spawn(async move {
            futures::future::join_all(agents.iter().map(|agent| agent.close())).await;
            drop(agents);
            drop(masters);
        });
        true
    }

    async fn start_agent(
        &self,
        endpoint: &Endpoint,
        target: Option<&Become>,
    ) -> Result<Agent, ConnectionError> {
        let link = self.link(endpoint).await?;
        if let (Link::Local(folder), None) = (&link, target) {
            let channel = Link::program(folder, &self.executable(), "agent")?;
            return Ok(Agent::new(bootstrap::greet(&link, channel).await?, link));
        }
        let payload = self.payload(std::env::consts::ARCH).await?;
        match bootstrap::start(&link, target, &payload).await? {
            Started::Agent(greeted) => Ok(Agent::new(*greeted, link)),
            Started::OtherArch(arch) => {
                let payload = self.payload(&arch).await?;
                match bootstrap::start(&link, target, &payload).await? {
                    Started::Agent(greeted) => Ok(Agent::new(*greeted, link)),
                    Started::OtherArch(now) => Err(ConnectionError::Agent(format!(
                        "The host says it is {arch}, and then {now}"
                    ))),
                }
            }
        }
    }

    async fn link(&self, endpoint: &Endpoint) -> Result<Link, ConnectionError> {
        if let ConnectionKind::Missing(name) = endpoint.connection {
            let msg =
                format!("the connection plugin '{name}' is not there: there are ssh and local");
            return Err(ConnectionError::Missing(msg));
        }
        if endpoint.connection == ConnectionKind::Local {
            let folder = match &self.settings.local_folder {
                Some(folder) => folder.clone(),
                None => std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            };
            return Ok(Link::Local(folder));
        }
        let is_dead = async |master: &Master| !master.is_alive().await;
        let open = async || {
            let runtime = self.runtime_folder();
            let runtime = runtime
                .map_err(|e| unreachable(&format!("no folder for control sockets: {e}"), ""))?;
            Master::open(endpoint, &self.askpass(), runtime).await
        };
        Ok(Link::Ssh(self.masters.get(endpoint, is_dead, open).await?))
    }

    /// The agent for an architecture; read and hashed once.
    async fn payload(&self, arch: &str) -> Result<Payload, ConnectionError> {
        let cell = Arc::clone(lock(&self.payloads).entry(arch.to_owned()).or_default());
        let load = || async {
            let path = self.executable_for(arch)?;
            let (file, arch) = (path.clone(), arch.to_owned());
            let cache = self.settings.cache.clone();
            let loading = tokio::task::spawn_blocking(move || Payload::load(&file, &arch, cache));
            let loaded = loading.await.map_err(io::Error::other).and_then(|payload| payload);
            loaded.map_err(|error| cannot_read(&path, &error))
        };
        cell.get_or_try_init(load).await.cloned()
    }

    fn executable(&self) -> PathBuf {
        // Not its path: that may be another program by now.
        self.settings.executable.clone().unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
    }

    /// This program as ssh can call it: not by `/proc/self`, which is ssh then.
    fn askpass(&self) -> PathBuf {
        let own = || PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        self.settings.executable.clone().unwrap_or_else(own)
    }

    fn executable_for(&self, arch: &str) -> Result<PathBuf, ConnectionError> {
        let own = self.executable();
        if arch == std::env::consts::ARCH {
            return Ok(own);
        }
        let resolved = fs::canonicalize(&own).unwrap_or(own);
        let other = resolved.with_file_name(format!("kup-play-{arch}"));
        if other.is_file() {
            return Ok(other);
        }
        Err(ConnectionError::Agent(format!(
            "The host is {arch}, this machine is {}: the agent for it is missing, put a kup-play \
             built for {arch} at {}",
            std::env::consts::ARCH,
            other.display()
        )))
    }

    /// A folder of our own with a short path.
    fn runtime_folder(&self) -> io::Result<Arc<TempDir>> {
        let mut runtime = lock(&self.runtime);
        if let Some(folder) = &*runtime {
            return Ok(Arc::clone(folder));
        }
        let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let given = given.filter(|f| f.is_dir() && f.as_os_str().len() < MAX_RUNTIME);
        let base = given.unwrap_or_else(|| PathBuf::from("/tmp"));
        remove_abandoned(&base);
        let prefix = format!("{RUNTIME_PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new()
            .prefix(&prefix)
            .rand_bytes(6)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(base)?;
        Ok(Arc::clone(runtime.insert(Arc::new(folder))))
    }
}

/// Folders of runs that were killed.
fn remove_abandoned(base: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix(RUNTIME_PREFIX));
        let pid = pid.and_then(|rest| rest.split_once('-')).and_then(|(pid, _)| pid.parse().ok());
        let Some(pid): Option<u32> = pid else { continue };
        let ours = entry.metadata().is_ok_and(|m| m.is_dir() && m.uid() == own);
        if ours && !Path::new("/proc").join(pid.to_string()).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Things that are opened once per key.
#[derive(Debug)]
struct Slots<K, T>(Mutex<HashMap<K, Arc<Slot<T>>>>);

type Slot<T> = tokio::sync::Mutex<SlotState<T>>;

#[derive(Debug)]
struct SlotState<T> {
    open: Option<Arc<T>>,
    failed: Option<(Instant, ConnectionError)>,
}

impl<K, T> Default for Slots<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Default for SlotState<T> {
    fn default() -> Self {
        Self { open: None, failed: None }
    }
}

impl<K: Eq + Hash + Clone, T> Slots<K, T> {
    /// What is open under this key, opening it if there is nothing or it is dead.
    async fn get(
        &self,
        key: &K,
        is_dead: impl AsyncFn(&T) -> bool,
        open: impl AsyncFnOnce() -> Result<T, ConnectionError>,
    ) -> Result<Arc<T>, ConnectionError> {
        let asked = Instant::now();
        let slot = Arc::clone(lock(&self.0).entry(key.clone()).or_default());
        let mut slot = slot.lock().await;
        if let Some(there) = &slot.open
            && !is_dead(there).await
        {
            return Ok(Arc::clone(there));
        }
        slot.open = None;
        // Who waited for an attempt that failed does not make another one.
        if let Some((when, error)) = &slot.failed
            && *when >= asked
        {
            return Err(error.clone());
        }
        match open().await {
            Ok(opened) => {
                slot.failed = None;
                Ok(Arc::clone(slot.open.insert(Arc::new(opened))))
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Whether what is open under the keys that match is all so; what is being opened is not.
    fn are_all(&self, matches: impl Fn(&K) -> bool, so: impl Fn(&Arc<T>) -> bool) -> bool {
        let all = lock(&self.0);
        all.iter().filter(|(key, _)| matches(key)).all(|(_, slot)| is_free(slot, &so))
    }

    /// Takes out everything under the keys that match, if it is all so and nobody is asking
    /// for it.
    fn take_if(
        &self,
        matches: impl Fn(&K) -> bool,
        so: impl Fn(&Arc<T>) -> bool,
    ) -> Option<Vec<Arc<T>>> {
        let mut all = lock(&self.0);
        let found = all.iter().filter(|(key, _)| matches(key));
        let keys: Vec<K> = found.map(|(key, _)| key.clone()).collect();
        if !keys.iter().filter_map(|key| all.get(key)).all(|slot| is_free(slot, &so)) {
            return None;
        }
        let slots = keys.iter().filter_map(|key| all.remove(key));
        Some(slots.filter_map(|slot| slot.try_lock().ok()?.open.take()).collect())
    }

    /// Takes out everything under the keys that match.
    async fn take(&self, matches: impl Fn(&K) -> bool) -> Vec<Arc<T>> {
        let slots: Vec<_> = {
            let mut all = lock(&self.0);
            let keys: Vec<K> = all.keys().filter(|key| matches(key)).cloned().collect();
            keys.iter().filter_map(|key| all.remove(key)).collect()
        };
        let mut taken = Vec::new();
        for slot in slots {
            taken.extend(slot.lock().await.open.take());
        }
        taken
    }
}

/// Whether nobody asks for what is in a slot, and it is so if there is anything.
fn is_free<T>(slot: &Arc<Slot<T>>, so: impl Fn(&Arc<T>) -> bool) -> bool {
    Arc::strong_count(slot) == 1
        && slot.try_lock().is_ok_and(|state| state.open.as_ref().is_none_or(so))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn futures_may_move_between_threads() {
        fn movable<T: Send>(_: T) {}
        let pool = Pool::new(Settings::default());
        let endpoint = Endpoint {
            connection: ConnectionKind::Local,
            address: "localhost".to_owned(),
            port: None,
            user: None,
            private_key: None,
            password: None,
            ssh: PathBuf::from("ssh"),
            ssh_args: Vec::new(),
            timeout: std::time::Duration::from_secs(10),
            retries: 0,
            host_key_checking: true,
        };
        movable(pool.agent(&endpoint, None));
        movable(pool.raw(&endpoint, None, "true", b""));
        movable(pool.forward(&endpoint, "127.0.0.1", 6443));
        movable(pool.close());
    }
}
