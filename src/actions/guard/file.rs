//! The lock's file on the first control plane, which holds while the API is away.

use serde_json::{Map, Value as Json, json};

use crate::actions::cluster::control_plane;
use crate::actions::{Context, Error, Remote, outcome};
use crate::agent::protocol::Request;
use crate::kubernetes::lease::{Holder, Taken};

/// Where the file is.
#[derive(Clone)]
pub struct LockFile {
    remote: Remote,
}

impl LockFile {
    /// None if the inventory names no control plane.
    pub fn of(context: &Context) -> Option<Self> {
        Some(Self { remote: control_plane(context).ok()? })
    }

    /// As [`crate::kubernetes::lease::take`].
    pub async fn take(
        &self,
        identity: &str,
        may_take: impl Fn(&Holder) -> bool,
    ) -> Result<Taken, Error> {
        let mut from: Option<Holder> = None;
        loop {
            let name = from.as_ref().map(|holder| holder.identity.as_str());
            let answer = self.ask("taken", identity, name).await?;
            let Some(holder) = answer.get("holder").and_then(holder) else {
                return Ok(from.map_or(Taken::Yes, Taken::From));
            };
            if !may_take(&holder) {
                return Ok(Taken::No(holder));
            }
            // Whoever was faster is looked at again.
            from = Some(holder);
        }
    }

    /// Says that the holder lives; false if another one holds the lock now.
    pub async fn renew(&self, identity: &str) -> Result<bool, Error> {
        let answer = self.ask("renewed", identity, None).await?;
        Ok(answer.get("held") == Some(&Json::Bool(true)))
    }

    pub async fn release(&self, identity: &str) -> Result<(), Error> {
        self.ask("released", identity, None).await.map(drop)
    }

    async fn ask(
        &self,
        state: &str,
        identity: &str,
        from: Option<&str>,
    ) -> Result<Map<String, Json>, Error> {
        let arguments =
            [("state", json!(state)), ("identity", json!(identity)), ("from", json!(from))];
        let arguments = arguments.map(|(name, value)| (name.to_owned(), value));
        let request = Request {
            module: "cluster_lock".to_owned(),
            arguments: Map::from_iter(arguments),
            ..Request::default()
        };
        Ok(outcome(self.remote.call(request, Vec::new()).await?)?.result)
    }
}

fn holder(value: &Json) -> Option<Holder> {
    let text = |key: &str| value.get(key).and_then(Json::as_str).map(str::to_owned);
    Some(Holder {
        identity: text("identity")?,
        since: text("since")?,
        alive: value.get("alive") == Some(&Json::Bool(true)),
    })
}
