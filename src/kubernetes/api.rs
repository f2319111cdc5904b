//! Requests to the apiserver, patient while it restarts.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value as Json;

use super::watch::Watch;

/// How long a request is repeated while the apiserver does not answer or says that it
/// cannot now: it restarts when the only control plane is upgraded.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two tries, unless the server names a time.
const PAUSE: Duration = Duration::from_secs(2);
/// A server that wants to be left alone for longer is asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a request is tried that a webhook keeps from being done, with longer and longer
/// pauses: twenty seconds for one that restarts. One that is gone does not come back by waiting.
const TRIES_OF_WEBHOOK: u32 = 5;
/// How often more what is refused is asked of an apiserver that may have just started.
const TRIES_OF_REFUSED: u32 = 5;
/// Under which name fields of objects are set.
const MANAGER: &str = "kup-play";
/// Objects in one answer to a list.
const PAGE: usize = 500;

/// The apiserver of a cluster. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Api {
    connection: Arc<Connection>,
    patience: Duration,
    /// Times more.
    tries_of_refused: u32,
}

struct Connection {
    /// With the number of its way: another one was found when it is not the same any more.
    client: RwLock<(u64, kube::Client)>,
    ways: Option<Box<dyn Ways>>,
    /// Held by the one who looks for another way; the others get what it finds.
    looking: tokio::sync::Mutex<()>,
}

/// How the same cluster is reached when the way to it is lost: tunnels end with the ssh
/// connections that carry them.
pub trait Ways: Send + Sync {
    /// A client that is answered; none if there is no other way than the one of before.
    fn another(&self) -> BoxFuture<'_, Option<kube::Client>>;
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ApiError {
    /// The server's own answer.
    #[error("{message} ({code})")]
    Status { code: u16, reason: String, message: String, retry_after: Option<Duration> },
    #[error("the Kubernetes API cannot be reached: {0}")]
    Unreachable(String),
    #[error("{0}")]
    Other(String),
}

impl ApiError {
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the same request may be answered later.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Status { code, .. } => matches!(code, 429 | 500 | 502 | 503 | 504),
            Self::Other(_) => false,
        }
    }

    /// Whether a webhook (of admission or conversion) that is asked first does not answer.
    fn is_of_webhook(&self) -> bool {
        matches!(self, Self::Status { code: 500, message, .. } if message.contains("webhook"))
    }
}

impl Api {
    pub fn new(client: kube::Client) -> Self {
        Self::over(client, None)
    }

    /// One that finds its way again.
    pub fn with_ways(client: kube::Client, ways: Box<dyn Ways>) -> Self {
        Self::over(client, Some(ways))
    }

    fn over(client: kube::Client, ways: Option<Box<dyn Ways>>) -> Self {
        let client = RwLock::new((0, client));
        let connection = Connection { client, ways, looking: tokio::sync::Mutex::default() };
        Self { connection: Arc::new(connection), patience: PATIENCE, tries_of_refused: 0 }
    }

    /// The same, but requests are repeated for no longer than this.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same, for an apiserver that may have just started: until it has read its roles it refuses
    /// everybody, so what it refuses is asked a few times more.
    pub fn may_start(self) -> Self {
        Self { tries_of_refused: TRIES_OF_REFUSED, ..self }
    }

    pub async fn get(&self, path: &str) -> Result<Json, ApiError> {
        self.patiently(Method::GET, path, None).await
    }

