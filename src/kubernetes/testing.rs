//! An apiserver for unit tests: a function.

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value as Json, json};

use super::Api;

/// A status and what is answered with it; none: the connection is lost.
pub type Answer = Option<(u16, Json)>;

/// The API whose answers the function gives to `METHOD PATH?QUERY` and what is sent.
pub fn api(answer: impl Fn(&str, Json) -> Answer + Send + Sync + 'static) -> Api {
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            let what = format!("{} {}", request.method(), request.uri());
            let sent = request.into_body().collect().await?.to_bytes();
            let sent = serde_json::from_slice(&sent).unwrap_or_default();
            let Some((code, object)) = answer(&what, sent) else {
                return Err(tower::BoxError::from("connection refused"));
            };
            Ok(Response::builder()
                .status(code)
                .body(Body::from(object.to_string().into_bytes()))?)
        }
    });
    Api::new(kube::Client::new(service, "default"))
}

/// A refusal as the apiserver words it.
pub fn refusal(code: u16, message: &str) -> Answer {
    Some((code, json!({"kind": "Status", "code": code, "message": message})))
}

/// Objects as a list of them.
pub fn list(items: &[Json]) -> Answer {
    Some((200, json!({"metadata": {"resourceVersion": "1"}, "items": items})))
}
