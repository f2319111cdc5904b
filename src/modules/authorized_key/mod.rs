//! `authorized_key`: keys that may log in as a user.

mod keys;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::args::{Flag, HostPath, Text};
use super::http::{self, Request};
use super::users::{Database, named};
use super::{Context, Diff, Failure, Module, Outcome, files};
use keys::{Key, Keys};

/// Adds or removes keys of a user's `authorized_keys`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizedKey {
    user: Text,
    /// Keys, one on each line, or an address that has them.
    key: Text,
    #[serde(default)]
    state: State,
    /// Another file than the user's own.
    path: Option<HostPath>,
    /// Make the file's folder, and give it to the user.
    #[serde(default = "Flag::yes")]
    manage_dir: Flag,
    /// Options that stand before the key.
    key_options: Option<Text>,
    /// No keys but these.
    #[serde(default)]
    exclusive: Flag,
    /// In place of the comment behind the key.
    comment: Option<Text>,
    #[serde(default = "Flag::yes")]
    validate_certs: Flag,
    #[serde(default)]
    follow: Flag,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

/// Where the file is, and whose it is.
struct Place {
    file: PathBuf,
    folder: PathBuf,
    owner: Option<(u32, u32)>,
}

impl Module for AuthorizedKey {
    const NAME: &'static str = "authorized_key";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let given = self.given(context)?;
        let place = self.place(context)?;
        let before = match place.file.is_file() {
            true => fs::read_to_string(&place.file)
                .map_err(|error| files::failed("cannot be read", &place.file, &error))?,
            false => String::new(),
        };
        let mut keys = Keys::read(&before);
        let changed = self.put(&mut keys, &given)?;
        let mut outcome = Outcome { changed, ..self.told() }
            .with("keyfile", place.file.display().to_string())
            .with("key", given.clone());
        if changed {
            let after = keys.render();
            let target = match self.follow.0 {
                true => fs::canonicalize(&place.file).unwrap_or_else(|_| place.file.clone()),
                false => place.file.clone(),
            };
            if !context.check {
                place.prepare(self.manage_dir.0, &target)?;
                files::write(&target, &mut after.as_bytes(), None, false)?;
            }
            if context.diff {
                outcome = outcome.with_diff(Diff {
                    before_header: place.file.display().to_string(),
                    after_header: target.display().to_string(),
                    before: before.into(),
                    after: after.into(),
                    ..Diff::default()
                });
            }
        }
        Ok(match &self.path {
            Some(path) => {
                let mut outcome = outcome.with("path", path.display().to_string());
                outcome = files::describe_existing(outcome, path);
                outcome
            }
            None => outcome,
        })
    }
}

impl AuthorizedKey {
    /// Ansible gives back what it was given.
    fn told(&self) -> Outcome {
        let text = |text: &Option<Text>| text.as_ref().map_or(Json::Null, |text| json!(text.0));
        Outcome::default()
            .with("user", self.user.0.clone())
            .with("state", if self.state == State::Present { "present" } else { "absent" })
            .with("path", Json::Null)
            .with("manage_dir", self.manage_dir.0)
            .with("key_options", text(&self.key_options))
            .with("exclusive", self.exclusive.0)
            .with("comment", text(&self.comment))
            .with("validate_certs", self.validate_certs.0)
            .with("follow", self.follow.0)
    }

    /// The text of the keys, fetched where the task gives an address.
    fn given(&self, context: &Context) -> Result<String, Failure> {
        if !self.key.0.starts_with("http") {
            return Ok(self.key.0.clone());
        }
        let request =
            Request { validate_certs: self.validate_certs.0, ..Request::get(&self.key.0) };
        let mut answer = http::fetch(&request, context);
        let read = if answer.status == Some(200) { answer.read().ok() } else { None };
        let text = read.and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or_else(|| Failure::new(format!("Error getting key from: {}", self.key.0)))
    }

