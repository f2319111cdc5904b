//! `git`: a working copy of a repository, by the host's git.

mod archive;
mod repository;
mod submodules;
mod update;

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::args::{Flag, HostPath, Number, Text, TextList};
use super::words::expand_user;
use super::{Context, Failure, Module, Outcome};
use repository::Repository;

/// Keeps a working copy at a version of a repository.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Git {
    #[serde(alias = "name")]
    repo: Text,
    /// The folder of the working copy; needed unless `clone` is off.
    dest: Option<HostPath>,
    /// A branch, a tag or a commit.
    #[serde(default = "head")]
    version: Text,
    #[serde(default = "origin")]
    remote: Text,
    refspec: Option<Text>,
    /// A repository on the host to borrow objects from.
    reference: Option<Text>,
    /// Throw local changes away.
    #[serde(default)]
    force: Flag,
    depth: Option<Number>,
    #[serde(default = "Flag::yes")]
    clone: Flag,
    /// Fetch what is new.
    #[serde(default = "Flag::yes")]
    update: Flag,
    #[serde(default)]
    verify_commit: Flag,
    /// Fingerprints of the keys that may have signed it.
    #[serde(default, alias = "gpg_whitelist")]
    gpg_allowlist: TextList,
    #[serde(default)]
    accept_hostkey: Flag,
    #[serde(default)]
    accept_newhostkey: Flag,
    key_file: Option<HostPath>,
    ssh_opts: Option<Text>,
    executable: Option<HostPath>,
    #[serde(default)]
    bare: Flag,
    /// With submodules.
    #[serde(default = "Flag::yes")]
    recursive: Flag,
    #[serde(default)]
    single_branch: Flag,
    /// Submodules follow their branches.
    #[serde(default)]
    track_submodules: Flag,
    umask: Option<Json>,
    /// A file that the version is packed into.
    archive: Option<HostPath>,
    archive_prefix: Option<Text>,
    separate_git_dir: Option<HostPath>,
}

fn head() -> Text {
    Text("HEAD".to_owned())
}

fn origin() -> Text {
    Text("origin".to_owned())
}

impl Module for Git {
    const NAME: &'static str = "git";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        self.validate()?;
        let dest = self.dest.as_ref().filter(|dest| !dest.as_os_str().is_empty());
        let dest = dest.map(|dest| std::path::absolute(dest).unwrap_or_else(|_| dest.0.clone()));
        let repo = expand_user(&self.repo.0, &context.environment);
        let repo =
            if repo.starts_with('/') { format!("file://{repo}") } else { self.repo.0.clone() };
        let repository = Repository::of(&self, repo, dest, context)?;
        let mut outcome = Outcome::default().with("warnings", json!([])).with("before", Json::Null);
        repository.bring_up_to_date(&mut outcome)?;
        Ok(outcome)
    }
}

impl Git {
    fn validate(&self) -> Result<(), Failure> {
        let refuse = |msg: &str| Err(Failure::new(msg));
        if self.separate_git_dir.is_some() && self.bare.0 {
            return refuse("parameters are mutually exclusive: separate_git_dir|bare");
        }
        if self.accept_hostkey.0 && self.accept_newhostkey.0 {
            return refuse("parameters are mutually exclusive: accept_hostkey|accept_newhostkey");
        }
        if self.archive_prefix.is_some() && self.archive.is_none() {
            return refuse("missing parameter(s) required by 'archive_prefix': archive");
        }
        if self.dest.is_none() && self.clone.0 {
            return refuse("the destination directory must be specified unless clone=no");
        }
        match &self.umask {
            None | Some(Json::Null) => Ok(()),
            Some(Json::String(text)) if u32::from_str_radix(text, 8).is_ok() => Ok(()),
            Some(Json::String(_)) => refuse("umask must be an octal integer"),
            Some(_) => refuse("umask must be defined as a quoted octal integer"),
        }
    }

    /// How git calls ssh: no questions, and the task's key and options.
    fn ssh_command(&self, context: &Context) -> String {
        let mut options = self.ssh_opts.as_ref().map(|text| text.0.clone()).unwrap_or_default();
        let strict = options.contains("-o StrictHostKeyChecking=no")
            || options.contains("-o StrictHostKeyChecking=accept-new");
        match (strict, self.accept_hostkey.0, self.accept_newhostkey.0) {
            (false, true, _) => options += " -o StrictHostKeyChecking=no",
            (false, _, true) => options += " -o StrictHostKeyChecking=accept-new",
            _ => {}
        }
        if !options.contains("BatchMode=yes") {
            options = format!("-o BatchMode=yes {options}");
        }
        if let Some(key) = &self.key_file {
            let key = key.display().to_string();
            let key = shlex::try_quote(&key).map(|key| key.into_owned()).unwrap_or(key);
            options += &format!(" -i {key} -o IdentitiesOnly=yes");
        }
        let own = context.environment.get("GIT_SSH_COMMAND").cloned();
        let own = own.or_else(|| context.environment.get("GIT_SSH").cloned());
        format!("{} {}", own.unwrap_or_else(|| "ssh".to_owned()), options.trim())
    }
}

/// Where the repository itself is: `.git`, or what the file of that name says.
fn git_folder(dest: &Path, bare: bool) -> Result<PathBuf, Failure> {
    let path = if bare { dest.to_owned() } else { dest.join(".git") };
    if !path.is_file() {
        return Ok(path);
    }
    let wrong = |details: String| {
        Failure::new(
            "Current repo does not have a valid reference to a separate Git dir or it refers to \
             the invalid path",
        )
        .with("details", details)
    };
    let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    let folder = text.trim_end().strip_prefix("gitdir: ");
    let folder =
        folder.ok_or_else(|| wrong(".git file has invalid git dir reference format".to_owned()))?;
    let folder = dest.join(folder);
    match folder.is_dir() {
        true => Ok(folder),
        false => Err(wrong(format!("{} is not a directory", folder.display()))),
    }
}

#[cfg(test)]
mod tests;
