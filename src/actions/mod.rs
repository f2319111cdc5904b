//! Actions: the half of a module that runs on the controller. They template,
//! read the operator's files, talk to the Kubernetes API, and call host modules
//! for what is done on the host.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use crate::modules::{Failure, Outcome};
use crate::transport::ConnectionError;

/// An action is its arguments and what is done with them; declared as a
/// [`crate::modules::Module`] is.
pub trait Action: DeserializeOwned + JsonSchema + Send {
    /// Ansible's short name, `_` between words.
    const NAME: &'static str;
    /// The argument that takes a task's free-form text, if any.
    const FREE_FORM: Option<&'static str> = None;

    fn run(self, context: &Context) -> impl Future<Output = Result<Outcome, Error>> + Send;
}

/// What an action may use.
pub struct Context {
    /// The host that the task is for (`inventory_hostname`).
    pub host: String,
    /// Change nothing; say what would change.
    pub check: bool,
    pub diff: bool,
}

/// Why an action did not do its work.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    Failed(Failure),
    Unreachable(String),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Become(msg) => Self::Failed(Failure::new(msg)),
            ConnectionError::Unreachable(msg) | ConnectionError::Agent(msg) => {
                Self::Unreachable(msg)
            }
        }
    }
}
