//! Whether the apiserver of before can read what the present one has stored.
//!
//! An apiserver says of each kind, as a hash, in which version it stores it. That is read
//! by another apiserver if it knows the version, whichever one it stores itself. Kubernetes
//! keeps to that from one minor to the next for its own kinds; custom ones may not. A kind
//! that is in two groups (Events, Ingresses) may be stored in a version of the other one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::kubernetes::discovery::Served;

/// Kinds that are stored in a version which was not served before, each as
/// `PLURAL.GROUP`. Kinds that were not there at all are no matter: nobody asks for them.
pub fn unreadable(before: &[Served], now: &[Served]) -> Vec<String> {
    let mut found = Vec::new();
    for kind in now {
        let Some(stored) = &kind.storage else { continue };
        let was_there =
            before.iter().any(|old| (&old.group, &old.kind) == (&kind.group, &kind.kind));
        let mut of_kind = before.iter().filter(|old| old.kind == kind.kind);
        if !was_there || of_kind.any(|old| hash(old) == *stored) {
            continue;
        }
        let group = if kind.group.is_empty() { "" } else { "." };
        let name = format!("{}{group}{}", kind.plural, kind.group);
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// The apiserver's own: the beginning of a SHA-256 over group, version and kind.
fn hash(kind: &Served) -> String {
    let sum = Sha256::digest(format!("{}/{}/{}", kind.group, kind.version, kind.kind));
    STANDARD.encode(sum.get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(group: &str, version: &str, kind: &str, storage: Option<&str>) -> Served {
        Served {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: kind.to_lowercase() + "s",
            storage: storage.map(str::to_owned),
        }
    }

    #[test]
    fn hashes_are_the_apiservers_own() {
        // As apiservers of 1.20 and 1.21 give them.
        assert_eq!(hash(&served("", "v1", "Pod", None)), "xPOwRZ+Yhw8=");
        assert_eq!(hash(&served("apps", "v1", "Deployment", None)), "8aSe+NMegvE=");
    }

    #[test]
    fn a_kind_of_two_groups_is_stored_in_one_of_them() {
        let before =
            [served("", "v1", "Event", None), served("events.k8s.io", "v1", "Event", None)];
        let stored = hash(&before[0]);
        assert!(
            unreadable(&before, &[served("events.k8s.io", "v1", "Event", Some(&stored))])
                .is_empty()
        );
    }

    #[test]
    fn a_version_that_was_served_can_be_read() {
        let stored = hash(&served("batch", "v1", "CronJob", None));
        let now = [served("batch", "v1", "CronJob", Some(&stored))];
        let both =
            [served("batch", "v1beta1", "CronJob", None), served("batch", "v1", "CronJob", None)];
        assert!(unreadable(&both, &now).is_empty());
        assert_eq!(unreadable(&both[..1], &now), ["cronjobs.batch"]);
        assert!(unreadable(&[], &now).is_empty(), "nobody asks for a kind that was not there");
    }
}
