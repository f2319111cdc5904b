//! `copy`: a file, a folder or a text of the operator's to the host.

use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt, TryStreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use sha1::{Digest, Sha1};

use super::{Action, Ask, Context, Error, Outcome, files};
use crate::modules::files::{checksum, hex};
use crate::modules::folder::{self, Entry, Kind};
use crate::template::{self, JsonStyle};
use crate::transport::FileSource;
use crate::vault;

/// Files up to this many bytes go along with the question whether they are
/// needed: that costs less than asking first.
const SEND_AT_ONCE: usize = 64 * 1024;
/// The module's argument that the file goes along with.
const SOURCE: &str = "src";
/// Files of a folder that are on their way at the same time.
const AT_ONCE: usize = 16;

/// What becomes of a file on the host: the arguments that `copy` and `template` share.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct Placement {
    /// Path on the host; one that ends in `/` is a folder.
    pub dest: String,
    /// Mode: octal, symbolic, or `preserve`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Json>,
    /// Keep the old file under a name with the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Json>,
    /// Replace a file that is there and differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force: Option<Json>,
    /// A command that must accept the new file (`%s`) before it takes the place of the old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate: Option<Json>,
    /// Follow a symbolic link at the destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<Json>,
    /// User, role, type and level of the file's SELinux context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seuser: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serole: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setype: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selevel: Option<Json>,
    /// Write a file in place that no other can be renamed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsafe_writes: Option<Json>,
    /// Attributes of an ext filesystem, as chattr takes them.
    #[serde(alias = "attr", skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Json>,
}

impl Placement {
    /// `preserve` is the mode that the source has.
    pub fn with_mode_of(&self, source: &Path) -> Result<Self, Error> {
        let mut placement = self.clone();
        if placement.mode.as_ref().is_some_and(|mode| mode == "preserve") {
            placement.mode = Some(json!(mode_of(source)?));
        }
        Ok(placement)
    }
}

/// Copies a file, a folder or a text.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Copy {
    /// File or folder on the controller (on the host with `remote_src`); a folder that
    /// ends in `/` gives its contents.
    src: Option<String>,
    /// The text of the file, in place of `src`.
    content: Option<Json>,
    /// Mode of folders that are made on the way.
    #[serde(default)]
    directory_mode: Option<Json>,
    /// `src` is a path on the host.
    #[serde(default)]
    remote_src: crate::modules::args::Flag,
    /// Whether encrypted sources are decrypted on the way; they are unless it says no.
    decrypt: Option<crate::modules::args::Flag>,
    /// Whether links in a folder are copied as what they point to; they are unless it
    /// says no.
    local_follow: Option<crate::modules::args::Flag>,
    /// SHA-1 that the file must have.
    checksum: Option<String>,
    #[serde(flatten)]
    placement: Placement,
}

impl Action for Copy {
    const NAME: &'static str = "copy";
    const GOES_AHEAD: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        match self.work(context)? {
            Work::OnHost(arguments) => context.module("copy", arguments, Vec::new()).await,
            Work::Put(put) => put.place(context).await,
            Work::Folder { path, contents_only } => {
                self.copy_folder(context, &path, contents_only).await
            }
        }
    }

    fn ahead(&self, context: &Context) -> Result<Option<Ask>, Error> {
        match self.work(context)? {
            Work::OnHost(arguments) => {
                Ok(Some(Ask { module: "copy", arguments, files: Vec::new() }))
            }
            Work::Put(put) => put.ask(context),
            Work::Folder { .. } => Ok(None),
        }
    }
}

/// What there is to copy.
enum Work {
    /// All of it is on the host.
    OnHost(Map<String, Json>),
    Put(Box<Put>),
    Folder {
        path: PathBuf,
        contents_only: bool,
    },
}

