//! What a check finds.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The upgrade would fail, or harm: it does not begin.
    Error,
    Warning,
    Info,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// The names of findings. They are stable: scripts and `precheck_ignore` hold them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Id {
    // Versions.
    TargetOlder,
    MinorSkipped,
    KubeletTooOld,
    ApiserversDiffer,
    NothingToDo,
    // Nodes.
    ClusterUnreachable,
    NodeMissing,
    NodeNotInInventory,
    NodeNotReady,
    NodeCordoned,
    NodePressure,
    SingleControlPlane,
    KubeletThroughBalancer,
    // Pods.
    BudgetBlocksDrain,
    BudgetsOverlap,
    BarePod,
    PodEmptyDir,
    PodLocalVolume,
    PodNoPlace,
    // API versions that the target has no more.
    RemovedApiObject,
    RemovedApiRequested,
    RemovedApiHelm,
    ApiNotRead,
    // etcd.
    EtcdUnreachable,
    EtcdMemberUnhealthy,
    EtcdQuorumAtRisk,
    EtcdEvenMembers,
    EtcdLearner,
    EtcdMemberUnknown,
    EtcdMemberMissing,
    EtcdExternal,
    EtcdAlarm,
    EtcdDatabaseLarge,
    EtcdVersionGate,
    // Hosts.
    HostUnreachable,
    CertificateExpired,
    CertificateExpiresSoon,
    CertificateNotYetValid,
    CertificateUnreadable,
    CertificateNotRenewable,
    DiskSpace,
    KubeadmTmpElsewhere,
    SwapActive,
    ClockSkew,
    ForeignManifest,
    ManifestEdited,
    ManifestMissing,
    PackageMissing,
    PackageNotHeld,
    PackageManagerBroken,
    TargetRepositoryMissing,
    PackageVersionMissing,
    PackageNotInstallable,
    ImageMissing,
    ImageNotPullable,
}

impl Id {
    /// As it is written: `node-not-ready`.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(Json::String(name)) => name,
            _ => format!("{self:?}"),
        }
    }

    /// The finding of this name.
    pub fn named(name: &str) -> Option<Self> {
        serde_json::from_value(Json::String(name.to_owned())).ok()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub id: Id,
    pub severity: Severity,
    /// The host or object that it is about.
    pub object: String,
    /// What was seen.
    pub evidence: String,
    /// What puts it right.
    pub fix: String,
    /// The operator has said that it does not count.
    #[serde(default)]
    pub ignored: bool,
}

impl Finding {
    pub fn error(id: Id, object: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self::new(Severity::Error, id, object.into(), evidence.into())
    }

    pub fn warning(id: Id, object: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self::new(Severity::Warning, id, object.into(), evidence.into())
    }

    pub fn info(id: Id, object: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self::new(Severity::Info, id, object.into(), evidence.into())
    }

    fn new(severity: Severity, id: Id, object: String, evidence: String) -> Self {
        Self { id, severity, object, evidence, fix: String::new(), ignored: false }
    }

    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..self }
    }

    /// An error where `bad`, otherwise a warning.
    pub fn error_if(self, bad: bool) -> Self {
        let severity = if bad { Severity::Error } else { Severity::Warning };
        Self { severity, ..self }
    }

    /// On one line.
    pub fn line(&self) -> String {
        let word = if self.ignored { "ignored" } else { self.severity.word() };
        format!("{word} {} {}: {}", self.id, self.object, self.evidence)
    }

    /// Whether it stops the upgrade.
    pub fn stops(&self) -> bool {
        self.severity == Severity::Error && !self.ignored
    }
}

/// Names, or the first few of many.
pub fn few<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<_> = names.into_iter().collect();
    let shown: Vec<_> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_in_the_documentation_and_no_other() {
        let docs = include_str!("../../docs/precheck.md");
        let mut documented: Vec<_> = docs
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(id, _)| id))
            .collect();
        let mut known: Vec<_> = Id::value_variants().iter().map(|id| id.name()).collect();
        documented.sort_unstable();
        known.sort_unstable();
        assert_eq!(documented, known);
    }

    #[test]
    fn names_are_read_back() {
        assert_eq!(Id::named("node-not-ready"), Some(Id::NodeNotReady));
        assert_eq!(Id::named("nonsense"), None);
    }

    #[test]
    fn of_many_names_the_first_are_shown() {
        assert_eq!(few(["a", "b"]), "a, b");
        assert!(few((0..10).map(|n| n.to_string())).ends_with("7 and 2 more"));
    }
}
