//! `with_sequence`: numbers from, to and by something, in a format.

use super::super::filters::{Flags, compile};
use super::super::{TemplateError, Value, pyformat, python};
use super::Request;

/// More items than this are taken for a mistake.
const MAX_ITEMS: i64 = 1_000_000;

#[derive(Clone, Debug, Default)]
struct Sequence {
    start: Option<i64>,
    end: Option<i64>,
    count: Option<i64>,
    stride: Option<i64>,
    format: Option<String>,
}

pub fn sequence(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let mut base = Sequence::default();
    for (name, value) in &request.options {
        base.set(name, &python::text(value))?;
    }
    if request.terms.is_empty() {
        return base.items();
    }
    let mut found = Vec::new();
    for term in request.texts() {
        let mut sequence = base.clone();
        if !sequence.short_form(&term)? {
            for word in shlex::split(&term).unwrap_or_default() {
                let (name, value) = word.split_once('=').ok_or_else(|| unknown(&word))?;
                sequence.set(name, value)?;
            }
        }
        found.extend(sequence.items()?);
    }
    Ok(found)
}

fn unknown(word: &str) -> TemplateError {
    TemplateError::new(format!("unrecognized arguments to with_sequence: ['{word}']"))
}

impl Sequence {
    fn set(&mut self, name: &str, value: &str) -> Result<(), TemplateError> {
        let number = || {
            number(value).ok_or_else(|| {
                TemplateError::new(format!(
                    "Invalid type for configuration option plugin_type: lookup plugin: sequence \
                     setting: {name}: '{value}' is not an integer"
                ))
            })
        };
        match name {
            "start" => self.start = Some(number()?),
            "end" => self.end = Some(number()?),
            "count" => self.count = Some(number()?),
            "stride" => self.stride = Some(number()?),
            "format" => self.format = Some(value.to_owned()),
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// `[start-]end[/stride][:format]`; false when the term is not of this form.
    fn short_form(&mut self, term: &str) -> Result<bool, TemplateError> {
        let pattern = "(?:(0?x?[0-9a-f]+)-)?(0?x?[0-9a-f]+)(?:/(0?x?[0-9a-f]+))?(?::(.+))?$";
        let flags = Flags { ignore_case: true, multi_line: false, anchored: true };
        let captures = compile(pattern, flags)?
            .captures(term)
            .map_err(|error| TemplateError::new(error.to_string()))?;
        let Some(captures) = captures else { return Ok(false) };
        for (index, name) in [(1, "start"), (2, "end"), (3, "stride"), (4, "format")] {
            if let Some(part) = captures.get(index) {
                self.set(name, part.as_str())?;
            }
        }
        Ok(true)
    }

    fn items(&self) -> Result<Vec<Value>, TemplateError> {
        let (start, stride) = (self.start.unwrap_or(1), self.stride.unwrap_or(1));
        let end = match (self.end, self.count) {
            (None, None) => {
                return Err(TemplateError::new("must specify count or end in with_sequence"));
            }
            (Some(_), Some(_)) => {
                return Err(TemplateError::new(
                    "can't specify both count and end in with_sequence",
                ));
            }
            (_, Some(0)) => return Ok(Vec::new()),
            (_, Some(count)) => {
                start.saturating_add(count.saturating_mul(stride)).saturating_sub(1)
            }
            (Some(end), _) => end,
        };
        if stride > 0 && end < start {
            return Err(TemplateError::new("to count backwards make stride negative"));
        }
        if stride < 0 && end > start {
            return Err(TemplateError::new("to count forward don't make stride negative"));
        }
        let format = self.format.as_deref().unwrap_or("%d");
        if format.matches('%').count() != 1 {
            return Err(TemplateError::new(format!("bad formatting string: {format}")));
        }
        if stride == 0 {
            return Ok(Vec::new());
        }
        let count = end.saturating_sub(start).checked_div(stride).unwrap_or(i64::MAX);
        if count > MAX_ITEMS {
            return Err(TemplateError::new(format!("with_sequence: more than {MAX_ITEMS} items")));
        }
        (0..=count)
            .map(|index| {
                pyformat::percent(format, &Value::from(start + index * stride)).map(Value::from)
            })
            .collect()
    }
}

/// Decimal, `0x…`, or octal with a leading `0`.
fn number(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let lower = digits.to_lowercase();
    let number = match lower.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None if lower.len() > 1 && lower.starts_with('0') => {
            i64::from_str_radix(lower.trim_start_matches("0o"), 8)
        }
        None => lower.parse(),
    };
    number.ok().map(|number| sign * number)
}
