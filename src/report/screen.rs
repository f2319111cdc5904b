//! Where reporters write: stdout and stderr, above the live line when there is one.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value as Json};

use super::Settings;
use super::colour::{Colour, Palette};
use super::diff;
use super::log::{Level, Log};
use super::progress::Progress;
use crate::events::{Event, HostResult};

/// The terminal, or the files that stand in for it.
pub struct Screen {
    pub palette: Palette,
    /// Lines of a diff that are shown around each change.
    diff_context: usize,
    columns: usize,
    progress: Option<Progress>,
    log: Option<Log>,
    /// The warnings that have been told.
    told: Mutex<BTreeSet<String>>,
}

impl Screen {
    pub fn new(settings: &Settings) -> Self {
        Self {
            palette: Palette(settings.colour.then(|| settings.look.colours.clone())),
            diff_context: settings.look.diff_context,
            columns: settings.columns,
            progress: settings.live.clone().map(Progress::new),
            log: settings.log.clone(),
            told: Mutex::default(),
        }
    }

    /// What a result says of its changes, where that is asked for.
    pub fn diff(&self, outcome: &HostResult) -> String {
        diff::of(outcome, self.diff_context, &self.palette)
    }

    /// Whether there is a live line.
    pub fn is_live(&self) -> bool {
        self.progress.is_some()
    }

    /// Tells the live line what happens.
    pub fn event(&mut self, event: &Event) {
        if let Some(progress) = &mut self.progress {
            progress.event(event);
        }
    }

    pub fn out(&self, text: &str) {
        self.log(Level::Info, text);
        // A closed pipe (`| head`) is no reason to stop an upgrade half-way.
        self.above(|| {
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        });
    }

    /// On stderr: a mistake, or what goes with one.
    pub fn err(&self, colour: Colour, text: &str) {
        self.tell(Level::Error, colour, text);
    }

    fn log(&self, level: Level, text: &str) {
        if let Some(log) = &self.log {
            log.write(level, text);
        }
    }

    fn tell(&self, level: Level, colour: Colour, text: &str) {
        self.log(level, text);
        let text = self.palette.paint(colour, text);
        self.above(|| {
            let _ = writeln!(io::stderr(), "{text}");
        });
    }

    /// A line; one that ends already gets no second end.
    pub fn line(&self, colour: Colour, text: &str) {
        let text = text.strip_suffix('\n').unwrap_or(text);
        self.out(&(self.palette.paint(colour, text) + "\n"));
    }

    /// `TASK [x] ****` after an empty line, filled up to the width with at least three stars.
    pub fn banner(&self, text: &str) {
        // Line ends in a task's arguments have no width.
        let width = console::measure_text_width(&text.replace('\n', ""));
        let stars = self.columns.saturating_sub(width).max(3);
        self.out(&format!("\n{text} {}\n", "*".repeat(stars)));
    }

    /// What every reporter says on stderr; whether the event was such a one.
    pub fn notice(&self, event: &Event) -> bool {
        match event {
            Event::Warning { text } => self.warning(text),
            Event::Asked { text } => self.out(text),
            Event::Error { text } => self.err(Colour::Error, &format!("ERROR! {text}")),
            Event::Interrupted => self.err(Colour::Error, "[ERROR]: User interrupted execution"),
            _ => return false,
        }
        true
    }

    /// A text of one line is wrapped, as Ansible does it; lines that show a place stay.
    /// Tells it once in a run.
    pub fn warning(&self, text: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.insert(text.to_owned()) {
            return;
        }
        drop(told);
        self.tell(Level::Warning, Colour::Warning, &warning(text, self.columns));
    }

    /// What a module warns of.
    pub fn warnings(&self, result: &Map<String, Json>) {
        let warnings = result.get("warnings").and_then(Json::as_array).into_iter().flatten();
        warnings.filter_map(Json::as_str).for_each(|text| self.warning(text));
    }

    fn above(&self, print: impl FnOnce()) {
        match &self.progress {
            Some(progress) => progress.above(print),
            None => print(),
        }
    }
}

/// A warning as it is printed, wrapped unless it has lines already.
pub fn warning(text: &str, columns: usize) -> String {
    let text = format!("[WARNING]: {text}");
    if text.contains('\n') {
        return text;
    }
    let options = textwrap::Options::new(columns)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
    textwrap::fill(&text, options)
}
