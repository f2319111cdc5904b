//! API versions that the target has no more, and who still uses them.

mod helm;
mod live;
mod metric;
pub mod table;

use super::finding::{Finding, Id, few};
use super::world::{Cluster, World};
use crate::modules::Version;

pub use helm::{Release, SELECTOR as HELM_SELECTOR, release};
pub use live::{Written, used_versions};
pub use metric::{Requested, requested};

pub fn check(world: &World, cluster: &Cluster) -> Vec<Finding> {
    let minor = world.target.minor;
    let mut found = live::check(minor, &cluster.written);
    found.extend(metric::check(minor, &cluster.requested));
    let now = Version::parse(&cluster.version).map_or(0, |version| version.minor);
    found.extend(helm::check(now, minor, &cluster.releases));
    if !cluster.unread.is_empty() {
        let evidence =
            format!("not all that should be looked at could be read: {}", few(&cluster.unread));
        found.push(
            Finding::warning(Id::ApiNotRead, "cluster", evidence)
                .fix("run the precheck with a kubeconfig of cluster-admin's"),
        );
    }
    found
}
