//! What is asked of git: commits, branches and tags, here and at the remote.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::process::{Output, Process};
use super::super::{Context, Failure, tools};
use super::{Git, git_folder};

/// A repository, its working copy, and the task.
pub struct Repository<'a> {
    pub task: &'a Git,
    pub context: &'a Context,
    /// The address; a path begins with `file://`.
    pub repo: String,
    pub dest: Option<PathBuf>,
    pub program: String,
}

impl<'a> Repository<'a> {
    pub fn of(
        task: &'a Git,
        repo: String,
        dest: Option<PathBuf>,
        context: &'a Context,
    ) -> Result<Self, Failure> {
        let program = match &task.executable {
            Some(path) => path.display().to_string(),
            None => tools::program(context, "git")?.display().to_string(),
        };
        Ok(Self { task, context, repo, dest, program })
    }

    pub fn version(&self) -> &str {
        &self.task.version.0
    }

    pub fn remote(&self) -> &str {
        &self.task.remote.0
    }

    pub fn folder(&self) -> &Path {
        self.dest.as_deref().unwrap_or(Path::new("/"))
    }

    /// Runs git in a folder.
    pub fn run_in(&self, folder: Option<&Path>, arguments: &[&str]) -> Result<Output, Failure> {
        let mut command = match &self.task.umask {
            // Nobody but a shell can set it for one command.
            Some(serde_json::Value::String(mask)) => Process::shell("umask \"$0\"; exec \"$@\"")
                .arg(mask)
                .arg(&self.program)
                .args(arguments),
            _ => Process::new(&self.program).args(arguments),
        };
        command = command.in_context(self.context).env("LC_ALL", "C.UTF-8").env("LANGUAGE", "C");
        command = command.env("GIT_TERMINAL_PROMPT", "0");
        command = command.env("GIT_SSH_COMMAND", self.task.ssh_command(self.context));
        if let Some(folder) = folder {
            command = command.cwd(folder);
        }
        command.run()
    }

    /// Runs git in the working copy.
    pub fn run(&self, arguments: &[&str]) -> Result<Output, Failure> {
        self.run_in(Some(self.folder()), arguments)
    }

    /// A failure of git's is the task's.
    pub fn must_in(&self, folder: Option<&Path>, arguments: &[&str]) -> Result<Output, Failure> {
        let output = self.run_in(folder, arguments)?;
        if output.success() {
            return Ok(output);
        }
        let words = std::iter::once(self.program.as_str()).chain(arguments.iter().copied());
        let command = shlex::try_join(words).unwrap_or_default();
        Err(failed(output.stderr.trim_end(), &output).with("cmd", command))
    }

    pub fn must(&self, arguments: &[&str]) -> Result<Output, Failure> {
        self.must_in(Some(self.folder()), arguments)
    }

    /// The commit that is checked out.
    pub fn commit(&self) -> Result<String, Failure> {
        Ok(self.run(&["rev-parse", "HEAD"])?.stdout.trim_end_matches('\n').to_owned())
    }

    /// Changes of files that git knows.
    pub fn has_local_changes(&self) -> Result<bool, Failure> {
        if self.task.bare.0 {
            return Ok(false);
        }
        let status = self.run(&["status", "--porcelain"])?.stdout;
        Ok(status.lines().any(|line| !line.starts_with("??")))
    }

    /// Where a remote's name is looked up; an address needs no folder.
    fn beside(&self) -> Option<&Path> {
        self.dest.as_deref().filter(|dest| dest.exists())
    }

    fn remote_has(&self, remote: &str, kind: &str, name: &str) -> Result<bool, Failure> {
        let option = if kind == "tags" { "-t" } else { "-h" };
        let reference = format!("refs/{kind}/{name}");
        let output = self.must_in(self.beside(), &["ls-remote", remote, option, &reference])?;
        Ok(output.stdout.contains(name))
    }

    pub fn is_remote_branch(&self, remote: &str, name: &str) -> Result<bool, Failure> {
        self.remote_has(remote, "heads", name)
    }

    pub fn is_remote_tag(&self, remote: &str, name: &str) -> Result<bool, Failure> {
        self.remote_has(remote, "tags", name)
    }

