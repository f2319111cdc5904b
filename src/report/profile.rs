//! How long tasks and roles took: the callbacks profile_tasks and profile_roles.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use super::screen::Screen;
use super::{Reporter, Settings};
use crate::events::{Event, TaskInfo};

/// Characters of a line; theirs is the same on every terminal.
const WIDTH: usize = 79;
/// Up to the time of a line in the summary.
const NAME: usize = 73;

/// In which order the summary has its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Descending,
    Ascending,
    /// As they ran.
    None,
}

/// What a callback shows, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub by_role: bool,
    /// No lines at the start of each task.
    pub summary_only: bool,
    pub order: Order,
    /// Lines of the summary; none: all.
    pub limit: Option<usize>,
}

/// Measures from the start of one task to the start of the next, as Ansible's do.
pub struct ProfileReporter {
    shown: Shown,
    screen: Screen,
    started: Instant,
    /// When the last task began, or the run.
    last: Instant,
    current: Option<Key>,
    lengths: IndexMap<Key, (String, Duration)>,
    /// The play whose batches are going on.
    play: String,
    plays: usize,
    /// How often a task has begun in this batch: an included file may come again.
    begun: HashMap<String, usize>,
}

/// What is counted together: a role, a module, or a task in the batches of its play.
type Key = (String, usize, usize);

impl ProfileReporter {
    pub fn start(settings: &Settings, shown: Shown) -> Self {
        let now = Instant::now();
        Self {
            shown,
            screen: Screen::new(settings),
            started: now,
            last: now,
            current: None,
            lengths: IndexMap::new(),
            play: String::new(),
            plays: 0,
            begun: HashMap::new(),
        }
    }

    fn task(&mut self, task: &TaskInfo) {
        let line = self.lap();
        if !self.shown.summary_only {
            self.screen.out(&line);
        }
        let (key, name) = if self.shown.by_role {
            let name = task.role.clone().unwrap_or_else(|| task.module.clone());
            ((name.clone(), 0, 0), name)
        } else {
            let begun = self.begun.entry(task.path.clone()).or_default();
            *begun += 1;
            ((task.path.clone(), self.plays, *begun), task.name.clone())
        };
        self.lengths.entry(key.clone()).or_insert((name, Duration::ZERO));
        self.current = Some(key);
    }

    /// Ends what ran last; the line that tells when, its length and that of the run so far.
    fn lap(&mut self) -> String {
        let now = Instant::now();
        let length = now - std::mem::replace(&mut self.last, now);
        if let Some((_, sum)) = self.current.take().and_then(|key| self.lengths.get_mut(&key)) {
            *sum += length;
        }
        let stamp = jiff::ZonedDateTime::now().strftime("%A %d %B %Y  %H:%M:%S %z").to_string();
        let so_far = clock(now - self.started);
        filled(&format!("{stamp} ({})       {so_far}", clock(length)), '*')
    }

    fn play(&mut self, path: &str) {
        self.begun.clear();
        if self.play != path {
            self.play = path.to_owned();
            self.plays += 1;
        }
    }

    fn summary(&mut self) {
        let line = self.lap();
        let mut lengths: Vec<_> = self.lengths.values().cloned().collect();
        match self.shown.order {
            Order::Descending => lengths.sort_by_key(|(_, length)| Reverse(*length)),
            Order::Ascending => lengths.sort_by_key(|(_, length)| *length),
            Order::None => {}
        }
        lengths.truncate(self.shown.limit.unwrap_or(usize::MAX));
        let total = lengths.iter().map(|(_, length)| *length).sum();
        let mut text = if self.shown.summary_only { String::new() } else { line };
        text += &filled("", '=');
        for (name, length) in &lengths {
            text += &entry(name, *length);
        }
        if self.shown.by_role {
            text += &filled("", '~');
            text += &entry("total", total);
        }
        self.screen.out(&text);
    }
}

impl Reporter for ProfileReporter {
    fn event(&mut self, event: &Event) {
        match event {
            // The same file may be given twice: its tasks are others each time.
            Event::PlaybookStarted { .. } => self.play.clear(),
            Event::PlayStarted { path, .. } => self.play(path),
            Event::TaskStarted { task, .. } => self.task(task),
            Event::Recap { .. } => self.summary(),
            _ => {}
        }
    }
}

/// The line of a name and its time.
fn entry(name: &str, length: Duration) -> String {
    let dashes = NAME.saturating_sub(name.chars().count() + 1).max(3);
    format!("{name} {} {:.2}s\n", "-".repeat(dashes), length.as_secs_f64())
}

/// Filled up to the width with at least three signs.
fn filled(text: &str, sign: char) -> String {
    let mut line = text.to_owned();
    if !line.is_empty() {
        line.push(' ');
    }
    let signs = WIDTH.saturating_sub(line.chars().count()).max(3);
    // Writing to a String cannot fail.
    let _ = writeln!(line, "{} ", sign.to_string().repeat(signs));
    line
}

/// `0:01:02.345`
fn clock(length: Duration) -> String {
    let seconds = length.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours}:{minutes:02}:{:02}.{:03}", seconds % 60, length.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_width_of_ansibles() {
        let line =
            filled("Friday 27 November 2026  19:20:13 +0000 (0:00:00.088)       0:00:00.088", '*');
        assert!(line.ends_with("0:00:00.088 ******* \n"), "{line}");
        assert_eq!(filled("", '=').trim_end(), "=".repeat(79));
        let line = entry("r : in role", Duration::from_millis(60));
        assert_eq!(line.trim_end(), format!("r : in role {} 0.06s", "-".repeat(61)));
        assert!(entry(&"x".repeat(90), Duration::ZERO).ends_with("x --- 0.00s\n"));
    }

    #[test]
    fn hours_go_on_after_a_day() {
        assert_eq!(clock(Duration::from_millis(90_061_007)), "25:01:01.007");
    }
}
