//! Archives that unzip reads.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use flate2::Crc;
use jiff::civil;
use jiff::tz::TimeZone;

use super::super::files::umask;
use super::super::process::Output;
use super::super::users::{Database, id_of};
use super::super::{Failure, glob, tools};
use super::tar::started;
use super::{Difference, Job, text};

pub struct Zip {
    unzip: String,
    /// `zipinfo`, or `unzip -Z`.
    info: Vec<String>,
    pub files: Vec<String>,
    sums: BTreeMap<String, u32>,
}

/// One entry as zipinfo lists it.
struct Entry<'a> {
    kind: char,
    permissions: &'a str,
    size: u64,
    time: &'a str,
    path: &'a str,
}

impl Zip {
    /// The archive, or why it is none.
    pub fn open(job: &Job) -> Result<Result<Self, String>, Failure> {
        let context = job.context;
        let missing =
            |names: &str| Ok(Err(format!("Unable to find required '{names}' binary in the path.")));
        let (unzip, info) = match (tools::find(context, "unzip"), tools::find(context, "zipinfo")) {
            (Some(unzip), Some(info)) => (text(&unzip), vec![text(&info)]),
            (Some(unzip), None) => (text(&unzip), vec![text(&unzip), "-Zl".to_owned()]),
            (None, Some(_)) => return missing("unzip"),
            (None, None) => return missing("unzip' or 'zipinfo"),
        };
        let mut zip = Self { unzip, info, files: Vec::new(), sums: BTreeMap::new() };
        let command = [zip.unzip.clone(), "-l".to_owned(), text(&job.src)];
        let output = started(context, &command)?.run()?;
        if !output.success() {
            return Ok(Err(format!(
                "Command \"{}\" could not handle archive: {}",
                zip.unzip, output.stderr
            )));
        }
        zip.list(job)?;
        Ok(Ok(zip))
    }

    /// Names and checksums; names that are not wanted are left out.
    fn list(&mut self, job: &Job) -> Result<(), Failure> {
        let command = [self.unzip.clone(), "-v".to_owned(), text(&job.src)];
        let output = started(job.context, &command)?.run()?;
        let any = |patterns: &[String], name: &str| patterns.iter().any(|p| glob::matches(p, name));
        let (include, exclude) = (&job.task.include.0, &job.task.exclude.0);
        for line in output.stdout.lines() {
            let Some((fields, name)) = columns(line) else { continue };
            let sum = fields.get(6).and_then(|sum| u32::from_str_radix(sum, 16).ok());
            let (Some(sum), true) = (sum, fields.first().is_some_and(|f| f.parse::<u64>().is_ok()))
            else {
                continue;
            };
            self.sums.insert(name.to_owned(), sum);
            let wanted = match include.is_empty() {
                true => !any(exclude, name),
                false => any(include, name),
            };
            if wanted {
                self.files.push(name.to_owned());
            }
        }
        Ok(())
    }

    pub fn difference(&self, job: &Job) -> Result<Difference, Failure> {
        let mut command = self.info.clone();
        command.extend(["-T", "-s"].map(str::to_owned));
        command.push(text(&job.src));
        if !job.task.exclude.0.is_empty() {
            command.push("-x".to_owned());
            command.extend(job.task.exclude.0.clone());
        }
        command.extend(job.task.include.0.clone());
        let output = started(job.context, &command)?.run()?;
        let mut difference = Difference { differs: !output.success(), ..Difference::default() };
        let owners = Owners::of(job)?;
        for entry in output.stdout.lines().filter_map(Entry::read) {
            if job.task.exclude.0.iter().any(|name| name == entry.path) {
                continue;
            }
            if let Some(change) = self.compare(&entry, job, &owners, &mut difference)? {
                difference.differs = true;
                difference.listed += &format!("{change} {}\n", entry.path);
            }
        }
        Ok(difference)
    }

    /// What is to change of an entry, as rsync writes it.
    fn compare(
        &self,
        entry: &Entry,
        job: &Job,
        owners: &Owners,
        difference: &mut Difference,
    ) -> Result<Option<String>, Failure> {
        let kind = match (entry.path.ends_with('/'), entry.kind) {
            (true, _) => 'd',
            (false, 'l') => 'L',
            _ => 'f',
        };
        let path = job.dest.join(entry.path);
        let Ok(metadata) = fs::symlink_metadata(path.to_string_lossy().trim_end_matches('/'))
        else {
            return Ok(Some(format!(">{kind}++++++.??")));
        };
        let same_kind = match kind {
            'd' => metadata.is_dir(),
            'L' => metadata.is_symlink(),
            _ => metadata.is_file(),
        };
        if !same_kind {
            return Ok(Some(format!("c{kind}++++++.??")));
        }
        let mut change: Vec<char> = format!(".{kind}.......??").chars().collect();
        let mut mark = |at: usize, letter: char| {
            if let Some(place) = change.get_mut(at) {
                *place = letter;
            }
        };
        let mut differs = false;
        if metadata.is_file() {
            let (theirs, ours) = (entry.timestamp(), metadata.mtime());
            if job.task.keep_newer.0 && theirs < ours {
                difference.newer.push(entry.path.to_owned());
                return Ok(None);
            }
            if theirs > ours
                || !job.task.keep_newer.0 && (theirs != ours || metadata.mtime_nsec() != 0)
            {
                differs = true;
                mark(4, 't');
            }
            if entry.size != metadata.size() {
                differs = true;
                mark(3, 's');
            }
            if self.sums.get(entry.path).copied() != crc_of(&path) {
                differs = true;
                mark(2, 'c');
            }
        }
        if kind != 'L' && entry.mode(job, &metadata) != metadata.mode() & 0o7777 {
            differs = true;
            mark(5, 'p');
        }
        if metadata.uid() != owners.uid {
            differs = true;
            mark(6, 'o');
        }
        if metadata.gid() != owners.gid {
            differs = true;
            mark(6, 'g');
        }
        Ok(differs.then(|| change.into_iter().collect()))
    }

