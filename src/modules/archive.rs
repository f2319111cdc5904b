//! `archive`: files packed by the host's tar or zip, or compressed alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, HostPath, Text, TextList};
use super::files::{self, Attributes};
use super::mode::Mode;
use super::process::Process;
use super::words::{expand_user, expand_variables, files_matching};
use super::{Context, Failure, Module, Outcome, glob, tools};

/// Packs files and folders into one file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Files, folders and patterns.
    path: TextList,
    dest: Option<HostPath>,
    #[serde(default)]
    format: Format,
    #[serde(default)]
    exclude_path: TextList,
    exclusion_patterns: Option<TextList>,
    /// Pack a single file too, and do not merely compress it.
    #[serde(default)]
    force_archive: Flag,
    /// Remove what has been packed.
    #[serde(default)]
    remove: Flag,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<Mode>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Bz2,
    #[default]
    Gz,
    Tar,
    Xz,
    Zip,
}

impl Format {
    fn word(self) -> &'static str {
        match self {
            Self::Bz2 => "bz2",
            Self::Gz => "gz",
            Self::Tar => "tar",
            Self::Xz => "xz",
            Self::Zip => "zip",
        }
    }

    /// The program that compresses, and tar's option for it.
    fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Bz2 => Some(("bzip2", "-j")),
            Self::Gz => Some(("gzip", "-z")),
            Self::Xz => Some(("xz", "-J")),
            Self::Tar | Self::Zip => None,
        }
    }
}

impl Module for Archive {
    const NAME: &'static str = "archive";
    const WRITES_FILES: bool = true;

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let job = Job::of(&self, context)?;
        let mut outcome = Outcome::default();
        let mut packed = Vec::new();
        let mut state = "absent";
        let there: Vec<&PathBuf> =
            job.paths.iter().filter(|path| path.symlink_metadata().is_ok()).collect();
        let missing: Vec<String> = job
            .paths
            .iter()
            .filter(|path| path.symlink_metadata().is_err())
            .map(|p| text(p))
            .collect();
        if there.is_empty() {
            if job.dest.exists() {
                state = if is_archive(&job.dest) { "archive" } else { "compress" };
            }
        } else if context.check {
            outcome.changed = job.pack || !job.dest.exists();
        } else {
            let new = context.scratch.join("archive");
            if job.pack || matches!(self.format, Format::Zip | Format::Tar) {
                let members = job.members(&there);
                job.build(&members, &new)?;
                packed = members;
                // In a zip a folder has another name than it was asked for by.
                packed.retain(|path| self.format != Format::Zip || !path.is_dir());
                state = if missing.is_empty() || !job.pack { "archive" } else { "incomplete" };
                outcome.changed = job.listing(&new)? != job.listing(&job.dest)?;
            } else if let Some(path) = there.first() {
                outcome.changed = job.compress(path, &new)?;
                packed = vec![(*path).clone()];
                state = "compress";
            }
            if outcome.changed {
                let mut file = fs::File::open(&new)
                    .map_err(|error| files::failed("cannot be read", &new, &error))?;
                files::write(&job.dest, &mut file, None, context.unsafe_writes)?;
            }
            if self.remove.0 {
                job.remove(&packed)?;
            }
        }
        if job.dest.exists() {
            let (owner, group, mode) = (self.owner.clone(), self.group.clone(), self.mode.clone());
            let attributes = Attributes { owner, group, mode };
            outcome.changed |= attributes.apply(&job.dest, false, context.check)?;
        }
        let texts = |paths: &[PathBuf]| paths.iter().map(|path| text(path)).collect::<Vec<_>>();
        let outcome = outcome
            .with("archived", texts(&packed))
            .with("dest", text(&job.dest))
            .with("dest_state", state)
            .with("arcroot", job.root.clone())
            .with("missing", missing)
            .with("expanded_paths", texts(&job.expanded))
            .with("expanded_exclude_paths", texts(&job.excluded));
        Ok(files::describe_existing(outcome, &job.dest))
    }
}

impl Archive {
    /// A failure that names the paths, and says what is there if it is one.
    fn refusal(&self, msg: &str) -> Failure {
        let path = self.path.0.join(", ");
        let outcome = Outcome::default().with("path", path.clone());
        let described = files::describe_existing(outcome, Path::new(&path));
        Failure { result: described.result, ..Failure::new(msg) }
    }
}

/// What is to be packed, and into what.
struct Job<'a> {
    task: &'a Archive,
    context: &'a Context,
    expanded: Vec<PathBuf>,
    excluded: Vec<PathBuf>,
    /// Those that are wanted, sorted.
    paths: Vec<PathBuf>,
    dest: PathBuf,
    /// The folder that all of them are in, with a slash.
    root: String,
    /// Several files, or a folder: an archive.
    pack: bool,
}

