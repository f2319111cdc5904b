//! Actions: the half of a module that runs on the controller. They template,
//! read the operator's files, talk to the Kubernetes API, and call host modules
//! for what is done on the host.

mod add_host;
mod argument_spec;
mod assemble;
mod assert;
mod cluster;
mod context;
mod copy;
mod debug;
mod etcd_snapshot;
mod fail;
mod fetch;
pub mod files;
mod group_by;
pub mod guard;
mod include_vars;
mod k8s;
mod k8s_export;
mod k8s_info;
mod k8s_restore;
mod keyboard;
mod kubectl_drain;
mod pause;
mod precheck;
mod raw;
mod reboot;
mod registry;
mod rollback_plan;
mod script;
mod session;
mod set_fact;
mod set_stats;
mod synchronize;
mod template;
mod tunnels;
mod unarchive;
mod undo;
mod upgrade_guard;
mod uri;
mod validate_argument_spec;
mod wait_for_connection;
mod waiting;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::events::EXPLANATION;
use crate::modules::Module;
pub use crate::modules::{Failure, Outcome};
use crate::source;
use crate::template::TemplateError;
use crate::transport::{ConnectionError, Contents, FileSource};
pub use context::{Context, Effect, Flags, Remote, outcome};
pub use registry::{ActionSpec, find, names};
pub use session::{Hosts, Session};

/// The key of a result that is for nobody's eyes, whatever the task's `no_log` says.
pub const SECRET: &str = "_ansible_no_log";

/// An action is its arguments and what is done with them; declared as a
/// [`crate::modules::Module`] is.
pub trait Action: DeserializeOwned + JsonSchema + Send {
    /// Ansible's short name, `_` between words.
    const NAME: &'static str;
    /// The argument that takes a task's free-form text, if any.
    const FREE_FORM: Option<&'static str> = None;
    /// Whether it runs once for all hosts of a batch (pause, add_host).
    const ONCE: bool = false;
    /// Whether Ctrl-C ends it at once; what changes hosts is waited for.
    const INTERRUPTIBLE: bool = false;

    /// Whether [`Action::ahead`] may have something to say.
    const GOES_AHEAD: bool = false;

    fn run(self, context: &Context) -> impl Future<Output = Result<Outcome, Error>> + Send;

    /// What the host is asked for, where that is all there is to it: it can be sent before its
    /// turn in a loop has come.
    ///
    /// # Errors
    /// Those that it would end with if it were run.
    fn ahead(&self, _context: &Context) -> Result<Option<Ask>, Error> {
        Ok(None)
    }
}

/// What a host is asked for.
pub struct Ask {
    pub module: &'static str,
    pub arguments: Map<String, Json>,
    pub files: Contents,
}

/// Files that go along with an argument's name each.
pub type Files = Vec<(String, FileSource)>;

/// An action that sends files of the operator's to the host module of its name, and does
/// nothing else.
pub trait Sends {
    type Module: Module;
    /// Ansible's action refuses to run in check mode.
    const CHECKS: bool = true;

    /// Puts the arguments right for the host, and finds what is to be sent. On the host
    /// each argument with a file is the path of what was sent.
    fn prepare(arguments: &mut Map<String, Json>, context: &Context) -> Result<Files, Error>;
}

/// Why an action did not do its work.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    Failed(Failure),
    Unreachable(String),
}

impl Error {
    pub fn failed(msg: impl Into<String>) -> Self {
        Self::Failed(Failure::new(msg))
    }

    pub fn message(self) -> String {
        let (Self::Failed(Failure { msg, .. }) | Self::Unreachable(msg)) = self;
        msg
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Ansible's message for the result, and for the operator the place and what would help.
impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        let explanation = source::Error::from(error.clone());
        let failure = Self::new(error.to_string());
        let failure = match error.exception {
            Some(exception) => failure.with("exception", format!("{exception}: {error}")),
            None => failure,
        };
        failure.with(EXPLANATION, explanation.to_string())
    }
}

impl From<TemplateError> for Error {
    fn from(error: TemplateError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Become(msg) | ConnectionError::Missing(msg) => {
                Self::Failed(Failure::new(msg))
            }
            ConnectionError::Unreachable(msg) | ConnectionError::Agent(msg) => {
                Self::Unreachable(msg)
            }
        }
    }
}
