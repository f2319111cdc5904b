//! `tempfile`: a file or folder with a name of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{HostPath, Text};
use super::files;
use super::{Context, Failure, Module, Outcome};

/// Makes a file or folder that no other has the name of; only its user may read it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tempfile {
    #[serde(default)]
    state: State,
    /// The folder to make it in; the system's for temporary files otherwise.
    path: Option<HostPath>,
    #[serde(default = "prefix")]
    prefix: Text,
    #[serde(default)]
    suffix: Text,
}

fn prefix() -> Text {
    Text("ansible.".to_owned())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    File,
    Directory,
}

impl Module for Tempfile {
    const NAME: &'static str = "tempfile";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if context.check {
            let msg = "remote module (tempfile) does not support check mode";
            return Ok(Outcome::default().with("skipped", true).with("msg", msg));
        }
        let folder = match self.path {
            Some(HostPath(path)) => path,
            None => std::env::temp_dir(),
        };
        let mode = if self.state == State::File { 0o600 } else { 0o700 };
        let mut builder = ::tempfile::Builder::new();
        builder
            .prefix(&self.prefix.0)
            .suffix(&self.suffix.0)
            .permissions(fs::Permissions::from_mode(mode));
        let error = |error: std::io::Error| files::failed("cannot be made", &folder, &error);
        let path = match self.state {
            State::File => {
                let file = builder.tempfile_in(&folder).map_err(error)?;
                file.into_temp_path().keep().map_err(|kept| error(kept.error))?
            }
            State::Directory => builder.tempdir_in(&folder).map_err(error)?.keep(),
        };
        let outcome = Outcome::changed(true).with("path", path.display().to_string());
        Ok(files::describe(outcome, &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_made_where_it_is_told_with_its_name_around() {
        let folder = ::tempfile::tempdir().expect("a folder");
        let arguments =
            json!({"state": "directory", "path": folder.path(), "prefix": "a", "suffix": "z"});
        let module: Tempfile = serde_json::from_value(arguments).expect("arguments");
        let outcome = module.run(&Context::default()).expect("made");
        let path = outcome.result["path"].as_str().expect("a path").to_owned();
        let name = path.rsplit('/').next().expect("a name");
        assert!(name.starts_with('a') && name.ends_with('z'));
        assert_eq!(outcome.result["mode"], "0700");
    }
}
