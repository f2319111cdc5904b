//! The working copy made, fetched, and brought to its version.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::{Failure, Outcome, files};
use super::git_folder;
use super::repository::{Repository, failed};

impl Repository<'_> {
    /// Does what the task asks for; what is done is in the outcome even when it fails.
    pub fn bring_up_to_date(&self, outcome: &mut Outcome) -> Result<(), Failure> {
        let task = self.task;
        let cloned = match &self.dest {
            Some(dest) => {
                self.relocate(outcome)?;
                git_folder(dest, task.bare.0)?.join("config").exists()
            }
            None => false,
        };
        let told = |outcome: &mut Outcome, key: &str, value: &str| {
            outcome.result.insert(key.to_owned(), json!(value));
        };
        let (mut local_changes, mut url_changed) = (false, false);
        let mut before = None;
        if !cloned {
            if self.context.check || !task.clone.0 {
                let head = self.remote_commit(&self.repo)?;
                told(outcome, "after", &head);
                outcome.changed = true;
                return self.show(outcome, None, &head);
            }
            self.clone_it(outcome)?;
        } else {
            let old = self.commit()?;
            told(outcome, "before", &old);
            if !task.update.0 {
                told(outcome, "after", &old);
                return self.pack(outcome);
            }
            local_changes = self.has_local_changes()?;
            if local_changes {
                self.throw_away(outcome)?;
            }
            let url = self.remote_url()?;
            url_changed = url.as_deref().is_some_and(|url| self.is_other_url(url));
            outcome.result.insert("remote_url_changed".to_owned(), json!(url_changed));
            if self.context.check {
                let head = self.remote_commit(self.remote())?;
                told(outcome, "after", &head);
                outcome.changed = old != head || url_changed;
                return self.show(outcome, Some(&old), &head);
            }
            if url_changed || url.is_none() {
                self.set_url()?;
            }
            self.fetch(self.version(), task.refspec.as_ref().map(|text| text.0.as_str()))?;
            before = Some(old);
        }
        if !task.bare.0 {
            self.switch()?;
        }
        let submodules = task.recursive.0 && !task.bare.0 && self.submodules_differ()?;
        if submodules {
            outcome.result.insert("submodules_changed".to_owned(), json!(true));
            self.update_submodules()?;
        }
        let after = self.commit()?;
        told(outcome, "after", &after);
        if before.as_deref() != Some(&after) || local_changes || submodules || url_changed {
            outcome.changed = true;
            self.show(outcome, before.as_deref(), &after)?;
        }
        self.pack(outcome)
    }

    fn throw_away(&self, outcome: &mut Outcome) -> Result<(), Failure> {
        let msg =
            format!("Local modifications exist in the destination: {}", self.folder().display());
        if !self.task.force.0 {
            let msg = format!("{msg} (force=no).");
            return Err(Failure { result: outcome.result.clone(), ..Failure::new(msg) });
        }
        if !self.context.check {
            self.must(&["reset", "--hard", "HEAD"])?;
            outcome.changed = true;
            outcome.result.insert("msg".to_owned(), json!(msg));
        }
        Ok(())
    }

    fn clone_it(&self, outcome: &mut Outcome) -> Result<(), Failure> {
        let (task, dest, version) = (self.task, self.folder(), self.version());
        let parent = dest.parent().unwrap_or(Path::new("/"));
        // Where it cannot be made, git says so.
        let _ = fs::create_dir_all(parent);
        let depth = task.depth.map(|depth| depth.0.to_string());
        let mut arguments = vec!["clone".to_owned()];
        match task.bare.0 {
            true => arguments.push("--bare".to_owned()),
            false => arguments.extend(["--origin".to_owned(), self.remote().to_owned()]),
        }
        let named = self.is_remote_branch(&self.repo, version)?
            || self.is_remote_tag(&self.repo, version)?;
        let mut branch = false;
        if let Some(depth) = &depth {
            if version == "HEAD" || task.refspec.is_some() || named {
                arguments.extend(["--depth".to_owned(), depth.clone()]);
                branch = named && version != "HEAD" && task.refspec.is_none();
            } else {
                let warning = "Ignoring depth argument. Shallow clones are only available for \
                               HEAD, branches, tags or in combination with refspec.";
                outcome.result.insert("warnings".to_owned(), json!([warning]));
            }
        }
        if let Some(reference) = &task.reference {
            arguments.extend(["--reference".to_owned(), reference.0.clone()]);
        }
        if task.single_branch.0 {
            arguments.push("--single-branch".to_owned());
            branch |= named;
        }
        if branch {
            arguments.extend(["--branch".to_owned(), version.to_owned()]);
        }
        if let Some(folder) = &task.separate_git_dir {
            arguments.push(format!("--separate-git-dir={}", folder.display()));
        }
        arguments.extend([self.repo.clone(), dest.display().to_string()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.must_in(Some(parent), &arguments)?;
        if task.bare.0 && self.remote() != "origin" {
            self.must(&["remote", "add", self.remote(), &self.repo])?;
        }
        if let Some(refspec) = &task.refspec {
            let mut fetch = vec!["fetch"];
            if let Some(depth) = &depth {
                fetch.extend(["--depth", depth]);
            }
            fetch.extend([self.remote(), &refspec.0]);
            self.must(&fetch)?;
        }
        if task.verify_commit.0 { self.verify() } else { Ok(()) }
    }

    fn set_url(&self) -> Result<(), Failure> {
        let (remote, repo) = (self.remote(), self.repo.as_str());
        let output = self.run(&["remote", "set-url", remote, repo])?;
        match output.success() {
            true => Ok(()),
            false => Err(Failure::new(format!(
                "Failed to set a new url {repo} for {remote}: {} {}",
                output.stdout, output.stderr
            ))),
        }
    }

    /// Fetches what the version needs, or everything where that is not known.
    fn fetch(&self, version: &str, refspec: Option<&str>) -> Result<(), Failure> {
        let (task, remote) = (self.task, self.remote());
        let depth = task.depth.map(|depth| depth.0.to_string());
        let mut wanted = Vec::new();
        if depth.is_some() {
            let current = self.head_branch()?;
            if let Some(refspec) = refspec {
                wanted.push(refspec.to_owned());
            } else if version == "HEAD" {
                wanted.push(current);
            } else if self.is_remote_branch(&self.repo, version)? {
                if current != version {
                    wanted.push(format!("+refs/heads/{version}:refs/heads/{version}"));
                }
                wanted.push(format!("+refs/heads/{version}:refs/remotes/{remote}/{version}"));
            } else if self.is_remote_tag(&self.repo, version)? {
                wanted.push(format!("+refs/tags/{version}:refs/tags/{version}"));
            }
        }
        let mut arguments = vec!["fetch".to_owned()];
        match depth.filter(|_| !wanted.is_empty()) {
            Some(depth) => arguments.extend(["--depth".to_owned(), depth]),
            None if task.bare.0 => {
                wanted = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
                    .map(str::to_owned)
                    .to_vec();
            }
            None => {
                arguments.push("--tags".to_owned());
                wanted.extend(refspec.map(str::to_owned));
            }
        }
        if task.force.0 {
            arguments.push("--force".to_owned());
        }
        arguments.push(remote.to_owned());
        arguments.extend(wanted);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = self.run(&arguments)?;
        if output.success() {
            return Ok(());
        }
        let (out, err) = (&output.stdout, &output.stderr);
        let msg = format!("Failed to download remote objects and refs: {out} {err}");
        let mut command = vec!["git"];
        command.extend(arguments);
        Err(Failure::new(msg).with("cmd", json!(command)))
    }

    /// Checks the version out.
    fn switch(&self) -> Result<(), Failure> {
        let (version, remote) = (self.version(), self.remote());
        let checked = |name: &str| {
            let output = self.run(&["checkout", "--force", name])?;
            match output.success() {
                true => Ok(()),
                false => Err(failed(&format!("Failed to checkout branch {name}"), &output)),
            }
        };
        let (arguments, what) = if version == "HEAD" {
            let branch = self.head_branch()?;
            checked(&branch)?;
            let target = format!("{remote}/{branch}");
            (
                vec!["reset".to_owned(), "--hard".to_owned(), target, "--".to_owned()],
                format!("branch {branch}"),
            )
        } else if self.is_remote_branch(remote, version)? {
            let mut local = self.is_local_branch(version)?;
            if let Some(depth) = self.task.depth.filter(|_| !local) {
                self.fetch_branch(&depth.0.to_string())?;
                local = self.is_local_branch(version)?;
            }
            let target = format!("{remote}/{version}");
            let arguments = match local {
                true => {
                    checked(version)?;
                    vec!["reset", "--hard", &target]
                }
                false => vec!["checkout", "--track", "-b", version, &target],
            };
            (arguments.into_iter().map(str::to_owned).collect(), version.to_owned())
        } else {
            (["checkout", "--force", version].map(str::to_owned).to_vec(), version.to_owned())
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = self.run(&arguments)?;
        if !output.success() {
            let command = format!("{} {}", self.program, arguments.join(" "));
            return Err(failed(&format!("Failed to checkout {what}"), &output).with("cmd", command));
        }
        if self.task.verify_commit.0 { self.verify() } else { Ok(()) }
    }

    /// Fetches a branch that a shallow copy does not have.
    fn fetch_branch(&self, depth: &str) -> Result<(), Failure> {
        let (version, remote) = (self.version(), self.remote());
        let here = format!("+refs/heads/{version}:refs/heads/{version}");
        let there = format!("+refs/heads/{version}:refs/remotes/{remote}/{version}");
        let depth = format!("--depth={depth}");
        let output = self.run(&["fetch", &depth, remote, &here, &there])?;
        match output.success() {
            true => Ok(()),
            false => {
                Err(failed(&format!("Failed to fetch branch from remote: {version}"), &output))
            }
        }
    }

    fn verify(&self) -> Result<(), Failure> {
        let version = self.version();
        let verb = if self.is_annotated_tag(version)? { "verify-tag" } else { "verify-commit" };
        let allowed = &self.task.gpg_allowlist.0;
        let output = match allowed.is_empty() {
            true => self.run(&[verb, version])?,
            false => self.run(&[verb, version, "--raw"])?,
        };
        if !output.success() {
            let msg = format!("Failed to verify GPG signature of commit/tag \"{version}\"");
            return Err(failed(&msg, &output));
        }
        if allowed.is_empty() {
            return Ok(());
        }
        let print = output.stderr.lines().find_map(|line| {
            let rest = line.strip_prefix("[GNUPG:] VALIDSIG ")?;
            rest.split_whitespace().next_back()
        });
        match print {
            Some(print) if allowed.iter().any(|own| own == print) => Ok(()),
            print => Err(failed(
                &format!(
                    "The gpg_allowlist does not include the public key \"{}\" for this commit",
                    print.unwrap_or("None")
                ),
                &output,
            )),
        }
    }

    /// What has changed between two commits, for a diff.
    fn show(
        &self,
        outcome: &mut Outcome,
        before: Option<&str>,
        after: &str,
    ) -> Result<(), Failure> {
        if !self.context.diff || before == Some(after) {
            return Ok(());
        }
        let text = match before {
            None => format!(">> Newly checked out {after}"),
            Some(before) => {
                if self.context.check {
                    self.fetch(after, None)?;
                }
                let output = self.run(&["diff", before, after])?;
                match (output.success(), output.stdout.is_empty()) {
                    (true, false) => output.stdout,
                    (true, true) => {
                        format!(">> No visual differences between {before} and {after}")
                    }
                    (false, _) => format!(
                        ">> Failed to get proper diff between {before} and {after}:\n>> {}",
                        output.stderr
                    ),
                }
            }
        };
        outcome.result.insert("diff".to_owned(), json!({"prepared": text}));
        Ok(())
    }

    /// Moves the repository to where the task wants it, beside its working copy.
    fn relocate(&self, outcome: &mut Outcome) -> Result<(), Failure> {
        let (Some(wanted), Some(dest)) = (&self.task.separate_git_dir, &self.dest) else {
            return Ok(());
        };
        let wanted = std::path::absolute(wanted).unwrap_or_else(|_| wanted.0.clone());
        let current = git_folder(dest, self.task.bare.0)?;
        if !current.exists() || current == wanted {
            return Ok(());
        }
        outcome.changed = true;
        if self.context.check {
            return Ok(());
        }
        if wanted.exists() {
            let msg = format!("Separate-git-dir path {} already exists.", wanted.display());
            return Err(Failure::new(msg));
        }
        let link: PathBuf = dest.join(".git");
        fs::rename(&current, &wanted)
            .and_then(|()| if link.is_file() { fs::remove_file(&link) } else { Ok(()) })
            .and_then(|()| fs::write(&link, format!("gitdir: {}", wanted.display())))
            .map_err(|error| files::failed("Unable to move git dir", &current, &error))
    }
}
