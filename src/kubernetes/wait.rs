//! Waits for objects, told by the apiserver what happens to them.

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tokio::time::{sleep, timeout_at};

use super::{Api, ApiError, Resource, encode};
use crate::deadline;

/// Changes come in groups: after the first of one it is worth to wait so long for the others.
const SETTLED: Duration = Duration::from_millis(100);

/// Objects of one kind.
#[derive(Clone, Debug)]
pub struct Selection {
    resource: Resource,
    path: String,
    query: String,
}

/// For how long objects are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub time: Duration,
    /// Between two looks while the apiserver does not tell what changes.
    pub pause: Duration,
}

/// Why a wait did not come to its end.
#[derive(Debug)]
pub enum Unmet {
    /// They could not be read in the first place.
    Unread(ApiError),
    /// The time was over: the objects as they were last, and why they could not be read then.
    Late { objects: Vec<Json>, error: Option<ApiError> },
}

impl Selection {
    /// Those of a namespace, or all, that have these labels and fields.
    pub fn new(
        resource: Resource,
        namespace: Option<&str>,
        labels: &[String],
        fields: &[String],
    ) -> Self {
        let query: Vec<_> = [("labelSelector", labels), ("fieldSelector", fields)]
            .into_iter()
            .filter(|(_, selectors)| !selectors.is_empty())
            .map(|(name, selectors)| format!("{name}={}", encode(&selectors.join(","))))
            .collect();
        let path = resource.path(namespace, None);
        Self { resource, path, query: query.join("&") }
    }

    /// The one of this name, if there is one.
    pub fn named(resource: Resource, namespace: Option<&str>, name: &str) -> Self {
        Self::new(resource, namespace, &[], &[format!("metadata.name={name}")])
    }

    /// The objects, and the state (`resourceVersion`) that they are of.
    pub async fn read(&self, api: &Api) -> Result<(Vec<Json>, String), ApiError> {
        let (mut objects, version) = api.list_at(&self.path, &self.query).await?;
        // Those of a list do not say what they are.
        for object in objects.iter_mut().filter_map(Json::as_object_mut) {
            object.insert("apiVersion".to_owned(), self.resource.api_version.clone().into());
            object.insert("kind".to_owned(), self.resource.kind.clone().into());
        }
        Ok((objects, version))
    }
}

/// The objects, once they are what `done` asks for.
pub async fn until(
    api: &Api,
    selection: &Selection,
    limit: Limit,
    done: impl Fn(&[Json]) -> bool,
) -> Result<Vec<Json>, Unmet> {
    let end = deadline::after(limit.time);
    let (mut objects, mut version) = selection.read(api).await.map_err(Unmet::Unread)?;
    let mut error = None;
    // What was read once is read again until the time is over, whatever the answer: an
    // apiserver restarts while its node is upgraded, and refuses before it is whole again.
    let again = api.clone().with_patience(Duration::ZERO);
    loop {
        if error.is_none() && done(&objects) {
            return Ok(objects);
        }
        if Instant::now() >= end {
            return Err(Unmet::Late { objects, error });
        }
        change(&again, selection, &version, limit.pause, end).await;
        match selection.read(&again).await {
            Ok(read) => {
                (objects, version) = read;
                error = None;
            }
            Err(why) => error = Some(why),
        }
    }
}

/// Returns when the objects are worth another look: something has happened to them since
/// `version`, or the server does not tell.
async fn change(api: &Api, selection: &Selection, version: &str, pause: Duration, end: Instant) {
    let Selection { path, query, .. } = selection;
    let pause = match api.watch(path, query, version).await {
        Ok(mut watch) => match timeout_at(end.into(), watch.next()).await {
            // An error is the end of the watch, as when the version is not known any more.
            Ok(Some(event)) if event.get("type").and_then(Json::as_str) != Some("ERROR") => SETTLED,
            _ => pause,
        },
        Err(_) => pause,
    };
    sleep(pause).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::super::testing::{Answer, api, list, refusal};
    use super::*;

    const LIMIT: Limit = Limit { time: Duration::from_secs(30), pause: Duration::from_millis(1) };

    /// An apiserver whose list is answered in turn with these; watches are refused.
    fn answers(each: Vec<fn() -> Answer>) -> Api {
        let next = AtomicUsize::new(0);
        api(move |what, _| {
            if what.contains("watch=1") {
                return refusal(403, "cannot watch");
            }
            each[next.fetch_add(1, Ordering::Relaxed).min(each.len() - 1)]()
        })
    }

    fn pods() -> Selection {
        Selection::new(Resource::pods(), Some("a"), &["app=a".to_owned()], &[])
    }

    #[tokio::test]
    async fn an_api_that_goes_away_in_the_middle_is_waited_for() {
        let api = answers(vec![|| list(&[]), || None, || refusal(403, "not yet"), || {
            list(&[json!({"metadata": {}})])
        }]);
        let objects = until(&api, &pods(), LIMIT, |found| !found.is_empty()).await;
        assert_eq!(objects.expect("found")[0]["kind"], "Pod");
    }

    #[tokio::test]
    async fn who_may_not_read_at_all_is_told_at_once() {
        let api = answers(vec![|| refusal(403, "pods is forbidden")]);
        let unmet = until(&api, &pods(), LIMIT, |_| true).await.expect_err("refused");
        assert!(matches!(unmet, Unmet::Unread(error) if error.code() == Some(403)));
    }

    #[tokio::test]
    async fn an_apiserver_that_has_just_started_may_refuse_before_it_has_its_roles() {
        let starting = || answers(vec![|| refusal(403, "not yet"), || list(&[json!({})])]);
        let objects = until(&starting().may_start(), &pods(), LIMIT, |_| true).await;
        assert_eq!(objects.expect("found").len(), 1);
        assert!(until(&starting(), &pods(), LIMIT, |_| true).await.is_err());
    }

    #[tokio::test]
    async fn when_the_time_is_over_the_last_state_is_told() {
        let limit = Limit { time: Duration::ZERO, ..LIMIT };
        let api = answers(vec![|| list(&[json!({"metadata": {}})])]);
        let unmet = until(&api, &pods(), limit, |_| false).await.expect_err("late");
        assert!(matches!(unmet, Unmet::Late { objects, error: None } if objects.len() == 1));
    }
}
