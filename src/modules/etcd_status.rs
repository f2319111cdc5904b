//! `etcd_status`: the members of etcd, their health and alarms, as this host's member sees
//! them, and what that member itself is. It changes nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::etcd_snapshot::Place;
use super::precheck_host::etcd;
use super::{Context, Failure, Module, Outcome};

/// Asks the member of this host; `etcd` and `member` are null on a host without one, and
/// `etcd` also while its pod is stopped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdStatus {}

impl Module for EtcdStatus {
    const NAME: &'static str = "etcd_status";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        Ok(Outcome::default()
            .with("etcd", json(etcd::look(context))?)
            .with("member", json(Place::of_manifest())?))
    }
}

fn json(value: Option<impl Serialize>) -> Result<Json, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::new(error.to_string()))
}
