//! What the operator wrote, with the place where it stands.

mod error;
mod load;
mod node;
mod scalar;
mod suggest;

pub use error::Error;
pub use load::{load, load_all_str, load_str, read};
pub use node::{Node, SourceFile, Span, Yaml};
pub use suggest::suggest;
