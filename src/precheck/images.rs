//! Images of the target: on the hosts already, or to be pulled.

use super::finding::{Finding, Id, Severity, few};
use super::world::World;
use crate::modules::precheck_host::Facts;

const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const EVERYWHERE: &str = "kube-proxy";

pub fn check(world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    for (host, facts) in world.facts() {
        let refused = &facts.refused_images;
        found.extend(refused.iter().map(|(image, why)| not_pullable(host, image, why)));
        let mut missing = missing(world, host, facts);
        missing.retain(|image| !refused.contains_key(image));
        if missing.is_empty() {
            continue;
        }
        let evidence = format!("not on the host yet: {}", few(&missing));
        let finding = Finding::info(Id::ImageMissing, host, evidence).fix(format!(
            "they are pulled during the upgrade; --pull (precheck_pull_images) does it before, or \
             kubeadm config images pull --kubernetes-version v{} there",
            world.target
        ));
        found.push(match world.plan.require_images {
            true => Finding { severity: Severity::Error, ..finding },
            false => finding,
        });
    }
    found
}

/// The target's images that a host will need and does not have; those of Kubernetes itself,
/// for what goes with them (etcd, CoreDNS, pause) only the target's kubeadm knows.
pub fn missing(world: &World, host: &str, facts: &Facts) -> Vec<String> {
    let repository = match &world.cluster {
        Ok(cluster) if !cluster.image_repository.is_empty() => cluster.image_repository.as_str(),
        _ => return Vec::new(),
    };
    let Some(images) = &facts.images else { return Vec::new() };
    // kubeadm takes the new name for the old one.
    let moved = repository == "k8s.gcr.io" && world.target.minor >= 25;
    let repository = if moved { "registry.k8s.io" } else { repository };
    let own = if world.plan.is_control_plane(host) { CONTROL_PLANE.as_slice() } else { &[] };
    let wanted = own.iter().chain([&EVERYWHERE]);
    let wanted = wanted.map(|name| format!("{repository}/{name}:v{}", world.target));
    wanted.filter(|image| !images.contains(image)).collect()
}

fn not_pullable(host: &str, image: &str, why: &str) -> Finding {
    Finding::error(Id::ImageNotPullable, host, format!("{image} cannot be pulled: {why}")).fix(
        format!(
            "until `crictl pull {image}` succeeds there: the way to the registry, its mirror or \
             its credentials in the container runtime; or load the image by hand"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::precheck::testing::{asked, ids};

    fn found(images: Option<&[&str]>, require: bool) -> Vec<Finding> {
        let images = images.map(|all| all.iter().map(|image| (*image).to_owned()).collect());
        let mut world = asked("1.21.2", vec![("cp1", Facts { images, ..Facts::default() })]);
        if let Ok(cluster) = &mut world.cluster {
            cluster.image_repository = "k8s.gcr.io".to_owned();
        }
        world.plan.require_images = require;
        check(&world)
    }

    #[test]
    fn images_that_have_to_be_pulled_are_named() {
        let found_ = found(Some(&["k8s.gcr.io/kube-proxy:v1.21.2"]), false);
        assert!(ids(&found_) == [Id::ImageMissing] && !found_[0].stops());
        assert!(!found_[0].evidence.contains("kube-proxy"));
        assert!(found(Some(&[]), true)[0].stops());
        assert_eq!(found(None, true), [], "nobody could be asked");
    }

    #[test]
    fn images_that_were_tried_and_did_not_come_stop_the_upgrade() {
        let proxy = "k8s.gcr.io/kube-proxy:v1.21.2".to_owned();
        let why = "failed to resolve reference: 403 Forbidden".to_owned();
        let refused_images = BTreeMap::from([(proxy, why)]);
        let facts = Facts { images: Some(Vec::new()), refused_images, ..Facts::default() };
        let mut world = asked("1.21.2", vec![("cp1", facts)]);
        if let Ok(cluster) = &mut world.cluster {
            cluster.image_repository = "k8s.gcr.io".to_owned();
        }
        let found = check(&world);
        assert_eq!(ids(&found), [Id::ImageNotPullable, Id::ImageMissing]);
        assert!(found[0].stops() && found[0].evidence.ends_with("403 Forbidden"));
        assert!(found[0].fix.contains("crictl pull k8s.gcr.io/kube-proxy:v1.21.2"));
        assert!(!found[1].evidence.contains("kube-proxy"), "once is enough");
    }
}
