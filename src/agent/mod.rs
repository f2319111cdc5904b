//! What runs on the host: `kup-play agent` reads framed requests on stdin, runs
//! host modules and writes framed responses on stdout.

pub mod protocol;