    pub fn unpack(
        &self,
        job: &Job,
        difference: &Difference,
    ) -> Result<(Vec<String>, Output), Failure> {
        let mut command = vec![self.unzip.clone(), "-o".to_owned()];
        command.extend(job.task.extra_opts.0.clone());
        command.push(text(&job.src));
        let excluded: Vec<_> =
            job.task.exclude.0.iter().chain(&difference.newer).cloned().collect();
        if !excluded.is_empty() {
            command.push("-x".to_owned());
            command.extend(excluded);
        }
        command.extend(job.task.include.0.clone());
        command.extend(["-d".to_owned(), text(&job.dest)]);
        let output = started(job.context, &command)?.run()?;
        Ok((command, output))
    }
}

impl<'a> Entry<'a> {
    /// `-rw-r--r--  3.0 unx     2802 tx defX 19910811.134815 perms.2660`
    fn read(line: &'a str) -> Option<Self> {
        let (fields, path) = columns(line)?;
        let first = *fields.first()?;
        let (kind, permissions) = first.split_at_checked(1)?;
        let kind = kind.chars().next()?;
        let time = *fields.get(6)?;
        let wellformed = matches!(first.len(), 7 | 8 | 10)
            && time.len() == 15
            && "dl-?".contains(kind)
            && permissions.chars().all(|c| "rwxstah-".contains(c));
        let size = fields.get(3)?.parse().ok()?;
        wellformed.then_some(Self { kind, permissions, size, time, path })
    }

    /// The time is local; what is no time is the year in which zip's begin.
    fn timestamp(&self) -> i64 {
        let number = |from: usize, to: usize| self.time.get(from..to)?.parse::<i16>().ok();
        let small = |from: usize, to: usize| i8::try_from(number(from, to)?).ok();
        let read = || {
            let year = number(0, 4)?.clamp(1980, 2107);
            let (month, day) = (small(4, 6)?, small(6, 8)?);
            let (hour, minute, second) = (small(9, 11)?, small(11, 13)?, small(13, 15)?);
            civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()
        };
        let time = read().unwrap_or(civil::datetime(1980, 1, 1, 0, 0, 0, 0));
        time.to_zoned_datetime(TimeZone::system()).map_or(0, |time| time.timestamp().as_second())
    }

    /// The mode that the file is to have.
    fn mode(&self, job: &Job, metadata: &Metadata) -> u32 {
        let current = metadata.mode() & 0o7777;
        if let Some(mode) = &job.task.mode {
            return mode.apply(current, metadata.is_dir()).unwrap_or(current);
        }
        // Other systems know less; there it is as for any new file.
        let (letters, mask) = match (self.permissions.len(), self.permissions) {
            (9, letters) => (letters, 0),
            (6, _) if self.path.ends_with('/') => ("rwxrwxrwx", umask()),
            (_, "rwx---" | "rwxa---") => ("rwxrwxrwx", umask()),
            _ => ("rw-rw-rw-", umask()),
        };
        let bits = letters.chars().fold(0, |bits, c| bits << 1 | u32::from("rwxst".contains(c)));
        bits & !mask
    }
}

/// Whose the files are to be.
struct Owners {
    uid: u32,
    gid: u32,
}

impl Owners {
    fn of(job: &Job) -> Result<Self, Failure> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let owner = job.task.owner.as_ref().map(|name| id_of(Database::Users, &name.0));
        let group = job.task.group.as_ref().map(|name| id_of(Database::Groups, &name.0));
        Ok(Self {
            uid: owner.transpose()?.unwrap_or(uid.as_raw()),
            gid: group.transpose()?.unwrap_or(gid.as_raw()),
        })
    }
}

/// The first seven words of a line, and what is behind them.
fn columns(line: &str) -> Option<(Vec<&str>, &str)> {
    let mut rest = line.trim_start();
    let mut fields = Vec::new();
    for _ in 0..7 {
        let (field, more) = rest.split_once(char::is_whitespace)?;
        fields.push(field);
        rest = more.trim_start();
    }
    (!rest.is_empty()).then_some((fields, rest))
}

fn crc_of(path: &Path) -> Option<u32> {
    let mut file = File::open(path).ok()?;
    let mut crc = Crc::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(crc.sum()),
            read => crc.update(buffer.get(..read)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_listing() {
        let line = "-rw-r--r--  3.0 unx        3 tx stor 20240102.030405 d/g h";
        let entry = Entry::read(line).expect("an entry");
        assert_eq!((entry.kind, entry.size, entry.path), ('-', 3, "d/g h"));
        assert!(Entry::read("Archive:  a.zip").is_none());
        assert!(Entry::read("2 files, 6 bytes uncompressed, 6 bytes compressed:  0.0%").is_none());
    }
}
