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
}

impl Recent {
    pub fn limit(&mut self, limit: usize) {
        self.limit = Some(limit);
    }

    /// Notes a use; returns those that may be closed for there to be no more than the limit, the
    /// one that was unused for longest first, and how many have to be.
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
        others.sort_unstable_by_key(|(_, used)| **used);
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
