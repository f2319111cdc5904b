//! All findings of a precheck, sorted and counted.

use serde::{Deserialize, Serialize};

use super::finding::{Finding, Id, Severity, few};
use super::world::World;

/// What the precheck returns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version that the cluster has now, if it answered.
    pub version: Option<String>,
    pub target: String,
    /// The hosts that were looked at.
    pub hosts: Vec<String>,
    /// Errors first.
    pub findings: Vec<Finding>,
    pub errors: usize,
    pub warnings: usize,
    pub infos: usize,
    pub ignored: usize,
}

impl Report {
    /// Of what was found in a world.
    pub fn of(world: &World, findings: Vec<Finding>, ignore: &[Id]) -> Self {
        let version = world.cluster.as_ref().ok().map(|cluster| cluster.version.clone());
        let hosts = world.hosts.keys().cloned().collect();
        Self::new(version, world.target.to_string(), hosts, findings, ignore)
    }

    fn new(
        version: Option<String>,
        target: String,
        hosts: Vec<String>,
        mut findings: Vec<Finding>,
        ignore: &[Id],
    ) -> Self {
        for finding in &mut findings {
            finding.ignored = ignore.contains(&finding.id);
        }
        findings.sort_by(|a, b| {
            let key = |f: &Finding| (f.ignored, f.severity, f.id, f.object.clone());
            key(a).cmp(&key(b))
        });
        findings.dedup();
        let count = |severity: Severity| {
            findings.iter().filter(|f| !f.ignored && f.severity == severity).count()
        };
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            infos: count(Severity::Info),
            ignored: findings.iter().filter(|f| f.ignored).count(),
            version,
            target,
            hosts,
            findings,
        }
    }

    /// `2 errors, 1 warning, 0 infos, 1 ignored`.
    pub fn counts(&self) -> String {
        let some = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            count => format!("{count} {word}s"),
        };
        let mut text = format!(
            "{}, {}, {}",
            some(self.errors, "error"),
            some(self.warnings, "warning"),
            some(self.infos, "info")
        );
        if self.ignored > 0 {
            text += &format!(", {} ignored", self.ignored);
        }
        text
    }

    /// For people.
    pub fn text(&self, columns: usize) -> String {
        let from = self.version.as_deref().unwrap_or("an unknown version");
        let hosts = self.hosts.len();
        let mut text = format!("From {from} to v{}, {hosts} hosts\n", self.target);
        text += &blocks(self.findings.iter(), columns);
        text + "\n" + &self.counts() + "\n"
    }

    /// For people: only what stops the upgrade.
    pub fn stopping(&self, columns: usize) -> String {
        blocks(self.findings.iter().filter(|f| f.stops()), columns)
    }
}

/// What is the same of several hosts is told once.
fn blocks<'a>(findings: impl Iterator<Item = &'a Finding>, columns: usize) -> String {
    let mut groups: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for finding in findings {
        let same = |other: &Finding| {
            let key = |f: &'_ Finding| (f.id, f.severity, f.ignored);
            key(other) == key(finding)
                && (&other.evidence, &other.fix) == (&finding.evidence, &finding.fix)
        };
        match groups.iter_mut().find(|(first, _)| same(first)) {
            Some((_, objects)) => objects.push(&finding.object),
            None => groups.push((finding, vec![&finding.object])),
        }
    }
    groups.into_iter().map(|(finding, objects)| block(finding, &objects, columns)).collect()
}

fn block(finding: &Finding, objects: &[&str], columns: usize) -> String {
    let word = if finding.ignored { "ignored" } else { finding.severity.word() };
    let indent = " ".repeat(9);
    let options = textwrap::Options::new(columns.clamp(40, 120))
        .initial_indent(&indent)
        .subsequent_indent(&indent)
        // Names and paths stay whole: they are copied.
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let mut text = format!("\n{:8} {}: {}\n", word.to_uppercase(), finding.id, few(objects));
    text += &textwrap::fill(&finding.evidence, &options);
    text.push('\n');
    if !finding.fix.is_empty() {
        text += &textwrap::fill(&format!("Fix: {}", finding.fix), &options);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ignore: &[Id]) -> Report {
        let findings = vec![
            Finding::warning(Id::NodeCordoned, "w2", "it is cordoned").fix("uncordon it"),
            Finding::error(Id::NodeNotReady, "w1", "it is not Ready"),
        ];
        let hosts = vec!["w1".to_owned(), "w2".to_owned()];
        Report::new(Some("v1.20.2".to_owned()), "1.21.2".to_owned(), hosts, findings, ignore)
    }

    #[test]
    fn errors_come_first_and_are_counted() {
        let report = report(&[]);
        assert_eq!((report.errors, report.warnings), (1, 1));
        let text = report.text(80);
        assert!(
            text.starts_with("From v1.20.2 to v1.21.2, 2 hosts\n\nERROR    node-not-ready: w1")
        );
        assert!(text.contains("         Fix: uncordon it\n"));
        assert!(text.ends_with("\n1 error, 1 warning, 0 infos\n"), "{text}");
    }

    #[test]
    fn what_is_the_same_of_several_hosts_is_told_once() {
        let of = |host: &str| Finding::error(Id::PackageVersionMissing, host, "not offered");
        let findings = vec![of("w1"), of("w2"), Finding { evidence: String::new(), ..of("w3") }];
        let report = Report::new(None, "1.21.2".to_owned(), Vec::new(), findings, &[]);
        let text = report.text(80);
        assert!(text.contains("package-version-missing: w1, w2\n"), "{text}");
        assert!(text.ends_with("3 errors, 0 warnings, 0 infos\n"));
    }

    #[test]
    fn what_is_ignored_is_still_told() {
        let report = report(&[Id::NodeNotReady]);
        assert_eq!((report.errors, report.ignored), (0, 1));
        assert!(report.text(80).contains("IGNORED  node-not-ready: w1"));
        assert!(report.counts().ends_with("1 ignored"));
    }
}
