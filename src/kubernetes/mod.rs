//! The cluster through its API. Objects are plain JSON, so that every version from
//! 1.20 on can be spoken to; kubeconfig, TLS and authentication are the `kube` crate's.

mod api;
pub mod budget;
mod connect;
pub mod discovery;
pub mod drain;
pub mod export;
pub mod lease;
pub mod node;
pub mod objects;
pub mod pod;
pub mod policy;
pub mod restore;

pub use api::{Api, ApiError, encode};
pub use connect::{Source, connect, server_of};
pub use discovery::Resource;
