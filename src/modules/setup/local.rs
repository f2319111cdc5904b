//! Local facts: what the host's administrator put into facts.d.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::modules::process::Process;

/// A program of facts.d that takes longer is given up.
const LIMIT: Duration = Duration::from_secs(10);

/// Each `.fact` is JSON or sections of `key=value`; one that may be executed is run.
pub fn gather(folder: &str) -> Json {
    let mut local = Map::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "fact")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            local.insert(name.to_owned(), fact(&path));
        }
    }
    Json::Object(local)
}

fn fact(path: &Path) -> Json {
    if let Err(error) = path.metadata() {
        return json!(format!("Could not stat fact ({}): {error}", path.display()));
    }
    let executable =
        path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
    let text = if executable {
        match Process::new(path).timeout(LIMIT).run() {
            Ok(output) if output.success() => output.stdout,
            Ok(output) => {
                let error = output.stderr.trim();
                return json!(format!(
                    "Failure executing fact script ({}), rc: {}, err: {error}",
                    path.display(),
                    output.rc
                ));
            }
            Err(failure) => return json!(failure.msg),
        }
    } else {
        match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return json!(format!("error loading facts - {error}")),
        }
    };
    serde_json::from_str(&text).unwrap_or_else(|_| sections(&text))
}

/// Names of values are lower-cased, as Python's ConfigParser does.
fn sections(text: &str) -> Json {
    let mut sections: Map<String, Json> = Map::new();
    let mut current: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.entry(name).or_insert_with(|| json!({}));
            current = Some(name.to_owned());
        } else if let (Some(section), Some((key, value))) = (&current, line.split_once(['=', ':']))
            && let Some(Json::Object(values)) = sections.get_mut(section)
        {
            values.insert(key.trim().to_lowercase(), json!(value.trim()));
        }
    }
    // Python's ConfigParser takes `%` for the start of a reference.
    let reference = |value: &Json| value.as_str().is_some_and(has_broken_reference);
    let broken = sections.values().filter_map(Json::as_object).any(|s| s.values().any(reference));
    if broken {
        return json!("error loading facts as ini - '%' must be followed by '%' or '('");
    }
    if sections.is_empty() {
        return json!("error loading facts as JSON or ini - please check content");
    }
    Json::Object(sections)
}

fn has_broken_reference(value: &str) -> bool {
    value.replace("%%", "").split('%').skip(1).any(|after| !after.starts_with('('))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_are_read_and_programs_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
        };
        write("a.fact", "{\"x\": 1}", 0o644);
        write("b.fact", "[General]\nRole = db\n", 0o644);
        write("c.fact", "#!/bin/sh\necho '{\"y\": 2}'\n", 0o755);
        write("d.fact", "#!/bin/sh\nexit 3\n", 0o755);
        let facts = gather(&folder.path().to_string_lossy());
        assert_eq!(facts["a"], json!({"x": 1}));
        assert_eq!(facts["b"], json!({"General": {"role": "db"}}));
        assert_eq!(facts["c"], json!({"y": 2}));
        assert!(facts["d"].as_str().expect("text").starts_with("Failure executing fact script"));
    }
}
