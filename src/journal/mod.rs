//! The journal of a run: what it has begun and ended, on disk before its effects are
//! relied upon, so that a run that was killed can be resumed where it stopped.

mod history;
mod record;
mod scrub;
mod store;
mod writer;

pub use history::{DRAINS, Done, History};
pub use record::{Access, FileHash, Key, Record, Start, Unfinished, VERSION, now};
pub use scrub::{scrub, scrubbed_variables};
pub use store::{State, Store, Summary, hash_of, operator};
pub use writer::Journal;

/// What a run writes, and what it knows of the runs before it that it goes on with.
pub struct Recording {
    pub journal: Journal,
    pub history: History,
}