impl<'a> Job<'a> {
    fn of(task: &'a Archive, context: &'a Context) -> Result<Self, Failure> {
        let (expanded, magic) = expand(&task.path.0, context);
        let (excluded, _) = expand(&task.exclude_path.0, context);
        let paths: BTreeSet<PathBuf> =
            expanded.iter().filter(|path| !excluded.contains(path)).cloned().collect();
        let paths: Vec<PathBuf> = paths.into_iter().collect();
        let Some(first) = paths.first() else {
            let joined =
                |paths: &[PathBuf]| paths.iter().map(|p| text(p)).collect::<Vec<_>>().join(", ");
            return Err(task
                .refusal("Error, no source paths were found")
                .with("expanded_paths", joined(&expanded))
                .with("expanded_exclude_paths", joined(&excluded)));
        };
        let pack = task.force_archive.0 || magic || first.is_dir() || paths.len() > 1;
        let dest = match &task.dest {
            Some(dest) => dest.0.clone(),
            None if pack => {
                let msg = "Error, must specify \"dest\" when archiving multiple files or trees";
                return Err(task.refusal(msg).with("dest", "None"));
            }
            None => PathBuf::from(format!("{}.{}", first.display(), task.format.word())),
        };
        if task.remove.0 && paths.iter().any(|path| path.is_dir() && dest.starts_with(path)) {
            let msg =
                "Error, created archive can not be contained in source paths when remove=true";
            return Err(task.refusal(msg));
        }
        let root = common_folder(&paths);
        Ok(Self { task, context, expanded, excluded, paths, dest, root, pack })
    }

    /// Files and folders in the order in which they are packed.
    fn members(&self, targets: &[&PathBuf]) -> Vec<PathBuf> {
        let mut members = Vec::new();
        for target in targets {
            match target.is_dir() {
                true => below(target, &mut members),
                false => members.push((*target).clone()),
            }
        }
        let patterns = self.task.exclusion_patterns.as_ref().map(|list| list.0.as_slice());
        members.retain(|path| {
            let name = match self.task.format {
                Format::Zip => text(path),
                _ => self.name(path),
            };
            !patterns.unwrap_or_default().iter().any(|pattern| glob::matches(pattern, &name))
        });
        members
    }

    /// What a file is called in the archive.
    fn name(&self, path: &Path) -> String {
        let path = text(path);
        path.strip_prefix(&self.root).unwrap_or(&path).to_owned()
    }

    fn build(&self, members: &[PathBuf], new: &Path) -> Result<(), Failure> {
        let names: Vec<String> = members.iter().map(|path| self.name(path)).collect();
        let folder = if self.root.is_empty() { "/" } else { self.root.as_str() };
        let command = match self.task.format {
            Format::Zip => {
                let file = new.with_extension("zip");
                let list = names.join("\n") + "\n";
                let zip = tools::command(self.context, "zip")?.args(["-q", "-X", "-@"]).arg(&file);
                let output = zip.stdin(list.into_bytes()).cwd(folder).run()?;
                return match output.success() {
                    true => fs::rename(&file, new)
                        .map_err(|error| files::failed("cannot be written", new, &error)),
                    false => {
                        Err(self.unwritten("zip", &format!("{}{}", output.stdout, output.stderr)))
                    }
                };
            }
            format => {
                let list: Vec<u8> = names.iter().flat_map(|n| n.bytes().chain([0])).collect();
                let tar = tools::command(self.context, "tar")?;
                let tar = tar.args(format.program().map(|(_, option)| option));
                tar.args(["--create", "--no-recursion", "--null", "-T", "-", "-f"])
                    .arg(new)
                    .stdin(list)
            }
        };
        let output = command.cwd(folder).run()?;
        match output.success() {
            true => Ok(()),
            false => Err(self.unwritten(self.task.format.word(), &output.stderr)),
        }
    }

    fn unwritten(&self, format: &str, why: &str) -> Failure {
        let format = match format {
            "zip" | "tar" => format.to_owned(),
            other => format!("tar.{other}"),
        };
        let dest = self.dest.display();
        Failure::new(format!("Error when writing {format} archive at {dest}: {}", why.trim()))
    }

    /// Names and what is known of each; two archives with the same are taken for equal.
    fn listing(&self, path: &Path) -> Result<BTreeSet<String>, Failure> {
        if !path.exists() {
            return Ok(BTreeSet::new());
        }
        let command = match self.task.format {
            Format::Zip => tools::command(self.context, "unzip")?.arg("-v"),
            format => {
                let tar = tools::command(self.context, "tar")?;
                let tar = tar.args(format.program().map(|(_, option)| option));
                tar.args(["--list", "-v", "--full-time", "--numeric-owner", "-f"])
            }
        };
        let output = command.arg(path).run()?;
        // Lines about the archive as a whole have its path in them.
        let lines = output.stdout.lines().filter(|line| !line.starts_with("Archive:"));
        Ok(lines.map(str::to_owned).collect())
    }

