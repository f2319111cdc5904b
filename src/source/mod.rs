//! What the operator wrote, with the place where it stands.

mod boolean;
mod compose;
mod duplicates;
mod error;
mod hint;
mod load;
mod node;
mod relax;
mod scalar;
mod suggest;

pub use boolean::{boolean, no_boolean};
pub use duplicates::{Duplicates, set_policy as set_duplicates};
pub use error::Error;
pub use load::{load, load_all, load_all_str, load_noting, load_str, read};
pub use node::{Node, SourceFile, Span, Yaml};
pub use scalar::resolve as resolve_scalar;
pub use suggest::suggest;
