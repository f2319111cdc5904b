//! Unhold, install, hold: the three as one.
//!
//! They run as one script that goes on when the task is stopped, the connection is lost
//! or the agent is killed. Should the host itself go down in the middle, a file says
//! which packages are to be held again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::modules::dpkg;
use crate::modules::process::{Output, Process};
use crate::modules::{Context, Failure};

/// Names the packages to hold again. It lies where a restart of the host leaves it.
const MARKER: &str = "/var/lib/kup-play/apt-hold-in-progress";

/// Arguments: the marker, seconds to wait for dpkg, what to hold when it goes well, what
/// to hold when it does not, what to unhold, the command. The lists are words in one.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
marker=$1 seconds=$2 wanted=$3 held=$4 unheld=$5
shift 5
mark() {
    verb=$1; shift
    [ $# -gt 0 ] || return 0
    left=$seconds
    until apt-mark "$verb" "$@" >&2; do
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1)); sleep 1
    done
}
mark unhold $unheld; rc=$?
if [ "$rc" -eq 0 ]; then
    "$@"; rc=$?
fi
if [ "$rc" -eq 0 ]; then again=$wanted; else again=$held; fi
if mark hold $again; then rm -f "$marker"; else [ "$rc" -ne 0 ] || rc=100; fi
exit "$rc"
"#;

pub struct Transaction<'a> {
    /// The packages that are held afterwards.
    pub names: &'a [String],
    /// Those that are held now, and stay so if the installation fails.
    pub held: &'a [String],
    /// `name=version` for each package that changes.
    pub words: &'a [String],
    pub flags: Vec<&'static str>,
    pub lock_timeout: u64,
}

impl Transaction<'_> {
    pub fn run(&self, context: &Context) -> Result<Output, Failure> {
        self.run_with(context, Path::new(MARKER))
    }

    fn run_with(&self, context: &Context, marker: &Path) -> Result<Output, Failure> {
        if !self.held.is_empty() {
            leave(marker, self.held)?;
        }
        let mut script = Process::shell(SCRIPT)
            .in_context(context)
            .to_its_end()
            .args(["apt-hold", &marker.to_string_lossy(), &self.lock_timeout.to_string()])
            .args([self.names.join(" "), self.held.join(" "), self.held.join(" ")])
            .args(["apt-get", "-y", "-o"])
            .arg(format!("DPkg::Lock::Timeout={}", self.lock_timeout));
        for (name, value) in dpkg::ENVIRONMENT {
            script = script.env(name, value);
        }
        for option in dpkg::OPTIONS {
            script = script.args(["-o".to_owned(), format!("Dpkg::Options::=--{option}")]);
        }
        script.arg("install").args(&self.flags).args(self.words).run()
    }
}

/// Holds what an earlier run left unheld when its host went down.
pub fn finish_interrupted(context: &Context) -> Result<(), Failure> {
    finish(context, Path::new(MARKER))
}

fn finish(context: &Context, marker: &Path) -> Result<(), Failure> {
    let Ok(text) = fs::read_to_string(marker) else {
        return Ok(());
    };
    let names: Vec<String> = text.lines().map(str::to_owned).collect();
    let present: Vec<_> = dpkg::installed(context, &names)?.into_keys().collect();
    dpkg::mark(context, true, &present)?;
    match fs::remove_file(marker) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("{} cannot be removed: {error}", marker.display())))
        }
        _ => Ok(()),
    }
}

fn leave(marker: &Path, names: &[String]) -> Result<(), Failure> {
    let error = |error: std::io::Error| {
        Failure::new(format!("{} cannot be written: {error}", marker.display()))
    };
    let folder = marker.parent().map(PathBuf::from).unwrap_or_default();
    fs::create_dir_all(&folder).map_err(error)?;
    fs::write(marker, names.join("\n")).map_err(error)?;
    // On the disk before the first package is unheld.
    fs::File::open(marker).and_then(|file| file.sync_all()).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;
    use std::time::Duration;

    /// A folder with an apt-get and an apt-mark that write down what they are told.
    struct Recorder {
        folder: tempfile::TempDir,
        context: Context,
    }

    impl Recorder {
        fn new(apt_get: &str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let log = folder.path().join("log");
            let program = |name: &str, body: &str| {
                let path = folder.path().join(name);
                let text = format!("#!/bin/sh\necho {name} \"$@\" >> {}\n{body}\n", log.display());
                fs::write(&path, text).expect("written");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
            };
            program("apt-get", apt_get);
            program("apt-mark", "");
            let path = format!("{}:/usr/bin:/bin", folder.path().display());
            let environment = BTreeMap::from([("PATH".to_owned(), path)]);
            Self { folder, context: Context { environment, ..Context::default() } }
        }

        fn install(&self) -> Output {
            let names = ["kubeadm".to_owned(), "kubelet".to_owned()];
            Transaction {
                names: &names,
                held: &names[1..],
                words: &["kubeadm=1.21.2-00".to_owned()],
                flags: vec!["--allow-change-held-packages"],
                lock_timeout: 0,
            }
            .run_with(&self.context, &self.marker())
            .expect("run")
        }

        fn marker(&self) -> PathBuf {
            self.folder.path().join("state/marker")
        }

        /// The first two words of each command, and the last.
        fn log(&self) -> Vec<String> {
            let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            text.lines()
                .map(|line| {
                    let words: Vec<_> = line.split(' ').collect();
                    [words.first(), words.get(1), words.last()]
                        .into_iter()
                        .flatten()
                        .copied()
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect()
        }
    }

    #[test]
    fn all_are_held_after_an_installation() {
        let recorder = Recorder::new("echo done");
        let output = recorder.install();
        assert_eq!((output.rc, output.stdout.as_str()), (0, "done\n"));
        let expected =
            ["apt-mark unhold kubelet", "apt-get -y kubeadm=1.21.2-00", "apt-mark hold kubelet"];
        assert_eq!(recorder.log(), expected);
        let text = fs::read_to_string(recorder.folder.path().join("log")).expect("read");
        assert!(text.contains("apt-mark hold kubeadm kubelet"));
        assert!(!recorder.marker().exists());
    }

    #[test]
    fn what_was_held_is_held_again_after_a_failure() {
        let recorder = Recorder::new("exit 100");
        assert_eq!(recorder.install().rc, 100);
        assert_eq!(recorder.log().last().map(String::as_str), Some("apt-mark hold kubelet"));
        assert!(!recorder.marker().exists());
    }

    #[test]
    fn a_terminated_script_still_holds() {
        let recorder = Recorder::new("kill -TERM $PPID; kill -HUP $PPID; sleep 0.2");
        assert_eq!(recorder.install().rc, 0);
        assert_eq!(recorder.log().last().map(String::as_str), Some("apt-mark hold kubelet"));
        thread::sleep(Duration::from_millis(1));
    }

    #[test]
    fn a_host_that_went_down_has_the_marker() {
        let recorder = Recorder::new("kill -KILL $PPID");
        assert!(!recorder.install().success());
        let left = fs::read_to_string(recorder.marker()).expect("the marker");
        assert_eq!(left, "kubelet");
    }
}
