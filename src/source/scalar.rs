//! Plain scalars as PyYAML's safe loader resolves them (YAML 1.1).

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;

use super::Yaml;

static INT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
    )
    .ok()
});
static FLOAT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    )
    .ok()
});

/// The value of a scalar without quotes and tag.
pub fn resolve(text: &str) -> Yaml {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Yaml::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Yaml::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Yaml::Bool(false);
        }
        _ => {}
    }
    let matches = |regex: &Option<Regex>| regex.as_ref().is_some_and(|r| r.is_match(text));
    if matches(&INT) {
        // A number too large for 64 bits stays as it was written.
        return int(text).map_or_else(|| Yaml::Str(text.to_owned()), Yaml::Int);
    }
    if matches(&FLOAT) {
        return float(text).map_or_else(|| Yaml::Str(text.to_owned()), Yaml::Float);
    }
    Yaml::Str(text.to_owned())
}

/// The value of a scalar with a tag of YAML's own (`!!int`); none if it is no such value.
pub fn tagged(tag: &str, text: &str) -> Option<Yaml> {
    match (tag, resolve(text)) {
        ("str", _) => Some(Yaml::Str(text.to_owned())),
        ("null", _) => Some(Yaml::Null),
        ("int", value @ Yaml::Int(_)) => Some(value),
        ("float", value @ Yaml::Float(_)) => Some(value),
        ("float", Yaml::Int(number)) => Some(Yaml::Float(number as f64)),
        ("bool", value @ Yaml::Bool(_)) => Some(value),
        ("timestamp", _) => Some(Yaml::Str(text.to_owned())),
        ("binary", _) => binary(text),
        _ => None,
    }
}

/// Bytes in base64 that are a text; nobody reads a template in them.
fn binary(text: &str) -> Option<Yaml> {
    let digits: String = text.split_whitespace().collect();
    let bytes = STANDARD.decode(digits).ok()?;
    String::from_utf8(bytes).ok().map(Yaml::Unsafe)
}

fn split_sign(text: &str) -> (i64, String) {
    let digits = text.replace('_', "");
    match digits.strip_prefix('-') {
        Some(rest) => (-1, rest.to_owned()),
        None => (1, digits.strip_prefix('+').unwrap_or(&digits).to_owned()),
    }
}

