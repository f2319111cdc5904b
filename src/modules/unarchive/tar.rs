//! Archives that GNU tar reads.

use super::super::process::{Output, Process};
use super::super::{Context, Failure, glob, tools};
use super::{Difference, Job, text};

/// How an archive is compressed.
#[derive(Debug)]
pub struct Kind {
    /// Ansible's name of what unpacks it.
    pub name: &'static str,
    option: Option<&'static str>,
}

/// In the order in which they are tried.
pub const KINDS: &[Kind] = &[
    Kind { name: "TgzArchive", option: Some("-z") },
    Kind { name: "TarArchive", option: None },
    Kind { name: "TarBzipArchive", option: Some("-j") },
    Kind { name: "TarXzArchive", option: Some("-J") },
    Kind { name: "TarZstdArchive", option: Some("--use-compress-program=zstd") },
];

pub struct Tar {
    pub kind: &'static Kind,
    program: String,
    pub files: Vec<String>,
}

impl Tar {
    /// The archive, or why this is none of its kind.
    pub fn open(job: &Job, kind: &'static Kind) -> Result<Result<Self, String>, Failure> {
        let context = job.context;
        let Some(program) = ["gtar", "tar"].iter().find_map(|name| tools::find(context, name))
        else {
            return Ok(
                Err("Unable to find required 'gtar' or 'tar' binary in the path".to_owned()),
            );
        };
        let mut tar = Self { kind, program: text(&program), files: Vec::new() };
        let version = Process::new(&program).arg("--version").in_context(context).run()?.stdout;
        if !(version.starts_with("tar") && version.contains("GNU")) {
            let found = if version.starts_with("bsdtar") { "bsd" } else { "None" };
            return Ok(Err(format!(
                "Command \"{}\" detected as tar type {found}. GNU tar required.",
                tar.program
            )));
        }
        let (_, output) = tar.run(job, "--list", false)?;
        if !output.success() {
            return Ok(Err(format!(
                "Command \"{}\" could not handle archive: Unable to list files in the archive: {}",
                tar.program, output.stderr
            )));
        }
        let excluded = |name: &String| {
            job.task
                .exclude
                .0
                .iter()
                .any(|pattern| glob::matches(pattern.trim_end_matches('/'), name))
        };
        let names = output.stdout.lines().map(unquoted);
        // Names are below the folder even where they begin with a slash.
        let names = names.map(|name| name.strip_prefix('/').unwrap_or(&name).to_owned());
        tar.files = names.filter(|name| !excluded(name)).collect();
        if tar.files.is_empty() {
            return Ok(Err(format!(
                "Command \"{}\" found no files in archive. Empty archive files are not supported.",
                tar.program
            )));
        }
        Ok(Ok(tar))
    }

    pub fn difference(&self, job: &Job) -> Result<Difference, Failure> {
        let (_, output) = self.run(job, "--diff", true)?;
        let root = rustix::process::geteuid().is_root();
        let lines = output.stdout.lines().chain(output.stderr.lines());
        let differs = lines
            .filter(|line| !line.ends_with(": : Warning: Cannot stat: No such file or directory"))
            .any(|line| {
                let ends = |end: &str| line.ends_with(end);
                root && job.task.owner.is_none() && ends(": Uid differs")
                    || root && job.task.group.is_none() && ends(": Gid differs")
                    || job.task.mode.is_none() && ends(": Mode differs")
                    || ends(": Mod time differs")
                    || ends(": Warning: Cannot stat: No such file or directory")
                    || line.contains(": Invalid owner")
                    || line.contains(": Invalid group")
                    || ends(": Symlink differs")
                    || ends(": Contents differ")
                    || ends(": Size differs")
            });
        Ok(Difference { differs, ..Difference::default() })
    }

    pub fn unpack(&self, job: &Job) -> Result<(Vec<String>, Output), Failure> {
        self.run(job, "--extract", true)
    }

    /// Runs tar to this end; `as_wanted` gives it what the files are to be.
    fn run(&self, job: &Job, to: &str, as_wanted: bool) -> Result<(Vec<String>, Output), Failure> {
        let task = &job.task;
        let mut command =
            vec![self.program.clone(), to.to_owned(), "-C".to_owned(), text(&job.dest)];
        command.extend(self.kind.option.map(str::to_owned));
        if !task.extra_opts.0.is_empty() {
            command.push("--show-transformed-names".to_owned());
            command.extend(task.extra_opts.0.clone());
        }
        if as_wanted {
            let owner = task.owner.as_ref().map(|owner| format!("--owner={}", owner.0));
            let group = task.group.as_ref().map(|group| format!("--group={}", group.0));
            command.extend(owner.into_iter().chain(group));
            command.extend(task.keep_newer.0.then(|| "--keep-newer-files".to_owned()));
        }
        let excluded = task.exclude.0.iter();
        command.extend(excluded.map(|path| format!("--exclude={}", path.trim_end_matches('/'))));
        command.extend(["-f".to_owned(), text(&job.src)]);
        command.extend(task.include.0.clone());
        let output = started(job.context, &command)?.cwd(&job.dest).run()?;
        Ok((command, output))
    }
}

/// A command with messages in English.
pub fn started(context: &Context, command: &[String]) -> Result<Process, Failure> {
    let (program, arguments) = command.split_first().ok_or_else(|| Failure::new("no command"))?;
    Ok(tools::command(context, program)?.args(arguments).env("LANG", "C.UTF-8"))
}

/// A name as tar quotes it: `\n`, `\\`, `\303\244`.
fn unquoted(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let octal = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = more.get(3..).unwrap_or_default();
            continue;
        }
        let (escaped, length) = match more.first() {
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'\\') => (b'\\', 1),
            _ => (b'\\', 0),
        };
        bytes.push(escaped);
        rest = more.get(length..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_read_as_tar_quotes_them() {
        assert_eq!(super::unquoted(r"a\303\244\\b\nc"), "aä\\b\nc");
        assert_eq!(super::unquoted(r"a\q"), r"a\q");
    }
}
