//! Revisions put up by writing, after a restore by a tool that cannot put them up itself.
//!
//! Whoever watched the API before the restore (kubelets, kube-proxy, operators) asks for
//! what came after a revision that the restored store has not reached yet, and would be
//! told nothing of what it writes until then. Past that revision, and with all before it
//! compacted, they are told to read everything anew.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::member::Member;
use crate::modules::process::stop_requested;
use crate::modules::{Context, Failure, Outcome};

/// The apiserver's keys are below /registry.
const KEY: &str = "/kup-play/revision";
/// Writes that are under way at the same time: etcd puts them on disk together.
const AT_ONCE: usize = 16;
/// More would take too long; watchers have to be started anew then.
const MOST: i64 = 1_000_000;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Writes until the store is past `revision`.
pub fn advance(member: &Member, revision: i64, context: &Context) -> Result<Outcome, Failure> {
    let etcd = Etcd::of(member)?;
    let before = etcd.ask("range", &json!({"key": STANDARD.encode(KEY)}))?;
    let missing = revision.saturating_add(1).saturating_sub(before);
    if missing <= 0 {
        return Ok(Outcome::default().with("revision", before));
    }
    if missing > MOST {
        // The restore is done, and the control plane is down until somebody starts it.
        let told = format!(
            "the store is at revision {before} and was at {revision}: that is too far to write; \
             restart everything that watches the API, on all nodes, when the API is back"
        );
        return Ok(Outcome::default().with("revision", before).with("warnings", vec![told]));
    }
    if context.check {
        return Ok(Outcome::changed(true).with("revision", before).with("writes", missing));
    }
    etcd.write(missing)?;
    let after = etcd.ask("deleterange", &json!({"key": STANDARD.encode(KEY)}))?;
    etcd.ask("compaction", &json!({"revision": after.to_string()}))?;
    Ok(Outcome::changed(true).with("revision", after).with("writes", missing))
}

/// A member, through the JSON that it offers beside gRPC.
struct Etcd {
    agent: Agent,
    endpoint: String,
}

impl Etcd {
    fn of(member: &Member) -> Result<Self, Failure> {
        let (ca, certificate, key) = member.credentials()?;
        let key = read(&key)?;
        let key = PrivateKey::from_pem(&key).map_err(|error| Failure::new(error.to_string()))?;
        let client = ClientCert::new_with_certs(&certificates(&certificate)?, key);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::new_with_certs(&certificates(&ca)?))
            .client_cert(Some(client))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .max_idle_connections(AT_ONCE)
            .max_idle_connections_per_host(AT_ONCE)
            .http_status_as_error(false)
            .build();
        Ok(Self { agent: config.into(), endpoint: member.endpoint.clone() })
    }

    /// The revision after a request.
    fn ask(&self, what: &str, body: &Json) -> Result<i64, Failure> {
        let url = format!("{}/v3/kv/{what}", self.endpoint);
        let failed = |error: ureq::Error| Failure::new(format!("{url}: {error}"));
        let answer = self.agent.post(&url).send(body.to_string());
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        revision_of(&text.map_err(failed)?).map_err(|why| Failure::new(format!("{url}: {why}")))
    }

    fn write(&self, writes: i64) -> Result<(), Failure> {
        let left = AtomicI64::new(writes);
        let put = json!({"key": STANDARD.encode(KEY), "value": STANDARD.encode("x")});
        let work = || {
            while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                if stop_requested() {
                    return Err(Failure::new("the task was stopped"));
                }
                self.ask("put", &put)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            let mut ended = threads.into_iter().map(|thread| thread.join());
            let stuck = |_| Failure::new("a writer ended badly");
            ended.try_for_each(|end| end.map_err(stuck).and_then(|done| done))
        })
    }
}

/// Numbers of 64 bits are texts in etcd's JSON.
fn revision_of(answer: &str) -> Result<i64, String> {
    let json: Json = serde_json::from_str(answer).map_err(|error| error.to_string())?;
    let revision = json.pointer("/header/revision").and_then(Json::as_str);
    revision.and_then(|text| text.parse().ok()).ok_or_else(|| answer.trim().to_owned())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let pem = read(path)?;
    let items = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(items.collect())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| crate::modules::files::failed("cannot be read", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_in_the_header_of_every_answer() {
        let answer =
            r#"{"header":{"cluster_id":"1","member_id":"2","revision":"4711","raft_term":"3"}}"#;
        assert_eq!(revision_of(answer), Ok(4711));
        let refused = r#"{"error":"etcdserver: permission denied","code":7}"#;
        assert!(revision_of(refused).is_err_and(|why| why.contains("permission denied")));
    }
}
