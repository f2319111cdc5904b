//! `slurp`: a file's contents as base64.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;

use super::args::HostPath;
use super::{Context, Failure, Module, Outcome};

/// A result travels as one message; larger files are for `fetch`.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// Reads a file of the host.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slurp {
    #[serde(alias = "path")]
    src: HostPath,
}

impl Module for Slurp {
    const NAME: &'static str = "slurp";

    fn run(self, _: &Context) -> Result<Outcome, Failure> {
        let src = &*self.src;
        let metadata = std::fs::metadata(src).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::new(format!("file not found: {}", src.display()))
            }
            _ => unreadable(src, &error),
        })?;
        if metadata.is_dir() {
            return Err(Failure::new(format!(
                "source is a directory and must be a file: {}",
                src.display()
            )));
        }
        if metadata.len() > MAX_SIZE {
            return Err(Failure::new(format!(
                "{} has {} bytes; slurp reads up to {MAX_SIZE}, fetch copies files of any size",
                src.display(),
                metadata.len()
            )));
        }
        let contents = std::fs::read(src).map_err(|error| unreadable(src, &error))?;
        Ok(Outcome::default()
            .with("content", STANDARD.encode(contents))
            .with("encoding", "base64")
            .with("source", src.display().to_string()))
    }
}
fn unreadable(src: &Path, error: &std::io::Error) -> Failure {
    let path = src.display();
    Failure::new(match error.kind() {
        std::io::ErrorKind::PermissionDenied => format!("file is not readable: {path}"),
        _ => format!("unable to slurp file: {path}: {error}"),
    })
}
