//! Access and modification times of files, as `file` takes them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};

use super::Failure;
use super::changes::Changes;

/// The form in which Ansible takes times: `202611231530.00`.
pub const FORMAT: &str = "%Y%m%d%H%M.%S";

/// What a time is to become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Time {
    Preserve,
    Now,
    /// Seconds since 1970.
    At(i64),
}

impl Time {
    /// `preserve`, `now`, or a local time in the format.
    pub fn parse(text: &str, format: &str) -> Result<Self, Failure> {
        match text {
            "preserve" | "" => return Ok(Self::Preserve),
            "now" => return Ok(Self::Now),
            _ => {}
        }
        let time = DateTime::strptime(format, text)
            .and_then(|time| TimeZone::system().to_ambiguous_zoned_datetime(time).compatible());
        time.map(|time| Self::At(time.timestamp().as_second())).map_err(|error| {
            Failure::new(format!(
                "Error while obtaining timestamp for time {text} using format {format}: {error}"
            ))
        })
    }

    fn differs(self, seconds: i64) -> bool {
        match self {
            Self::Preserve => false,
            Self::Now => true,
            Self::At(wanted) => wanted != seconds,
        }
    }

    fn seconds(self) -> i64 {
        match self {
            Self::At(seconds) => seconds,
            Self::Preserve | Self::Now => jiff::Timestamp::now().as_second(),
        }
    }

    fn spec(self) -> Timespec {
        match self {
            Self::Preserve => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            Self::Now => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
            Self::At(seconds) => Timespec { tv_sec: seconds, tv_nsec: 0 },
        }
    }
}

/// Sets the times that differ, and notes them; true if one did (or would, in check mode).
pub fn apply(
    path: &Path,
    follow: bool,
    access: Time,
    modification: Time,
    check: bool,
    changes: &mut Changes,
) -> io::Result<bool> {
    let old = match if follow { fs::metadata(path) } else { fs::symlink_metadata(path) } {
        Ok(old) => old,
        Err(_) if check => return Ok(false),
        Err(error) => return Err(error),
    };
    if !access.differs(old.atime()) && !modification.differs(old.mtime()) {
        return Ok(false);
    }
    for (key, time, old) in [("atime", access, old.atime()), ("mtime", modification, old.mtime())] {
        if time.differs(old) {
            changes.note(key, old, time.seconds());
        }
    }
    if !check {
        let times =
            Timestamps { last_access: access.spec(), last_modification: modification.spec() };
        let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        utimensat(CWD, path, &times, flags)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_set_once() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let at = Time::parse("202601021504.05", FORMAT).expect("a time");
        let set = |check| {
            apply(file.path(), true, Time::Preserve, at, check, &mut Changes::default())
                .expect("applied")
        };
        assert!(set(true) && set(false));
        assert!(!set(false));
        assert!(Time::parse("yesterday", FORMAT).is_err());
    }
}