fn int(text: &str) -> Option<i64> {
    let (sign, digits) = split_sign(text);
    let number = if let Some(binary) = digits.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()?
    } else if digits.contains(':') {
        digits.split(':').try_fold(0i64, |sum, part| {
            sum.checked_mul(60)?.checked_add(part.parse::<i64>().ok()?)
        })?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(&digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    number.checked_mul(sign)
}

fn float(text: &str) -> Option<f64> {
    let (sign, digits) = split_sign(text);
    let sign = sign as f64;
    match digits.to_lowercase().as_str() {
        ".inf" => return Some(sign * f64::INFINITY),
        ".nan" => return Some(f64::NAN),
        _ => {}
    }
    if digits.contains(':') {
        let sum = digits
            .split(':')
            .try_fold(0.0, |sum, part| part.parse::<f64>().ok().map(|part| sum * 60.0 + part))?;
        return Some(sign * sum);
    }
    digits.parse::<f64>().ok().map(|number| sign * number)
}

#[cfg(test)]
mod tests {
    use super::Yaml::{Bool, Float, Int, Null};
    use super::*;

    #[test]
    fn binary_is_the_text_that_its_bytes_are() {
        assert_eq!(tagged("binary", "aGVs\n bG8=\n"), Some(Yaml::Unsafe("hello".to_owned())));
        assert_eq!(tagged("binary", "R0lGODlhDAAMAIQAAP//9w=="), None);
        assert_eq!(tagged("binary", "no base64!"), None);
    }

    #[test]
    fn scalars_mean_what_they_mean_to_pyyaml() {
        let text = |text: &str| Yaml::Str(text.to_owned());
        for (source, value) in [
            ("y", text("y")),
            ("n", text("n")),
            ("Y", text("Y")),
            ("N", text("N")),
            ("yes", Bool(true)),
            ("Yes", Bool(true)),
            ("YES", Bool(true)),
            ("yEs", text("yEs")),
            ("no", Bool(false)),
            ("No", Bool(false)),
            ("NO", Bool(false)),
            ("true", Bool(true)),
            ("True", Bool(true)),
            ("TRUE", Bool(true)),
            ("tRUE", text("tRUE")),
            ("false", Bool(false)),
            ("off", Bool(false)),
            ("Off", Bool(false)),
            ("OFF", Bool(false)),
            ("on", Bool(true)),
            ("On", Bool(true)),
            ("ON", Bool(true)),
            ("null", Null),
            ("Null", Null),
            ("NULL", Null),
            ("nUll", text("nUll")),
            ("~", Null),
            ("none", text("none")),
            ("None", text("None")),
            ("0", Int(0)),
            ("00", Int(0)),
            ("-0", Int(0)),
            ("+0", Int(0)),
            ("7", Int(7)),
            ("-7", Int(-7)),
            ("+7", Int(7)),
            ("007", Int(7)),
            ("08", text("08")),
            ("09", text("09")),
            ("0644", Int(420)),
            ("0_7", Int(7)),
            ("0o17", text("0o17")),
            ("0O17", text("0O17")),
            ("0x1F", Int(31)),
            ("0X1F", text("0X1F")),
            ("0xfg", text("0xfg")),
            ("-0x1f", Int(-31)),
            ("0b101", Int(5)),
            ("0b2", text("0b2")),
            ("0B1", text("0B1")),
            ("1_000", Int(1000)),
            ("_1", text("_1")),
            ("1_", Int(1)),
            ("1__0", Int(10)),
            ("1:30", Int(90)),
            ("1:60", text("1:60")),
            ("1:30:00", Int(5400)),
            ("01:30", text("01:30")),
            ("-1:30", Int(-90)),
            ("12:30:45.5", Float(45045.5)),
            ("1:30.5", Float(90.5)),
            ("190:20:30", Int(685230)),
            ("1.5", Float(1.5)),
            ("1.", Float(1.0)),
            (".5", Float(0.5)),
            ("-.5", text("-.5")),
            ("+.5", text("+.5")),
            (".", text(".")),
            ("-1.5", Float(-1.5)),
            ("1_0.5", Float(10.5)),
            ("1.2_0", Float(1.2)),
            ("1.20", Float(1.2)),
            ("1.20.2", text("1.20.2")),
            ("1e3", text("1e3")),
            ("1E3", text("1E3")),
            ("1.0e3", text("1.0e3")),
            ("1.0e+3", Float(1000.0)),
            ("1.0E-3", Float(0.001)),
            (".5e+1", Float(5.0)),
            ("1.e+3", Float(1000.0)),
            (".inf", Float(f64::INFINITY)),
            ("-.inf", Float(f64::NEG_INFINITY)),
            ("+.inf", Float(f64::INFINITY)),
            (".Inf", Float(f64::INFINITY)),
            (".INF", Float(f64::INFINITY)),
            (".iNF", text(".iNF")),
            ("inf", text("inf")),
            ("nan", text("nan")),
            ("2024-01-01", text("2024-01-01")),
            ("2024-1-1", text("2024-1-1")),
            ("12:30", Int(750)),
            ("0.0", Float(0.0)),
            ("00.5", Float(0.5)),
            ("1,000", text("1,000")),
            ("0x", text("0x")),
            ("0b", text("0b")),
            ("+12", Int(12)),
            ("--", text("--")),
            ("1-2", text("1-2")),
            ("1/2", text("1/2")),
            ("v1.2", text("v1.2")),
            ("10.0.0.1", text("10.0.0.1")),
            ("0777", Int(511)),
            ("0888", text("0888")),
            ("1.5.0", text("1.5.0")),
            ("1_2:30", Int(750)),
            ("+.nan", text("+.nan")),
            ("0b1_0", Int(2)),
            ("0x_1", Int(1)),
            ("-0b11", Int(-3)),
            ("-0644", Int(-420)),
            ("9223372036854775807", Int(9223372036854775807)),
            ("685_230.15", Float(685230.15)),
            ("100%", text("100%")),
            ("1m", text("1m")),
            ("0.1.2", text("0.1.2")),
            ("22:22", Int(1342)),
            ("6443:31", Int(386611)),
            ("6443:60", text("6443:60")),
            ("0_", Int(0)),
            ("-0_1", Int(-1)),
            ("99999999999999999999", text("99999999999999999999")),
        ] {
            assert_eq!(resolve(source), value, "{source}");
        }
    }
}
