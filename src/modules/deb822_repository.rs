//! `deb822_repository`: sources of apt in files of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::args::{Flag, Number, Text, TextList};
use super::files::{self, Attributes};
use super::http::{self, Request};
use super::mode::Mode;
use super::{Context, Failure, Module, Outcome};

/// Keeps a file of /etc/apt/sources.list.d that describes a source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deb822Repository {
    /// What it is called; its files are named after it.
    name: Text,
    #[serde(default)]
    state: State,
    #[serde(default = "deb")]
    types: TextList,
    uris: Option<TextList>,
    suites: Option<TextList>,
    components: Option<TextList>,
    architectures: Option<TextList>,
    languages: Option<TextList>,
    targets: Option<TextList>,
    /// A key, its file, its number, or its address.
    signed_by: Option<Text>,
    enabled: Option<Flag>,
    trusted: Option<Flag>,
    allow_downgrade_to_insecure: Option<Flag>,
    allow_insecure: Option<Flag>,
    allow_weak: Option<Flag>,
    by_hash: Option<Flag>,
    check_date: Option<Flag>,
    check_valid_until: Option<Flag>,
    date_max_future: Option<Number>,
    inrelease_path: Option<Text>,
    pdiffs: Option<Flag>,
    #[serde(default = "mode")]
    mode: Mode,
}

fn deb() -> TextList {
    TextList(vec!["deb".to_owned()])
}

fn mode() -> Mode {
    Mode::of(0o644)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

const KEYRINGS: &str = "/etc/apt/keyrings";

impl Module for Deb822Repository {
    const NAME: &'static str = "deb822_repository";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if let Some(other) =
            self.types.0.iter().find(|kind| !matches!(kind.as_str(), "deb" | "deb-src"))
        {
            return Err(Failure::new(format!(
                "value of types must be one or more of: deb, deb-src. Got no match for: {other}"
            )));
        }
        let slug = slug(&self.name.0);
        let path = PathBuf::from(format!("/etc/apt/sources.list.d/{slug}.sources"));
        if self.state == State::Absent {
            return remove(&slug, &path, context);
        }
        let mut changed = false;
        let mut key_file = None;
        let signed_by = match &self.signed_by {
            Some(key) => {
                let key = Key::of(&key.0, &slug, context)?;
                changed |= key.changed;
                key_file = key.file;
                Some(key.value)
            }
            None => None,
        };
        let text = self.render(signed_by);
        if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            changed = true;
            if !context.check {
                files::write(&path, &mut text.as_bytes(), None, false)?;
            }
        }
        let attributes = Attributes { mode: Some(self.mode.clone()), ..Attributes::default() };
        changed |= attributes.apply(&path, true, context.check)?;
        let outcome = Outcome::changed(changed)
            .with("repo", text)
            .with("dest", path.display().to_string())
            .with("key_filename", key_file.map_or(Json::Null, Json::from));
        Ok(files::describe_existing(outcome, &path))
    }
}

/// The name in small letters and digits, for files.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            c if c == '_' || c.is_whitespace() => {
                if !slug.ends_with('\u{0}') {
                    slug.push('\u{0}');
                }
            }
            c => slug.push(c),
        }
    }
    let slug = slug.replace('\u{0}', "-");
    slug.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-').collect()
}

fn key_path(slug: &str, extension: &str) -> PathBuf {
    Path::new(KEYRINGS).join(format!("{slug}.{extension}"))
}

fn remove(slug: &str, path: &Path, context: &Context) -> Result<Outcome, Failure> {
    let mut changed = false;
    for path in [path.to_owned(), key_path(slug, "asc"), key_path(slug, "gpg")] {
        if path.exists() {
            changed = true;
            if !context.check {
                fs::remove_file(&path)
                    .map_err(|error| files::failed("cannot be removed", &path, &error))?;
            }
        }
    }
    let outcome = Outcome::changed(changed)
        .with("repo", Json::Null)
        .with("dest", path.display().to_string())
        .with("key_filename", key_path(slug, "gpg").display().to_string());
    Ok(files::describe_existing(outcome, path))
}

