//! What is kept of what a command prints: all of it up to a bound, so that no host's output
//! fills the memory here or there.

use serde_json::{Value as Json, json};

/// What is kept of one output stream: this much of its start, and of its end.
const KEPT: usize = 4 * 1024 * 1024;
/// As many lines of its start and of its end are listed one by one: each takes memory of
/// its own, many times that of a short line's text.
const LISTED: usize = 50_000;

/// The start and the end of a stream, with a note on what is missing between.
#[derive(Default)]
pub(crate) struct Bounded {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: usize,
}

impl Bounded {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        self.tail.extend_from_slice(rest);
        // Cut in large steps: each byte is moved once or twice, not at every read.
        if self.tail.len() > 2 * KEPT {
            let surplus = self.tail.len() - KEPT;
            self.tail.drain(..surplus);
            self.dropped += surplus;
        }
    }

    pub(crate) fn into_text(mut self) -> String {
        let surplus = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..surplus);
        self.dropped += surplus;
        if self.dropped > 0 {
            let note = format!(
                "\n[... {} bytes left out: the first and the last {} MiB of an output are kept ...]\n",
                self.dropped,
                KEPT / 1024 / 1024
            );
            self.head.extend_from_slice(note.as_bytes());
        }
        self.head.append(&mut self.tail);
        match String::from_utf8(self.head) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }
}

/// The lines of an output, for `stdout_lines` and its like; when there are very many, those of
/// its start and its end with a note on what is missing between.
pub fn lines(text: &str) -> Json {
    let count = text.lines().count();
    let Some(left_out) = count.checked_sub(2 * LISTED).filter(|count| *count > 0) else {
        return text.lines().collect();
    };
    let note = format!(
        "[... {left_out} lines left out: the first and the last {LISTED} of an output are listed ...]"
    );
    let head = text.lines().take(LISTED).map(Json::from);
    let tail = text.lines().skip(LISTED + left_out).map(Json::from);
    head.chain([json!(note)]).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::process::Process;

    #[test]
    fn a_large_output_keeps_its_start_and_its_end() {
        let output =
            Process::shell("echo first; head -c 100000000 /dev/zero | tr '\\0' x; echo; echo last")
                .run()
                .unwrap();
        assert!(output.stdout.len() < 2 * KEPT + 200);
        assert!(output.stdout.starts_with("first\n") && output.stdout.ends_with("\nlast\n"));
        assert!(output.stdout.contains("bytes left out"));
    }

    #[test]
    fn few_lines_are_all_listed() {
        assert_eq!(lines("a\n\nb\n"), json!(["a", "", "b"]));
        assert_eq!(lines(""), json!([]));
    }

    #[test]
    fn of_very_many_lines_the_first_and_the_last_are_listed() {
        let text: String = (0..2 * LISTED + 5).map(|n| format!("{n}\n")).collect();
        let listed = lines(&text);
        let listed = listed.as_array().unwrap();
        assert_eq!(listed.len(), 2 * LISTED + 1);
        assert_eq!(listed[LISTED - 1], "49999");
        assert!(listed[LISTED].as_str().unwrap().starts_with("[... 5 lines left out"));
        assert_eq!(listed[LISTED + 1], "50005");
        assert_eq!(listed.last().unwrap(), "100004");
    }
}
