//! Hardware addresses: `hwaddr`, `macaddr`.

use super::super::super::{TemplateError, Value};
use super::query::number;

/// Reads 48 bits, as they are written on different systems.
pub fn read(text: &str) -> Option<u64> {
    let text = text.trim();
    let parts: Vec<&str> = text.split([':', '-', '.']).collect();
    let width = match parts.len() {
        1 if text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() < 11 => {
            return text.parse().ok();
        }
        1 if (11..=12).contains(&text.len()) => 12,
        2 => 6,
        3 => 4,
        6 => 2,
        _ => return None,
    };
    let digits = |part: &&str| {
        (1..=width).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if !parts.iter().all(digits) {
        return None;
    }
    let part =
        |bits: u64, part: &&str| Some(bits << (4 * width) | u64::from_str_radix(part, 16).ok()?);
    parts.iter().try_fold(0, part)
}

fn groups(bits: u64, count: usize, separator: &str) -> String {
    let digits = format!("{bits:012x}");
    let width = 12 / count;
    let parts: Vec<&str> =
        (0..count).filter_map(|index| digits.get(index * width..(index + 1) * width)).collect();
    parts.join(separator)
}

/// `hwaddr(query)`
pub fn hwaddr(value: &str, query: &str, alias: &str) -> Result<Value, TemplateError> {
    let Some(bits) = read(value) else {
        return match query {
            "" | "bool" => Ok(Value::from(())),
            _ => Err(TemplateError::new(format!("{alias}: not a hardware address: {value}"))),
        };
    };
    Ok(match query {
        "" => Value::from(value),
        "bool" => Value::from(true),
        "int" => number(u128::from(bits)),
        "bare" => Value::from(groups(bits, 1, "").to_uppercase()),
        "cisco" => Value::from(groups(bits, 3, ".")),
        "linux" => Value::from(groups(bits, 6, ":")),
        "win" | "eui48" => Value::from(groups(bits, 6, "-").to_uppercase()),
        "pgsql" | "postgresql" | "psql" => Value::from(groups(bits, 2, ":")),
        "unix" => {
            let parts = (0..6).rev().map(|index| format!("{:x}", bits >> (8 * index) & 0xff));
            Value::from(parts.collect::<Vec<_>>().join(":"))
        }
        other => {
            return Err(TemplateError::new(format!("{alias}: unknown filter type: {other}")));
        }
    })
}

/// The host's part of an IPv6 address made from a hardware address.
pub fn interface_id(bits: u64) -> u64 {
    let (high, low) = (bits >> 24, bits & 0x00ff_ffff);
    (high << 40 | 0xff_fe00_0000 | low) ^ (1 << 57)
}
