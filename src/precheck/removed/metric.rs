//! What the apiserver itself has counted: `apiserver_requested_deprecated_apis`.

use super::table::{self, Removal};
use crate::precheck::finding::{Finding, Id};

const METRIC: &str = "apiserver_requested_deprecated_apis{";

/// A removed resource that some client has asked for since the apiserver started.
#[derive(Clone, Debug, PartialEq)]
pub struct Requested {
    pub removal: Removal,
}

/// The metric's samples in a page of metrics, of those that are in the table.
pub fn requested(metrics: &str) -> Vec<Requested> {
    metrics
        .lines()
        .filter_map(|line| {
            let (labels, value) = line.strip_prefix(METRIC)?.split_once('}')?;
            if value.trim().parse::<f64>().ok()? <= 0.0 {
                return None;
            }
            let label = |name: &str| {
                labels.split(',').find_map(|pair| {
                    let (key, value) = pair.split_once('=')?;
                    (key.trim() == name).then(|| value.trim_matches('"'))
                })
            };
            let (group, version, resource) =
                (label("group")?, label("version")?, label("resource")?);
            let removal = table::until(u32::MAX).find(|removal| {
                removal.group() == group
                    && removal.version() == version
                    && removal.plural == resource
            })?;
            Some(Requested { removal: *removal })
        })
        .collect()
}

pub fn check(minor: u32, requested: &[Requested]) -> Vec<Finding> {
    let gone = requested.iter().filter(|one| one.removal.minor <= minor);
    gone.map(|Requested { removal }| {
        let object = format!("{} in {}", removal.plural, removal.api_version);
        let evidence = format!(
            "gone from 1.{}, and some client has asked the apiserver for it since that started",
            removal.minor
        );
        Finding::warning(Id::RemovedApiRequested, object, evidence).fix(format!(
            "find the client: the audit log has k8s.io/deprecated=true on its requests; let it use \
             {}",
            removal.instead.unwrap_or("something else")
        ))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::testing::ids;

    /// As 1.20 prints them.
    const METRICS: &str = r#"# HELP apiserver_requested_deprecated_apis [ALPHA] Gauge of deprecated APIs
# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="networking.k8s.io",removed_release="1.22",resource="ingresses",subresource="",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="policy",removed_release="1.25",resource="poddisruptionbudgets",subresource="",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="batch",removed_release="1.25",resource="cronjobs",subresource="",version="v1beta1"} 0
apiserver_request_total{code="200"} 7
"#;

    #[test]
    fn what_was_asked_for_and_goes_is_told() {
        let requested = requested(METRICS);
        assert_eq!(requested.len(), 2, "a sample of 0 does not count");
        assert_eq!(check(21, &requested), []);
        assert_eq!(ids(&check(22, &requested)), [Id::RemovedApiRequested]);
        assert_eq!(check(25, &requested).len(), 2);
    }
}
