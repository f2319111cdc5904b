//! Base64, hashes, uuids and URLs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::Md5;
use minijinja::value::ValueKind;
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::super::call::{Call, Plugin};
use super::super::charset::Charset;
use super::super::{TemplateError, Value, python};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("b64encode", &["string", "encoding"], b64encode),
    Plugin::new("b64decode", &["string", "encoding"], b64decode),
    Plugin::new("hash", &["data", "hashtype"], hash),
    Plugin::new("md5", &["data"], |call| hashed_subject(call, "md5")),
    Plugin::new("sha1", &["data"], |call| hashed_subject(call, "sha1")),
    Plugin::new("checksum", &["data"], |call| hashed_subject(call, "sha1")),
    Plugin::new("to_uuid", &["string", "namespace"], to_uuid),
    Plugin::new("urlencode", &["value"], urlencode),
    Plugin::new("urldecode", &["string"], urldecode),
    Plugin::new("urlsplit", &["value", "query", "alias"], urlsplit),
];

/// Ansible's own namespace for `to_uuid`.
const NAMESPACE: &str = "361E6D51-FAEC-444A-9079-341386DA8E2E";

fn charset(call: &Call) -> Result<Charset, TemplateError> {
    Charset::named(&call.text_or("encoding", "utf-8"))
}

fn b64encode(call: &mut Call) -> Result<Value, TemplateError> {
    let charset = charset(call)?;
    let value = call.value()?;
    // A text is bytes too, in UTF-8.
    if let (None, Some(bytes)) = (value.as_str(), value.as_bytes()) {
        return Ok(Value::from(STANDARD.encode(bytes)));
    }
    let bytes = charset
        .encode(&python::text(value))
        .ok_or_else(|| call.error(format!("the text has characters that are not in {charset}")))?;
    Ok(Value::from(STANDARD.encode(bytes)))
}

fn b64decode(call: &mut Call) -> Result<Value, TemplateError> {
    let charset = charset(call)?;
    // Python passes over line ends and other characters that are not of the alphabet, and over
    // all that stands behind the padding.
    let text = python::text(call.value()?);
    let digits: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c)).collect();
    let digits = match digits.find('=') {
        // What is encoded ends with a group of four.
        Some(padding) => digits.get(..padding.next_multiple_of(4)).unwrap_or(&digits),
        None => &digits,
    };
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    let bytes = GeneralPurpose::new(&base64::alphabet::STANDARD, config)
        .decode(digits)
        .map_err(|error| call.error(error))?;
    charset
        .decode(&bytes)
        .map(Value::from)
        .ok_or_else(|| call.error(format!("what was encoded is not {charset} text")))
}

fn hash(call: &mut Call) -> Result<Value, TemplateError> {
    let kind = call.text_or("hashtype", "sha1");
    hashed_subject(call, &kind)
}

fn hashed_subject(call: &mut Call, kind: &str) -> Result<Value, TemplateError> {
    let text = python::text(call.value()?);
    hashed(kind, text.as_bytes())
        .map(Value::from)
        .ok_or_else(|| TemplateError::new(format!("unsupported hash type {kind}")))
}

/// The hexadecimal digest under Python's name for the algorithm.
pub fn hashed(kind: &str, data: &[u8]) -> Option<String> {
    Some(match kind {
        "md5" => hex(&Md5::digest(data)),
        "sha1" => hex(&Sha1::digest(data)),
        "sha224" => hex(&Sha224::digest(data)),
        "sha256" => hex(&Sha256::digest(data)),
        "sha384" => hex(&Sha384::digest(data)),
        "sha512" => hex(&Sha512::digest(data)),
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A version 5 UUID.
fn to_uuid(call: &mut Call) -> Result<Value, TemplateError> {
    let namespace = call.text_or("namespace", NAMESPACE);
    let digits: String = namespace.chars().filter(|c| c.is_ascii_hexdigit()).collect();
    let number =
        u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32).ok_or_else(|| {
            TemplateError::new(format!(
                "Invalid value '{namespace}' for 'namespace': badly formed hexadecimal UUID string"
            ))
        })?;
    let mut data = number.to_be_bytes().to_vec();
    data.extend(python::text(call.value()?).into_bytes());
    let mut bytes: Vec<u8> = Sha1::digest(&data).iter().copied().take(16).collect();
    if let Some(byte) = bytes.get_mut(6) {
        *byte = (*byte & 0x0f) | 0x50;
    }
    if let Some(byte) = bytes.get_mut(8) {
        *byte = (*byte & 0x3f) | 0x80;
    }
    let digits = hex(&bytes);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts: Vec<&str> = groups.into_iter().filter_map(|range| digits.get(range)).collect();
    Ok(Value::from(parts.join("-")))
}

fn percent_encoded(text: &str, keep: &str, plus: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let character = char::from(byte);
        if character.is_ascii_alphanumeric()
            || "_.-~".contains(character)
            || keep.contains(character)
        {
            out.push(character);
        } else if plus && character == ' ' {
            out.push('+');
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A text with `/` kept, or the pairs of a dictionary as a query.
fn urlencode(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let pairs = match value.kind() {
        ValueKind::Map => python::entries(value)?,
        ValueKind::Seq => {
            let pair = |pair: &Value| match python::items(pair)?.as_slice() {
                [key, item] => Ok((key.clone(), item.clone())),
                _ => Err(TemplateError::new("urlencode needs pairs")),
            };
            python::items(value)?.iter().map(pair).collect::<Result<_, _>>()?
        }
        _ => return Ok(Value::from(percent_encoded(&python::text(value), "/", false))),
    };
    let encode = |value: &Value| percent_encoded(&python::text(value), "", true);
    let pairs = pairs.iter().map(|(key, item)| format!("{}={}", encode(key), encode(item)));
    Ok(Value::from(pairs.collect::<Vec<_>>().join("&")))
}

fn urldecode(call: &mut Call) -> Result<Value, TemplateError> {
    let text = python::text(call.value()?).replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match (*byte, code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    Ok(Value::from(String::from_utf8_lossy(&bytes).into_owned()))
}

fn urlsplit(call: &mut Call) -> Result<Value, TemplateError> {
    let parts = split_url(&python::text(call.value()?));
    let query = call.text_or("query", "");
    if query.is_empty() {
        return Ok(Value::from_pairs(parts));
    }
    parts.into_iter().find(|(name, _)| *name == query).map(|(_, value)| value).ok_or_else(|| {
        TemplateError::new(format!(
            "{}: unknown URL component: {query}",
            call.text_or("alias", "urlsplit")
        ))
    })
}

/// The parts of a URL under the names of Python's `urlsplit`.
fn split_url(url: &str) -> Vec<(&'static str, Value)> {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (login, address) = netloc.rsplit_once('@').map_or((None, netloc), |(l, a)| (Some(l), a));
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let (user, password) = match login {
        Some(login) => {
            login.split_once(':').map_or((Some(login), None), |(u, p)| (Some(u), Some(p)))
        }
        None => (None, None),
    };
    let optional = |text: Option<&str>| text.map_or(Value::from(()), Value::from);
    let port = port.and_then(|port| port.parse::<i64>().ok());
    vec![
        ("fragment", Value::from(fragment)),
        ("hostname", optional(Some(host.to_lowercase().as_str()).filter(|host| !host.is_empty()))),
        ("netloc", Value::from(netloc)),
        ("password", optional(password)),
        ("path", Value::from(path)),
        ("port", port.map_or(Value::from(()), Value::from)),
        ("query", Value::from(query)),
        ("scheme", Value::from(scheme)),
        ("username", optional(user)),
    ]
}
