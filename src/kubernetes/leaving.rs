//! Which of the pods that are to leave a node are still there.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value as Json;

use super::api::encode;
use super::watch::Watch;
use super::{Api, ApiError, pod};

const PODS: &str = "/api/v1/pods";
/// Before another try of a watch that did not begin.
const PAUSE: Duration = Duration::from_secs(1);

/// The pods of a node, listed once and then watched.
pub struct Leaving<'a> {
    api: &'a Api,
    query: String,
    watch: Option<Watch>,
    /// Their UIDs: a pod of the same name under another one is a successor.
    there: HashSet<String>,
}

impl<'a> Leaving<'a> {
    pub fn of(api: &'a Api, node: &str) -> Self {
        let query = on(node);
        Self { api, query, watch: None, there: HashSet::new() }
    }

    /// Whether the pod was there when `change` last returned.
    pub fn holds(&self, pod: &Json) -> bool {
        self.there.contains(&pod::uid(pod))
    }

    /// Returns when it may be that others are there than before, at first at once.
    pub async fn change(&mut self) -> Result<(), ApiError> {
        loop {
            let Some(watch) = &mut self.watch else {
                return self.look().await;
            };
            match watch.next().await {
                Some(event) if event["type"] == "DELETED" => {
                    self.there.remove(&pod::uid(&event["object"]));
                    return Ok(());
                }
                Some(event) if event["type"] != "ERROR" => {}
                // At its end, or with a version that is too old (410).
                _ => self.watch = None,
            }
        }
    }

    async fn look(&mut self) -> Result<(), ApiError> {
        let (pods, version) = self.api.list_at(PODS, &self.query).await?;
        self.there = pods.iter().map(pod::uid).collect();
        match self.api.watch(PODS, &self.query, &version).await {
            Ok(watch) => self.watch = Some(watch),
            // The list is asked for again, and is patient with a server that restarts.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        Ok(())
    }
}

/// The selector of the pods on a node.
pub fn on(node: &str) -> String {
    format!("fieldSelector={}", encode(&format!("spec.nodeName={node}")))
}
