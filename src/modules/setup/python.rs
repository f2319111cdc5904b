//! The host's Python, which playbooks ask for although nothing here needs it.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::modules::process::Process;

const LIMIT: Duration = Duration::from_secs(5);

/// `python` and `python_version`; nothing on a host without Python.
pub fn gather(facts: &mut Map<String, Json>) {
    let found = ["/usr/bin/python3", "/usr/libexec/platform-python", "/usr/local/bin/python3"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let Some(executable) = found else {
        return;
    };
    let Ok(output) = Process::new(executable).args(["-I", "-V"]).timeout(LIMIT).run() else {
        return;
    };
    let Some(version) = output.stdout.trim().strip_prefix("Python ").map(str::to_owned) else {
        return;
    };
    let number = |index: usize| -> u64 {
        version.split('.').nth(index).and_then(|part| part.parse().ok()).unwrap_or(0)
    };
    let (major, minor, micro) = (number(0), number(1), number(2));
    facts.insert("python_version".to_owned(), json!(version));
    facts.insert(
        "python".to_owned(),
        json!({
            "executable": executable,
            "has_sslcontext": true,
            "type": "cpython",
            "version": {
                "major": major, "minor": minor, "micro": micro, "releaselevel": "final", "serial": 0,
            },
            "version_info": [major, minor, micro, "final", 0],
        }),
    );
}
