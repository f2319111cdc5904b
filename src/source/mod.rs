//! What the operator wrote, with the place where it stands.

mod error;
mod node;

pub use error::Error;
pub use node::{Node, SourceFile, Span, Yaml};
