//! Where the time of a run went (`--timing`): by module, by host, and what was no task's.

use std::cmp::Reverse;
use std::fmt::Write;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use super::Reporter;
use crate::events::{Event, HostResult};

/// Modules that are named in a host's line; the others are counted together.
const NAMED: usize = 5;

/// Prints the tables to stderr after the recap, for stdout may be read by a program.
pub struct TimingReporter {
    started: Instant,
    spans: Vec<Span>,
}

/// A task on a host, from its start to its end, counted from the start of the run.
struct Span {
    module: String,
    host: String,
    from: Duration,
    to: Duration,
}

impl TimingReporter {
    pub fn start() -> Self {
        Self { started: Instant::now(), spans: Vec::new() }
    }

    fn finished(&mut self, outcome: &HostResult) {
        let to = self.started.elapsed();
        self.spans.push(Span {
            module: outcome.task.module.clone(),
            host: outcome.host.clone(),
            from: to.saturating_sub(outcome.duration),
            to,
        });
    }
}

impl Reporter for TimingReporter {
    fn event(&mut self, event: &Event) {
        match event {
            Event::HostFinished(outcome) => self.finished(outcome),
            Event::Recap { .. } => eprint!("{}", tables(&mut self.spans, self.started.elapsed())),
            _ => {}
        }
    }
}

impl Span {
    fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

fn tables(spans: &mut [Span], whole: Duration) -> String {
    let mut text = String::from("\nTIMING\n");
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(text, "  {:<24} {:>6} {:>10} {:>10}", "module", "tasks", "total", "longest");
    for (module, lengths) in longest_first(spans.iter().map(|span| (&*span.module, span))) {
        let longest = lengths.iter().max().copied().unwrap_or_default();
        let (total, longest) = (shown(lengths.iter().sum()), shown(longest));
        let _ = writeln!(text, "  {module:<24} {:>6} {total:>10} {longest:>10}", lengths.len());
    }
    let _ = writeln!(text, "\n  {:<24} {:>10}  of which", "host", "total");
    for (host, lengths) in longest_first(spans.iter().map(|span| (&*span.host, span))) {
        let total = shown(lengths.iter().sum());
        let of_host = spans.iter().filter(|span| span.host == host);
        let modules = longest_first(of_host.map(|span| (&*span.module, span)));
        let _ = writeln!(text, "  {host:<24} {total:>10}  {}", parts(&modules));
    }
    let between = whole.saturating_sub(at_work(spans));
    let (between, whole) = (shown(between), shown(whole));
    let _ =
        writeln!(text, "\n  no task at work on any host: {} of {}", between.trim(), whole.trim());
    text
}

type Lengths<'a> = Vec<(&'a str, Vec<Duration>)>;

/// The lengths under each name, that which took longest in total first.
fn longest_first<'a>(spans: impl Iterator<Item = (&'a str, &'a Span)>) -> Lengths<'a> {
    let mut by_name: IndexMap<&str, Vec<Duration>> = IndexMap::new();
    for (name, span) in spans {
        by_name.entry(name).or_default().push(span.length());
    }
    let mut all: Lengths = by_name.into_iter().collect();
    all.sort_by_key(|(_, lengths)| Reverse(lengths.iter().sum::<Duration>()));
    all
}

fn parts(modules: &Lengths) -> String {
    let total = |lengths: &Vec<Duration>| lengths.iter().sum::<Duration>();
    let (named, others) = modules.split_at(modules.len().min(NAMED));
    let one = |(module, lengths): &(&str, Vec<Duration>)| {
        format!("{module} {}", shown(total(lengths)).trim())
    };
    let mut parts: Vec<String> = named.iter().map(one).collect();
    if !others.is_empty() {
        let rest = others.iter().map(|(_, lengths)| total(lengths)).sum();
        parts.push(format!("others {}", shown(rest).trim()));
    }
    parts.join(", ")
}

/// The time in which a task was at work somewhere.
fn at_work(spans: &mut [Span]) -> Duration {
    spans.sort_by_key(|span| span.from);
    let (mut sum, mut until) = (Duration::ZERO, Duration::ZERO);
    for span in spans {
        sum += span.to.saturating_sub(span.from.max(until));
        until = until.max(span.to);
    }
    sum
}

fn shown(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(module: &str, host: &str, from: u64, to: u64) -> Span {
        let (from, to) = (Duration::from_millis(from), Duration::from_millis(to));
        Span { module: module.to_owned(), host: host.to_owned(), from, to }
    }

    #[test]
    fn what_took_longest_stands_first() {
        let mut spans = [
            span("command", "a", 100, 200),
            span("kubeadm", "a", 200, 1200),
            span("kubeadm", "b", 200, 3200),
        ];
        let expected = "
TIMING
  module                    tasks      total    longest
  kubeadm                       2     4.00 s     3.00 s
  command                       1     0.10 s     0.10 s

  host                          total  of which
  b                            3.00 s  kubeadm 3.00 s
  a                            1.10 s  kubeadm 1.00 s, command 0.10 s

  no task at work on any host: 0.40 s of 3.50 s
";
        assert_eq!(tables(&mut spans, Duration::from_millis(3500)), expected);
    }

    #[test]
    fn tasks_side_by_side_count_once_as_time_at_work() {
        let mut spans = [span("a", "x", 0, 100), span("a", "y", 50, 80), span("b", "x", 90, 300)];
        assert_eq!(at_work(&mut spans), Duration::from_millis(300));
    }

    #[test]
    fn a_host_names_its_longest_modules_and_counts_the_others_together() {
        let modules = ["a", "b", "c", "d", "e", "f", "g"];
        let lengths: Lengths =
            modules.iter().map(|name| (*name, vec![Duration::from_secs(1)])).collect();
        assert!(parts(&lengths).ends_with("e 1.00 s, others 2.00 s"));
    }
}
