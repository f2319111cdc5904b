//! Images of the target: on the hosts already, or to be pulled.

use super::finding::{Finding, Id, Severity, few};
use super::world::World;

const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const EVERYWHERE: &str = "kube-proxy";

pub fn check(world: &World) -> Vec<Finding> {
    let repository = match &world.cluster {
        Ok(cluster) if !cluster.image_repository.is_empty() => cluster.image_repository.as_str(),
        _ => return Vec::new(),
    };
    let mut found = Vec::new();
    for (host, facts) in world.facts() {
        let Some(images) = &facts.images else { continue };
        let own = if world.plan.is_control_plane(host) { CONTROL_PLANE.as_slice() } else { &[] };
        let missing: Vec<_> = own
            .iter()
            .chain([&EVERYWHERE])
            .map(|name| format!("{repository}/{name}:v{}", world.target))
            .filter(|image| !images.contains(image))
            .collect();
        if missing.is_empty() {
            continue;
        }
        let evidence = format!("not on the host yet: {}", few(&missing));
        let finding = Finding::info(Id::ImageMissing, host, evidence).fix(format!(
            "they are pulled during the upgrade; to know before that the registry answers: kubeadm \
             config images pull --kubernetes-version v{} there",
            world.target
        ));
        found.push(match world.plan.require_images {
            true => Finding { severity: Severity::Error, ..finding },
            false => finding,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::precheck_host::Facts;
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
}
