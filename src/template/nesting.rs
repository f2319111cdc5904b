//! How deep an expression or a template nests, before anything goes down into it.
//!
//! Parsing, compiling and dropping what was parsed go as deep as the text does,
//! and a chain of operators is as deep as it is long. The stack is not.

use super::tokens::{Token, TokenKind};

/// Operators and brackets around one place; far more than anybody writes.
const MAX_DEPTH: usize = 400;

/// Statements in statements.
const MAX_BLOCKS: usize = 100;

/// The byte where an expression goes too deep.
pub fn too_deep(text: &str, tokens: &[Token]) -> Option<usize> {
    let mut outer: Vec<usize> = Vec::new();
    // How many operators stand in a row here, and how many around here in all.
    let (mut row, mut total) = (0usize, 0usize);
    for token in tokens {
        let word = text.get(token.range.clone()).unwrap_or_default();
        match (token.kind, word) {
            (TokenKind::Symbol, "(" | "[" | "{") => {
                outer.push(row);
                row = 0;
                total += 1;
            }
            (TokenKind::Symbol, ")" | "]" | "}") => {
                total = total.saturating_sub(row);
                // What is in brackets may be asked for something once more: `a[b](c)`.
                row = outer.pop().unwrap_or_default() + 1;
            }
            (TokenKind::Symbol, "," | ":" | "=") => {
                total = total.saturating_sub(row);
                row = 0;
            }
            (TokenKind::Symbol, _)
            | (TokenKind::Name, "and" | "or" | "not" | "if" | "else" | "in" | "is") => {
                row += 1;
                total += 1;
            }
            _ => {}
        }
        if total > MAX_DEPTH {
            return Some(token.range.start);
        }
    }
    None
}

/// Counts the statements that are open.
#[derive(Default)]
pub struct Blocks(usize);

impl Blocks {
    /// Whether a statement that begins with this word is one too many.
    pub fn enter(&mut self, word: &str) -> bool {
        match word {
            "if" | "for" | "macro" | "call" | "filter" | "block" | "with" | "autoescape" => {
                self.0 += 1;
            }
            _ if word.starts_with("end") && word != "endset" => self.0 = self.0.saturating_sub(1),
            _ => {}
        }
        self.0 > MAX_BLOCKS
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokenize;
    use super::*;

    fn deep(text: &str) -> bool {
        too_deep(text, &tokenize(text)).is_some()
    }

    #[test]
    fn long_lists_are_not_deep_and_long_chains_are() {
        assert!(!deep(&format!("[{}]", "{'a': [1, 2]}, ".repeat(10_000))));
        assert!(!deep(&format!("f({})", "a.b | c, ".repeat(10_000))));
        assert!(!deep(&"a ~ ".repeat(300)));
        for piece in ["(", "not ", "- ", ".a", "[0]", "()", "|a", " + 1", " if 1 else 1"] {
            assert!(deep(&format!("a{}", piece.repeat(1000))), "{piece}");
        }
    }
}
