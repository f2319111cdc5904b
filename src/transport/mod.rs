//! Connections to hosts: ssh or local, and the agents kept open on them.
//!
//! A [`Pool`] opens what is asked for when it is first asked for, and keeps it: one
//! ssh master per [`Endpoint`], one [`Agent`] per endpoint and [`Become`].

mod agent;
pub mod askpass;
mod bootstrap;
mod channel;
mod payload;
mod pool;
mod privilege;
mod raw;
mod recent;
mod ssh;

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

pub use agent::{Agent, Contents, FileSource, Pending};
pub use pool::{Pool, Settings};
pub use raw::RawOutput;

/// How a host is reached, as its `ansible_*` variables and the flags say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub connection: ConnectionKind,
    /// `ansible_host`, else the inventory name.
    pub address: String,
    pub port: Option<u16>,
    /// None: whatever ssh's own configuration says.
    pub user: Option<String>,
    pub private_key: Option<PathBuf>,
    /// For a host that takes none of ssh's keys.
    pub password: Option<Secret>,
    /// The ssh program: `ansible_ssh_executable`.
    pub ssh: PathBuf,
    /// `ansible_ssh_common_args` and `ansible_ssh_extra_args`, split into words.
    pub ssh_args: Vec<String>,
    /// Seconds to wait for the connection.
    pub timeout: Duration,
    /// How often a connection that failed is tried again.
    pub retries: u32,
    pub host_key_checking: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    Ssh,
    Local,
    /// A plugin of Ansible's that is not here, by its name: whoever connects by it fails.
    Missing(&'static str),
}

/// Whom to become on the host, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Become {
    /// `sudo` or `su`.
    pub method: String,
    pub user: String,
    pub password: Option<Secret>,
    pub flags: Option<String>,
    /// Path of the program, when it is not found by the method's name.
    pub exe: Option<String>,
}

/// Why a host could not be spoken to. Ansible counts `Unreachable` apart from failures.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum ConnectionError {
    /// There is no such way to a host here.
    #[error("{0}")]
    Missing(String),
    /// ssh does not get there: refused, unknown host key, wrong key, lost in the middle.
    #[error("{0}")]
    Unreachable(String),
    /// The host is reached, but the user may not become the other one, or gave a wrong password.
    #[error("{0}")]
    Become(String),
    /// The host is reached but cannot run the agent: no space, noexec everywhere, other architecture.
    #[error("{0}")]
    Agent(String),
}

/// Why a file of a host did not get here.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// It cannot be written on the controller.
    #[error(transparent)]
    Controller(#[from] std::io::Error),
}
