//! `unarchive`: files from an archive, taken out by the host's tar or unzip.

mod tar;
mod zip;

use std::fs;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::args::{Flag, HostPath, Number, Text, TextList};
use super::files::{self, Attributes};
use super::http::{self, Request, url};
use super::mode::Mode;
use super::process::Output;
use super::{Context, Failure, Module, Outcome};
use tar::Tar;
use zip::Zip;

/// Unpacks an archive that the controller sent, or that is on the host or a server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unarchive {
    /// The archive; with `remote_src` a path on the host or an address.
    src: Text,
    /// A folder that is there.
    dest: HostPath,
    #[serde(default)]
    remote_src: Flag,
    /// A file on the host: if it exists, nothing is unpacked.
    creates: Option<HostPath>,
    /// Name the files in the result.
    #[serde(default)]
    list_files: Flag,
    /// Leave files that are newer than those of the archive.
    #[serde(default)]
    keep_newer: Flag,
    #[serde(default)]
    exclude: TextList,
    #[serde(default)]
    include: TextList,
    /// Further arguments of tar or unzip.
    #[serde(default)]
    extra_opts: TextList,
    #[serde(default = "Flag::yes")]
    validate_certs: Flag,
    /// Taken for compatibility.
    #[serde(rename = "io_buffer_size")]
    _io_buffer_size: Option<Number>,
    /// For the controller's half: the opposite of `remote_src`.
    #[serde(rename = "copy")]
    _copy: Option<Flag>,
    /// For the controller's half.
    #[serde(rename = "decrypt")]
    _decrypt: Option<Flag>,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<Mode>,
}

/// What an archive has that the folder has not.
#[derive(Debug, Default)]
struct Difference {
    differs: bool,
    /// Changes as rsync lists them.
    listed: String,
    /// Files that are to stay as they are.
    newer: Vec<String>,
}

/// A program that knows the archive.
enum Handler {
    Zip(Zip),
    Tar(Tar),
}

impl Module for Unarchive {
    const NAME: &'static str = "unarchive";
    const WRITES_FILES: bool = true;

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if !self.include.0.is_empty() && !self.exclude.0.is_empty() {
            return Err(Failure::new("parameters are mutually exclusive: include|exclude"));
        }
        if let Some(path) = self.creates.as_ref().filter(|path| path.exists()) {
            let msg = format!("skipped, since {} exists", path.display());
            return Ok(Outcome::default().with("skipped", true).with("msg", msg));
        }
        if !self.dest.is_dir() {
            let msg = format!("dest '{}' must be an existing dir", self.dest.display());
            return Err(Failure::new(msg));
        }
        let job = Job {
            src: self.source(context)?,
            dest: std::path::absolute(&self.dest).unwrap_or_else(|_| self.dest.0.clone()),
            task: self,
            context,
        };
        job.run()
    }
}

impl Unarchive {
    /// The archive on the host.
    fn source(&self, context: &Context) -> Result<PathBuf, Failure> {
        let src: HostPath = serde_json::from_value(json!(self.src.0))
            .map_err(|error| Failure::new(error.to_string()))?;
        let mut path = src.0;
        if !path.exists() {
            path = match (self.remote_src.0, self.src.0.contains("://")) {
                (true, true) => self.fetched(context)?,
                (true, false) => {
                    return Err(Failure::new(format!("Source '{}' does not exist", self.src.0)));
                }
                (false, _) => {
                    return Err(Failure::new(format!(
                        "Source '{}' failed to transfer",
                        self.src.0
                    )));
                }
            };
        }
        if access(&path, Access::READ_OK).is_err() {
            return Err(Failure::new(format!("Source '{}' not readable", path.display())));
        }
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == 0) {
            let msg = format!("Invalid archive '{}', the file is 0 bytes", path.display());
            return Err(Failure::new(msg));
        }
        Ok(std::path::absolute(&path).unwrap_or(path))
    }

    fn fetched(&self, context: &Context) -> Result<PathBuf, Failure> {
        let failed = |why: &str| Failure::new(format!("Failure downloading {}, {why}", self.src.0));
        let request =
            Request { validate_certs: self.validate_certs.0, ..Request::get(&self.src.0) };
        let mut answer = http::fetch(&request, context);
        if !answer.is_good() {
            return Err(failed(&answer.msg));
        }
        let path = context.scratch.join(url::file_name(&self.src.0));
        let mut file = fs::File::create(&path).map_err(|error| failed(&error.to_string()))?;
        if let Some(body) = &mut answer.body {
            std::io::copy(body, &mut file).map_err(|error| failed(&error.to_string()))?;
        }
        Ok(path)
    }

    fn attributes(&self) -> Attributes {
        Attributes { owner: self.owner.clone(), group: self.group.clone(), mode: self.mode.clone() }
    }
}

