//! Host names with ranges and ports: `w[1:3].example.com:2222`.

use super::range::{self, RangeError};

/// The host names that a pattern of an inventory stands for, and the port behind them.
pub fn expand(pattern: &str) -> Result<(Vec<String>, Option<u16>), RangeError> {
    let pattern = pattern.trim();
    if pattern.is_empty() {
        return Err(RangeError::Value("a host needs a name".to_owned()));
    }
    if pattern.ends_with(':') {
        return Err(RangeError::Value(format!(
            "Invalid host pattern '{pattern}' supplied, ending in ':' is not allowed, this \
             character is reserved to provide a port."
        )));
    }
    let (name, port) = split_port(pattern);
    Ok((range::expand(name)?, port))
}

/// A single host's name and the port behind it, if there is one.
pub fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (name, port) = split_port(text.trim());
    Some((name.to_owned(), port?))
}

/// `inventory_hostname_short`: the name up to its first dot; an address has no shorter name.
pub fn short_name(host: &str) -> &str {
    match host.parse::<std::net::IpAddr>() {
        Ok(_) => host,
        Err(_) => host.split('.').next().unwrap_or(host),
    }
}

/// `host:22` and `[2001:db8::1]:22`, but neither `2001:db8::1` nor `w[1:3]` have a port.
fn split_port(text: &str) -> (&str, Option<u16>) {
    let Some((name, digits)) = text.rsplit_once(':') else {
        return (text, None);
    };
    let port = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None };
    let Some(port) = port else {
        return (unbracketed(text), None);
    };
    match ipv6_in_brackets(name) {
        Some(address) => (address, Some(port)),
        None if outside_brackets(name).contains(':') => (text, None),
        None => (name, Some(port)),
    }
}

fn unbracketed(text: &str) -> &str {
    ipv6_in_brackets(text).unwrap_or(text)
}

fn ipv6_in_brackets(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<std::net::Ipv6Addr>().ok().map(|_| inner)
}

/// The text without its `[…]` parts.
fn outside_brackets(text: &str) -> String {
    let mut depth = 0usize;
    text.chars()
        .filter(|c| match c {
            '[' => {
                depth += 1;
                false
            }
            ']' => {
                depth = depth.saturating_sub(1);
                false
            }
            _ => depth == 0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> (Vec<String>, Option<u16>) {
        expand(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"))
    }

    #[test]
    fn a_port_may_follow_the_name() {
        assert_eq!(names("cp1:2222"), (vec!["cp1".to_owned()], Some(2222)));
        assert_eq!(names("[2001:db8::1]:22"), (vec!["2001:db8::1".to_owned()], Some(22)));
        assert_eq!(names("2001:db8::1"), (vec!["2001:db8::1".to_owned()], None));
        assert_eq!(names("w[1:2]:22"), (vec!["w1".to_owned(), "w2".to_owned()], Some(22)));
        assert_eq!(names("w[1:2]").1, None);
    }

    #[test]
    fn a_colon_without_a_port_is_refused() {
        assert!(
            expand("cp1:")
                .is_err_and(|error| error.to_string().contains("reserved to provide a port"))
        );
    }
}
