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
pub mod ready;
mod refusals;
pub mod restore;
#[cfg(test)]
mod testing;
pub mod wait;
mod watch;

pub use api::{Api, ApiError, Ways, encode};
pub use connect::{Source, client, connect, server_of};
pub use discovery::Resource;
pub use ready::is_ready;
