//! The host's systemd, where it is what started the host.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::modules::process::Process;

const LIMIT: Duration = Duration::from_secs(5);

/// `systemd`: its version and what it was built with.
pub fn gather(facts: &mut Map<String, Json>) {
    if !Path::new("/run/systemd/system").exists() {
        return;
    }
    let Ok(output) = Process::new("systemctl").arg("--version").timeout(LIMIT).run() else {
        return;
    };
    let mut lines = output.stdout.lines();
    let version = lines.next().and_then(|line| line.split_whitespace().nth(1));
    if let Some(version) = version {
        let features = lines.next().unwrap_or_default();
        facts.insert("systemd".to_owned(), json!({"version": version, "features": features}));
    }
}
