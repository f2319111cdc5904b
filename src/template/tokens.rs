//! The tokens of a Jinja expression.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Name,
    Text,
    Number,
    /// An operator or a bracket.
    Symbol,
}

/// A token and the bytes it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    pub range: Range<usize>,
}

const LONG_SYMBOLS: [&str; 6] = ["**", "//", "==", "!=", "<=", ">="];

/// Reads the tokens of `code`. What is no token of Jinja becomes a symbol, so
/// that the compiler of the template can complain about it.
pub fn tokenize(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut position = 0;
    while let Some(character) = code[position..].chars().next() {
        let rest = &code[position..];
        if character.is_whitespace() {
            position += character.len_utf8();
            continue;
        }
        let after_dot = tokens
            .last()
            .is_some_and(|token| &code[token.range.clone()] == "." && token.range.end == position);
        let (kind, length) = match character {
            '"' | '\'' => (TokenKind::Text, text_length(rest, character)),
            _ if character == '_' || character.is_alphabetic() => (
                TokenKind::Name,
                rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len()),
            ),
            _ if character.is_ascii_digit() => (TokenKind::Number, number_length(rest, after_dot)),
            _ => (
                TokenKind::Symbol,
                LONG_SYMBOLS
                    .iter()
                    .find(|symbol| rest.starts_with(**symbol))
                    .map_or(character.len_utf8(), |symbol| symbol.len()),
            ),
        };
        tokens.push(Token { kind, range: position..position + length });
        position += length;
    }
    tokens
}

fn text_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return offset + 1,
            _ => {}
        }
    }
    rest.len()
}

fn number_length(rest: &str, after_dot: bool) -> usize {
    let digits = |from: usize| {
        rest[from..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len() - from)
    };
    let whole = digits(0);
    if after_dot {
        // `x.0.1` is two items, not the number 0.1.
        return rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    }
    let mut length = whole;
    if rest[length..].starts_with('.')
        && rest[length + 1..].starts_with(|c: char| c.is_ascii_digit())
    {
        length += 1 + digits(length + 1);
    }
    let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
    if !hexadecimal
        && rest[..length].ends_with(['e', 'E'])
        && rest[length..].starts_with(['+', '-'])
        && rest[length + 1..].starts_with(|c: char| c.is_ascii_digit())
    {
        length += 1 + digits(length + 1);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(code: &str) -> Vec<&str> {
        tokenize(code).into_iter().map(|token| &code[token.range]).collect()
    }

    #[test]
    fn names_numbers_strings_and_operators() {
        assert_eq!(words("a.b|d('x')"), ["a", ".", "b", "|", "d", "(", "'x'", ")"]);
        assert_eq!(words("1.5+2e-3//x.0.1"), ["1.5", "+", "2e-3", "//", "x", ".", "0", ".", "1"]);
        assert_eq!(words(r"'a\'b' ~ é"), [r"'a\'b'", "~", "é"]);
        assert_eq!(words("'open"), ["'open"]);
    }
}