    /// What is no JSON: `/metrics`. Asked for once.
    pub async fn text(&self, path: &str) -> Result<String, ApiError> {
        let bytes = self.bytes(&Method::GET, path, None).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The object, or none if there is no such thing.
    pub async fn get_opt(&self, path: &str) -> Result<Option<Json>, ApiError> {
        match self.get(path).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects of a list; `query` holds selectors (`labelSelector=a%3Db`).
    pub async fn list(&self, path: &str, query: &str) -> Result<Vec<Json>, ApiError> {
        self.list_at(path, query).await.map(|(items, _)| items)
    }

    /// All objects of a list, and the state (`resourceVersion`) that it is of.
    pub async fn list_at(&self, path: &str, query: &str) -> Result<(Vec<Json>, String), ApiError> {
        let mut items = Vec::new();
        let mut next = String::new();
        let mut began_anew = false;
        loop {
            let mut address = format!("{path}?limit={PAGE}");
            if !query.is_empty() {
                address += &format!("&{query}");
            }
            if !next.is_empty() {
                address += &format!("&continue={}", encode(&next));
            }
            let mut page = match self.get(&address).await {
                // The server has forgotten the state that the pages are of: it keeps one for
                // minutes, or is another one after a restart.
                Err(error) if error.code() == Some(410) && !next.is_empty() && !began_anew => {
                    began_anew = true;
                    items.clear();
                    next.clear();
                    continue;
                }
                page => page?,
            };
            if let Some(Json::Array(found)) = page.get_mut("items").map(Json::take) {
                items.extend(found);
            }
            let metadata = |key: &str| page.pointer(&format!("/metadata/{key}"))?.as_str();
            match metadata("continue") {
                Some(more) if !more.is_empty() => next = more.to_owned(),
                _ => return Ok((items, metadata("resourceVersion").unwrap_or("0").to_owned())),
            }
        }
    }

    /// What happens to the objects of a list after a state of it. Asked for once.
    pub async fn watch(&self, path: &str, query: &str, version: &str) -> Result<Watch, ApiError> {
        let response = self.send(Watch::request(path, query, version)?).await?;
        if response.status().is_success() {
            return Ok(Watch::of(response.into_body()));
        }
        Err(refusal(response).await?)
    }

    /// Merges into an object; safe to repeat.
    pub async fn merge(&self, path: &str, patch: &Json) -> Result<Json, ApiError> {
        self.patch(path, "merge", patch, false).await
    }

    /// Changes an object by a patch of this kind: `merge`, `strategic-merge`, `json`.
    pub async fn patch(
        &self,
        path: &str,
        kind: &str,
        patch: &Json,
        dry: bool,
    ) -> Result<Json, ApiError> {
        let path = format!("{path}?fieldManager={MANAGER}{}", dry_run(dry));
        let kind = format!("application/{kind}-patch+json");
        self.patiently(Method::PATCH, &path, Some((&kind, patch))).await
    }

    /// Server-side apply; safe to repeat.
    pub async fn apply(&self, path: &str, object: &Json, dry: bool) -> Result<Json, ApiError> {
        self.apply_as(MANAGER, true, path, object, dry).await
    }

    /// The same under this name; `force` takes fields that others have set.
    pub async fn apply_as(
        &self,
        manager: &str,
        force: bool,
        path: &str,
        object: &Json,
        dry: bool,
    ) -> Result<Json, ApiError> {
        let (manager, dry) = (encode(manager), dry_run(dry));
        let path = format!("{path}?fieldManager={manager}&force={force}{dry}");
        self.patiently(Method::PATCH, &path, Some(("application/apply-patch+yaml", object))).await
    }

    /// Makes an object what is given and nothing else; its `resourceVersion` says of which
    /// state, so that it is safe to repeat.
    pub async fn put(&self, path: &str, object: &Json, dry: bool) -> Result<Json, ApiError> {
        let path = format!("{path}?fieldManager={MANAGER}{}", dry_run(dry));
        self.patiently(Method::PUT, &path, Some(("application/json", object))).await
    }

    /// Makes an object that has a name: repeated after an answer that was lost, the server
    /// says that there is one already (409).
    pub async fn create(&self, path: &str, object: &Json) -> Result<Json, ApiError> {
        self.patiently(Method::POST, path, Some(("application/json", object))).await
    }

    /// Sent once: the caller knows whether it may be repeated.
    pub async fn post(&self, path: &str, object: &Json) -> Result<Json, ApiError> {
        self.once(&Method::POST, path, Some(("application/json", object))).await
    }

    /// True if there was something to delete.
    pub async fn delete(&self, path: &str, options: &Json) -> Result<bool, ApiError> {
        match self.patiently(Method::DELETE, path, Some(("application/json", options))).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn patiently(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Json)>,
    ) -> Result<Json, ApiError> {
        let deadline = Instant::now() + self.patience;
        let mut kept_by_webhook = 0;
        let mut refusals = 0;
        loop {
            let error = match self.once(&method, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            kept_by_webhook += u32::from(error.is_of_webhook());
            let pause = match &error {
                ApiError::Status { retry_after: Some(pause), .. } => *pause,
                _ => PAUSE * kept_by_webhook.max(1),
            };
            refusals += u32::from(error.code() == Some(403));
            let is_passing = match error.code() {
                Some(403) => refusals <= self.tries_of_refused,
                _ => error.is_passing() && kept_by_webhook < TRIES_OF_WEBHOOK,
            };
            if !is_passing || Instant::now() + pause > deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<(&str, &Json)>,
    ) -> Result<Json, ApiError> {
        let bytes = self.bytes(method, path, body).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or(Json::Null))
    }

    async fn bytes(
        &self,
        method: &Method,
        path: &str,
        body: Option<(&str, &Json)>,
    ) -> Result<Vec<u8>, ApiError> {
        let mut request = Request::builder().method(method.clone()).uri(path);
        let mut bytes = Vec::new();
        if let Some((kind, object)) = body {
            request = request.header(http::header::CONTENT_TYPE, kind);
            bytes = serde_json::to_vec(object).map_err(|e| ApiError::Other(e.to_string()))?;
        }
        let request =
            request.body(Body::from(bytes)).map_err(|e| ApiError::Other(e.to_string()))?;
        let response = self.send(request).await?;
        if response.status().is_success() {
            return collected(response.into_body()).await;
        }
        Err(refusal(response).await?)
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ApiError> {
        let (way, client) = self.connection.client();
        match client.send(request).await {
            Ok(response) => Ok(response),
            Err(error) => {
                // For the next request; whether this one may be repeated is the caller's.
                self.connection.find_another(way).await;
                Err(ApiError::Unreachable(causes(&error)))
            }
        }
    }
}

impl Connection {
    fn client(&self) -> (u64, kube::Client) {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for another way than the one of this number, which is lost.
    async fn find_another(&self, lost: u64) {
        let Some(ways) = &self.ways else { return };
        let _looking = self.looking.lock().await;
        if self.client().0 == lost
            && let Some(client) = ways.another().await
        {
            *self.client.write().unwrap_or_else(PoisonError::into_inner) = (lost + 1, client);
        }
    }
}

async fn collected(body: Body) -> Result<Vec<u8>, ApiError> {
    let collected = body.collect().await;
    Ok(collected.map_err(|error| ApiError::Unreachable(error.to_string()))?.to_bytes().to_vec())
}

/// What the server says in an answer that is a refusal.
async fn refusal(response: Response<Body>) -> Result<ApiError, ApiError> {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(http::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let bytes = collected(response.into_body()).await?;
    let answer: Json = serde_json::from_slice(&bytes).unwrap_or(Json::Null);
    let text = |key: &str| answer.get(key).and_then(Json::as_str).map(str::to_owned);
    let named = answer.pointer("/details/retryAfterSeconds").and_then(Json::as_u64);
    Ok(ApiError::Status {
        code: status.as_u16(),
        reason: text("reason").unwrap_or_default(),
        message: text("message")
            .unwrap_or_else(|| format!("{status}: {}", String::from_utf8_lossy(&bytes).trim())),
        retry_after: retry_after
            .or(named.filter(|s| *s > 0))
            .map(|seconds: u64| Duration::from_secs(seconds).min(LONGEST_PAUSE)),
    })
}

/// What is added to the query of a change that is only tried.
fn dry_run(dry: bool) -> &'static str {
    if dry { "&dryRun=All" } else { "" }
}

/// An error with what caused it: "connection refused" is at the bottom.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text += &format!(": {words}");
        }
        source = cause.source();
    }
    text
}

/// Percent-encodes a value of a query.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::super::testing::{Answer, api, refusal};
    use super::*;

    /// A list of two pages whose second one is refused so many times.
    fn paged(refused: usize) -> Api {
        let left = Mutex::new(refused);
        api(move |what, _| -> Answer {
            if !what.contains("continue=") {
                let metadata = json!({"continue": "more", "resourceVersion": "7"});
                return Some((200, json!({"metadata": metadata, "items": [1]})));
            }
            let mut left = left.lock().expect("not poisoned");
            if *left > 0 {
                *left -= 1;
                return refusal(410, "The provided continue parameter is too old");
            }
            Some((200, json!({"metadata": {"resourceVersion": "7"}, "items": [2]})))
        })
    }

    #[tokio::test]
    async fn a_webhook_that_fails_is_not_waited_for_as_an_apiserver_is() {
        let tries = Arc::new(AtomicU32::new(0));
        let counted = tries.clone();
        let api = api(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            let message = "Internal error occurred: failed calling webhook \"a.b\": no endpoints";
            Some((500, json!({"message": message, "details": {"retryAfterSeconds": 1}})))
        });
        let error = api.create("/api/v1/namespaces", &json!({})).await.expect_err("refused");
        assert!(error.to_string().contains("failed calling webhook"), "{error}");
        assert_eq!(tries.load(Ordering::Relaxed), TRIES_OF_WEBHOOK);
    }

    #[tokio::test]
    async fn a_list_whose_pages_have_expired_is_begun_anew_once() {
        let (items, version) = paged(1).list_at("/api/v1/pods", "").await.expect("a list");
        assert_eq!((items, version.as_str()), (vec![json!(1), json!(2)], "7"));
        let error = paged(2).list("/api/v1/pods", "").await.expect_err("expired again");
        assert_eq!(error.code(), Some(410));
    }
}
