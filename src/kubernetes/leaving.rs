//! Which of the pods that are to leave a node are still there.

use std::collections::HashMap;
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
    /// By their UIDs: a pod of the same name under another one is a successor.
    there: HashMap<String, Json>,
}

impl<'a> Leaving<'a> {
    pub fn of(api: &'a Api, node: &str) -> Self {
        let query = on(node);
        Self { api, query, watch: None, there: HashMap::new() }
    }

    /// Whether the pod was there when `change` last returned.
    pub fn holds(&self, pod: &Json) -> bool {
        self.now(pod).is_some()
    }

    /// The pod as it is by now, if it is there.
    pub fn now(&self, pod: &Json) -> Option<&Json> {
        self.there.get(&pod::uid(pod))
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
                Some(mut event) if event["type"] != "ERROR" => {
                    let pod = event["object"].take();
                    self.there.insert(pod::uid(&pod), pod);
                }
                // At its end, or with a version that is too old (410).
                _ => self.watch = None,
            }
        }
    }

    async fn look(&mut self) -> Result<(), ApiError> {
        let (pods, version) = self.api.list_at(PODS, &self.query).await?;
        self.there = pods.into_iter().map(|pod| (pod::uid(&pod), pod)).collect();
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
