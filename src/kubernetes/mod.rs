//! The cluster through its API. Objects are plain JSON, so that every version from
//! 1.20 on can be spoken to; kubeconfig, TLS and authentication are the `kube` crate's.

mod api;
pub mod budget;
pub mod certificate;
mod connect;
pub mod discovery;
pub mod drain;
pub mod export;
pub mod lease;
mod leaving;
pub mod node;
pub mod objects;
pub mod pod;
pub mod policy;
mod refusals;
pub mod restore;
#[cfg(test)]
mod testing;
mod watch;

use serde_json::Value as Json;

pub use api::{Api, ApiError, Ways, encode};
pub use connect::{Source, client, connect, server_of};
pub use discovery::Resource;

/// Whether a pod or a node says that it is ready.
pub fn is_ready(object: &Json) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Json::as_array);
    conditions.into_iter().flatten().any(|condition| {
        let text = |key: &str| condition.get(key).and_then(Json::as_str);
        text("type") == Some("Ready") && text("status") == Some("True")
    })
}
