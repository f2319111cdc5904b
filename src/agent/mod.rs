//! What runs on the host: `kup-play agent` reads framed requests on stdin, runs
//! host modules and writes framed responses on stdout. Plain threads: it starts
//! in milliseconds and holds no runtime.

mod external;
pub mod job;
pub mod protocol;
mod scratch;
mod serve;
mod work;

pub use serve::{serve, serve_stdio};
