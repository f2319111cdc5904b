//! The lock of a cluster: a Lease that the run which changes the cluster holds and renews.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Api, ApiError};

const FOLDER: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const NAME: &str = "kup-play";
/// A holder that has not renewed it for so long is taken for dead.
const DURATION: Duration = Duration::from_secs(30);

/// Who holds the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// `user@machine RUN`
    pub identity: String,
    pub since: String,
    /// It has renewed the lock of late.
    pub alive: bool,
}

/// What came of an attempt to take the lock.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Yes,
    /// Taken from this one, which is gone.
    From(Holder),
    /// This one has it.
    No(Holder),
}

/// What came of a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    Yes,
    /// There is no lock, or somebody else has it.
    Lost,
}

fn path() -> String {
    format!("{FOLDER}/{NAME}")
}

fn micro_time() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Takes the lock if nobody has it, if the holder is `identity` itself, or if `may_take`
/// says so of the one who has it.
pub async fn take(
    api: &Api,
    identity: &str,
    may_take: impl Fn(&Holder) -> bool,
) -> Result<Taken, ApiError> {
    // Whoever is faster wins; the other one looks again.
    loop {
        let Some(lease) = api.get_opt(&path()).await? else {
            match api.create(FOLDER, &object(identity, None)).await {
                Ok(_) => return Ok(Taken::Yes),
                Err(error) if error.code() == Some(409) => continue,
                Err(error) => return Err(error),
            }
        };
        let holder = holder(&lease).filter(|holder| holder.identity != identity);
        if let Some(holder) = holder.clone().filter(|holder| !may_take(holder)) {
            return Ok(Taken::No(holder));
        }
        let version = lease.pointer("/metadata/resourceVersion").cloned();
        // The version makes it a conflict if somebody else has been faster.
        match api.merge(&path(), &object(identity, version)).await {
            Ok(_) => return Ok(holder.map_or(Taken::Yes, Taken::From)),
            Err(error) if error.code() == Some(409) => continue,
            Err(error) => return Err(error),
        }
    }
}

fn object(identity: &str, version: Option<Json>) -> Json {
    let now = micro_time();
    let mut metadata = json!({"name": NAME, "namespace": "kube-system"});
    if let Some(version) = version {
        metadata["resourceVersion"] = version;
    }
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": identity,
            "leaseDurationSeconds": DURATION.as_secs(),
            "acquireTime": now,
            "renewTime": now,
        },
    })
}

fn holder(lease: &Json) -> Option<Holder> {
    let text = |key: &str| lease.pointer(&format!("/spec/{key}")).and_then(Json::as_str);
    let identity = text("holderIdentity").filter(|identity| !identity.is_empty())?;
    let renewed = text("renewTime").and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let alive = renewed.is_some_and(|renewed| {
        let age = jiff::Timestamp::now().duration_since(renewed);
        // Clocks of controllers differ; one that is ahead is alive.
        age < jiff::SignedDuration::try_from(DURATION).unwrap_or(jiff::SignedDuration::ZERO)
    });
    Some(Holder {
        identity: identity.to_owned(),
        since: text("acquireTime").unwrap_or_default().to_owned(),
        alive,
    })
}

/// Says that the holder lives.
pub async fn renew(api: &Api, identity: &str) -> Result<Renewed, ApiError> {
    let Some(lease) = api.get_opt(&path()).await? else {
        return Ok(Renewed::Lost);
    };
    if holder(&lease).is_none_or(|holder| holder.identity != identity) {
        return Ok(Renewed::Lost);
    }
    let version = lease.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    let renewed = json!({
        "metadata": {"resourceVersion": version},
        "spec": {"renewTime": micro_time()},
    });
    api.merge(&path(), &renewed).await.map(|_| Renewed::Yes)
}

/// Gives the lock up, if `identity` has it.
pub async fn release(api: &Api, identity: &str) -> Result<(), ApiError> {
    loop {
        let Some(lease) = api.get_opt(&path()).await? else {
            return Ok(());
        };
        if holder(&lease).is_none_or(|holder| holder.identity != identity) {
            return Ok(());
        }
        let version = lease.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        let is_it = json!({"preconditions": {"resourceVersion": version}});
        match api.delete(&path(), &is_it).await {
            // The last sign of life was under way still.
            Err(error) if error.code() == Some(409) => {}
            done => return done.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_alive_while_it_renews() {
        let mut lease = object("me@here 1", None);
        assert!(holder(&lease).is_some_and(|holder| holder.alive));
        lease["spec"]["renewTime"] = json!("2020-01-01T00:00:00.000000Z");
        assert!(holder(&lease).is_some_and(|holder| !holder.alive));
        lease["spec"]["holderIdentity"] = json!("");
        assert_eq!(holder(&lease), None);
    }
}