/// One archive on its way to its folder.
struct Job<'a> {
    src: PathBuf,
    dest: PathBuf,
    task: Unarchive,
    context: &'a Context,
}

impl Job<'_> {
    fn run(&self) -> Result<Outcome, Failure> {
        let Some(handler) = self.handler()? else {
            let msg = "remote module (ansible.legacy.unarchive) does not support check mode when \
                       using gtar";
            return Ok(Outcome::default().with("skipped", true).with("msg", msg));
        };
        let mut outcome = Outcome::default()
            .with("handler", handler.name())
            .with("dest", self.task.dest.display().to_string())
            .with("src", self.src.display().to_string());
        let difference = handler.difference(self)?;
        outcome.changed = difference.differs;
        if !difference.listed.is_empty() {
            outcome = outcome.with("diff", json!({"prepared": difference.listed}));
        }
        if difference.differs && !self.context.check {
            let (command, output) = handler.unpack(self, &difference)?;
            outcome = outcome.with("extract_results", extracted(&command, &output));
            if !output.success() {
                let msg = format!(
                    "failed to unpack {} to {}",
                    self.src.display(),
                    self.task.dest.display()
                );
                return Err(Failure { msg, changed: false, result: outcome.result });
            }
        }
        let listed = handler.files();
        if !self.context.check {
            outcome.changed |= self.put_right(&listed).map_err(|failure| Failure {
                msg: format!("Unexpected error when accessing exploded file: {}", failure.msg),
                changed: outcome.changed,
                result: outcome.result.clone(),
            })?;
        }
        if self.task.list_files.0 {
            outcome = outcome.with("files", listed);
        }
        if self.task.dest.is_relative() {
            let (given, whole) = (self.task.dest.display(), self.dest.display());
            let warning = format!(
                "Relative destination path '{given}' was resolved to absolute path '{whole}'."
            );
            outcome = outcome.with("warnings", json!([warning]));
        }
        Ok(files::describe_existing(outcome, &self.task.dest))
    }

    /// The first program that can read the archive; none in check mode for what is tar's.
    fn handler(&self) -> Result<Option<Handler>, Failure> {
        let mut reasons = Vec::new();
        match Zip::open(self)? {
            Ok(zip) => return Ok(Some(Handler::Zip(zip))),
            Err(reason) => reasons.push(reason),
        }
        if self.context.check {
            return Ok(None);
        }
        for kind in tar::KINDS {
            match Tar::open(self, kind)? {
                Ok(tar) => return Ok(Some(Handler::Tar(tar))),
                Err(reason) if !reasons.contains(&reason) => reasons.push(reason),
                Err(_) => {}
            }
        }
        Err(Failure::new(format!(
            "Failed to find handler for \"{}\". Make sure the required command to extract the \
             file is installed.\n{}",
            self.src.display(),
            reasons.join("\n")
        )))
    }

    /// Gives the files their owner, group and mode; the folders that they are in as well.
    fn put_right(&self, listed: &[String]) -> Result<bool, Failure> {
        let attributes = self.task.attributes();
        if attributes.owner.is_none() && attributes.group.is_none() && attributes.mode.is_none() {
            return Ok(false);
        }
        let mut changed = false;
        let mut tops: Vec<&str> = Vec::new();
        // An archive may name what is not below the folder; nothing was unpacked there.
        let is_below = |name: &&String| {
            let mut parts = Path::new(name).components();
            parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        };
        for name in listed.iter().filter(is_below) {
            changed |= attributes.apply(&self.dest.join(name), false, false)?;
            let top = name.split_once('/').map(|(top, _)| top);
            tops.extend(top.filter(|top| !tops.contains(top)));
        }
        for top in tops {
            changed |= attributes.apply(&self.dest.join(top), false, false)?;
        }
        Ok(changed)
    }
}

