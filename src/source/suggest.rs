//! "Did you mean": the nearest known name.

/// Longer names are not compared: the time for it grows with both their lengths.
const MAX_LENGTH: usize = 100;

/// The candidate most like `name`, if one is like it at all. Names with `_` in front
/// are nobody's to write and never suggested.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One slip in a short name, more in a longer one; a swap of neighbours is one.
    let length = name.chars().count();
    if length > MAX_LENGTH {
        return None;
    }
    let slips = if length < 3 { 0 } else { (length / 3).clamp(1, 3) };
    candidates
        .into_iter()
        .filter(|candidate| !candidate.starts_with('_') && *candidate != name)
        .filter(|candidate| candidate.len() <= MAX_LENGTH)
        .map(|candidate| {
            let distance = strsim::osa_distance(name, candidate);
            (distance, strsim::jaro_winkler(name, candidate), candidate)
        })
        .filter(|(distance, likeness, _)| *distance <= slips || *likeness > 0.9)
        .min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)))
        .map(|(_, _, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        assert_eq!(suggest("hots", ["hosts", "tasks"]), Some("hosts"));
        assert_eq!(suggest("scr", ["backup", "src", "dest"]), Some("src"));
        assert_eq!(suggest("wen", ["when", "name"]), Some("when"));
        assert_eq!(
            suggest("ignore_error", ["ignore_errors", "ignore_unreachable"]),
            Some("ignore_errors")
        );
        assert_eq!(suggest("raw_params", ["_raw_params"]), None);
        assert_eq!(suggest("banana", ["hosts", "tasks"]), None);
        assert_eq!(suggest("b", ["a"]), None);
    }

    #[test]
    fn names_without_end_are_not_compared() {
        let (name, known) = ("x".repeat(1_000_000), "x".repeat(1_000_001));
        assert_eq!(suggest(&name, [known.as_str()]), None);
        assert_eq!(suggest("xxxx", [known.as_str()]), None);
    }
}