    /// Compresses one file; true if the destination holds another one.
    fn compress(&self, path: &Path, new: &Path) -> Result<bool, Failure> {
        let failed = |why: &str| {
            Failure::new(format!("Unable to write to compressed file: {}", why.trim()))
                .with("path", text(path))
                .with("dest", text(&self.dest))
        };
        let Some((program, _)) = self.task.format.program() else {
            return Err(failed("no compression"));
        };
        let program = tools::program(self.context, program)?;
        let script = "exec \"$0\" -c < \"$1\" > \"$2\"";
        let output = Process::shell(script)
            .arg(&program)
            .arg(path)
            .arg(new)
            .in_context(self.context)
            .run()?;
        if !output.success() {
            return Err(failed(&output.stderr));
        }
        let compare = "\"$0\" -dc < \"$1\" | cmp -s - \"$2\"";
        let same = self.dest.exists()
            && Process::shell(compare).arg(&program).arg(&self.dest).arg(path).run()?.success();
        Ok(!same)
    }

    fn remove(&self, packed: &[PathBuf]) -> Result<(), Failure> {
        let mut left = Vec::new();
        for path in packed.iter().chain(&self.paths) {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let removed = match metadata.is_dir() {
                true => fs::remove_dir_all(path),
                false => fs::remove_file(path),
            };
            if removed.is_err() {
                left.push(text(path));
            }
        }
        match left.is_empty() {
            true => Ok(()),
            false => Err(Failure::new("Error deleting some source files: ")
                .with("dest", text(&self.dest))
                .with("files", left)),
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Paths for patterns; whether there was a pattern.
fn expand(paths: &[String], context: &Context) -> (Vec<PathBuf>, bool) {
    let mut magic = false;
    let mut expanded = Vec::new();
    for path in paths {
        let path = expand_variables(path, &context.environment);
        let path = PathBuf::from(expand_user(&path, &context.environment));
        match path.to_string_lossy().contains(['*', '?']) {
            true => {
                magic = true;
                expanded.extend(files_matching(&path));
            }
            false => expanded.push(path),
        }
    }
    (expanded, magic)
}

/// The folder that all paths are in, with a slash at its end.
fn common_folder(paths: &[PathBuf]) -> String {
    let folders: Vec<String> = paths
        .iter()
        .map(|path| {
            path.parent().map(text).unwrap_or_default().trim_end_matches('/').to_owned() + "/"
        })
        .collect();
    let mut common = folders.first().cloned().unwrap_or_default();
    for folder in &folders {
        while !folder.starts_with(&common) {
            let shorter = common.trim_end_matches('/').rfind('/').map_or(0, |at| at + 1);
            common.truncate(shorter);
        }
    }
    common
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let (folders, files): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| path.symlink_metadata().is_ok_and(|m| m.is_dir()));
    found.extend(folders.iter().cloned());
    found.extend(files);
    folders.iter().for_each(|folder| below(folder, found));
}

fn is_archive(path: &Path) -> bool {
    let name = text(path).to_lowercase();
    [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".zip"]
        .iter()
        .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn archive(arguments: Json, scratch: &Path) -> Result<Outcome, Failure> {
        let context = Context { scratch: scratch.to_owned(), ..Context::default() };
        serde_json::from_value::<Archive>(arguments).expect("arguments").run(&context)
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("in/d")).expect("a folder");
        fs::write(folder.path().join("in/f"), "f").expect("written");
        fs::write(folder.path().join("in/d/g h"), "g").expect("written");
        folder
    }

    #[test]
    fn a_folder_is_packed_once() {
        let folder = folder();
        let base = folder.path();
        for format in ["gz", "tar", "zip"] {
            let arguments = json!({"path": base.join("in"), "dest": base.join("out").with_extension(format), "format": format});
            let done = archive(arguments.clone(), base).expect("packed");
            assert!(done.changed, "{format}");
            let archived = done.result["archived"].as_array().expect("a list").len();
            assert_eq!(archived, if format == "zip" { 2 } else { 3 }, "{format}");
            assert_eq!(done.result["arcroot"], json!(format!("{}/", base.display())));
            assert!(!archive(arguments, base).expect("there").changed, "{format}");
        }
    }

    #[test]
    fn one_file_is_compressed_and_removed() {
        let folder = folder();
        let base = folder.path();
        let arguments = json!({"path": base.join("in/f"), "remove": true});
        let done = archive(arguments, base).expect("compressed");
        assert_eq!(done.result["dest_state"], "compress");
        assert!(base.join("in/f.gz").exists() && !base.join("in/f").exists());
    }

    #[test]
    fn what_is_not_there_is_told() {
        let folder = folder();
        let base = folder.path();
        let failure = archive(json!({"path": base.join("nosuch*")}), base).expect_err("refused");
        assert_eq!(failure.msg, "Error, no source paths were found");
        let failure = archive(json!({"path": base.join("in")}), base).expect_err("refused");
        assert!(failure.msg.starts_with("Error, must specify \"dest\""));
    }
}
