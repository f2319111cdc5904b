//! Repositories in repositories.

use std::collections::BTreeMap;

use super::super::Failure;
use super::repository::{Repository, failed};

impl Repository<'_> {
    /// Fetches them; true if some are not at the commit that they should be at.
    pub fn submodules_differ(&self) -> Result<bool, Failure> {
        let list = self.folder().join(".gitmodules");
        let Ok(text) = std::fs::read_to_string(list) else { return Ok(false) };
        let paths: Vec<&str> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("path"))
            .filter_map(|rest| rest.trim_start().strip_prefix('='))
            .map(str::trim)
            .collect();
        if paths.iter().any(|path| !self.folder().join(path).join(".git").exists()) {
            return Ok(true);
        }
        let before = self.submodule_commits("HEAD")?;
        self.must(&["submodule", "foreach", "git", "fetch"])?;
        if self.task.track_submodules.0 {
            let after = self.submodule_commits(&format!("{}/master", self.remote()))?;
            return Ok(before != after);
        }
        let status = self.must(&["submodule", "status"])?;
        Ok(status.stdout.lines().any(|line| !line.starts_with(' ')))
    }

    fn submodule_commits(&self, version: &str) -> Result<BTreeMap<String, String>, Failure> {
        let output = self.run(&["submodule", "foreach", "git", "rev-parse", version])?;
        if !output.success() {
            return Err(failed("Unable to determine hashes of submodules", &output));
        }
        let (mut commits, mut name) = (BTreeMap::new(), None);
        for line in output.stdout.lines() {
            match line.strip_prefix("Entering '") {
                Some(rest) => name = Some(rest.trim_end_matches('\'').to_owned()),
                None => commits.extend(name.take().map(|name| (name, line.trim().to_owned()))),
            }
        }
        Ok(commits)
    }

    pub fn update_submodules(&self) -> Result<(), Failure> {
        if !self.folder().join(".gitmodules").exists() {
            return Ok(());
        }
        self.must(&["submodule", "sync"])?;
        let mut arguments = vec!["submodule", "update", "--init", "--recursive"];
        arguments.extend(self.task.track_submodules.0.then_some("--remote"));
        arguments.extend(self.task.force.0.then_some("--force"));
        let output = self.run(&arguments)?;
        match output.success() {
            true => Ok(()),
            false => Err(Failure::new(format!(
                "Failed to init/update submodules: {}{}",
                output.stdout, output.stderr
            ))),
        }
    }
}
