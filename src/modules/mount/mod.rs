//! `mount`: file systems, now and after the next boot.

mod fstab;
pub mod mounted;

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, HostPath, Text};
use super::process::Output;
use super::{Context, Failure, Module, Outcome, files, http, tools};
use fstab::{Entry, Fstab};
use mounted::Mounts;

/// Keeps a file system in fstab, and mounts or unmounts it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The folder.
    #[serde(alias = "name")]
    path: HostPath,
    state: State,
    /// What is mounted there.
    src: Option<Text>,
    fstype: Option<Text>,
    opts: Option<Text>,
    /// Do not show the options.
    #[serde(default, rename = "opts_no_log")]
    _opts_no_log: Flag,
    #[serde(default = "zero")]
    dump: Text,
    #[serde(default = "zero")]
    passno: Text,
    fstab: Option<HostPath>,
    /// Whether it is mounted at boot.
    #[serde(default = "Flag::yes")]
    boot: Flag,
    #[serde(default)]
    backup: Flag,
}

fn zero() -> Text {
    Text("0".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Absent,
    AbsentFromFstab,
    Ephemeral,
    Mounted,
    Present,
    Remounted,
    Unmounted,
}

impl Module for Mount {
    const NAME: &'static str = "mount";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let needs = |name: &str| {
            let missing = [("src", self.src.is_none()), ("fstype", self.fstype.is_none())];
            let missing: Vec<_> =
                missing.into_iter().filter(|(_, none)| *none).map(|(name, _)| name).collect();
            match missing.is_empty() {
                true => Ok(()),
                false => Err(Failure::new(format!(
                    "state is {name} but all of the following are missing: {}",
                    missing.join(", ")
                ))),
            }
        };
        match self.state {
            State::Mounted => needs("mounted")?,
            State::Present => needs("present")?,
            State::Ephemeral => needs("ephemeral")?,
            _ => {}
        }
        let job = Job::of(&self, context)?;
        let mut backup = None;
        let changed = job.run(&mut backup)?;
        Ok(job.told(changed, backup))
    }
}

/// One run, with what stands for arguments that are not given.
struct Job<'a> {
    task: &'a Mount,
    context: &'a Context,
    entry: Entry,
    fstab: PathBuf,
    warnings: Vec<&'static str>,
}