impl Copy {
    fn work(&self, context: &Context) -> Result<Work, Error> {
        match (&self.src, &self.content) {
            (Some(_), Some(_)) => Err(Error::failed("src and content are mutually exclusive")),
            (None, None) => Err(Error::failed("src (or content) is required")),
            (Some(src), None) if src.is_empty() => {
                Err(Error::failed("src (or content) is required"))
            }
            (Some(src), None) if self.remote_src.0 => {
                let mut arguments = arguments_of(&self.placement);
                arguments.insert("src".to_owned(), json!(src));
                arguments.insert("remote_src".to_owned(), json!(true));
                if let Some(follow) = self.local_follow {
                    arguments.insert("local_follow".to_owned(), json!(follow.0));
                }
                self.add_common(&mut arguments);
                Ok(Work::OnHost(arguments))
            }
            (None, Some(content)) => {
                let source = text_of(content)?.into_bytes().into();
                let mut extra = Map::new();
                self.add_common(&mut extra);
                let put = Put { placement: self.placement.clone(), source, extra };
                Ok(Work::Put(Box::new(put)))
            }
            (Some(src), None) => {
                let path = files::find(context, "files", src)?;
                Ok(match path.is_dir() {
                    true => Work::Folder { path, contents_only: src.ends_with('/') },
                    false => Work::Put(Box::new(self.put_file(&path, &self.placement)?)),
                })
            }
        }
    }

    fn add_common(&self, arguments: &mut Map<String, Json>) {
        if let Some(mode) = &self.directory_mode {
            arguments.insert("directory_mode".to_owned(), mode.clone());
        }
        if let Some(checksum) = &self.checksum {
            arguments.insert("checksum".to_owned(), json!(checksum));
        }
    }

    fn put_file(&self, path: &Path, placement: &Placement) -> Result<Put, Error> {
        let mut extra = Map::new();
        self.add_common(&mut extra);
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            extra.insert("original_basename".to_owned(), json!(name));
        }
        extra.insert("diff_header".to_owned(), json!(path.display().to_string()));
        let placement = placement.with_mode_of(path)?;
        Ok(Put { placement, source: self.source(path)?, extra })
    }

    /// The file itself, or what is in it when it is encrypted.
    fn source(&self, path: &Path) -> Result<Source, Error> {
        let encrypted = self.decrypt.is_none_or(|flag| flag.0)
            && vault::is_encrypted_file(path).map_err(|e| unreadable(path, &e))?;
        if !encrypted {
            return Ok(Source::File(path.to_owned()));
        }
        let content = std::fs::read(path).map_err(|e| unreadable(path, &e))?;
        let bytes = vault::opened(content).map_err(|error| match error {
            vault::Error::NoSecrets => Error::failed(format!(
                "A vault password or secret must be specified to decrypt {}",
                path.display()
            )),
            other => Error::failed(other.of_file(path)),
        })?;
        Ok(Source::Bytes(bytes))
    }

    async fn copy_folder(
        &self,
        context: &Context,
        folder: &Path,
        contents_only: bool,
    ) -> Result<Outcome, Error> {
        let base = if contents_only { None } else { folder.file_name() };
        let base = Path::new(&self.placement.dest).join(base.unwrap_or_default());
        let follow = self.local_follow.is_none_or(|flag| flag.0);
        let entries = folder::entries(folder, follow).map_err(|e| unreadable(folder, &e))?;
        let (folders, others): (Vec<_>, Vec<_>) =
            entries.iter().enumerate().partition(|(_, entry)| entry.kind == Kind::Directory);
        let mut outcomes = Vec::with_capacity(entries.len());
        // What is in a folder needs it.
        for (index, entry) in folders {
            outcomes.push((index, self.copy_entry(context, entry, &base).await?));
        }
        let others = others.into_iter().map(|(index, entry)| {
            let copied = self.copy_entry(context, entry, &base);
            async move { copied.await.map(|outcome| (index, outcome)) }
        });
        let others: Vec<_> = others.collect();
        let others = stream::iter(others).buffered(AT_ONCE).try_collect::<Vec<_>>();
        outcomes.extend(others.await?);
        // It is told in the order of the folder.
        outcomes.sort_by_key(|(index, _)| *index);
        let mut whole = Outcome::default();
        for (_, outcome) in outcomes {
            whole.changed |= outcome.changed;
            whole.diff.extend(outcome.diff);
        }
        Ok(whole
            .with("src", folder.display().to_string())
            .with("dest", self.placement.dest.clone()))
    }

    /// One thing of a folder, to the same place below `base`.
    async fn copy_entry(
        &self,
        context: &Context,
        entry: &Entry,
        base: &Path,
    ) -> Result<Outcome, Error> {
        let dest = base.join(&entry.below).display().to_string();
        let placement = Placement { dest, ..self.placement.clone() };
        match &entry.kind {
            Kind::Directory => {
                let mut arguments = owned("directory", placement);
                if let Some(mode) = &self.directory_mode {
                    arguments.insert("mode".to_owned(), mode.clone());
                }
                context.module("file", arguments, Vec::new()).await
            }
            Kind::Link(target) => {
                let mut arguments = owned("link", placement);
                arguments.insert("src".to_owned(), json!(target));
                arguments.insert("force".to_owned(), json!(true));
                arguments.insert("follow".to_owned(), json!(false));
                context.module("file", arguments, Vec::new()).await
            }
            Kind::File(path) => self.put_file(path, &placement)?.place(context).await,
        }
    }
}

