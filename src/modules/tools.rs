//! The host's own programs: where they are, and how a module runs them.

use std::path::{Path, PathBuf};

use super::process::Process;
use super::{Context, Failure};
use rustix::fs::{Access, access};

/// Looked at beside PATH, for users without the administrator's.
const SYSTEM: [&str; 3] = ["/sbin", "/usr/sbin", "/usr/local/sbin"];

/// Where a program is; a failure in Ansible's words when it is nowhere.
pub fn program(context: &Context, name: &str) -> Result<PathBuf, Failure> {
    find(context, name).ok_or_else(|| {
        let paths: Vec<_> = paths(context).iter().map(|path| path.display().to_string()).collect();
        let paths = paths.join(":");
        Failure::new(format!("Failed to find required executable \"{name}\" in paths: {paths}"))
    })
}

/// Where a program is, if anywhere.
pub fn find(context: &Context, name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| is_program(path));
    }
    paths(context).into_iter().map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

fn paths(context: &Context) -> Vec<PathBuf> {
    let own = context.environment.get("PATH").cloned();
    let path = own.or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
    let mut paths: Vec<_> = std::env::split_paths(&path).collect();
    for folder in SYSTEM.map(PathBuf::from) {
        if !paths.contains(&folder) && folder.exists() {
            paths.push(folder);
        }
    }
    paths
}

/// A program of the host's with messages in English.
pub fn command(context: &Context, name: &str) -> Result<Process, Failure> {
    let program = program(context, name)?;
    Ok(Process::new(program).in_context(context).env("LC_ALL", "C.UTF-8").env("LANGUAGE", "C"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_folder_is_named_with_the_folders() {
        let context = Context::default();
        assert!(program(&context, "sh").is_ok());
        let failure = program(&context, "no-such-program").expect_err("not there");
        assert!(failure.msg.contains("\"no-such-program\" in paths: "), "{}", failure.msg);
    }
}
