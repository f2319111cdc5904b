//! The ssh key of an account.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};

use super::super::files::failed;
use super::super::process::Process;
use super::super::{Context, Failure, Outcome, tools};
use super::User;
use super::account::Account;

impl User {
    /// Makes the key unless it is there; the result tells of it.
    pub(super) fn ssh_key(
        &self,
        account: &Account,
        mut outcome: Outcome,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let file = self.key_file(account)?;
        let public = PathBuf::from(format!("{}.pub", file.display()));
        outcome.changed |= self.make_key(account, &file, &public, context)?;
        let fingerprint = if file.exists() {
            let shown =
                tools::command(context, "ssh-keygen")?.arg("-l").arg("-f").arg(&file).run()?;
            if shown.success() { shown.stdout } else { shown.stderr }
        } else {
            String::new()
        };
        let text = fs::read_to_string(&public).ok();
        Ok(outcome
            .with("ssh_fingerprint", fingerprint.trim())
            .with("ssh_key_file", file.display().to_string())
            .with("ssh_public_key", text.map(|text| text.trim().to_owned())))
    }

    fn key_file(&self, account: &Account) -> Result<PathBuf, Failure> {
        let default = || Path::new(".ssh").join(format!("id_{}", self.ssh_key_type.0));
        let file = self.ssh_key_file.as_ref().map_or_else(default, |file| file.0.clone());
        if file.is_absolute() {
            return Ok(file);
        }
        let home = self.home.as_deref().unwrap_or(&account.home);
        if home.exists() {
            return Ok(home.join(file));
        }
        Err(Failure::new(format!("User {} home directory does not exist", self.name.0))
            .with("name", self.name.0.clone()))
    }

    fn make_key(
        &self,
        account: &Account,
        file: &Path,
        public: &Path,
        context: &Context,
    ) -> Result<bool, Failure> {
        if !self.force.0 && (file.exists() || public.exists()) {
            return Ok(false);
        }
        if context.check {
            return Ok(true);
        }
        let own = |path: &Path| {
            lchown(path, Some(account.uid), Some(account.gid))
                .map_err(|error| failed("chown failed", path, &error))
        };
        if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
            fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| {
                Failure::new(format!("Failed to create {}: {error}", folder.display()))
            })?;
            own(folder)?;
        }
        for path in [file, public] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("cannot be removed", path, &error));
                }
                _ => {}
            }
        }
        self.must(self.keygen(file, context)?)?;
        own(file)?;
        own(public)?;
        Ok(true)
    }

    fn keygen(&self, file: &Path, context: &Context) -> Result<Process, Failure> {
        let default = || {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            format!("ansible-generated on {name}")
        };
        let comment = self.ssh_key_comment.as_ref().map_or_else(default, |text| text.0.clone());
        let mut command =
            tools::command(context, "ssh-keygen")?.args(["-q", "-t", &self.ssh_key_type.0]);
        if self.ssh_key_bits.0 > 0 {
            command = command.arg("-b").arg(self.ssh_key_bits.0.to_string());
        }
        command = command.args(["-C", &comment]).arg("-f").arg(file);
        match &self.ssh_key_passphrase {
            None => Ok(command.args(["-N", ""])),
            Some(passphrase) => {
                let asked = answering(&context.scratch, &passphrase.0)
                    .map_err(|error| failed("cannot be written", &context.scratch, &error))?;
                Ok(command
                    .env("SSH_ASKPASS", asked.display().to_string())
                    .env("SSH_ASKPASS_REQUIRE", "force")
                    .env("DISPLAY", ":0"))
            }
        }
    }
}

/// A program that answers with the passphrase, which stands in a file of this user's
/// alone: neither arguments nor environment are a place for it.
fn answering(scratch: &Path, passphrase: &str) -> io::Result<PathBuf> {
    let write = |name: &str, mode: u32, text: &str| {
        let path = scratch.join(name);
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok::<_, io::Error>(path)
    };
    let secret = write("passphrase", 0o600, &format!("{passphrase}\n"))?;
    let name = secret.display().to_string().replace('\'', "'\\''");
    write("ask-passphrase", 0o700, &format!("#!/bin/sh\nexec cat '{name}'\n"))
}
