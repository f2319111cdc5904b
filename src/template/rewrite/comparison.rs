//! Order between values, compared as Python does.

use super::ORDERED;
use super::writer::Writer;

/// A comparison `a < b` being written. Python refuses to order a text and a
/// number, minijinja orders all it is given: so a filter of ours compares.
#[derive(Default)]
pub struct Comparison {
    /// Where its left side begins in what has been written.
    start: usize,
    /// The operator, and where the right side begins.
    operator: Option<(&'static str, usize)>,
    /// Several in a row, or others than of order: those stay minijinja's.
    pub chained: bool,
}

impl Comparison {
    /// The next comparison, which begins here.
    pub fn from(start: usize) -> Self {
        Self { start, ..Self::default() }
    }

    pub fn order(&mut self, writer: &mut Writer<'_>, out: &mut String) {
        let operator = ["<=", ">=", "<", ">"].into_iter().find(|name| writer.word(0) == Some(name));
        self.chained |= self.operator.is_some();
        writer.copy(out);
        self.operator = operator.map(|operator| (operator, out.len()));
    }

    /// Puts the filter around both sides, once the right one is written.
    pub fn end(&self, out: &mut String) {
        let Some((operator, right)) = self.operator.filter(|_| !self.chained) else { return };
        let right = out.split_off(right);
        let left = out.split_off(self.start);
        let left = left.strip_suffix(operator).unwrap_or(&left);
        let bare = left.trim_start();
        let gap = &left[..left.len() - bare.len()];
        let bare = bare.trim_end_matches(' ');
        out.push_str(&format!("{gap}(({bare})|{ORDERED}('{operator}',{right}))"));
    }
}
