//! `etcd_snapshot`: a snapshot taken on the host and, with `copied`, brought to
//! the controller and proved there again; or restored on the host.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use sha2::Sha256;

use super::{Action, Context, Error, Failure, Outcome, fetch, files, guard};
use crate::modules::files::digest_of;

/// Takes, checks, copies and restores snapshots of etcd.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdSnapshot {
    state: State,
    /// The file on the controller, for state copied; mode 0600, its SHA-256 beside it
    /// in a file that ends in .sha256.
    dest: Option<String>,
    /// The snapshot on the host, for the states checked and restored.
    path: Option<String>,
    /// The tag of the image that etcd will have when it is restored, for state checked; as its
    /// manifest says otherwise.
    image_tag: Option<String>,
    /// The SHA-256 that it must have, for the states checked and restored.
    sha256: Option<String>,
    /// The folder for snapshots on the host.
    folder: Option<String>,
    /// The member to ask.
    endpoint: Option<String>,
    /// The folder of etcd's certificates.
    pki: Option<String>,
    /// How many snapshots to leave on the host.
    keep: Option<Json>,
    /// All members, `NAME=URL` each, for state restored.
    initial_cluster: Option<Json>,
    /// A name that no cluster before had, for state restored.
    initial_cluster_token: Option<String>,
    /// What the store had come to before the restore, for state advanced.
    revision: Option<Json>,
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
    /// In the place of the member's data, which are kept beside it. etcd must not run.
    Restored,
    /// Written to until the store is past `revision`, where the tool that restored it could
    /// not put revisions up; those who watch the API read it anew then.
    Advanced,
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
        if matches!(self.state, State::Restored | State::Advanced) && !context.check {
            guard::enter_if_known(context).await?;
        }
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
            State::Restored => "restored",
            State::Advanced => "advanced",
        };
        let given = [
            ("path", self.path.clone().map(Json::from)),
            ("image_tag", self.image_tag.clone().map(Json::from)),
            ("sha256", self.sha256.clone().map(Json::from)),
            ("folder", self.folder.clone().map(Json::from)),
            ("endpoint", self.endpoint.clone().map(Json::from)),
            ("pki", self.pki.clone().map(Json::from)),
            ("keep", self.keep.clone()),
            ("initial_cluster", self.initial_cluster.clone()),
            ("initial_cluster_token", self.initial_cluster_token.clone().map(Json::from)),
            ("revision", self.revision.clone()),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.chain([("state".to_owned(), json!(state))]).collect()
    }
}
