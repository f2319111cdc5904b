//! `etcd_status`: the members of etcd, their health and alarms, as this host's member sees
//! them. It changes nothing.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::precheck_host::etcd;
use super::{Context, Failure, Module, Outcome};

/// Asks the member of this host; `etcd` is null on a host without one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdStatus {}

impl Module for EtcdStatus {
    const NAME: &'static str = "etcd_status";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let etcd = match etcd::look(context) {
            Some(etcd) => serde_json::to_value(etcd).map_err(|e| Failure::new(e.to_string()))?,
            None => Json::Null,
        };
        Ok(Outcome::default().with("etcd", etcd))
    }
}