    fn place(&self, context: &Context) -> Result<Place, Failure> {
        if context.check
            && let Some(path) = &self.path
        {
            return Ok(Place { file: path.0.clone(), folder: PathBuf::new(), owner: None });
        }
        let entry = named(Database::Users, &self.user.0).ok_or_else(|| {
            Failure::new(match context.check {
                true => {
                    "Either user must exist or you must provide full path to key file in check mode"
                        .to_owned()
                }
                false => format!(
                    "Failed to lookup user {}: \"getpwnam(): name not found: '{}'\"",
                    self.user.0, self.user.0
                ),
            })
        })?;
        let fields: Vec<&str> = entry.split(':').collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse().ok());
        let folder = Path::new(fields.get(5).copied().unwrap_or("/")).join(".ssh");
        let (file, folder) = match &self.path {
            Some(path) => (path.0.clone(), path.parent().map(Path::to_owned).unwrap_or_default()),
            None => (folder.join("authorized_keys"), folder),
        };
        Ok(Place { file, folder, owner: number(2).zip(number(3)) })
    }

    /// Puts the keys that are given among those that are there, or takes them away.
    fn put(&self, keys: &mut Keys, given: &str) -> Result<bool, Failure> {
        let mut changed = false;
        let mut wanted = Vec::new();
        let lines = given.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let mut key = Key::read(line)
                .ok_or_else(|| Failure::new(format!("invalid key specified: {line}")))?;
            if let Some(options) = &self.key_options {
                key.options = keys::options(&options.0);
            }
            if let Some(comment) = &self.comment {
                key.comment.clone_from(&comment.0);
            }
            wanted.push(key.data.clone());
            changed |= match self.state {
                State::Present => keys.add(key),
                State::Absent => keys.remove(&key.data),
            };
        }
        if self.state == State::Present && self.exclusive.0 {
            changed |= keys.keep_only(&wanted);
        }
        Ok(changed)
    }
}

impl Place {
    /// Makes the folder and the file, for the user alone.
    fn prepare(&self, manage_dir: bool, file: &Path) -> Result<(), Failure> {
        if manage_dir {
            if !self.folder.exists() {
                fs::DirBuilder::new().mode(0o700).create(&self.folder).map_err(|error| {
                    Failure::new(format!(
                        "Failed to create directory {} : {}",
                        self.folder.display(),
                        http::python_error(&error)
                    ))
                })?;
            }
            files::give(&self.folder, self.owner, 0o700)
                .map_err(|error| files::failed("chmod failed", &self.folder, &error))?;
        }
        if fs::symlink_metadata(file).is_err() {
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)
                    .map_err(|error| files::failed("cannot be made", folder, &error))?;
            }
            fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(file)
                .map_err(|error| files::failed("cannot be written", file, &error))?;
        }
        // Who may not give it away writes it all the same.
        let _ = files::give(file, self.owner, 0o600);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3Nz me@here";

    fn run(path: &Path, arguments: Json) -> Result<Outcome, Failure> {
        let mut arguments = arguments;
        arguments["user"] = json!("root");
        arguments["path"] = json!(path);
        arguments["manage_dir"] = json!(false);
        let module: AuthorizedKey = serde_json::from_value(arguments).expect("arguments");
        module.run(&Context::default())
    }

    #[test]
    fn a_key_is_added_once_with_its_options_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        fs::write(&path, "# mine\nssh-rsa BBB other\n").expect("written");
        let key = json!({"key": KEY, "key_options": "no-pty,from=\"10.0.0.0/8,::1\""});
        assert!(run(&path, key.clone()).expect("added").changed);
        assert!(!run(&path, key).expect("there").changed);
        let text = fs::read_to_string(&path).expect("read");
        let line = format!("no-pty,from=\"10.0.0.0/8,::1\" {KEY}\n");
        assert_eq!(text, format!("# mine\nssh-rsa BBB other\n{line}"));
        assert!(
            run(&path, json!({"key": KEY, "comment": "new", "exclusive": true}))
                .expect("changed")
                .changed
        );
        assert_eq!(fs::read_to_string(&path).expect("read"), "ssh-ed25519 AAAAC3Nz new\n");
        assert!(run(&path, json!({"key": KEY, "state": "absent"})).expect("removed").changed);
        assert_eq!(fs::read_to_string(&path).expect("read"), "");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure =
            run(&folder.path().join("k"), json!({"key": "nonsense"})).expect_err("refused");
        assert_eq!(failure.msg, "invalid key specified: nonsense");
    }
}
