//! The messages between the controller and an agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// A task for the agent. Several may be under way at once; the answer carries the same id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    /// A host module's short name, or `external` for an executable that was sent along.
    pub module: String,
    pub arguments: Map<String, Json>,
    pub check: bool,
    pub diff: bool,
    pub environment: BTreeMap<String, String>,
    /// Seconds after which the agent ends what the module started; none: no limit.
    pub timeout: Option<u64>,
    /// Arguments whose value is a file that follows in blob frames, in this order:
    /// the agent stores it in its scratch folder and puts the path there.
    pub files: Vec<String>,
}

/// What came of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response {
    pub id: u64,
    /// The result as Ansible has it: `changed`, `failed`, `msg`, `diff` and the module's own keys.
    pub result: Map<String, Json>,
}
