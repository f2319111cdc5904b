//! What is mounted now.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Folders with what is mounted there, as the kernel lists them.
pub struct Mounts(BTreeMap<String, Vec<String>>);

struct Line {
    parent: String,
    root: String,
    folder: String,
    source: String,
}

impl Mounts {
    pub fn read() -> Self {
        Self::of(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    fn of(text: &str) -> Self {
        let lines: BTreeMap<String, Line> = text.lines().filter_map(Line::read).collect();
        let mut mounts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in lines.values() {
            let mut sources = vec![line.source.clone()];
            // A folder that is mounted elsewhere is known by its path.
            if let Some(parent) = lines.get(&line.parent).filter(|_| line.parent != "1") {
                let below = line.root.strip_prefix(&format!("{}/", parent.root));
                let root = below.map_or_else(|| line.root.clone(), |below| format!("/{below}"));
                let whole = match parent.folder.as_str() {
                    "/" => root.clone(),
                    folder => format!("{folder}{root}"),
                };
                sources.extend([root, whole]);
            }
            mounts.insert(line.folder.clone(), sources);
        }
        Self(mounts)
    }

    /// Whether something is mounted at a folder.
    pub fn has(&self, folder: &Path) -> bool {
        let real = fs::canonicalize(folder).ok();
        let names = [Some(folder.to_owned()), real];
        names.iter().flatten().any(|path| self.0.contains_key(&*path.to_string_lossy()))
    }

    /// Whether it is this that is mounted there.
    pub fn has_source(&self, folder: &Path, source: &str) -> bool {
        let sources = self.0.get(&*folder.to_string_lossy());
        sources.is_some_and(|sources| sources.iter().any(|own| own == source))
    }
}

impl Line {
    fn read(line: &str) -> Option<(String, Self)> {
        let (first, last) = line.split_once(" - ")?;
        let fields: Vec<&str> = first.split_whitespace().collect();
        let field = |at: usize| fields.get(at).map(|field| unescaped(field));
        let source = unescaped(last.split_whitespace().nth(1)?);
        Some((field(0)?, Self { parent: field(1)?, root: field(3)?, folder: field(4)?, source }))
    }
}

/// Blanks stand there by their numbers.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_known_by_folder_and_source() {
        let text = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    30 22 8:1 /srv/data /mnt/a\\040b rw - ext4 /dev/sda1 rw\n\
                    31 22 0:5 / /proc rw - proc proc rw\n";
        let mounts = Mounts::of(text);
        assert!(mounts.has(Path::new("/mnt/a b")) && !mounts.has(Path::new("/mnt")));
        assert!(mounts.has_source(Path::new("/mnt/a b"), "/srv/data"));
        assert!(mounts.has_source(Path::new("/proc"), "proc"));
    }
}
