//! Plain scalars as PyYAML's safe loader resolves them (YAML 1.1).

use std::sync::LazyLock;

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
    use super::*;

    #[test]
    fn scalars_mean_what_they_mean_to_pyyaml() {
        let text = |text: &str| Yaml::Str(text.to_owned());
        for (source, value) in [
            ("yes", Yaml::Bool(true)),
            ("off", Yaml::Bool(false)),
            ("y", text("y")),
            ("0644", Yaml::Int(0o644)),
            ("0o17", text("0o17")),
            ("08", text("08")),
            ("1_000", Yaml::Int(1000)),
            ("0x1F", Yaml::Int(31)),
            ("0b101", Yaml::Int(5)),
            ("1:30", Yaml::Int(90)),
            ("-3", Yaml::Int(-3)),
            ("1.5", Yaml::Float(1.5)),
            ("1.20", Yaml::Float(1.2)),
            ("1.20.2", text("1.20.2")),
            ("1e3", text("1e3")),
            ("1.0e+3", Yaml::Float(1000.0)),
            (".5", Yaml::Float(0.5)),
            ("-.inf", Yaml::Float(f64::NEG_INFINITY)),
            ("2024-01-01", text("2024-01-01")),
            ("~", Yaml::Null),
            ("99999999999999999999", text("99999999999999999999")),
        ] {
            assert_eq!(resolve(source), value, "{source}");
        }
    }
}
