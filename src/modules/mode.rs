//! File modes: octal text, a YAML number, or symbolic (`u=rw,g=r,o=`).

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::files;

/// A mode as the operator gives it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Mode(String);

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Json::deserialize(deserializer)? {
            Json::String(text) => text,
            // YAML has read the octal number already.
            Json::Number(number) => match number.as_u64() {
                Some(bits) => format!("{bits:o}"),
                None => return Err(D::Error::custom(format!("{number} is not a mode"))),
            },
            other => return Err(D::Error::custom(format!("{other} is not a mode"))),
        };
        Self::parse(text).map_err(D::Error::custom)
    }
}

impl Mode {
    /// The mode of these bits.
    pub fn of(bits: u32) -> Self {
        Self(format!("{:04o}", bits & 0o7777))
    }

    fn parse(text: String) -> Result<Self, String> {
        let mode = Self(text);
        match mode.apply(0, false) {
            Some(_) => Ok(mode),
            None => Err(format!(
                "'{}' is not a mode: give octal digits in quotes (\"0644\") or u=rw,g=r,o=r",
                mode.0
            )),
        }
    }

    /// The mode that a file of mode `old` gets; none if the text makes no sense.
    pub fn apply(&self, old: u32, is_directory: bool) -> Option<u32> {
        let octal = self.0.trim();
        let digits = octal.strip_prefix("0o").or_else(|| octal.strip_prefix("0O"));
        let digits = digits.unwrap_or(octal);
        if !digits.is_empty() && digits.chars().all(|c| c.is_digit(8)) {
            return u32::from_str_radix(digits, 8).ok().map(|bits| bits & 0o7777);
        }
        self.0
            .split(',')
            .try_fold(old & 0o7777, |mode, clause| clause_applied(mode, clause, is_directory))
    }
}

/// One clause of a symbolic mode: who, then what, once or several times, each time with `+`,
/// `-` or `=` before it.
fn clause_applied(mode: u32, clause: &str, is_directory: bool) -> Option<u32> {
    let is_operator = |c: char| matches!(c, '+' | '-' | '=');
    let (who, rest) = clause.split_at(clause.find(is_operator).unwrap_or(clause.len()));
    let (classes, umask) = match who {
        // For all, but for what new files do not get.
        "" => ("ugo", files::umask()),
        // It stands for all of them, and beside none.
        "a" => ("ugo", 0),
        who => (who, 0),
    };
    let mut mode = classes.chars().all(|c| matches!(c, 'u' | 'g' | 'o')).then_some(mode)?;
    let mut characters = rest.chars();
    while let Some(operator) = characters.next() {
        let what = characters.as_str();
        let (letters, next) = what.split_at(what.find(is_operator).unwrap_or(what.len()));
        let change = Change { classes, operator, letters, umask };
        mode = change.applied(mode, is_directory)?;
        characters = next.chars();
    }
    Some(mode)
}

/// What one operator does.
struct Change<'a> {
    classes: &'a str,
    operator: char,
    letters: &'a str,
    umask: u32,
}

impl Change<'_> {
    fn applied(&self, mode: u32, is_directory: bool) -> Option<u32> {
        let mut mask = 0;
        let mut bits = 0;
        for class in self.classes.chars() {
            let (shift, special) = match class {
                'u' => (6, 0o4000),
                'g' => (3, 0o2000),
                _ => (0, 0o1000),
            };
            mask |= 0o7 << shift | special;
            for letter in self.letters.chars() {
                bits |= match letter {
                    'r' => 0o4 << shift & !self.umask,
                    'w' => 0o2 << shift & !self.umask,
                    'x' => 0o1 << shift & !self.umask,
                    'X' if is_directory || mode & 0o111 != 0 => 0o1 << shift,
                    'X' => 0,
                    's' if class != 'o' => special,
                    't' if class == 'o' => 0o1000,
                    's' | 't' => 0,
                    'u' => (mode >> 6 & 0o7) << shift,
                    'g' => (mode >> 3 & 0o7) << shift,
                    'o' => (mode & 0o7) << shift,
                    _ => return None,
                };
            }
        }
        Some(match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !mask | bits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn applied(value: Json, old: u32) -> Option<u32> {
        serde_json::from_value::<Mode>(value).ok()?.apply(old, false)
    }

    #[test]
    fn modes_mean_what_chmod_takes_them_for() {
        assert_eq!(applied(json!("0644"), 0), Some(0o644));
        assert_eq!(applied(json!(0o755), 0), Some(0o755));
        assert_eq!(applied(json!("u=rw,g=r,o="), 0o777), Some(0o640));
        assert_eq!(applied(json!("u+x,go-w"), 0o666), Some(0o744));
        assert_eq!(applied(json!("a+X"), 0o644), Some(0o644));
        assert_eq!(applied(json!("0o755"), 0), Some(0o755));
        assert_eq!(applied(json!("g=u,o=g-w"), 0o640), Some(0o664));
        assert_eq!(applied(json!("g=o+w-r=x"), 0o064), Some(0o014));
        assert_eq!(applied(json!("rubbish"), 0), None);
        assert_eq!(applied(json!("ua=r"), 0), None);
        assert_eq!(applied(json!("9999"), 0), None);
    }
}