impl<'a> Job<'a> {
    fn of(task: &'a Mount, context: &'a Context) -> Result<Self, Failure> {
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.0.clone());
        let mut options = text(&task.opts).unwrap_or_else(|| "defaults".to_owned());
        let mut warnings = Vec::new();
        if task.boot.0 && options.split(',').any(|option| option == "noauto") {
            warnings.push("Ignore the 'boot' due to 'opts' contains 'noauto'.");
        } else if !task.boot.0 {
            options += ",noauto";
        }
        let entry = Entry {
            src: text(&task.src).unwrap_or_default(),
            name: task.path.display().to_string(),
            fstype: text(&task.fstype).unwrap_or_default(),
            opts: options,
            dump: task.dump.0.clone(),
            passno: task.passno.0.clone(),
        };
        let fstab = task.fstab.as_ref().map_or_else(|| "/etc/fstab".into(), |path| path.0.clone());
        Ok(Self { task, context, entry, fstab, warnings })
    }

    fn told(&self, changed: bool, backup: Option<PathBuf>) -> Outcome {
        let backup = backup.map(|path| path.display().to_string()).unwrap_or_default();
        let mut outcome = Outcome::changed(changed)
            .with("name", self.entry.name.clone())
            .with("opts", self.entry.opts.clone())
            .with("dump", self.entry.dump.clone())
            .with("passno", self.entry.passno.clone())
            .with("fstab", self.fstab.display().to_string())
            .with("boot", if self.task.boot.0 { "yes" } else { "no" })
            .with("backup_file", backup);
        for (key, value) in [("src", &self.task.src), ("fstype", &self.task.fstype)] {
            if let Some(value) = value {
                outcome = outcome.with(key, value.0.clone());
            }
        }
        if !self.warnings.is_empty() {
            outcome = outcome.with("warnings", json!(self.warnings));
        }
        outcome
    }

    fn run(&self, backup: &mut Option<PathBuf>) -> Result<bool, Failure> {
        match self.task.state {
            State::AbsentFromFstab => self.forget(backup),
            State::Absent => {
                let changed = self.forget(backup)?;
                if changed && !self.context.check {
                    self.take_away()?;
                }
                Ok(changed)
            }
            State::Unmounted => {
                let mounted = Mounts::read().has(&self.task.path);
                if mounted && !self.context.check {
                    self.must(self.unmount()?, "unmounting")?;
                }
                Ok(mounted)
            }
            State::Present => self.keep(backup),
            State::Mounted | State::Ephemeral => self.mount_there(backup),
            State::Remounted => {
                if !self.context.check {
                    self.must(self.remount()?, "remounting")?;
                }
                Ok(true)
            }
        }
    }

    fn table(&self) -> Result<Fstab, Failure> {
        if !self.fstab.exists() {
            if let Some(folder) = self.fstab.parent().filter(|folder| !folder.exists()) {
                fs::create_dir_all(folder)
                    .map_err(|error| files::failed("cannot be made", folder, &error))?;
            }
            fs::File::create(&self.fstab).map_err(|error| {
                let why = match error.kind() {
                    std::io::ErrorKind::PermissionDenied => "permission issue".to_owned(),
                    _ => http::python_error(&error),
                };
                Failure::new(format!("Failed to open {} due to {why}", self.fstab.display()))
            })?;
        }
        Fstab::read(&self.fstab)
    }

    /// Writes the table; the old one is kept if the task says so.
    fn write(&self, table: &Fstab, backup: &mut Option<PathBuf>) -> Result<(), Failure> {
        if self.context.check {
            return Ok(());
        }
        if self.task.backup.0 {
            *backup = Some(files::back_up(&self.fstab)?);
        }
        files::write(&self.fstab, &mut table.text().as_bytes(), None, true)
    }

    fn keep(&self, backup: &mut Option<PathBuf>) -> Result<bool, Failure> {
        let mut table = self.table()?;
        let changed = table.set(&self.entry);
        if changed {
            self.write(&table, backup)?;
        }
        Ok(changed)
    }

    fn forget(&self, backup: &mut Option<PathBuf>) -> Result<bool, Failure> {
        let mut table = self.table()?;
        let changed = table.unset(&self.entry, self.task.src.is_some());
        if changed {
            self.write(&table, backup)?;
        }
        Ok(changed)
    }

    /// Unmounts the folder and removes it.
    fn take_away(&self) -> Result<(), Failure> {
        let path = &self.task.path;
        if Mounts::read().has(path) {
            self.must(self.unmount()?, "unmounting")?;
        }
        if path.exists() {
            fs::remove_dir(path).map_err(|error| {
                let why = http::python_error(&error);
                Failure::new(format!("Error rmdir {0}: {why}: '{0}'", path.display()))
            })?;
        }
        Ok(())
    }

    fn mount_there(&self, backup: &mut Option<PathBuf>) -> Result<bool, Failure> {
        let made = if self.context.check { Vec::new() } else { self.make_folders()? };
        let ephemeral = self.task.state == State::Ephemeral;
        let old = if ephemeral { None } else { Some(self.table()?) };
        let mut changed = if ephemeral { false } else { self.keep(backup)? };
        let mounts = Mounts::read();
        let mounted = mounts.has(&self.task.path);
        let result = if mounted && ephemeral {
            if !mounts.has_source(&self.task.path, &self.entry.src) {
                return Err(Failure::new(
                    "Ephemeral mount point is already mounted with a different source than the \
                     specified one. Failing in order to prevent an unwanted unmount or override \
                     operation. Try replacing this command with a \"state: unmounted\" followed \
                     by a \"state: ephemeral\", or use a different destination path.",
                ));
            }
            changed = true;
            if self.context.check { None } else { Some(self.remount()?) }
        } else if mounted {
            if changed && !self.context.check { Some(self.remount()?) } else { None }
        } else {
            changed = true;
            if self.context.check { None } else { Some(self.mount()?) }
        };
        let done = result.map_or(Ok(()), |result| self.must(result, "mounting"));
        if done.is_err() {
            if let Some(old) = old {
                files::write(&self.fstab, &mut old.text().as_bytes(), None, true)?;
            }
            made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
        }
        done.map(|()| changed)
    }

    /// Makes the folder and those that it is in; gives those that were not there.
    fn make_folders(&self) -> Result<Vec<PathBuf>, Failure> {
        let path = &self.task.path.0;
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let mut made: Vec<PathBuf> =
            path.ancestors().take_while(missing).map(Path::to_owned).collect();
        made.reverse();
        for folder in &made {
            fs::create_dir(folder).map_err(|error| {
                let why = http::python_error(&error);
                Failure::new(format!("Error making dir {}: {why}", path.display()))
            })?;
        }
        Ok(made)
    }

    fn other_fstab(&self) -> Vec<String> {
        let own = self.fstab.as_path() != Path::new("/etc/fstab");
        let table = ["-T".to_owned(), self.fstab.display().to_string()];
        if own { table.to_vec() } else { Vec::new() }
    }

    /// Arguments of a mount that no table knows.
    fn without_table(&self) -> Vec<String> {
        let entry = &self.entry;
        let mut arguments = vec!["-t".to_owned(), entry.fstype.clone()];
        if entry.opts != "defaults" {
            arguments.extend(["-o".to_owned(), entry.opts.clone()]);
        }
        arguments.push(entry.src.clone());
        arguments
    }

    fn arguments(&self) -> Vec<String> {
        match self.task.state {
            State::Ephemeral => self.without_table(),
            _ => self.other_fstab(),
        }
    }

    fn mount(&self) -> Result<Output, Failure> {
        let command = tools::command(self.context, "mount")?.args(self.arguments());
        command.arg(&self.entry.name).run()
    }

    fn unmount(&self) -> Result<Output, Failure> {
        tools::command(self.context, "umount")?.arg(&self.entry.name).run()
    }

    /// Remounts; what cannot be remounted is unmounted and mounted.
    fn remount(&self) -> Result<Output, Failure> {
        let own = self.task.state == State::Remounted && self.entry.opts != "defaults";
        let options = match own {
            true => format!("remount,{}", self.entry.opts),
            false => "remount".to_owned(),
        };
        let command = tools::command(self.context, "mount")?.arg("-o").arg(options);
        let output = command.args(self.arguments()).arg(&self.entry.name).run()?;
        if output.success() {
            return Ok(output);
        }
        if own {
            return Err(Failure::new(
                "Options were specified with remounted, but the remount command failed. Failing \
                 in order to prevent an unexpected mount result. Try replacing this command with \
                 a \"state: unmounted\" followed by a \"state: mounted\" using the full desired \
                 mount options instead.",
            ));
        }
        let output = self.unmount()?;
        if output.success() { self.mount() } else { Ok(output) }
    }

    fn must(&self, output: Output, doing: &str) -> Result<(), Failure> {
        if output.success() {
            return Ok(());
        }
        let (name, out, err) = (&self.entry.name, &output.stdout, &output.stderr);
        Err(Failure::new(format!("Error {doing} {name}: {out}{err}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_fstab_is_set_and_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let table = folder.path().join("fstab");
        let run = |state: &str, check: bool| {
            let arguments = json!({
                "path": "/mnt/a b", "src": "/dev/x", "fstype": "ext4", "state": state,
                "fstab": table, "boot": false
            });
            let context = Context { check, ..Context::default() };
            serde_json::from_value::<Mount>(arguments).expect("arguments").run(&context)
        };
        assert!(run("present", true).expect("checked").changed);
        assert!(run("present", false).expect("set").changed);
        assert!(!run("present", false).expect("there").changed);
        let text = fs::read_to_string(&table).expect("read");
        assert_eq!(text, "/dev/x /mnt/a\\040b ext4 defaults,noauto 0 0\n");
        assert!(run("absent_from_fstab", false).expect("gone").changed);
        assert_eq!(fs::read_to_string(&table).expect("read"), "");
    }

    #[test]
    fn what_is_needed_is_told() {
        let arguments = json!({"path": "/mnt", "state": "mounted", "src": "x"});
        let module: Mount = serde_json::from_value(arguments).expect("arguments");
        let failure = module.run(&Context::default()).expect_err("refused");
        assert_eq!(failure.msg, "state is mounted but all of the following are missing: fstype");
    }
}
