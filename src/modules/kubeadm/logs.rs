//! The last lines that a static pod has written.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::modules::process::Process;

const LINES: usize = 10;
/// No more than this of a log is read.
const END: u64 = 64 * 1024;
const PODS: &str = "/var/log/pods";

/// From the newest log of the component below /var/log/pods, else from crictl.
pub fn last_lines(component: &str) -> Vec<String> {
    let lines = from_files(Path::new(PODS), component);
    if lines.is_empty() { from_crictl(component) } else { lines }
}

fn from_files(pods: &Path, component: &str) -> Vec<String> {
    let newest = |folder: &Path, matches: &dyn Fn(&str) -> bool| {
        let entries = fs::read_dir(folder).ok()?.flatten();
        entries
            .filter(|entry| matches(&entry.file_name().to_string_lossy()))
            .max_by_key(|entry| entry.metadata().and_then(|metadata| metadata.modified()).ok())
            .map(|entry| entry.path())
    };
    let prefix = format!("kube-system_{component}-");
    let log = newest(pods, &|name| name.starts_with(&prefix))
        .and_then(|pod| newest(&pod, &|name| name == component))
        .and_then(|container| newest(&container, &|name| name.ends_with(".log")));
    log.map(|path| last(&end_of(&path))).unwrap_or_default()
}

fn from_crictl(component: &str) -> Vec<String> {
    let run = |words: &[&str]| Process::new("crictl").args(words).run().ok();
    let listed = run(&["ps", "-a", "-q", "--name", component]);
    let Some(id) = listed.and_then(|output| output.stdout.lines().next().map(str::to_owned)) else {
        return Vec::new();
    };
    // A container's own stderr is crictl's stderr.
    let logs = run(&["logs", "--tail", &LINES.to_string(), &id]).filter(|output| output.success());
    logs.map(|output| last(&(output.stdout + &output.stderr))).unwrap_or_default()
}

fn end_of(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(END)))?;
        file.read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}

/// The last lines, without what the container runtime puts before each.
fn last(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    last.iter().map(|line| said(line).to_owned()).collect()
}

/// `2026-11-23T17:53:58.1Z stderr F what was said`.
fn said(line: &str) -> &str {
    let mut parts = line.splitn(4, ' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(time), Some("stderr" | "stdout"), Some("F" | "P"), Some(rest))
            if time.contains('T') =>
        {
            rest
        }
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_log_of_the_component_is_read() {
        let pods = tempfile::tempdir().expect("a folder");
        let folder = pods.path().join("kube-system_kube-apiserver-cp1_0961/kube-apiserver");
        fs::create_dir_all(&folder).expect("made");
        let lines: String =
            (0..20).map(|n| format!("2026-11-23T17:53:58.1Z stderr F line {n}\n")).collect();
        fs::write(folder.join("0.log"), lines).expect("written");
        let last = from_files(pods.path(), "kube-apiserver");
        assert_eq!((last.len(), last[9].as_str()), (LINES, "line 19"));
        assert!(from_files(pods.path(), "etcd").is_empty());
    }
}