impl Handler {
    fn name(&self) -> &'static str {
        match self {
            Self::Zip(_) => "ZipArchive",
            Self::Tar(tar) => tar.kind.name,
        }
    }

    fn difference(&self, job: &Job) -> Result<Difference, Failure> {
        match self {
            Self::Zip(zip) => zip.difference(job),
            Self::Tar(tar) => tar.difference(job),
        }
    }

    fn unpack(&self, job: &Job, difference: &Difference) -> Result<(Vec<String>, Output), Failure> {
        match self {
            Self::Zip(zip) => zip.unpack(job, difference),
            Self::Tar(tar) => tar.unpack(job),
        }
    }

    fn files(&self) -> Vec<String> {
        match self {
            Self::Zip(zip) => zip.files.clone(),
            Self::Tar(tar) => tar.files.clone(),
        }
    }
}

fn extracted(command: &[String], output: &Output) -> Json {
    json!({"cmd": command, "rc": output.rc, "out": output.stdout, "err": output.stderr})
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::process::Process;

    fn shell(folder: &Path, script: &str) {
        let output = Process::shell(script).cwd(folder).run().expect("started");
        assert!(output.success(), "{script}: {}", output.stderr);
    }

    fn unarchive(arguments: Json, scratch: &Path) -> Result<Outcome, Failure> {
        let context = Context { scratch: scratch.to_owned(), ..Context::default() };
        serde_json::from_value::<Unarchive>(arguments).expect("arguments").run(&context)
    }

    fn twice(pack: &str, archive: &str, handler: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path();
        shell(base, "mkdir -p in/d out && echo a > in/f && echo b > 'in/d/g h' && cd in");
        shell(base, &format!("cd in && {pack}"));
        let arguments = json!({
            "src": base.join(archive), "dest": base.join("out"), "remote_src": true,
            "list_files": true, "mode": "u=rwX,go="
        });
        let first = unarchive(arguments.clone(), base).expect("unpacked");
        assert!(first.changed);
        assert_eq!(first.result["handler"], handler);
        let files = first.result["files"].as_array().expect("a list");
        assert!(files.iter().any(|file| file.as_str().is_some_and(|f| f.ends_with("d/g h"))));
        assert_eq!(fs::read_to_string(base.join("out/d/g h")).expect("unpacked"), "b\n");
        assert!(!unarchive(arguments.clone(), base).expect("there").changed);
        fs::write(base.join("out/f"), "other").expect("written");
        assert!(unarchive(arguments, base).expect("unpacked").changed);
    }

    #[test]
    fn tar_files_are_unpacked_once() {
        twice("tar czf ../a.tgz .", "a.tgz", "TgzArchive");
        twice("tar cf ../a.tar .", "a.tar", "TarArchive");
    }

    #[test]
    fn zip_files_are_unpacked_once() {
        if Process::shell("command -v zip unzip zipinfo").run().is_ok_and(|o| o.success()) {
            // What zip keeps of modes is not what the task sets: mode is compared with the task's.
            twice("zip -qr ../a.zip .", "a.zip", "ZipArchive");
        }
    }

    #[test]
    fn what_is_no_archive_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path();
        fs::write(base.join("f"), "no archive").expect("written");
        let failure = |src: &str, dest: &Path| {
            let arguments = json!({"src": base.join(src), "dest": dest, "remote_src": true});
            unarchive(arguments, base).expect_err("refused").msg
        };
        assert!(failure("f", base).starts_with("Failed to find handler for \""));
        assert!(failure("nosuch", base).ends_with("nosuch' does not exist"));
        assert!(
            failure("f", Path::new("/nosuch")).contains("dest '/nosuch' must be an existing dir")
        );
    }
}
