//! `etcd_snapshot`: a snapshot taken on the host and, with `copied`, brought to
//! the controller and proved there again.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use sha2::Sha256;

use super::{Action, Context, Error, Failure, Outcome, fetch, files};
use crate::modules::files::digest_of;

/// Takes, checks and copies snapshots of etcd.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdSnapshot {
    state: State,
    /// The file on the controller, for state copied; mode 0600, its SHA-256 beside it
    /// in a file that ends in .sha256.
    dest: Option<String>,
    /// The snapshot on the host, for state checked.
    path: Option<String>,
    /// The folder for snapshots on the host.
    folder: Option<String>,
    /// The member to ask.
    endpoint: Option<String>,
    /// The folder of etcd's certificates.
    pki: Option<String>,
    /// How many snapshots to leave on the host.
    keep: Option<Json>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Taken and proved whole, on the host.
    Saved,
    /// An old one proved whole.
    Checked,
    /// Taken, proved, and copied to the controller.
    Copied,
}

impl Action for EtcdSnapshot {
    const NAME: &'static str = "etcd_snapshot";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let dest = match (self.state, &self.dest) {
            (State::Copied, Some(dest)) => Some(files::expand_home(dest)),
            (State::Copied, None) => {
                return Err(Error::failed("state copied needs dest, a file on the controller"));
            }
            (_, _) => None,
        };
        let outcome = context.module("etcd_snapshot", self.arguments(), Vec::new()).await?;
        let Some(dest) = dest.filter(|_| !context.check) else {
            return Ok(outcome);
        };
        let text = |key: &str| outcome.result.get(key).and_then(Json::as_str).map(str::to_owned);
        let (Some(source), Some(sha256)) = (text("path"), text("sha256")) else {
            return Err(Error::failed("the host did not say where the snapshot is"));
        };
        fetch::download(context, Path::new(&source), &dest).await?;
        let failed = |error: std::io::Error| Error::failed(format!("{}: {error}", dest.display()));
        let copied = digest_of::<Sha256>(&dest).map_err(failed)?;
        if copied != sha256 {
            return Err(Failure::new(format!(
                "{} is not what the host sent: its SHA-256 is {copied}, the snapshot's {sha256}",
                dest.display()
            ))
            .into());
        }
        let name = dest.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let beside = dest.with_file_name(format!("{name}.sha256"));
        std::fs::write(beside, format!("{sha256}  {name}\n")).map_err(failed)?;
        Ok(outcome.with("dest", dest.display().to_string()))
    }
}

impl EtcdSnapshot {
    /// What the host's half takes.
    fn arguments(&self) -> Map<String, Json> {
        let state = match self.state {
            State::Copied | State::Saved => "saved",
            State::Checked => "checked",
        };
        let mut arguments = Map::from_iter([("state".to_owned(), json!(state))]);
        for (name, value) in [
            ("path", &self.path),
            ("folder", &self.folder),
            ("endpoint", &self.endpoint),
            ("pki", &self.pki),
        ] {
            if let Some(value) = value {
                arguments.insert(name.to_owned(), json!(value));
            }
        }
        if let Some(keep) = &self.keep {
            arguments.insert("keep".to_owned(), keep.clone());
        }
        arguments
    }
}