    fn branches(&self) -> Result<Vec<String>, Failure> {
        let output = self.run(&["branch", "--no-color", "-a"])?;
        if !output.success() {
            let msg = format!("Could not determine branch data - received {}", output.stdout);
            return Err(failed(&msg, &output));
        }
        Ok(output.stdout.lines().map(|line| line.trim().to_owned()).collect())
    }

    pub fn is_local_branch(&self, name: &str) -> Result<bool, Failure> {
        let names = self.branches()?;
        Ok(names.iter().any(|branch| branch.strip_prefix("* ").unwrap_or(branch) == name))
    }

    /// The branch that HEAD is, or that the remote's HEAD is when none is checked out.
    pub fn head_branch(&self) -> Result<String, Failure> {
        let folder = git_folder(self.folder(), self.task.bare.0)?;
        let detached = self.branches()?.iter().any(|branch| {
            let own = branch.strip_prefix("* ").unwrap_or_default();
            ["no branch", "detached from", "detached at"].iter().any(|mark| own.contains(mark))
        });
        let remote = self.remote();
        let file = match detached {
            true => folder.join("refs/remotes").join(remote).join("HEAD"),
            false => folder.join("HEAD"),
        };
        let text = fs::read_to_string(&file)
            .map_err(|_| Failure::new(format!("Unable to read {}", file.display())))?;
        let reference = text.lines().next().unwrap_or_default();
        let reference = reference.strip_prefix("ref: ").unwrap_or(reference);
        let of_remote = reference.strip_prefix(&format!("refs/remotes/{remote}/"));
        let name = of_remote.or_else(|| reference.strip_prefix("refs/heads/"));
        Ok(name.unwrap_or(reference).to_owned())
    }

    /// The commit that the version is at `remote` (a name or an address).
    pub fn remote_commit(&self, remote: &str) -> Result<String, Failure> {
        let version = self.version();
        let by_name = remote == self.remote();
        let output = if version == "HEAD" {
            let reference = match by_name {
                true => format!("refs/heads/{}", self.head_branch()?),
                false => "HEAD".to_owned(),
            };
            let option = if by_name { "-h" } else { "--" };
            let arguments: &[&str] = match by_name {
                true => &["ls-remote", remote, option, &reference],
                false => &["ls-remote", remote, &reference],
            };
            self.must_in(self.beside(), arguments)?
        } else if self.is_remote_branch(remote, version)? {
            let reference = format!("refs/heads/{version}");
            self.must_in(self.beside(), &["ls-remote", remote, "-h", &reference])?
        } else if self.is_remote_tag(remote, version)? {
            let reference = format!("refs/tags/{version}*");
            self.must_in(self.beside(), &["ls-remote", remote, "-t", &reference])?
        } else {
            return Ok(version.to_owned());
        };
        // The commit of a tag that is an object of its own stands behind `^{}`.
        let ends = |end: String| output.stdout.lines().find(move |line| line.ends_with(&end));
        let line = ends(format!("{version}^{{}}"))
            .or_else(|| ends(format!("/{version}")))
            .or_else(|| output.stdout.lines().next());
        let commit = line.and_then(|line| line.split_whitespace().next());
        commit.map(str::to_owned).ok_or_else(|| {
            failed(&format!("Could not determine remote revision for {version}"), &output)
        })
    }

    pub fn remote_url(&self) -> Result<Option<String>, Failure> {
        let output = self.run(&["ls-remote", "--get-url", self.remote()])?;
        Ok(output.success().then(|| output.stdout.trim_end_matches('\n').to_owned()))
    }

    /// Whether a remote's address is not the task's; two ways to one path are the same.
    pub fn is_other_url(&self, url: &str) -> bool {
        let plain = |url: &str| {
            let path = url.strip_prefix("file://").unwrap_or(url);
            fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path))
        };
        url != self.repo && plain(url) != plain(&self.repo)
    }

    pub fn is_annotated_tag(&self, name: &str) -> Result<bool, Failure> {
        let format = "%(objecttype):%(refname:short)";
        let output = self.run(&["for-each-ref", "refs/tags/", "--format", format])?;
        Ok(output.stdout.lines().any(|line| line.strip_prefix("tag:") == Some(name)))
    }
}

/// A failure with what git said.
pub fn failed(msg: &str, output: &Output) -> Failure {
    Failure::new(msg)
        .with("rc", output.rc)
        .with("stdout", output.stdout.clone())
        .with("stderr", output.stderr.clone())
}
