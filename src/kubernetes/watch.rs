//! Watches: what happens to the objects of a list, told by the apiserver.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value as Json;
use tokio::time::{Instant, timeout_at};

use super::ApiError;

/// How long the server keeps a watch open. A connection that is cut off says nothing, so a watch
/// is not listened to for much longer.
const OPEN: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(5);

/// The events after one state of a list.
pub struct Watch {
    body: Body,
    /// What has come of a line that is not complete.
    begun: Vec<u8>,
    until: Instant,
}

impl Watch {
    /// The request for the events after the state `version` of a list.
    pub(super) fn request(
        path: &str,
        query: &str,
        version: &str,
    ) -> Result<Request<Body>, ApiError> {
        let seconds = OPEN.as_secs();
        let and = if query.is_empty() { "" } else { "&" };
        let uri = format!(
            "{path}?{query}{and}watch=1&resourceVersion={version}&timeoutSeconds={seconds}"
        );
        let request = Request::builder().method(Method::GET).uri(uri).body(Body::empty());
        request.map_err(|error| ApiError::Other(error.to_string()))
    }

    pub(super) fn of(body: Body) -> Self {
        Self { body, begun: Vec::new(), until: Instant::now() + OPEN + GRACE }
    }

    /// The next event (`type`, `object`); none when there will be no more: the list has to be
    /// asked for again. Nothing is lost when the wait for it is given up.
    pub async fn next(&mut self) -> Option<Json> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.begun.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            let frame = timeout_at(self.until, self.body.frame()).await.ok()??;
            if let Ok(part) = frame.ok()?.into_data() {
                self.begun.extend_from_slice(&part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_are_lines_and_an_end_in_the_middle_of_one_is_the_end() {
        let text = "{\"type\":\"DELETED\"}\n{\"type\":\"ADDED\"}\n{\"ty";
        let mut watch = Watch::of(Body::from(text.as_bytes().to_vec()));
        assert_eq!(watch.next().await.expect("an event")["type"], "DELETED");
        assert_eq!(watch.next().await.expect("an event")["type"], "ADDED");
        assert_eq!(watch.next().await, None);
    }
}
