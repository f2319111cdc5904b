//! What refuses the evictions of a drain, and for how long budgets have.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ApiError;

/// The refusals of one drain, whose evictions are asked for side by side. Budgets are known by
/// any text that is their own.
#[derive(Default)]
pub struct Refusals(Mutex<State>);

#[derive(Default)]
struct State {
    /// The last one of each pod.
    last: HashMap<String, ApiError>,
    /// Since when each budget has refused without granting anything.
    since: HashMap<String, Instant>,
    /// The pod of each budget that was forced and is still there.
    forced: HashMap<String, String>,
}

impl Refusals {
    /// Remembers why a pod was not evicted.
    pub fn note(&self, pod: &str, error: &ApiError) {
        self.state().last.insert(pod.to_owned(), error.clone());
    }

    /// Why a pod was not evicted when that was last asked for.
    pub fn last(&self, pod: &str) -> Option<ApiError> {
        self.state().last.get(pod).cloned()
    }

    /// How much of `patience` is left for a budget that has refused a pod just now.
    pub fn left(&self, budget: &str, patience: Duration) -> Duration {
        let mut state = self.state();
        let since = state.since.entry(budget.to_owned()).or_insert_with(Instant::now);
        patience.saturating_sub(since.elapsed())
    }

    /// The budget lets pods go: its next refusal is a first one again.
    pub fn granted(&self, budget: &str) {
        self.state().since.remove(budget);
    }

    /// Whether the pod may be forced: one after the other, lest all that a budget is there for
    /// are away at once.
    pub fn may_force(&self, budget: &str, pod: &str) -> bool {
        let mut state = self.state();
        state.forced.entry(budget.to_owned()).or_insert_with(|| pod.to_owned()) == pod
    }

    /// The pod is not there any more.
    pub fn gone(&self, pod: &str) {
        self.state().forced.retain(|_, forced| forced != pod);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budgets_clock_starts_with_its_first_refusal_and_anew_when_it_grants() {
        let refusals = Refusals::default();
        let patience = Duration::from_millis(40);
        std::thread::sleep(patience);
        assert!(!refusals.left("a", patience).is_zero(), "what was before does not count");
        std::thread::sleep(patience);
        assert!(refusals.left("a", patience).is_zero());
        assert!(!refusals.left("b", patience).is_zero(), "each has its own");
        refusals.granted("a");
        assert!(!refusals.left("a", patience).is_zero());
    }

    #[test]
    fn one_pod_of_a_budget_is_forced_at_a_time() {
        let refusals = Refusals::default();
        assert!(refusals.may_force("a", "p1"));
        assert!(!refusals.may_force("a", "p2"));
        assert!(refusals.may_force("b", "p3"));
        refusals.gone("p1");
        assert!(refusals.may_force("a", "p2"));
    }
}
