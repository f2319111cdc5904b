//! What would stop an upgrade, found before anything is changed: each check is a function
//! of what is known of the cluster and its hosts.

mod balancer;
mod budgets;
mod certificates;
mod collect;
mod disk;
mod etcd;
mod finding;
mod images;
mod nodes;
mod owner;
mod packages;
mod place;
mod pods;
mod removed;
mod report;
mod system;
#[cfg(test)]
mod testing;
mod versions;
mod world;

pub use collect::collect;
pub use finding::{Finding, Id, Severity};
pub use images::missing as missing_images;
pub use report::Report;
pub use world::{Cluster, Host, Plan, World};

/// All findings.
pub fn check(world: &World) -> Vec<Finding> {
    let mut found = match &world.cluster {
        Ok(cluster) => {
            let checks =
                [versions::check, nodes::check, budgets::check, pods::check, removed::check];
            let found = checks.into_iter().flat_map(|check| check(world, cluster));
            found.chain(balancer::check(world, cluster)).collect()
        }
        Err(why) => vec![
            Finding::error(Id::ClusterUnreachable, "cluster", why)
                .fix("the cluster has to be healthy before it is upgraded: mend its API first"),
        ],
    };
    let checks = [
        etcd::check,
        system::check,
        certificates::check,
        disk::check,
        packages::check,
        images::check,
    ];
    found.extend(checks.into_iter().flat_map(|check| check(world)));
    found
}
