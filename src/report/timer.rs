//! How long the run took: the callback timer.

use std::time::{Duration, Instant};

use super::screen::Screen;
use super::{Reporter, Settings};
use crate::events::Event;

pub struct TimerReporter {
    screen: Screen,
    started: Instant,
}

impl TimerReporter {
    pub fn start(settings: &Settings) -> Self {
        Self { screen: Screen::new(settings), started: Instant::now() }
    }
}

impl Reporter for TimerReporter {
    fn event(&mut self, event: &Event) {
        if let Event::Recap { .. } = event {
            self.screen.out(&line(self.started.elapsed()));
        }
    }
}

fn line(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!(
        "Playbook run took {days} days, {hours} hours, {minutes} minutes, {} seconds\n",
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_days() {
        let expected = "Playbook run took 1 days, 1 hours, 1 minutes, 1 seconds\n";
        assert_eq!(line(Duration::from_secs(90_061)), expected);
    }
}
