//! `async_status`: what became of a task that was started with `async`.

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Context, Failure, Module, Outcome};

/// Reads the result of a job, or removes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AsyncStatus {
    /// The `ansible_job_id` that the task returned.
    jid: String,
    #[serde(default)]
    mode: Mode,
    /// Set by the engine from `ansible_async_dir`.
    _async_dir: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Status,
    Cleanup,
}

/// Where the results of jobs are: in the user's home unless said otherwise.
pub fn folder(named: Option<&str>) -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let named = named.unwrap_or("~/.ansible_async");
    match named.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => PathBuf::from(named),
    }
}

impl Module for AsyncStatus {
    const NAME: &'static str = "async_status";

    fn run(self, _: &Context) -> Result<Outcome, Failure> {
        // The id is a name in the folder, never a way out of it.
        if self.jid.contains('/') || self.jid.starts_with('.') || self.jid.is_empty() {
            return Err(Failure::new(format!("'{}' is not the id of a job", self.jid)));
        }
        let path = folder(self._async_dir.as_deref()).join(&self.jid);
        let shown = path.display().to_string();
        if !path.exists() {
            return Err(Failure::new("could not find job")
                .with("ansible_job_id", self.jid)
                .with("results_file", shown)
                .with("started", 1)
                .with("finished", 1)
                .with("stdout", "")
                .with("stderr", ""));
        }
        if self.mode == Mode::Cleanup {
            fs::remove_file(&path)
                .map_err(|error| Failure::new(format!("{shown} cannot be removed: {error}")))?;
            return Ok(Outcome::default()
                .with("ansible_job_id", self.jid)
                .with("erased", shown)
                .with("started", 0)
                .with("finished", 0)
                .with("stdout", "")
                .with("stderr", ""));
        }
        let result = read(&path).map_err(|reason| {
            Failure::new("Could not parse job output")
                .with("ansible_job_id", self.jid.as_str())
                .with("results_file", shown.as_str())
                .with("started", 1)
                .with("finished", 1)
                .with("exception", reason)
        })?;
        status(result, &self.jid, shown)
    }
}

fn read(path: &Path) -> Result<Map<String, Json>, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

/// The job's own result, with what tells whether it is its last.
fn status(mut result: Map<String, Json>, jid: &str, path: String) -> Result<Outcome, Failure> {
    let running = result.get("finished") == Some(&json!(0));
    result.insert("ansible_job_id".to_owned(), json!(jid));
    result.insert("results_file".to_owned(), json!(path));
    result.insert("started".to_owned(), json!(1));
    result.insert("finished".to_owned(), json!(i32::from(!running)));
    for key in ["stdout", "stderr"] {
        result.entry(key).or_insert_with(|| json!(""));
    }
    let flag = |result: &mut Map<String, Json>, key: &str| {
        result.shift_remove(key).and_then(|value| value.as_bool()).unwrap_or(false)
    };
    let changed = flag(&mut result, "changed");
    if flag(&mut result, "failed") {
        let msg = result.shift_remove("msg");
        let msg = msg.as_ref().and_then(Json::as_str).unwrap_or_default().to_owned();
        return Err(Failure { msg, changed, result });
    }
    Ok(Outcome { changed, result, diff: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(jid: &str, folder: &Path) -> Result<Outcome, Failure> {
        let folder = Some(folder.display().to_string());
        let module = AsyncStatus { jid: jid.to_owned(), mode: Mode::Status, _async_dir: folder };
        module.run(&Context::default())
    }

    #[test]
    fn a_job_that_runs_is_not_finished_and_one_that_failed_fails() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("j1.2"), r#"{"started": 1, "finished": 0}"#).unwrap();
        let failed = r#"{"failed": true, "changed": true, "msg": "no", "rc": 1}"#;
        fs::write(folder.path().join("j2.2"), failed).unwrap();
        assert_eq!(run("j1.2", folder.path()).unwrap().result["finished"], 0);
        let failure = run("j2.2", folder.path()).unwrap_err();
        assert_eq!((failure.msg.as_str(), failure.changed), ("no", true));
        assert_eq!(failure.result["finished"], 1);
    }

    #[test]
    fn an_id_never_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for jid in ["../../etc/passwd", ".", "", "a/b"] {
            assert!(run(jid, folder.path()).unwrap_err().msg.contains("not the id of a job"));
        }
        assert_eq!(run("j9.9", folder.path()).unwrap_err().msg, "could not find job");
    }
}
