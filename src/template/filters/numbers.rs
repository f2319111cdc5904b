//! Filters that make numbers, and that say how large they are.

use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("int", &["value", "default", "base"], int),
    Plugin::new("float", &["value", "default"], float),
    Plugin::new("round", &["value", "precision", "method"], round),
    Plugin::new("abs", &["x"], abs),
    Plugin::new("log", &["x", "base"], log),
    Plugin::new("pow", &["x", "y"], pow),
    Plugin::new("root", &["x", "base"], root),
    Plugin::new("human_to_bytes", &["size", "default_unit", "isbits"], human_to_bytes),
    Plugin::new("human_readable", &["size", "isbits", "unit"], human_readable),
    Plugin::new("filesizeformat", &["value", "binary"], filesizeformat),
];

fn int(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let base = u32::try_from(call.integer("base", 10)?).unwrap_or(10);
    let number = match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            parse_int(text, base).or_else(|| parse_float(text).and_then(truncated))
        }
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => return Ok(value.clone()),
        ValueKind::Number => f64::try_from(value.clone()).ok().and_then(truncated),
        _ => None,
    };
    Ok(match number {
        Some(number) => integer(number),
        None => call.get("default").cloned().unwrap_or_else(|| Value::from(0)),
    })
}

/// The smallest kind of integer that holds it.
fn integer(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

fn truncated(number: f64) -> Option<i128> {
    number.is_finite().then_some(number.trunc() as i128)
}

/// `int(text, base)` of Python: space around, a sign, a prefix of the base, `_` between digits.
fn parse_int(text: &str, base: u32) -> Option<i128> {
    let text = text.trim().to_lowercase();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, of)| digits.strip_prefix(prefix).map(|rest| (rest, of)));
    let (digits, base) = match (prefixed, base) {
        (Some((rest, of)), 0) => (rest, of),
        (Some((rest, of)), given) if given == of => (rest, of),
        (_, 0) => (digits, 10),
        (_, given) => (digits, given),
    };
    if !(2..=36).contains(&base)
        || digits.starts_with('_')
        || digits.ends_with('_')
        || digits.contains("__")
    {
        return None;
    }
    i128::from_str_radix(&digits.replace('_', ""), base).ok().map(|number| sign * number)
}

/// `float(text)` of Python.
pub fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    text.replace('_', "").parse().ok()
}

fn float(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let number = match value.kind() {
        ValueKind::String => parse_float(value.as_str().unwrap_or_default()),
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => None,
    };
    Ok(match number {
        Some(number) => Value::from(number),
        None => call.get("default").cloned().unwrap_or_else(|| Value::from(0.0)),
    })
}

/// A number, or the error that names the filter.
fn number(call: &Call, name: &str) -> Result<f64, TemplateError> {
    let value = call.need(name)?;
    let number = match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        _ => None,
    };
    number.ok_or_else(|| {
        call.error(format!("can only be used on numbers, not {}", python::repr(value)))
    })
}

fn round(call: &mut Call) -> Result<Value, TemplateError> {
    let precision = call.integer("precision", 0)?.clamp(-300, 300) as i32;
    let value = call.value()?.clone();
    let number = number(call, "value")?;
    let method = call.text_or("method", "common");
    if method == "common" && value.is_integer() {
        // Python rounds an int to an int.
        let unit = 10i128.checked_pow(u32::try_from(-precision).unwrap_or(0)).unwrap_or(i128::MAX);
        let exact = i128::try_from(value).unwrap_or_default();
        return Ok(integer(half_even(exact, unit)));
    }
    let scale = 10f64.powi(precision);
    Ok(Value::from(match method.as_str() {
        "common" if precision >= 0 => {
            let digits = usize::try_from(precision).unwrap_or_default();
            format!("{number:.digits$}").parse().unwrap_or(number)
        }
        "common" => ((number * scale).round_ties_even()) / scale,
        "ceil" => (number * scale).ceil() / scale,
        "floor" => (number * scale).floor() / scale,
        _ => return Err(TemplateError::new("method must be common, ceil or floor")),
    }))
}

fn half_even(number: i128, unit: i128) -> i128 {
    let down = number.div_euclid(unit);
    let twice = number.rem_euclid(unit).saturating_mul(2);
    let up = twice > unit || (twice == unit && down % 2 != 0);
    (down + i128::from(up)) * unit
}

fn abs(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    if value.is_integer() {
        return Ok(integer(i128::try_from(value.clone()).unwrap_or_default().abs()));
    }
    Ok(Value::from(number(call, "x")?.abs()))
}

