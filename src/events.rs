//! The typed events of a run: the contract between the engine and everyone who watches.
