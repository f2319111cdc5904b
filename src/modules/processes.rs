//! The processes that run on the host, those in containers included.

use std::fs;

/// The number and the words of each process; the words end in a zero byte.
pub fn all() -> impl Iterator<Item = (u32, Vec<u8>)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        // One that has ended meanwhile, or waits for its parent, has no words.
        let words = fs::read(entry.path().join("cmdline")).ok()?;
        (!words.is_empty()).then_some((number, words))
    })
}

/// Whether the first of these words is a program of that name, wherever it is.
pub fn is_program(words: &[u8], name: &str) -> bool {
    let program = words.split(|byte| *byte == 0).next().unwrap_or_default();
    program.rsplit(|byte| *byte == b'/').next() == Some(name.as_bytes())
}

/// The processes of a program.
pub fn of_program(name: &str) -> Vec<u32> {
    all().filter(|(_, words)| is_program(words, name)).map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_first_word() {
        assert!(is_program(b"etcd\0--name=cp1\0", "etcd"));
        assert!(is_program(b"/usr/local/bin/etcd\0", "etcd"));
        assert!(!is_program(b"etcdctl\0get\0", "etcd"));
        assert!(!is_program(b"vi\0etcd\0", "etcd"));
    }

    #[test]
    fn this_test_is_among_the_processes() {
        assert!(all().any(|(number, _)| number == std::process::id()));
    }
}
