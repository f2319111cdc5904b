//! "Did you mean": the nearest known name.

/// The candidate most like `name`, if one is like it at all.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter(|candidate| !candidate.starts_with('_'))
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        assert_eq!(suggest("hots", ["hosts", "tasks"]), Some("hosts"));
        assert_eq!(suggest("banana", ["hosts", "tasks"]), None);
    }
}
