//! The arguments by which kubernetes.core's modules wait for objects.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Error, Failure};
use crate::kubernetes::Api;
use crate::kubernetes::ready::{Condition, Wanted};
use crate::kubernetes::wait::{Limit, Selection, Unmet, until};
use crate::modules::args::{Number, Text};

/// One of `status.conditions`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitCondition {
    #[serde(rename = "type")]
    kind: String,
    /// True, False or Unknown.
    #[serde(default = "yes")]
    status: Text,
    reason: Option<String>,
}

fn yes() -> Text {
    Text("True".to_owned())
}

/// What `wait_timeout` and `wait_sleep` are when they are not given, in seconds.
pub fn timeout() -> Number {
    Number(120)
}

pub fn sleep() -> Number {
    Number(1)
}

/// What is waited for, and for how long.
pub struct Waiting {
    wanted: Wanted,
    limit: Limit,
}

impl Waiting {
    /// For what objects are when all is well.
    pub fn new(timeout: Number, sleep: Number) -> Self {
        let seconds = |number: Number| Duration::from_secs(u64::try_from(number.0).unwrap_or(0));
        let limit =
            Limit { time: seconds(timeout), pause: seconds(sleep).max(Duration::from_secs(1)) };
        Self { wanted: Wanted::default(), limit }
    }

    /// For this condition instead.
    pub fn condition(mut self, condition: Option<&WaitCondition>) -> Self {
        self.wanted.condition = condition.map(|condition| Condition {
            kind: condition.kind.clone(),
            status: status(&condition.status.0),
            reason: condition.reason.clone(),
        });
        self
    }

    /// And for these values in them.
    pub fn definition(mut self, definition: Option<&Json>) -> Self {
        self.wanted.definition = definition.cloned();
        self
    }

    /// And until they are not any more what they were.
    pub fn changed_since(mut self, before: &[Json]) -> Self {
        self.wanted.before = before.to_vec();
        self
    }

    /// The objects, once there is at least one and all are what they are to be. `what` names them
    /// in the error.
    pub async fn present(
        &self,
        api: &Api,
        selection: &Selection,
        what: &str,
    ) -> Result<Vec<Json>, Error> {
        let done = |objects: &[Json]| {
            !objects.is_empty() && objects.iter().all(|object| self.wanted.is_met(object))
        };
        let found = until(api, selection, self.limit, done).await;
        found
            .map_err(|unmet| self.failure(unmet, &format!("{what} did not become {}", self.goal())))
    }

    /// Returns when there are none any more.
    pub async fn absent(&self, api: &Api, selection: &Selection, what: &str) -> Result<(), Error> {
        let gone = until(api, selection, self.limit, <[Json]>::is_empty).await;
        gone.map(drop).map_err(|unmet| self.failure(unmet, &format!("{what} did not go")))
    }

    fn goal(&self) -> String {
        let condition = match &self.wanted.condition {
            None => "Ready".to_owned(),
            Some(condition) if condition.status == "True" => condition.kind.clone(),
            Some(condition) => format!("{} {}", condition.kind, condition.status),
        };
        let goal = match &self.wanted.definition {
            None => condition,
            Some(definition) => format!("{condition} with {definition}"),
        };
        match self.wanted.before.is_empty() {
            true => goal,
            false => format!("{goal}, and other than before,"),
        }
    }

    fn failure(&self, unmet: Unmet, what: &str) -> Error {
        match unmet {
            Unmet::Unread(error) => error.into(),
            Unmet::Late { objects, error } => {
                let seconds = self.limit.time.as_secs();
                let why = error.map(|error| format!("; at last {error}")).unwrap_or_default();
                let msg = format!("{what} in {seconds} seconds{why}");
                Failure::new(msg).with("resources", json!(objects)).into()
            }
        }
    }
}

/// As the apiserver writes it.
fn status(text: &str) -> String {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => "True".to_owned(),
        "false" | "no" | "off" | "0" => "False".to_owned(),
        _ => text.to_owned(),
    }
}
