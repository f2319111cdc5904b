//! Tasks with `async`: they run in a process of their own, which lives on when the
//! agent ends. What came of one is a file that `async_status` reads.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value as Json, json};

use super::protocol::{Job, Request};
use super::scratch::private_file;
use super::{external, work};
use crate::modules::{Failure, async_status, process};

/// The argument that makes the program a job.
pub const COMMAND: &str = "agent-job";

/// Starts the request as a job; the result says under which id.
pub fn start(request: Request, job: &Job, scratch: &Path) -> Result<Map<String, Json>, Failure> {
    let jobs = async_status::folder(job.folder.as_deref());
    let id = new_id();
    let failed = |error: io::Error| {
        Failure::new(format!("cannot start a job in {}: {error}", jobs.display()))
    };
    launch(request, scratch, &jobs, &id).map_err(failed)?;
    let results = jobs.join(&id).display().to_string();
    Ok(result([
        ("ansible_job_id", json!(id)),
        ("started", json!(1)),
        ("finished", json!(0)),
        ("results_file", json!(results)),
        ("changed", json!(true)),
    ]))
}

fn launch(mut request: Request, scratch: &Path, jobs: &Path, id: &str) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(jobs)?;
    let folder = jobs.join(format!(".{id}"));
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    // The agent's scratch folder goes when the agent goes.
    for name in &request.files {
        let Some(Json::String(path)) = request.arguments.get_mut(name) else { continue };
        if Path::new(path.as_str()).starts_with(scratch) {
            let to = folder.join(Path::new(path.as_str()).file_name().unwrap_or_default());
            fs::copy(&*path, &to)?;
            *path = to.display().to_string();
        }
    }
    private_file(&folder.join("request"))?.write_all(&serde_json::to_vec(&request)?)?;
    let begun = json!({"started": 1, "finished": 0, "ansible_job_id": id});
    private_file(&jobs.join(id))?.write_all(&serde_json::to_vec(&begun)?)?;
    let mut child = Command::new("/proc/self/exe")
        .arg(COMMAND)
        .arg(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Whoever starts a process has to take note of its end.
    thread::spawn(move || child.wait());
    Ok(())
}

/// Unique on this host: the time, and who asks.
fn new_id() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("j{:012}.{}", since.as_nanos() % 1_000_000_000_000, std::process::id())
}

/// The job's own process; the returned code is for it to exit with.
pub fn run(folder: &Path) -> i32 {
    // Neither the end of the connection nor that of the agent is to end the job.
    if rustix::process::setsid().is_err() {
        return 1;
    }
    match finish(folder) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn finish(folder: &Path) -> io::Result<()> {
    let path = folder.join("request");
    let mut request: Request = serde_json::from_slice(&fs::read(&path)?)?;
    if request.module == external::NAME {
        request.arguments.insert("in_background".to_owned(), json!(true));
    }
    // It may hold secrets, and nobody needs it any more.
    fs::remove_file(&path)?;
    let limit = request.job.as_ref().map_or(0, |job| job.limit);
    let scratch = folder.join("scratch");
    fs::DirBuilder::new().mode(0o700).create(&scratch)?;
    let (done, wait) = channel();
    thread::spawn(move || {
        let request = Request { job: None, ..request };
        // The receiver is gone when the time was up.
        let result = process::in_task(0, || work::run(request, scratch));
        let _ = done.send(as_of_wrapper(result));
    });
    let result = wait.recv_timeout(Duration::from_secs(limit)).unwrap_or_else(|_| {
        process::stop_all();
        result([
            ("failed", json!(true)),
            ("finished", json!(1)),
            ("msg", json!("Timeout exceeded")),
            ("child_pid", json!(std::process::id())),
        ])
    });
    let stored = store(folder, &result);
    fs::remove_dir_all(folder)?;
    stored
}

/// What a module printed that is no result has other names where it ran as a job.
fn as_of_wrapper(mut result: Map<String, Json>) -> Map<String, Json> {
    for (of_module, of_job) in [("module_stdout", "data"), ("module_stderr", "stderr")] {
        if let Some(text) = result.shift_remove(of_module) {
            result.insert(of_job.to_owned(), text);
        }
    }
    result
}

/// The result takes the place of the file that said that the job runs.
fn store(folder: &Path, result: &Map<String, Json>) -> io::Result<()> {
    let new = folder.join("result");
    private_file(&new)?.write_all(&serde_json::to_vec(result)?)?;
    fs::rename(new, results_file(folder)?)
}

/// `.ID` stands beside `ID`.
fn results_file(folder: &Path) -> io::Result<PathBuf> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let id = name.strip_prefix('.').ok_or_else(|| io::Error::other("not the folder of a job"))?;
    Ok(folder.with_file_name(id))
}

fn result<const N: usize>(entries: [(&str, Json); N]) -> Map<String, Json> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