/// Where the bytes come from.
pub enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// The text of `content`; of data as Python writes it: a switch from Ansible changes no file.
fn text_of(content: &Json) -> Result<String, Error> {
    match content {
        Json::String(text) => Ok(text.clone()),
        Json::Array(_) | Json::Object(_) => {
            let style = JsonStyle { indent: None, sorted: false, ascii: true, separators: None };
            template::write_json(&template::from_json(content), &style)
                .map_err(|error| Error::failed(error.to_string()))
        }
        other => Ok(template::python_text(&template::from_json(other))),
    }
}

/// A file to be put on the host through its `copy` module; what is there already with the
/// same contents is not sent.
pub struct Put {
    pub placement: Placement,
    pub source: Source,
    /// More arguments.
    pub extra: Map<String, Json>,
}

impl Put {
    pub async fn place(self, context: &Context) -> Result<Outcome, Error> {
        let (arguments, size) = self.arguments(context)?;
        let file = match self.source {
            Source::Bytes(bytes) => FileSource::Bytes(bytes),
            Source::File(path) => FileSource::Path(path),
        };
        if size > SEND_AT_ONCE {
            let answer = context.module("copy", arguments.clone(), Vec::new()).await?;
            if answer.result.get("needs_source").is_none() {
                return Ok(answer);
            }
        }
        context.module("copy", arguments, vec![(SOURCE.to_owned(), file)]).await
    }

    /// All of it, if it goes along with the question whether it is needed.
    pub fn ask(self, context: &Context) -> Result<Option<Ask>, Error> {
        let (arguments, size) = self.arguments(context)?;
        if size > SEND_AT_ONCE {
            return Ok(None);
        }
        let bytes = match self.source {
            Source::Bytes(bytes) => bytes,
            Source::File(path) => std::fs::read(&path).map_err(|e| unreadable(&path, &e))?,
        };
        Ok(Some(Ask { module: "copy", arguments, files: vec![(SOURCE.to_owned(), bytes)] }))
    }

    /// The module's arguments, and how large the file is.
    fn arguments(&self, context: &Context) -> Result<(Map<String, Json>, usize), Error> {
        let (checksum, size) = match &self.source {
            Source::Bytes(bytes) => (hex(&Sha1::digest(bytes)), bytes.len()),
            Source::File(path) => checksum(path)
                .and_then(|sum| Ok((sum, std::fs::metadata(path)?.len() as usize)))
                .map_err(|e| unreadable(path, &e))?,
        };
        let mut arguments = arguments_of(&self.placement);
        arguments.insert("source_checksum".to_owned(), json!(checksum));
        arguments.insert("diff_limit".to_owned(), json!(context.session.diff_limit));
        arguments.extend(self.extra.clone());
        Ok((arguments, size))
    }
}

pub fn arguments_of(placement: &Placement) -> Map<String, Json> {
    match serde_json::to_value(placement) {
        Ok(Json::Object(map)) => map,
        _ => Map::new(),
    }
}

/// What `file` is asked for where something other than a file is copied.
fn owned(state: &str, placement: Placement) -> Map<String, Json> {
    let mut arguments = arguments_of(&Placement { mode: None, ..placement });
    arguments.retain(|name, _| matches!(name.as_str(), "dest" | "owner" | "group"));
    arguments.insert("state".to_owned(), json!(state));
    arguments
}

fn mode_of(path: &Path) -> Result<String, Error> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    Ok(format!("{:04o}", metadata.permissions().mode() & 0o7777))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("{} cannot be read on the controller: {error}", path.display()))
}
