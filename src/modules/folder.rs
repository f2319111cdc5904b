//! What is in a folder that is copied, links included.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[derive(Debug, PartialEq)]
pub enum Kind {
    Directory,
    /// The bytes of this file.
    File(PathBuf),
    /// A link to this path, as it is written.
    Link(PathBuf),
}

/// One thing in the folder.
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// Below the folder; empty for itself.
    pub below: PathBuf,
    pub kind: Kind,
}

/// Everything in the folder, itself first, sorted. With `follow` a link stands for what it
/// points to, unless that is a folder on the way to the link, or not there.
pub fn entries(folder: &Path, follow: bool) -> io::Result<Vec<Entry>> {
    let mut found = vec![Entry { below: PathBuf::new(), kind: Kind::Directory }];
    walk(folder, Path::new(""), follow, &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn walk(
    folder: &Path,
    below: &Path,
    follow: bool,
    above: &mut Vec<(u64, u64)>,
    found: &mut Vec<Entry>,
) -> io::Result<()> {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    above.push(identity(folder)?);
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    // Files before folders, as Ansible goes.
    entries.sort_by_key(|entry| (entry.path().is_dir(), entry.file_name()));
    for entry in entries {
        let (path, below) = (entry.path(), below.join(entry.file_name()));
        let is_loop = || identity(&path).is_ok_and(|identity| above.contains(&identity));
        if path.is_symlink() && (!follow || !path.exists() || (path.is_dir() && is_loop())) {
            found.push(Entry { below, kind: Kind::Link(fs::read_link(&path)?) });
        } else if path.is_dir() {
            found.push(Entry { below: below.clone(), kind: Kind::Directory });
            walk(&path, &below, follow, above, found)?;
        } else {
            found.push(Entry { below, kind: Kind::File(path) });
        }
    }
    above.pop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_what_it_points_to_unless_that_leads_back() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("file"), "text").unwrap();
        symlink("../file", at("sub/link")).unwrap();
        symlink("..", at("sub/up")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        let shown = |follow| -> Vec<_> {
            let entries = entries(folder.path(), follow).unwrap();
            let kind = |kind: &Kind| match kind {
                Kind::Directory => "d".to_owned(),
                Kind::File(_) => "f".to_owned(),
                Kind::Link(to) => format!("-> {}", to.display()),
            };
            entries.iter().map(|e| format!("{} {}", e.below.display(), kind(&e.kind))).collect()
        };
        let followed =
            [" d", "dangling -> nowhere", "file f", "sub d", "sub/link f", "sub/up -> .."];
        assert_eq!(shown(true), followed);
        let kept =
            [" d", "dangling -> nowhere", "file f", "sub d", "sub/link -> ../file", "sub/up -> .."];
        assert_eq!(shown(false), kept);
    }
}
