//! Which connections were used last, so that those that nobody needs can be closed.

use std::collections::HashMap;

use super::Endpoint;

/// The endpoints that are open, and when each was used, in uses.
#[derive(Debug, Default)]
pub struct Recent {
    used: HashMap<Endpoint, u64>,
    uses: u64,
    /// More than these are too many; none: never.
    limit: Option<usize>,
    /// The uses there were when the limit was set, which is when a batch begins.
    before: u64,
}

impl Recent {
    pub fn limit(&mut self, limit: usize) {
        self.limit = Some(limit);
        self.before = self.uses;
    }

    /// Notes a use; returns those that may be closed for there to be no more than the limit, and
    /// how many have to be. First those that were not used since the limit was set, the one that
    /// was unused for longest before the others. Then the one that was used last: tasks go through
    /// the hosts of a batch over and over, so its turn comes again after that of all others.
    pub fn note(&mut self, endpoint: &Endpoint) -> (Vec<Endpoint>, usize) {
        self.uses += 1;
        if let Some(used) = self.used.get_mut(endpoint) {
            *used = self.uses;
            return (Vec::new(), 0);
        }
        self.used.insert(endpoint.clone(), self.uses);
        let surplus = self.limit.map_or(0, |limit| self.used.len().saturating_sub(limit.max(1)));
        if surplus == 0 {
            return (Vec::new(), 0);
        }
        let mut others: Vec<_> = self.used.iter().filter(|(other, _)| *other != endpoint).collect();
        others.sort_unstable_by_key(|(_, used)| match **used {
            old if old <= self.before => (0, old),
            used => (1, u64::MAX - used),
        });
        (others.into_iter().map(|(endpoint, _)| endpoint.clone()).collect(), surplus)
    }

    /// It is closed.
    pub fn forget(&mut self, endpoint: &Endpoint) {
        self.used.remove(endpoint);
    }

    pub fn clear(&mut self) {
        self.used.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::transport::ConnectionKind;

    fn host(name: &str) -> Endpoint {
        Endpoint {
            connection: ConnectionKind::Ssh,
            address: name.to_owned(),
            port: None,
            user: None,
            private_key: None,
            password: None,
            ssh: PathBuf::from("ssh"),
            ssh_args: Vec::new(),
            timeout: Duration::from_secs(10),
            retries: 0,
            host_key_checking: true,
        }
    }

    /// Uses these hosts, closes what has to be, and returns how many were opened.
    fn opened(recent: &mut Recent, names: &[&str]) -> usize {
        let mut opened = 0;
        for name in names {
            opened += usize::from(!recent.used.contains_key(&host(name)));
            let (candidates, surplus) = recent.note(&host(name));
            candidates.iter().take(surplus).for_each(|old| recent.forget(old));
        }
        opened
    }

    #[test]
    fn hosts_of_the_batch_before_are_closed_first() {
        let mut recent = Recent::default();
        recent.limit(3);
        opened(&mut recent, &["a", "b", "c"]);
        recent.limit(3);
        assert_eq!(opened(&mut recent, &["d", "e", "d", "e"]), 2);
        assert_eq!(opened(&mut recent, &["c"]), 0, "a and b were unused for longer");
    }

    #[test]
    fn a_batch_over_the_limit_keeps_most_of_its_connections_from_task_to_task() {
        let mut recent = Recent::default();
        recent.limit(4);
        let batch = ["a", "b", "c", "d", "e"];
        assert_eq!(opened(&mut recent, &batch), 5);
        assert!(opened(&mut recent, &batch) <= 2);
        assert!(opened(&mut recent, &batch) <= 2);
        assert_eq!(recent.used.len(), 4);
    }
}
