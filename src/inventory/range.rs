//! Ranges in host names: `w[1:3]`, `w[01:10:2]`, `db-[a:f]`.

/// More hosts than this in one pattern are a slip.
const MAX_HOSTS: usize = 100_000;

/// What is wrong with a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// It has not the form of one.
    #[error("{0}")]
    Form(String),
    /// What it stands for cannot be.
    #[error("{0}")]
    Value(String),
}

impl RangeError {
    fn in_pattern(self, pattern: &str) -> Self {
        match self {
            Self::Form(text) => Self::Form(format!("{text}: {pattern}")),
            Self::Value(text) => Self::Value(format!("{text}: {pattern}")),
        }
    }
}

/// More than any number of a host has.
const MAX_DIGITS: usize = 20;
/// Ranges in one name.
const MAX_RANGES: usize = 32;

fn form<T>(text: &str) -> Result<T, RangeError> {
    Err(RangeError::Form(text.to_owned()))
}

/// All names that a pattern stands for; itself when it holds no range.
pub fn expand(pattern: &str) -> Result<Vec<String>, RangeError> {
    if pattern.matches('[').count() > MAX_RANGES {
        return form("there are too many ranges in one name");
    }
    let Some((head, bounds, tail)) = first_range(pattern) else {
        return Ok(vec![pattern.to_owned()]);
    };
    let values = values(bounds).map_err(|error| error.in_pattern(pattern))?;
    let tails = expand(tail)?;
    if values.len().saturating_mul(tails.len()) > MAX_HOSTS {
        return Err(too_many().in_pattern(pattern));
    }
    Ok(values
        .iter()
        .flat_map(|value| tails.iter().map(move |tail| format!("{head}{value}{tail}")))
        .collect())
}

fn first_range(pattern: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = pattern.split_once('[')?;
    let (bounds, tail) = rest.split_once(']')?;
    Some((head, bounds, tail))
}

fn too_many() -> RangeError {
    RangeError::Value(format!("host range stands for more than {MAX_HOSTS} hosts"))
}

fn values(bounds: &str) -> Result<Vec<String>, RangeError> {
    let parts: Vec<&str> = bounds.split(':').collect();
    let (begin, end, step) = match parts[..] {
        [begin, end] => (begin, end, 1),
        [begin, end, step] => {
            let step = step.parse::<usize>().ok().filter(|step| *step > 0);
            let wrong =
                || RangeError::Value("host range must have a step of at least 1".to_owned());
            (begin, end, step.ok_or_else(wrong)?)
        }
        _ => return form("host range must be begin:end or begin:end:step"),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return form("host range must specify end value");
    }
    if let (Some(begin), Some(end)) = (letter(begin), letter(end)) {
        return letters(begin, end, step);
    }
    numbers(begin, end, step)
}

fn numbers(begin: &str, end: &str, step: usize) -> Result<Vec<String>, RangeError> {
    let width = if begin.starts_with('0') && begin.len() > 1 { begin.len() } else { 0 };
    if width > 0 && width != end.len() {
        return form("host range must specify equal-length begin and end formats");
    }
    if width > MAX_DIGITS {
        return form("host range has too many digits");
    }
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| {
            RangeError::Value(format!("host range must be of numbers or letters ({text})"))
        })
    };
    let (begin, end) = (number(begin)?, number(end)?);
    if begin > end {
        return form("host range must have begin <= end");
    }
    if (end - begin) / step as u64 >= MAX_HOSTS as u64 {
        return Err(too_many());
    }
    Ok((begin..=end).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

/// A letter's place in the order a-z, A-Z.
fn letter(text: &str) -> Option<usize> {
    let mut characters = text.chars();
    let (first, rest) = (characters.next()?, characters.next());
    if rest.is_some() { None } else { alphabet().position(|c| c == first) }
}

fn alphabet() -> impl Iterator<Item = char> {
    ('a'..='z').chain('A'..='Z')
}

fn letters(begin: usize, end: usize, step: usize) -> Result<Vec<String>, RangeError> {
    if begin > end {
        return form("host range must have begin <= end");
    }
    Ok(alphabet()
        .skip(begin)
        .take(end - begin + 1)
        .step_by(step)
        .map(|letter| letter.to_string())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_with_step_width_and_letters() {
        for (pattern, names) in [
            ("w[1:3]", "w1 w2 w3"),
            ("w[01:07:3].x", "w01.x w04.x w07.x"),
            ("w[098:101]", "w098 w099 w100 w101"),
            ("db-[a:c]", "db-a db-b db-c"),
            ("w[:1]", "w0 w1"),
            ("r[1:2]n[a:b]", "r1na r1nb r2na r2nb"),
            ("cp1", "cp1"),
        ] {
            assert_eq!(expand(pattern).map(|n| n.join(" ")), Ok(names.to_owned()), "{pattern}");
        }
    }

    #[test]
    fn a_wrong_range_says_what_a_range_is() {
        for (pattern, message) in [
            ("w[1]", "begin:end or begin:end:step"),
            ("w[1:]", "end value"),
            ("w[01:100]", "equal-length"),
            ("w[3:1]", "begin <= end"),
            ("w[1:9:0]", "step"),
            ("w[1:x1]", "numbers or letters"),
            ("w[0:999999999999]", "more than"),
        ] {
            let error = expand(pattern).expect_err(pattern).to_string();
            assert!(error.contains(message) && error.contains(pattern), "{error}");
        }
    }
}