fn log(call: &mut Call) -> Result<Value, TemplateError> {
    let number = number(call, "x")?;
    if number <= 0.0 {
        return Err(call.error("math domain error"));
    }
    Ok(Value::from(match call.get("base") {
        None => number.ln(),
        Some(_) => match self::number(call, "base")? {
            10.0 => number.log10(),
            base => number.ln() / base.ln(),
        },
    }))
}

fn pow(call: &mut Call) -> Result<Value, TemplateError> {
    Ok(Value::from(number(call, "x")?.powf(number(call, "y")?)))
}

fn root(call: &mut Call) -> Result<Value, TemplateError> {
    let base = if call.get("base").is_some() { number(call, "base")? } else { 2.0 };
    let number = number(call, "x")?;
    if number < 0.0 {
        return Err(call.error("math domain error"));
    }
    Ok(Value::from(if base == 2.0 { number.sqrt() } else { number.powf(1.0 / base) }))
}

/// Units by their first letter, with the long names of bytes and bits.
const UNITS: [(char, &str); 9] = [
    ('B', ""),
    ('K', "kilo"),
    ('M', "mega"),
    ('G', "giga"),
    ('T', "tera"),
    ('P', "peta"),
    ('E', "exa"),
    ('Z', "zetta"),
    ('Y', "yotta"),
];

fn human_to_bytes(call: &mut Call) -> Result<Value, TemplateError> {
    let text = python::text(call.value()?);
    let fault =
        || TemplateError::new(format!("human_to_bytes() can't interpret following string: {text}"));
    let trimmed = text.trim_end();
    let split = trimmed
        .find(|c: char| c.is_ascii_alphabetic() || c.is_whitespace())
        .unwrap_or(trimmed.len());
    let number: f64 = trimmed[..split].parse().map_err(|_| fault())?;
    let unit = match trimmed[split..].trim() {
        "" => call.some("default_unit").map(python::text).unwrap_or_default(),
        unit => unit.to_owned(),
    };
    let Some(letter) = unit.chars().next().map(|c| c.to_ascii_uppercase()) else {
        return Ok(integer(number.round_ties_even() as i128));
    };
    let place = UNITS.iter().position(|(first, _)| *first == letter).ok_or_else(fault)?;
    let (class, class_name) =
        if call.truth("isbits", false) { ("b", "bit") } else { ("B", "byte") };
    if unit.len() > 1 {
        let prefix = UNITS.get(place).map_or("", |(_, name)| name);
        let short = if place == 0 { class.to_owned() } else { format!("{letter}{class}") };
        if unit.to_lowercase() != format!("{prefix}{class_name}") && unit != short {
            return Err(fault());
        }
    }
    Ok(integer((number * 1024f64.powi(place as i32)).round_ties_even() as i128))
}

fn human_readable(call: &mut Call) -> Result<Value, TemplateError> {
    let size = number(call, "size")
        .map_err(|error| call.error(format!("failed on bad input: {}", error.message)))?;
    let base = if call.truth("isbits", false) { "bits" } else { "Bytes" };
    let wanted = call.some("unit").map(|unit| python::text(unit).to_uppercase());
    let place = (0..UNITS.len())
        .rev()
        .find(|place| match (&wanted, UNITS.get(*place)) {
            (Some(unit), Some((letter, _))) => unit.starts_with(*letter),
            _ => size >= 1024f64.powi(*place as i32),
        })
        .unwrap_or(0);
    let suffix = match UNITS.get(place) {
        Some((letter, _)) if place > 0 => format!("{letter}{}", &base[..1]),
        _ => base.to_owned(),
    };
    Ok(Value::from(format!("{:.2} {suffix}", size / 1024f64.powi(place as i32))))
}

fn filesizeformat(call: &mut Call) -> Result<Value, TemplateError> {
    let binary = call.truth("binary", false);
    let size = match call.value()?.as_str() {
        Some(text) => parse_float(text).ok_or_else(|| call.error("needs a number"))?,
        None => number(call, "value")?,
    };
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if size == 1.0 {
        return Ok(Value::from("1 Byte"));
    }
    if size < base {
        return Ok(Value::from(format!("{} Bytes", size.trunc())));
    }
    let prefixes = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
    let place = (1..prefixes.len()).find(|place| size < base.powi(*place as i32 + 1)).unwrap_or(8);
    let prefix = prefixes.get(place - 1).copied().unwrap_or_default();
    let unit = if binary { format!("{}iB", prefix.to_uppercase()) } else { format!("{prefix}B") };
    Ok(Value::from(format!("{:.1} {unit}", size / base.powi(place as i32))))
}
