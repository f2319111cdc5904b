//! Encodings of text under the names that Python has for them.

use std::fmt;

use encoding_rs::Encoding;

use super::TemplateError;

/// An encoding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Charset {
    Utf16 { big_endian: bool, mark: bool },
    Other(&'static Encoding),
}

impl Charset {
    /// `utf-16-le`, `latin_1`, `iso8859-15`, `cp1252`, `koi8-r` and so on, in any case.
    pub fn named(name: &str) -> Result<Self, TemplateError> {
        let plain: String =
            name.to_lowercase().chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect();
        let utf16 = |big_endian, mark| Ok(Self::Utf16 { big_endian, mark });
        match plain.as_str() {
            "utf16" | "u16" => return utf16(false, true),
            "utf16le" | "unicodelittleunmarked" => return utf16(false, false),
            "utf16be" | "unicodebigunmarked" => return utf16(true, false),
            "utf8sig" | "u8" | "utf" => return Ok(Self::Other(encoding_rs::UTF_8)),
            _ => {}
        }
        let dashed = name.replace('_', "-");
        [name, &dashed, &plain]
            .into_iter()
            .find_map(|label| Encoding::for_label(label.as_bytes()))
            .map(Self::Other)
            .ok_or_else(|| TemplateError::new(format!("unknown encoding: {name}")))
    }

    /// The text, unless these bytes are none in this encoding.
    pub fn decode(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Other(encoding) => encoding
                .decode_without_bom_handling_and_without_replacement(bytes)
                .map(String::from),
            Self::Utf16 { big_endian, mark } => {
                let (encoding, rest) = match bytes {
                    [0xfe, 0xff, rest @ ..] if mark => (encoding_rs::UTF_16BE, rest),
                    [0xff, 0xfe, rest @ ..] if mark => (encoding_rs::UTF_16LE, rest),
                    _ if big_endian => (encoding_rs::UTF_16BE, bytes),
                    _ => (encoding_rs::UTF_16LE, bytes),
                };
                encoding.decode_without_bom_handling_and_without_replacement(rest).map(String::from)
            }
        }
    }

    /// The bytes of a text, unless it has characters that the encoding has not.
    pub fn encode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Other(encoding) => {
                let (bytes, _, replaced) = encoding.encode(text);
                (!replaced).then(|| bytes.into_owned())
            }
            Self::Utf16 { big_endian, mark } => {
                let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
                let bytes =
                    |unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
                Some(units.flat_map(bytes).collect())
            }
        }
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf16 { .. } => f.write_str("UTF-16"),
            Self::Other(encoding) => f.write_str(encoding.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for name in ["utf-8", "utf-16", "utf-16-le", "UTF_16_BE", "latin-1", "iso8859-15", "cp1252"]
        {
            let charset = Charset::named(name).expect(name);
            let bytes = charset.encode("é ü").expect("encoded");
            assert_eq!(charset.decode(&bytes).as_deref(), Some("é ü"), "{name}");
        }
        assert_eq!(
            Charset::named("utf-16").expect("known").encode("a"),
            Some(vec![255, 254, 97, 0])
        );
    }

    #[test]
    fn what_an_encoding_has_not_is_said() {
        let latin = Charset::named("latin_1").expect("known");
        assert_eq!(latin.encode("日"), None);
        assert_eq!(Charset::named("utf-8").expect("known").decode(&[0xff]), None);
        assert!(Charset::named("klingon").is_err());
    }
}
