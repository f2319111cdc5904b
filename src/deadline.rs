//! When a wait is over.

use std::time::{Duration, Instant};

/// More than any run takes; what an operator gives may be too much for a clock to add.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The moment that is so far from now.
pub fn after(time: Duration) -> Instant {
    Instant::now() + time.min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_too_long() {
        let soon = after(Duration::from_secs(1));
        assert!(after(Duration::MAX) > soon);
        assert!(soon > Instant::now());
    }
}