impl Deb822Repository {
    /// The file's text; fields in the order of their arguments' names.
    fn render(&self, signed_by: Option<String>) -> String {
        let flag =
            |flag: &Option<Flag>| flag.map(|flag| if flag.0 { "yes" } else { "no" }.to_owned());
        let list = |list: &Option<TextList>| list.as_ref().map(|list| list.0.join(" "));
        let fields = [
            ("Allow-Downgrade-To-Insecure", flag(&self.allow_downgrade_to_insecure)),
            ("Allow-Insecure", flag(&self.allow_insecure)),
            ("Allow-Weak", flag(&self.allow_weak)),
            ("Architectures", list(&self.architectures)),
            ("By-Hash", flag(&self.by_hash)),
            ("Check-Date", flag(&self.check_date)),
            ("Check-Valid-Until", flag(&self.check_valid_until)),
            ("Components", list(&self.components)),
            ("Date-Max-Future", self.date_max_future.map(|number| number.0.to_string())),
            ("Enabled", flag(&self.enabled)),
            ("Inrelease-Path", self.inrelease_path.as_ref().map(|path| path.0.clone())),
            ("Languages", list(&self.languages)),
            ("X-Repolib-Name", Some(self.name.0.clone())),
            ("Pdiffs", flag(&self.pdiffs)),
            ("Signed-By", signed_by),
            ("Suites", list(&self.suites)),
            ("Targets", list(&self.targets)),
            ("Trusted", flag(&self.trusted)),
            ("Types", Some(self.types.0.join(" "))),
            ("URIs", list(&self.uris)),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        fields.map(|(name, value)| field(name, &value)).collect()
    }
}

/// A value of several lines stands below its name, a dot for each empty line.
fn field(name: &str, value: &str) -> String {
    if !value.contains('\n') {
        return format!("{name}: {value}\n");
    }
    let lines = value.trim().lines().map(str::trim);
    let lines = lines.map(|line| format!("\n    {}", if line.is_empty() { "." } else { line }));
    format!("{name}:{}\n", lines.collect::<String>())
}

/// What a source is signed by.
struct Key {
    value: String,
    /// The file that holds a key that was fetched.
    file: Option<String>,
    changed: bool,
}

impl Key {
    fn of(given: &str, slug: &str, context: &Context) -> Result<Self, Failure> {
        let as_it_is =
            |file: Option<String>| Self { value: given.to_owned(), file, changed: false };
        if Path::new(given).is_file() {
            return Ok(as_it_is(Some(given.to_owned())));
        }
        let scheme = given.split_once("://").map(|(scheme, _)| scheme);
        if !scheme.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphabetic())) {
            return Ok(as_it_is(None));
        }
        let failed = |why: String| Failure::new(format!("Could not fetch signed_by key: {why}"));
        let mut answer = http::fetch(&Request::get(given), context);
        if !answer.is_good() {
            return Err(failed(answer.msg));
        }
        let bytes = answer.read().map_err(|error| failed(error.to_string()))?;
        let armoured =
            String::from_utf8_lossy(&bytes).contains("-----BEGIN PGP PUBLIC KEY BLOCK-----");
        let path = key_path(slug, if armoured { "asc" } else { "gpg" });
        let mut changed = false;
        if fs::read(&path).ok().as_deref() != Some(bytes.as_slice()) {
            changed = true;
            if !context.check {
                keyrings()?;
                files::write(&path, &mut bytes.as_slice(), None, false)?;
            }
        }
        let attributes = Attributes { mode: Some(Mode::of(0o644)), ..Attributes::default() };
        changed |= attributes.apply(&path, true, context.check)?;
        let value = path.display().to_string();
        Ok(Self { file: Some(value.clone()), value, changed })
    }
}

fn keyrings() -> Result<(), Failure> {
    let folder = Path::new(KEYRINGS);
    fs::create_dir_all(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o755)))
        .map_err(|error| files::failed("cannot be made", folder, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_source_as_apt_reads_it() {
        let module: Deb822Repository = serde_json::from_value(json!({
            "name": "My  repo_1!", "uris": "http://x/y", "suites": ["a", "b"], "enabled": false
        }))
        .expect("arguments");
        assert_eq!(slug(&module.name.0), "my-repo-1");
        let key = "-----BEGIN-----\n\n  abc\n-----END-----\n".to_owned();
        assert_eq!(
            module.render(Some(key)),
            "Enabled: no\nX-Repolib-Name: My  repo_1!\nSigned-By:\n    -----BEGIN-----\n    .\n    \
             abc\n    -----END-----\nSuites: a b\nTypes: deb\nURIs: http://x/y\n"
        );
    }
}
