//! Where a path leads.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many links are followed, as by the kernel.
const LINKS: usize = 40;

/// The path without links, as Python's `os.path.realpath` has it: what is not there, or leads
/// in a circle, stays as it is written.
pub fn real_path(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut real = PathBuf::from("/");
    let mut rest = parts(&path);
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        real.push(part);
        if links < LINKS
            && let Ok(target) = fs::read_link(&real)
        {
            links += 1;
            match target.is_absolute() {
                true => real = PathBuf::from("/"),
                false => drop(real.pop()),
            }
            rest.extend(parts(&target));
        }
    }
    real
}

/// Names and `..`, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_as_far_as_they_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = fs::canonicalize(folder.path()).expect("there");
        let link = |target: &str, name: &str| symlink(target, base.join(name)).expect("linked");
        fs::create_dir(base.join("d")).expect("made");
        link("d", "to_d");
        link("to_d/../nowhere/x", "dangling");
        link("circle", "circle");
        assert_eq!(real_path(&base.join("to_d/./f")), base.join("d/f"));
        assert_eq!(real_path(&base.join("dangling")), base.join("nowhere/x"));
        assert_eq!(real_path(&base.join("circle")), base.join("circle"));
        assert_eq!(real_path(Path::new("/../..")), Path::new("/"));
    }
}
