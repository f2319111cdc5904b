//! Names by pattern, as Python's `fnmatch` reads them.

/// `*` is any text, `?` one character, `[a-z]` one of these, `[!a-z]` none of these.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<_> = pattern.chars().collect();
    let text: Vec<_> = text.chars().collect();
    let (mut at, mut position) = (0, 0);
    // Where to go on when a star has to take one character more.
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        let step = pattern.get(at).and_then(|_| one(&pattern, at, text.get(position).copied()));
        if pattern.get(at) == Some(&'*') {
            star = Some((at + 1, position));
            at += 1;
        } else if let Some(next) = step {
            at = next;
            position += 1;
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            at = after;
            position = taken + 1;
        } else {
            return false;
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|c| *c == '*')
}

/// The place behind the part of the pattern at `at`, if it stands for this character.
fn one(pattern: &[char], at: usize, character: Option<char>) -> Option<usize> {
    let character = character?;
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => match class(pattern, at) {
            Some((members, end)) => members.contains(character).then_some(end),
            None => (character == '[').then_some(at + 1),
        },
        other => (*other == character).then_some(at + 1),
    }
}

struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn contains(&self, character: char) -> bool {
        let inside = self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&character));
        inside != self.negated
    }
}

/// The class that begins at `at`, and the place behind it; none without its end.
fn class(pattern: &[char], at: usize) -> Option<(Class, usize)> {
    let mut position = at + 1;
    let negated = pattern.get(position) == Some(&'!');
    position += usize::from(negated);
    let first = position;
    let mut ranges = Vec::new();
    loop {
        let from = *pattern.get(position)?;
        if from == ']' && position > first {
            return Some((Class { negated, ranges }, position + 1));
        }
        let to = match (pattern.get(position + 1), pattern.get(position + 2)) {
            (Some('-'), Some(to)) if *to != ']' => {
                position += 2;
                *to
            }
            _ => from,
        };
        ranges.push((from, to));
        position += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_python() {
        assert!(matches("ansible_*_mb", "ansible_memfree_mb") && matches("*", ""));
        assert!(matches("*.conf", "a.b.conf") && !matches("*.conf", "a.conf.bak"));
        assert!(matches("eth[0-9]", "eth1") && !matches("eth[!0-9]", "eth1"));
        assert!(matches("a?c", "abc") && !matches("a?c", "ac"));
        assert!(matches("[]x]", "]") && matches("[", "["));
    }
}
