//! Blocks with `always` in runs that are resumed. Where such a block failed, `always` has taken
//! back what the block had done (it removed a pod, it put a node back): on that host the block
//! is done again from its beginning, but for commands that have ended.

use super::batch::{Batch, Place};
use crate::journal::{self, Key, Record};
use crate::playbook::Block;

impl Batch<'_> {
    /// What the journal calls the block on these hosts. Those that do it again are noted.
    pub(super) fn enter_block(&mut self, block: &Block, hosts: &[String]) -> Vec<Key> {
        if block.always.is_empty() {
            return Vec::new();
        }
        let recorder = &self.run.recorder;
        let keys = hosts.iter().filter_map(|host| recorder.turn_at(host, &block.span));
        let keys: Vec<Key> = keys.collect();
        let undone = keys.iter().filter(|key| recorder.is_undone(key));
        self.again.extend(undone.map(|key| key.host.clone()));
        keys
    }

    /// Block and rescue are over, and `always` comes next, also on the hosts `failed`.
    pub(super) fn leave_block(&self, keys: &[Key], failed: &[String], place: &Place) {
        let recorder = &self.run.recorder;
        for key in keys {
            // Who only does what an outer block always does has not failed in this one, and
            // after an outer rescue the play goes on: what that needs it does itself.
            let undone = failed.contains(&key.host) && !self.excused.contains(&key.host);
            let came_through = self.is_alive(&key.host) && recorder.is_undone(key);
            if (undone && !place.rescuable) || came_through {
                recorder.put(|| Record::Block { at: journal::now(), key: key.clone(), undone });
            }
        }
    }
}
