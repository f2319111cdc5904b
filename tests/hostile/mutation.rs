//! Real input, changed at random.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Files that are larger say no more than small ones.
const MAX_FILE: u64 = 6_000;

/// What the languages of ours are made of.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "'",
    "\"",
    "\\",
    "\t",
    " ",
    "\n",
    "\r",
    "\0",
    "\u{feff}",
    "\u{2028}",
    "é",
    "😀",
    ":",
    ": ",
    "- ",
    "? ",
    "-",
    "---\n",
    "...\n",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "!",
    "!!",
    "!!int ",
    "!unsafe ",
    "!vault |\n",
    "|",
    ">",
    "|-\n",
    "%",
    "@",
    "`",
    "=",
    ";",
    ",",
    "~",
    "~(",
    "*",
    "?",
    "[0]",
    "[-1]",
    "[1:9]",
    "[a:z]",
    "[:",
    "0",
    "-1",
    "1e999",
    "99999999999999999999",
    "0x",
    "null",
    "true",
    "$ANSIBLE_VAULT;1.1;AES256\n",
    "[defaults]",
    "all",
    "| default(1)",
    " if ",
    " else ",
    "not ",
    "\\x",
    "\\u12",
    "$",
    "!a",
    "&b",
];

/// The texts of all files with these endings below a folder of the repository.
pub fn corpus(folder: &str, endings: &[&str]) -> Vec<String> {
    let mut texts = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), endings, &mut texts);
    assert!(!texts.is_empty(), "{folder} has no {endings:?}");
    texts
}

fn collect(folder: &Path, endings: &[&str], texts: &mut Vec<String>) {
    let entries = fs::read_dir(folder).expect("a folder of real input");
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let wanted = || endings.iter().any(|ending| path.to_string_lossy().ends_with(ending));
        if path.is_dir() {
            collect(&path, endings, texts);
        } else if wanted() && path.metadata().is_ok_and(|data| data.len() <= MAX_FILE) {
            texts.extend(fs::read_to_string(&path));
        }
    }
}

/// A change of a text; places are parts of its length.
#[derive(Clone, Debug)]
enum Change {
    Insert(Index, String),
    Delete(Index, usize),
    Repeat(Index, usize, usize),
    Move(Index, usize, Index),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        4 => (place(), select(PIECES)).prop_map(|(at, piece)| Change::Insert(at, piece.to_owned())),
        1 => (place(), "\\PC{1,4}").prop_map(|(at, text)| Change::Insert(at, text)),
        3 => (place(), 1..12usize).prop_map(|(at, length)| Change::Delete(at, length)),
        1 => (place(), 1..40usize, 2..6usize).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        2 => (place(), 1..40usize, place()).prop_map(|(at, length, to)| Change::Move(at, length, to)),
        1 => place().prop_map(Change::Cut),
    ]
}

fn changed(text: &str, change: Change) -> String {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: Index| index.index(characters.len() + 1);
    let until = |from: usize, length: usize| (from + length).min(characters.len());
    let text = |part: &[char]| part.iter().collect::<String>();
    match change {
        Change::Insert(index, piece) => {
            let (before, after) = characters.split_at(at(index));
            text(before) + &piece + &text(after)
        }
        Change::Delete(index, length) => {
            let from = at(index);
            text(&characters[..from]) + &text(&characters[until(from, length)..])
        }
        Change::Repeat(index, length, times) => {
            let from = at(index);
            let to = until(from, length);
            text(&characters[..from])
                + &text(&characters[from..to]).repeat(times)
                + &text(&characters[to..])
        }
        Change::Move(index, length, to) => {
            let from = at(index);
            let mut rest = characters.clone();
            let part: Vec<char> = rest.drain(from..until(from, length)).collect();
            let to = to.index(rest.len() + 1);
            rest.splice(to..to, part);
            text(&rest)
        }
        Change::Cut(index) => text(&characters[..at(index)]),
    }
}

/// One of these texts with some changes, or a text of its pieces alone.
pub fn mutated(corpus: Vec<String>) -> impl Strategy<Value = String> {
    let real = (select(corpus), vec(change(), 1..6))
        .prop_map(|(text, changes)| changes.into_iter().fold(text, |text, c| changed(&text, c)));
    let made = vec(select(PIECES), 0..30).prop_map(|pieces| pieces.concat());
    prop_oneof![6 => real, 1 => made, 1 => "\\PC{0,60}"]
}
