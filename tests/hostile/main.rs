//! Input that nobody would write: whatever a language of ours is given, it ends soon, within
//! bounded memory, with a value or an error at a place of the input.
//!
//! Properties over mutations of real input stand beside named cases. More cases than `make
//! test` has time for: `PROPTEST_CASES=100000 cargo nextest run -E 'binary(hostile)'`.

mod agent;
mod inventories;
mod limits;
mod mutation;
mod playbooks;
mod settings;
mod templates;
mod vaults;
mod watch;

use kup_play::source::{Error, Span};

/// The line is one of the file, or that behind its last end of line.
fn assert_in_file(span: &Span) {
    let above = span.line.checked_sub(1).expect("lines count from 1");
    assert!(above == 0 || span.file.line(above).is_some(), "{span} is not in the file");
    assert!(span.column > 0, "{span}: columns count from 1");
}

/// Where an error points, there is something of the input, and it can be shown.
fn assert_right_place(error: &Error) {
    let shown = error.to_string();
    assert!(shown.len() < 20_000, "the message has {} bytes", shown.len());
    let Some(span) = &error.span else { return };
    assert_in_file(span);
    let line = span.file.line(span.line).unwrap_or_default();
    let columns = line.chars().count();
    assert!(
        (1..=columns + 2).contains(&span.column),
        "column {} of {columns}: {shown}",
        span.column
    );
}
